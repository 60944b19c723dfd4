# Outside workers that wait: a task wakes one of them, idle ones cost nothing,
# and no task is left with nobody awake.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', q{
	CREATE EXTENSION uaef CASCADE;
	SELECT uaef.create_workflow('job', '{"tasks": [{"id": "x", "type": "external", "queue": "q",
		"timeout": "1 hour", "on_failure": "continue"}]}');
	SELECT uaef.create_workflow('timed', '{"tasks": [{"id": "x", "type": "external", "queue": "q",
		"timeout": "8s", "on_failure": "continue"}]}');
	SELECT uaef.create_workflow('gpu', '{"tasks": [{"id": "x", "type": "external", "queue": "q",
		"config": {"capability": "gpu"}}]}');
});
wait_for_worker($node, 'app', 'the worker runs');

sub ask { my ($sql) = @_; return $node->safe_psql('app', $sql) }

# So many sessions that wait once each, in one process.
sub waiters
{
	my ($n, $arguments) = @_;
	my $script = $node->basedir . '/wait.sql';
	my $output = '';

	open my $file, '>', $script or die $!;
	print $file "SELECT task_id FROM uaef.claim_tasks('w', 'q', $arguments);\n";
	close $file;
	my $run = start([ 'pgbench', '-n', '-c', $n, '-j', 1, '-t', 1, '-f', $script, $node->connstr('app') ],
		'>', \$output, '2>', \$output);
	return $run;
}

my $waiting = q{FROM pg_stat_activity WHERE query LIKE 'SELECT task_id FROM uaef.claim_tasks%'
	AND wait_event_type = 'Extension' AND state = 'active'};

sub wait_count
{
	my ($n, $message) = @_;
	return ok($node->poll_query_until('postgres', "SELECT count(*) = $n $waiting"), $message);
}

sub transactions
{
	return $node->safe_psql('postgres',
		"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'app'");
}

# Fifty that wait for nothing.
my $all = waiters(50, "wait => '2 minutes'");
wait_count(50, '50 workers wait');
my $settled = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'uaef worker'
	AND datname = 'app' AND state_change < clock_timestamp() - interval };
$node->poll_query_until('postgres', "$settled '3 seconds'");
my $before = transactions();
$node->poll_query_until('postgres', "$settled '10 seconds'");
is(transactions() - $before, 0, 'they cost no transaction');

# A task wakes one of them.
for my $round (1 .. 3)
{
	my $seconds = seconds_of(sub {
		ask(q{SELECT uaef.start_workflow('job')});
		wait_count(50 - $round, "task $round is taken by one");
	});
	cmp_ok($seconds, '<', 10, 'at once');
}
# Who has stopped waiting may not have committed yet.
ok($node->poll_query_until('app', q{SELECT count(*) = 3 FROM uaef.task_run WHERE status = 'running'}),
	'three tasks run');
ask(q{SELECT uaef.start_workflow('job') FROM generate_series(1, 7)});
wait_count(40, 'seven tasks of one commit wake seven');

# One that nobody here is able to do wakes nobody.
ask(q{SELECT uaef.start_workflow('gpu')});
my $gpu = waiters(1, "capabilities => '{gpu}', wait => '2 minutes'");
finish($gpu);
wait_count(40, 'a capability finds its worker');

# One that has to wait for its limits wakes a worker when they let it run.
ask(q{SELECT uaef.create_workflow('limited', '{"tasks": [{"id": "x", "type": "external", "queue": "q",
	"limits": [{"concurrency": 10}], "timeout": "1 hour", "on_failure": "continue"}]}')});
ask(q{SELECT uaef.start_workflow('limited')});
wait_count(39, 'a task that was granted its limits is taken at once');

# Who is ended while it waits leaves its place.
ask("SELECT count(pg_terminate_backend(pid)) $waiting");
finish($all);
wait_count(0, 'all are gone');
my $one = waiters(1, "wait => '2 minutes'");
wait_count(1, 'another waits');

# A start that is rolled back wakes nobody, or who finds nothing and waits on.
ask(q{BEGIN; SELECT uaef.start_workflow('job'); ROLLBACK});
wait_count(1, 'a start that is rolled back wakes nobody for good');
ask(q{SELECT uaef.start_workflow('job')});
finish($one);
is($?, 0, 'the next task is taken');

# A claim that is rolled back gives the task to who waits.
my $given = ask(q{SELECT uaef.start_workflow('job')});
my $said = '';
my $claimer = start([ 'psql', '-X', '-q', '-A', '-t', $node->connstr('app'), '-c', qq{
	BEGIN;
	SELECT 'got ' || task FROM uaef.claim_tasks('first', 'q');
	DO \$\$ BEGIN
		FOR i IN 1 .. 6000 LOOP
			PERFORM pg_stat_clear_snapshot();
			EXIT WHEN EXISTS (SELECT $waiting);
			PERFORM pg_sleep(0.01);
		END LOOP;
	END \$\$;
	ROLLBACK} ], '>', \$said);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'got' AND pid <> pg_backend_pid()}),
	'a task is being taken');
my $second = waiters(1, "wait => '1 minute'");
my $seconds = seconds_of(sub { finish($second) });
cmp_ok($seconds, '<', 30, 'a rollback wakes who waits');
finish($claimer);
is(ask("SELECT status, worker FROM uaef.task_run WHERE execution_id = '$given'"), 'running|w',
	'and that one has the task');

# Who was kept from waiting on by an error that it caught is not woken instead of another.
my $caught = '';
my $busy = start([ 'psql', '-X', '-q', $node->connstr('app'), '-c', q{SET statement_timeout = '1s'}, '-c', q{
	DO $$ BEGIN
		BEGIN
			PERFORM uaef.claim_tasks('caught', 'q', wait => '1 minute');
		EXCEPTION WHEN query_canceled THEN
			PERFORM pg_sleep(60);
		END;
	END $$} ], '>', \$caught, '2>', \$caught);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'caught' AND wait_event = 'PgSleep'}),
	'an error ends a wait, and is caught');
my $other = waiters(1, "wait => '1 minute'");
wait_count(1, 'another one waits');
ask(q{SELECT uaef.start_workflow('job')});
cmp_ok(seconds_of(sub { finish($other) }), '<', 20, 'and is the one that is woken');
ask(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ~ 'caught' AND wait_event = 'PgSleep'});
finish($busy);

# Two wait.  One is woken for a task that is given back, and looks for it while
# another comes, which it is woken for as well: it passes that on to the second.
my $kept = ask(q{SELECT uaef.start_workflow('job')});
my $giver = $node->background_psql('app');
$giver->query_safe("BEGIN; SELECT FROM uaef.workflow_execution WHERE execution_id = '$kept' FOR UPDATE");
$giver->query_safe("SAVEPOINT before; SELECT count(*) FROM uaef.claim_tasks('giver', 'q')");
my $two = waiters(2, "lease => '1 hour', wait => '90 seconds'");
wait_count(2, 'two wait');
$giver->query_safe('ROLLBACK TO before');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE query LIKE 'SELECT task_id FROM uaef.claim_tasks%' AND wait_event_type = 'Lock'}),
	'one of them is taking a task');
ask(q{SELECT uaef.start_workflow('job')});
$giver->query_safe('COMMIT');
cmp_ok(seconds_of(sub { finish($two) }), '<', 60, 'the other one gets what came meanwhile');
$giver->quit;

# Two queues, one list: the task of either ends the wait.
my $both = waiters(1, "queues => '{other,q}', wait => '2 minutes'");
wait_count(1, 'one waits for two queues');
ask(q{SELECT uaef.start_workflow('job')});
finish($both);
wait_count(0, 'a task of one of them ends it');

# What was given back is not timed out by the clock of the first claim.
ask('SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE completed_at IS NULL');
ask('DELETE FROM uaef.task_timer');
my $id = ask(q{SELECT uaef.start_workflow('timed')});
ask(q{SELECT uaef.release_task(task_id, lease_token) FROM uaef.claim_tasks('w', 'q', lease => '1 hour')});
ok($node->poll_query_until('app', q{SELECT min(due_at) < clock_timestamp() + interval '4 seconds'
	FROM uaef.task_timer WHERE kind = 'timeout'}), 'half of its time goes by');
ask(q{SELECT uaef.claim_tasks('w', 'q', lease => '1 hour')});
ok($node->poll_query_until('app', "SELECT status = 'running' AND attempt = 1 FROM uaef.task_run WHERE execution_id = '$id'
	AND (SELECT count(*) = 1 FROM uaef.task_timer WHERE kind = 'timeout')"),
	'the first clock runs out, and is of no meaning');
ok($node->poll_query_until('app', "SELECT status = 'failed' FROM uaef.task_run WHERE execution_id = '$id'"),
	'the second one counts');

$node->stop;
done_testing();
