# pg_net, as test/bench/peers drives it: HTTP requests from SQL, sent by a
# background worker, once each.
package UaefPgNet;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Time::HiRes qw(time);

# The database that its worker serves, which must be there when the server starts.
use constant DATABASE => 'pg_net';

# Build and install it for the servers of this run; why it cannot be, or nothing.
sub missing
{
	my ($class, $sources) = @_;

	return 'its sources are not there: --sources DIR, with DIR/pg_net' if !defined $sources || !-e "$sources/pg_net/Makefile";
	return 'this run tests an extension that is installed' if !$ENV{TEMP_CONFIG};
	my $build = tempdir('uaef-pg_net-XXXXXX', DIR => '/tmp', CLEANUP => 1);
	my $config = $ENV{PG_CONFIG} || 'pg_config';
	my $make = "make -s -C '$build' PG_CONFIG='$config' with_llvm=no";
	system("cp -r '$sources/pg_net/.' '$build' && $make >'$build/log' 2>&1"
		  . " && $make install DESTDIR='" . dirname($ENV{TEMP_CONFIG}) . "' >>'$build/log' 2>&1") == 0
	  or return "it could not be built:\n" . do { local (@ARGV, $/) = "$build/log"; <> };
	return;
}

# What a server with it needs in its settings.
sub settings { return "shared_preload_libraries = 'uaef, pg_net'\npg_net.database_name = '" . DATABASE . "'\n"; }

sub open
{
	my ($class, $cluster) = @_;

	$cluster->query('TRUNCATE net._http_response, net.http_request_queue');
	return bless { cluster => $cluster }, $class;
}

sub version
{
	my ($self) = @_;
	return $self->{cluster}->query("SELECT extversion FROM pg_extension WHERE extname = 'pg_net'");
}

sub can_do { my ($self, $workload) = @_; return $workload =~ /^(?:http|idle)$/; }

sub set_port { my ($self, $port) = @_; $self->{port} = $port; return; }

sub prepare { return; }

sub run
{
	my ($self, $workload, $n) = @_;
	my $began = time;

	$self->{cluster}->query("SELECT count(net.http_post('http://127.0.0.1:$self->{port}/', '{\"n\":1}')) FROM generate_series(1, $n)");
	$self->{cluster}->poll('SELECT count(*) FROM net._http_response', $n, 600) or die "not all were sent\n";
	return { seconds => time - $began };
}

sub tasks
{
	my ($self) = @_;
	return $self->{cluster}->query('SELECT count(*) FROM net._http_response WHERE status_code = 200');
}

sub problems { return; }

sub end { return; }

1;
