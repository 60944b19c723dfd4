# Helpers of the TAP tests.
package UaefTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use UaefNode;

our @EXPORT = qw(new_node worker_pid wait_for_worker wait_for_no_worker
  seconds_of count_log);

# A node that is configured, but not started.
sub new_node
{
	my ($name, $conf, %init) = @_;
	my $node = UaefNode->new($name);

	$node->init(%init);
	$node->append_conf('postgresql.conf', "autovacuum = off\n" . ($conf // ''));
	return $node;
}

# The pid of a database's worker, as worker_status says, if it is running;
# asked from a database that has the extension.
sub worker_pid
{
	my ($node, $database, $from) = @_;
	return $node->safe_psql($from // $database,
		"SELECT pid FROM uaef.worker_status WHERE kind = 'worker'"
		  . " AND database = '$database' AND state IN ('idle', 'busy')");
}

# Wait until a database has a worker, by what the server says of processes.
sub wait_for_worker
{
	my ($node, $database, $message) = @_;
	ok( $node->poll_query_until(
			'postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'idle'"
			  . " AND backend_type = 'uaef worker' AND datname = '$database'"),
		$message);
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity"
		  . " WHERE backend_type = 'uaef worker' AND datname = '$database'");
}

sub wait_for_no_worker
{
	my ($node, $database, $message) = @_;
	ok( $node->poll_query_until(
			'postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$database'"
			  . " AND backend_type IN ('uaef worker', 'uaef executor')"),
		$message);
	return;
}

# How long something takes.
sub seconds_of
{
	my ($code) = @_;
	my $began = time();
	$code->();
	return time() - $began;
}

# How many lines of the server's log match.
sub count_log
{
	my ($node, $pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, slurp_file($node->logfile);
	return scalar @lines;
}

1;
