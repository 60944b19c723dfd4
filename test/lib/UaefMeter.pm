# What a cluster has used: processor time of its processes, bytes of WAL.
#
# The time is that of the postmaster, of its children, and of the children that
# ended; clients are none of them.  It is exact to a clock tick (10 ms) a process.
package UaefMeter;

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();

our @EXPORT_OK = qw(meter_start meter_stop cpu_seconds cpu_seconds_of resident_mb);

my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# The fields of /proc/PID/stat after the name: state is 0, the parent 1.
sub _stat
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/stat" or return;
	my $line = <$file> // return;
	return split ' ', $line =~ s/.*\) //sr;
}

# The pids of a cluster's processes, the postmaster first.
sub _processes
{
	my ($cluster) = @_;
	my $postmaster = $cluster->postmaster_pid // die "the server is gone\n";
	my @pids = ($postmaster);

	for my $path (glob '/proc/[0-9]*')
	{
		my $pid = substr $path, 6;
		my @stat = _stat($pid);
		push @pids, $pid if @stat && $stat[1] == $postmaster;
	}
	return @pids;
}

# Seconds of processor time that a cluster has used since it began.
sub cpu_seconds
{
	my ($cluster) = @_;
	my ($postmaster, @children) = _processes($cluster);
	my @own = _stat($postmaster);
	my $sum = $own[11] + $own[12] + $own[13] + $own[14];

	for my $pid (@children)
	{
		my @stat = _stat($pid) or next;
		$sum += $stat[11] + $stat[12];
	}
	return $sum / $ticks;
}

# The same of those of its processes that run and whose title is like this.
sub cpu_seconds_of
{
	my ($cluster, $title) = @_;
	my $sum = 0;

	for my $pid (_processes($cluster))
	{
		open my $file, '<', "/proc/$pid/cmdline" or next;
		next if (<$file> // '') !~ $title;
		my @stat = _stat($pid) or next;
		$sum += $stat[11] + $stat[12];
	}
	return $sum / $ticks;
}

# Megabytes that a process holds for itself, without shared memory.
sub resident_mb
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/status" or return;
	my $text = do { local $/; <$file> } // return;
	return $text =~ /^RssAnon:\s*(\d+)/m ? $1 / 1024 : undef;
}

sub _wal
{
	my ($cluster) = @_;
	return $cluster->query_in('postgres', "SELECT pg_current_wal_insert_lsn() - '0/0'");
}

# Seconds of processor time that one process has used.
sub process_seconds
{
	my ($pid) = @_;
	my @stat = _stat($pid);

	return @stat ? ($stat[11] + $stat[12]) / $ticks : 0;
}

# Begin to measure; what it returns is for meter_stop, which gives
# (seconds of processor time, bytes of WAL) since then.
sub meter_start
{
	my ($cluster) = @_;
	my $wal = _wal($cluster);

	return { cluster => $cluster, wal => $wal, cpu => cpu_seconds($cluster) };
}

sub meter_stop
{
	my ($meter) = @_;
	my $cpu = cpu_seconds($meter->{cluster});

	return ($cpu - $meter->{cpu}, _wal($meter->{cluster}) - $meter->{wal});
}

1;
