# A throw-away PostgreSQL cluster with uaef preloaded, for the demo, the
# benchmarks and the tests that kill processes.
#
# PostgreSQL::Test::Cluster would do, but it is part of no runtime package; this
# needs nothing but the server and Debian's perl, and it knows how to bury a
# cluster whose postmaster was killed.
#
# Like there, TEMP_CONFIG names a file of settings, by which a server finds an
# extension that is not installed, and PG_REGRESS says that somebody runs the
# tests against what is installed.  A script that is started with neither starts
# itself anew through test/staged.
package UaefCluster;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IPC::Open3 qw(open3);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(median);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $bindir;

# Who is stopped by a signal, or whose reader goes away, leaves no cluster behind.
$SIG{$_} = sub { exit 1 } for qw(HUP INT PIPE TERM);

BEGIN
{
	exec dirname(__FILE__) . '/../staged', $0, @ARGV
	  or die "could not run test/staged: $!\n"
	  if !$^C && !$ENV{TEMP_CONFIG} && !$ENV{PG_REGRESS};
}

# The middle of a list of numbers.
sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $half = int(@sorted / 2);

	return @sorted % 2 ? $sorted[$half] : ($sorted[ $half - 1 ] + $sorted[$half]) / 2;
}

sub _pg_config
{
	my ($what) = @_;
	my $program = $ENV{PG_CONFIG} || 'pg_config';
	my $answer = `$program --$what`;

	die "could not run $program\n" if $? != 0;
	chomp $answer;
	return $answer;
}

# Make and start a cluster.  Options: conf (lines for postgresql.conf), fsync
# (default true), database (made, with the extension in it; default app).
sub new
{
	my ($class, %option) = @_;

	$bindir //= _pg_config('bindir');
	my $self = bless {
		dir      => tempdir('uaef-XXXXXX', DIR => '/tmp'),
		port     => 5432,
		owner    => $$,
		database => $option{database} || 'app'
	}, $class;
	_run("$bindir/initdb", '-D', "$self->{dir}/data", '-A', 'trust', '-U',
		'postgres', '-E', 'UTF8', '--no-locale', '--no-sync');
	$self->_configure(($option{fsync} // 1 ? '' : "fsync = off\n") . ($option{conf} || ''));
	$self->start;
	$self->query_in('postgres', "CREATE DATABASE $self->{database}");
	$self->query('CREATE EXTENSION uaef CASCADE');
	return $self;
}

# Only a socket in our own directory is listened on, so any port is free.
sub _configure
{
	my ($self, $conf) = @_;
	my $given = '';

	if ($ENV{TEMP_CONFIG})
	{
		local (@ARGV, $/) = $ENV{TEMP_CONFIG};
		$given = <>;
	}
	open my $file, '>>', "$self->{dir}/data/postgresql.conf" or die $!;
	print $file <<"END";
port = $self->{port}
listen_addresses = ''
unix_socket_directories = '$self->{dir}'
shared_preload_libraries = 'uaef'
log_line_prefix = '%m [%p] %b '
$given
$conf
END
	close $file or die $!;
	return;
}

# Run a program; its output is shown only when it fails.
sub _run
{
	my @command = @_;
	my $pid = open3(my $in, my $out, undef, @command);

	close $in;
	my $text = do { local $/; <$out> };
	waitpid $pid, 0;
	die "@command failed:\n$text\n" if $? != 0;
	return;
}

sub _try_to_start
{
	my ($self) = @_;

	return system("$bindir/pg_ctl -s -w -t 60 -D $self->{dir}/data -l $self->{dir}/log start >$self->{dir}/pg_ctl.log 2>&1") == 0;
}

sub start
{
	my ($self) = @_;

	$self->_try_to_start or die "could not start the server:\n" . $self->log_tail;
	return;
}

# Start the server after its postmaster was killed.  Children may still be there
# for a moment and hold on to the shared memory, so try for a while.
sub revive
{
	my ($self) = @_;
	my $deadline = time + 60;

	while (!$self->_try_to_start)
	{
		die "could not start the server again:\n" . $self->log_tail if time > $deadline;
		sleep 0.1;
	}
	return;
}

# The last checkpoint may have the files of a hundred databases to flush.
sub stop
{
	my ($self, $mode) = @_;

	system("$bindir/pg_ctl -s -w -t 600 -D $self->{dir}/data -m "
		  . ($mode || 'fast') . " stop >/dev/null 2>&1");
	return $?;
}

sub restart
{
	my ($self) = @_;

	$self->stop == 0 or die "could not stop the server:\n" . $self->log_tail;
	$self->start;
	return;
}

# What the server has logged, from a byte offset on.
sub log
{
	my ($self, $from) = @_;

	open my $file, '<', "$self->{dir}/log" or return '';
	seek $file, $from || 0, 0;
	local $/;
	return scalar(<$file>) // '';
}

# The end of it, for people.
sub log_tail
{
	my ($self) = @_;
	my @lines = split /^/, $self->log;

	return join '', @lines > 40 ? @lines[ -40 .. -1 ] : @lines;
}

sub log_size { my ($self) = @_; return -s "$self->{dir}/log" || 0; }

# The process id of the postmaster, or undef when it is gone.
sub postmaster_pid
{
	my ($self) = @_;

	open my $file, '<', "$self->{dir}/data/postmaster.pid" or return;
	my $pid = <$file>;
	return if !defined $pid;
	chomp $pid;
	return kill(0, $pid) ? $pid : undef;
}

sub dir { my ($self) = @_; return $self->{dir}; }
sub database { my ($self) = @_; return $self->{database}; }

# The same cluster, with another database as its own.
sub with_database
{
	my ($self, $database) = @_;

	return bless { %$self, database => $database, owner => 0, children => [] }, ref $self;
}

# Arguments that make psql or pgbench connect.
sub connect_args
{
	my ($self, $user) = @_;

	return ('-h', $self->{dir}, '-p', $self->{port}, '-U', $user || 'postgres');
}

sub _psql
{
	my ($self, $database, $user, @args) = @_;

	return ("$bindir/psql", '-X', $self->connect_args($user), '-d', $database,
		'-v', 'ON_ERROR_STOP=1', @args);
}

# The command of a session in our database.
sub psql { my ($self, @args) = @_; return $self->_psql($self->{database}, undef, @args); }

# Run SQL in a session of its own; returns (exit code, output, errors).
sub try_in
{
	my ($self, $database, $sql, $user) = @_;
	my $script = File::Temp->new(DIR => $self->{dir});
	my $errors = File::Temp->new(DIR => $self->{dir});

	print $script $sql;
	$script->flush;
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	open my $saved, '>&', \*STDERR or die $!;
	open STDERR, '>', $errors->filename or die $!;
	my $ok = open my $pipe, '-|', $self->_psql($database, $user, '-qAt', '-f', $script->filename);
	open STDERR, '>&', $saved or die $!;
	die "could not run psql\n" if !$ok;
	my $output = do { local $/; <$pipe> } // '';
	close $pipe;
	my $code = $? >> 8;
	chomp $output;
	my $text = do { local $/; open my $file, '<', $errors->filename or die $!; <$file> } // '';
	return ($code, $output, $text);
}

sub try { my ($self, $sql) = @_; return $self->try_in($self->{database}, $sql); }

# The same, but an error dies.
sub query_in
{
	my ($self, $database, $sql, $user) = @_;
	my ($code, $output, $errors) = $self->try_in($database, $sql, $user);

	die "$errors\nin: " . substr($sql, 0, 400) . "\n" if $code != 0;
	return $output;
}

sub query { my ($self, $sql) = @_; return $self->query_in($self->{database}, $sql); }

# The same, connected as another role.
sub query_as
{
	my ($self, $user, $sql) = @_;

	return $self->query_in($self->{database}, $sql, $user);
}

# Ask until the answer is as expected, at most limit seconds; true if it was.
# A server that is away for the moment is asked again.
sub poll
{
	my ($self, $sql, $expected, $limit) = @_;
	my $deadline = time + ($limit || 60);

	$expected //= 't';
	while (1)
	{
		my ($code, $output) = $self->try($sql);
		return 1 if $code == 0 && $output eq $expected;
		return 0 if time > $deadline;
		sleep 0.05;
	}
}

# Show a script as psql shows it to a person who types it; returns psql's exit
# code.
sub show
{
	my ($self, $file, %variable) = @_;
	my @set = map { ('-v', "$_=$variable{$_}") } sort keys %variable;

	open my $script, '<', $file or die "could not open $file: $!\n";
	my $pid = fork // die "could not fork: $!\n";
	if ($pid == 0)
	{
		open STDIN, '<&', $script or die $!;
		exec $self->_psql($self->{database}, undef, '-q', @set) or die "could not run psql: $!\n";
	}
	waitpid $pid, 0;
	return $? >> 8;
}

# Run pgbench with a script; returns the transactions per second.
sub pgbench
{
	my ($self, $script, @args) = @_;
	my $file = File::Temp->new(DIR => $self->{dir}, SUFFIX => '.sql');

	print $file $script;
	$file->flush;
	open my $pipe, '-|', "$bindir/pgbench", $self->connect_args, '-n', '-M',
	  'prepared', '-f', $file->filename, @args, $self->{database}
	  or die "could not run pgbench\n";
	my $output = do { local $/; <$pipe> };
	close $pipe or die "pgbench failed:\n$output\n";
	return $output =~ /^tps = ([\d.]+)/m ? $1 : die "pgbench said:\n$output\n";
}

# Run one transaction of each script in turn, at random, for some seconds by one
# client; returns the median latency of each in milliseconds.
sub latencies
{
	my ($self, $seconds, @scripts) = @_;
	my $dir = File::Temp->newdir(DIR => $self->{dir});
	my @ms;

	for my $i (0 .. $#scripts)
	{
		open my $file, '>', "$dir/$i.sql" or die $!;
		print $file $scripts[$i];
		close $file or die $!;
	}
	_run("$bindir/pgbench", $self->connect_args, '-n', '-M', 'prepared', '-c', 1, '-T', $seconds,
		'--log', "--log-prefix=$dir/log", (map { ('-f', "$dir/$_.sql") } 0 .. $#scripts), $self->{database});
	local @ARGV = glob "$dir/log*";
	while (my $line = <>)
	{
		my ($client, $number, $took, $script) = split ' ', $line;
		push @{ $ms[$script] }, $took / 1000;
	}
	return map { median(@{ $ms[$_] // die "script $_ never ran\n" }) } 0 .. $#scripts;
}

# Tell on standard error what is wrong with the ledger and the money; returns how
# much.
sub problems
{
	my ($self) = @_;
	my @lines = split /\n/, $self->query(
		"SELECT 'ledger: ' || v FROM uaef.verify_ledger(jobs => 2) v UNION ALL SELECT 'money: ' || a FROM uaef.audit_money() a");

	print STDERR "$self->{database}: $_\n" for @lines;
	return scalar @lines;
}

# Change one byte of the stored hash of an event, as a superuser can who switches
# the guards of the table off; doing it twice changes it back.
sub flip_a_byte
{
	my ($self, $event_id) = @_;

	$self->query(<<"END");
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_event
   SET event_hash = set_byte(event_hash::bytea, 7, get_byte(event_hash::bytea, 7) # 1)
 WHERE event_id = $event_id;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;
COMMIT;
END
	return;
}

# Start a server of test/servers, which prints its port; returns that.
sub start_server
{
	my ($self, $name, @args) = @_;
	my $pid = open my $pipe, '-|', $^X, "$top/test/servers/$name", @args
	  or die "could not start $name\n";
	my $port = <$pipe>;

	die "$name did not start\n" if !defined $port;
	chomp $port;
	push @{ $self->{children} }, [ $pid, $pipe ];
	return $port;
}

# One that answers every request.
sub start_echo_server
{
	my ($self, @args) = @_;

	return $self->start_server('echo_server', @args);
}

sub DESTROY
{
	my ($self) = @_;

	return if $self->{owner} != $$;
	local ($?, $@, $!);
	kill 'TERM', $_->[0] for @{ $self->{children} };
	$self->{children} = [];
	$self->stop('immediate');
	if ($ENV{UAEF_KEEP})
	{
		print STDERR "# kept: $self->{dir}\n";
		return;
	}
	remove_tree($self->{dir});
	return;
}

1;
