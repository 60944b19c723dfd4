# The life of workers under a launcher: every database with the extension has
# one, and no other; it is never in the way of a command.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(one two bare);

# CREATE EXTENSION brings a worker, in each database its own.
$node->safe_psql($_, 'CREATE EXTENSION uaef CASCADE') for qw(one two);
my $one = wait_for_worker($node, 'one', 'a worker comes with the extension');
my $two = wait_for_worker($node, 'two', 'a second database has its own');
isnt($one, $two, 'they are two processes');
is(worker_pid($node, 'one'), $one, 'worker_status shows it');
is(worker_pid($node, 'two', 'one'), $two,
	'worker_status shows those of other databases');
wait_for_no_worker($node, 'bare', 'no worker without the extension');

# A CREATE EXTENSION that rolls back leaves nothing behind.
$node->safe_psql('bare', 'BEGIN; CREATE EXTENSION uaef CASCADE; ROLLBACK');
wait_for_no_worker($node, 'bare', 'no worker after a rollback');

# An idle system runs no transaction.  First it must have become idle: the
# blocks of what was made above are sealed and counted.
my $commits = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"
  . " WHERE datname IN ('one', 'two')";
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'uaef worker'"
		  . " AND datname IN ('one', 'two') AND state = 'idle'"
		  . " AND state_change < clock_timestamp() - interval '2.5 seconds'"),
	'both workers have done it all');
my $before = $node->safe_psql('postgres', $commits);
$node->safe_psql('postgres', 'SELECT pg_sleep(3)');
is($node->safe_psql('postgres', $commits),
	$before, 'no transaction in three idle seconds');

# A restart brings back what was there, and nothing else.
$node->restart;
my $restarted = wait_for_worker($node, 'one', 'a restart brings the worker back');
isnt($restarted, $one, 'it is another process');
wait_for_worker($node, 'two', 'and that of the other database');
wait_for_no_worker($node, 'bare', 'but none without the extension');

# start_worker() and stop_worker().
is($node->safe_psql('one', 'SELECT uaef.start_worker()'),
	$restarted, 'start_worker() returns the one that runs');
is($node->safe_psql('one', 'SELECT uaef.stop_worker()'),
	't', 'stop_worker() ends it');
wait_for_no_worker($node, 'one', 'none runs then');
is( $node->safe_psql(
		'one',
		"SELECT state || ': ' || detail FROM uaef.worker_status"
		  . " WHERE kind = 'worker' AND database = 'one'"),
	'stopped: SELECT uaef.start_worker() starts it',
	'worker_status says so');
my $launcher = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef launcher'");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
ok( $node->poll_query_until(
		'one',
		"SELECT pid <> $launcher FROM uaef.worker_status WHERE kind = 'launcher'"),
	'the launcher comes back when it is ended');
wait_for_no_worker($node, 'one', 'a new launcher leaves a stopped worker alone');
my $started = $node->safe_psql('one', 'SELECT uaef.start_worker()');
is(worker_pid($node, 'one'), $started, 'start_worker() starts it again');

# A worker that is ended by an administrator comes back.
$node->safe_psql('postgres', "SELECT pg_terminate_backend($started)");
ok( $node->poll_query_until(
		'one',
		"SELECT count(*) = 1 FROM uaef.worker_status WHERE kind = 'worker'"
		  . " AND database = 'one' AND pid <> $started AND state = 'idle'"),
	'a worker that was terminated comes back');

# Nothing is for everybody.
$node->safe_psql('one', 'CREATE ROLE nobody; GRANT USAGE ON SCHEMA uaef TO nobody');
for my $call ('uaef.start_worker()', 'uaef.stop_worker()', 'uaef._worker_status()')
{
	my ($rc, $out, $err) =
	  $node->psql('one', "SET ROLE nobody; SELECT $call");
	like($err, qr/permission denied for function/, "$call is not for everybody");
}

# DROP EXTENSION and CREATE EXTENSION again.
$node->safe_psql('one', 'DROP EXTENSION uaef');
wait_for_no_worker($node, 'one', 'DROP EXTENSION ends the worker');
$node->safe_psql('one', 'CREATE EXTENSION uaef');
wait_for_worker($node, 'one', 'CREATE EXTENSION brings a new one');

# Commands that want a database for themselves.
$node->safe_psql('postgres', 'ALTER DATABASE one RENAME TO uno');
wait_for_worker($node, 'uno', 'ALTER DATABASE RENAME, and the worker is back');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE uno');
wait_for_worker($node, 'copy', 'CREATE DATABASE TEMPLATE gives the copy a worker');
wait_for_worker($node, 'uno', 'and the template has its worker back');

$node->safe_psql('copy', 'CREATE ROLE other LOGIN CREATEDB');
my $pid = wait_for_worker($node, 'copy', 'the copy has a worker');
my ($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE copy',
	extra_params => [ '-U', 'other' ]);
like($err, qr/must be owner of database/, 'DROP DATABASE by another role fails');
is(worker_pid($node, 'copy'), $pid, 'and has not disturbed the worker');

($rc, $out, $err) =
  $node->psql('postgres', 'BEGIN; DROP DATABASE copy; ROLLBACK');
like($err, qr/cannot run inside a transaction block/,
	'DROP DATABASE in a transaction fails');
wait_for_worker($node, 'copy', 'after the failure the worker is back');
my $took = seconds_of(
	sub { $node->safe_psql('postgres', 'DROP DATABASE copy'); });
ok($took < 15, sprintf 'DROP DATABASE under a worker takes %.1f s', $took);
$node->safe_psql('postgres', 'DROP DATABASE uno WITH (FORCE)');
is(count_log($node, qr/FATAL.*does not exist/),
	0, 'nobody tries to start a worker in a dropped database');

# A fast shutdown does not wait for workers.
wait_for_worker($node, 'two', 'the other database has been left alone');
$took = seconds_of(sub { $node->stop('fast'); });
ok($took < 15, sprintf 'fast shutdown takes %.1f s', $took);
is(count_log($node, qr/PANIC|terminated by signal/), 0, 'nothing crashed');

done_testing();
