# Tasks that take with them who runs them: three times, and no more.  And what
# only stood beside them goes on.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UaefTest;

my $node = new_node('main',
	"shared_preload_libraries = 'uaef'\nrestart_after_crash = on\nuaef.max_executors = 3\n");
$node->start;
my $crasher = q{
	CREATE EXTENSION uaef CASCADE;
	CREATE FUNCTION crash() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID';
		PERFORM pg_sleep(60);
		RETURN 1;
	END $$;
	SELECT uaef.create_workflow('crash', '{"tasks":[{"id":"t","type":"sql","config":{"sql":"SELECT crash()"}}]}');
};
$node->safe_psql('postgres', $crasher);
$node->safe_psql('postgres', q{
	CREATE ROLE calm LOGIN;
	SELECT uaef.grant_access('calm', 'operator');
	CREATE TABLE try (who text, at timestamptz DEFAULT clock_timestamp());
	CREATE TABLE go ();
	CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT EXISTS (SELECT FROM go) LOOP
			PERFORM pg_sleep(0.2);
		END LOOP;
		INSERT INTO try VALUES ('slow');
		RETURN 1;
	END $$;
	GRANT INSERT ON try TO calm;
	GRANT SELECT ON go TO calm;
	SELECT uaef.create_workflow('slow', '{"tasks":[{"id":"t","type":"sql","config":{"sql":"SELECT slow()"}}]}');
	SELECT uaef.create_workflow('leave', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"}}]}');
	SELECT uaef.create_workflow('lose', '{"tasks":[{"id":"t","type":"external","queue":"lose"}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub ended
{
	my ($id, $status, $message) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT status = '$status' FROM uaef.workflow_run WHERE execution_id = '$id'"),
		$message);
	return;
}

sub task
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT status, losses, error->>'code' FROM uaef.task_run WHERE execution_id = '$id'");
}

# A task that kills its backend, and so the server; two that only run meanwhile,
# in executors of another role, and end after the first crash.
my ($slow1, $slow2) = split /\|/, $node->safe_psql('postgres',
	"SET SESSION AUTHORIZATION calm;"
	  . " SELECT uaef.start_workflow('slow'), uaef.start_workflow('slow')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'they run');
my $crash = $node->safe_psql('postgres',
	"SELECT uaef.start_workflow('crash', start_at => clock_timestamp() + interval '300 ms')");
ok($node->poll_query_until('postgres',
		"SELECT losses > 0 FROM uaef.task_run WHERE execution_id = '$crash'"),
	'the server crashes');
ok($node->poll_query_until('postgres',
		'WITH said AS (INSERT INTO go DEFAULT VALUES RETURNING 1) SELECT count(*) = 1 FROM said'),
	'the others may end, said between crashes');
ended($crash, 'failed', 'a task that crashes the server fails');
is(task($crash), 'failed|3|poison', 'after three crashes');
ended($_, 'completed', 'a task beside it completes') for ($slow1, $slow2);
is($node->safe_psql('postgres', "SELECT count(*) FROM try"), 2, 'each once');
is($node->safe_psql('postgres',
		"SELECT max(losses) FROM uaef.task_run WHERE task = 't' AND execution_id <> '$crash'"),
	1, 'and is held for the cause once, when nobody could know better');
is(count_log($node, 'terminating any other active server processes'), 3,
	'the server crashed three times');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM uaef.ledger_event WHERE stream = '$crash' AND event_type = 'task_lost'"),
	3, 'each is an event');
is($node->safe_psql('postgres', "SELECT code FROM uaef.dead_letter"), 'poison',
	'it is a dead letter');

# A task that only ends its own process.
my $leave = $node->safe_psql('postgres', "SELECT uaef.start_workflow('leave')");
ended($leave, 'failed', 'a task that ends its executor fails');
is(task($leave), 'failed|3|poison', 'after three executors');

# A restart is nobody's fault.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('long', '{"tasks":[{"id":"t","type":"sql","config":{"sql":"SELECT pg_sleep(60)"}}]}')});
my $long = $node->safe_psql('postgres', "SELECT uaef.start_workflow('long')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'a task runs');
$node->restart;
wait_for_worker($node, 'postgres', 'the worker is back');
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'and the task');
is(task($long), 'queued|0|', 'a fast shutdown does not count');
$node->safe_psql('postgres', "SELECT uaef.cancel_workflow('$long')");

# Outside workers that disappear with the lease.
my $lose = $node->safe_psql('postgres', "SELECT uaef.start_workflow('lose')");
for my $n (1 .. 3)
{
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM uaef.claim_tasks('w', 'lose', 1, '100ms')"),
		"claim $n");
}
ended($lose, 'failed', 'a task that three workers disappear with fails');
is(task($lose), 'failed|3|poison', 'as a poison');
$node->safe_psql('postgres', "SELECT uaef.retry_workflow('$lose')");
is(task($lose), 'queued|0|', 'a retry begins to count anew');

# After a crash another database may be first at the executors' places; it does
# not hide who was there.
sub crash_by
{
	my ($database, $message) = @_;
	my $crashes = 'terminating any other active server processes';
	my $before = count_log($node, $crashes);
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	# The server may end the session that asks for the worker.
	eval { $node->psql($database, 'SELECT uaef.start_worker()') };
	sleep 0.1 while count_log($node, $crashes) == $before && time < $deadline;
	is(count_log($node, $crashes), $before + 1, $message);
	ok($node->poll_query_until('postgres', 'SELECT true'), 'and comes back');
	return;
}

$node->append_conf('postgresql.conf', 'uaef.start_workers = off');
$node->reload;
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', $crasher);
$crash = $node->safe_psql('two', "SELECT uaef.start_workflow('crash')");
$node->safe_psql('postgres', 'DELETE FROM go; SELECT uaef.stop_worker()');
crash_by('two', 'a task crashes the server');
$node->safe_psql('postgres', 'SELECT uaef.start_worker()');
for my $n (1 .. 2)
{
	$node->safe_psql('postgres',
		"SET SESSION AUTHORIZATION calm; SELECT uaef.start_workflow('slow')");
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = $n FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
		"another database takes place $n");
}
crash_by('two', 'the task crashes the server again');
is($node->safe_psql('two', "SELECT losses FROM uaef.task_run WHERE execution_id = '$crash'"),
	1, 'the first crash is counted');
$node->safe_psql('postgres', 'DROP DATABASE two');
my @files = glob($node->data_dir . '/pg_stat_tmp/uaef.running.*');
is(scalar @files, 1, 'a database that is gone leaves no file');

is($node->safe_psql('postgres', 'SELECT count(*) FROM uaef.verify_ledger()'),
	0, 'the ledger is whole');
$node->stop;
done_testing();
