# SQL executors: who they are, when they come and go, and that no wake-up is
# lost on the way.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n"
	  . "uaef.max_executors = 1\nmax_prepared_transactions = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', q{
	CREATE EXTENSION uaef CASCADE;
	CREATE ROLE ann LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE cat NOLOGIN;
	CREATE ROLE dan LOGIN;
	GRANT USAGE ON SCHEMA uaef TO ann, bob, cat, dan;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO ann, bob, cat, dan;
	SELECT uaef.create_workflow('who', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT session_user::text AS name, pg_backend_pid() AS pid"}}]}');
	SELECT uaef.create_workflow('nap', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_sleep(($1->>''s'')::float8), pg_backend_pid() AS pid"}}]}');
	SELECT uaef.create_workflow('claim', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_advisory_xact_lock(77), (SELECT count(*) FROM uaef.claim_tasks(''w'', ''none'')), pg_advisory_xact_lock(78)"}}]}');
	CREATE TABLE promise (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	INSERT INTO promise VALUES (1);
	SELECT uaef.create_workflow('promise', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"INSERT INTO promise VALUES (1)"}}]}');
	SELECT uaef.create_workflow('held', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_advisory_xact_lock_shared(78)"}}]}');
});

# Start an execution as a role; returns its id.
sub start_as
{
	my ($role, $workflow, $input, $more) = @_;
	$input //= '{}';
	$more //= '';
	return $node->safe_psql('one',
		"SELECT uaef.start_workflow('$workflow', '$input'$more)",
		extra_params => [ '-U', $role ]);
}

sub wait_for
{
	my ($id, $timeout) = @_;
	return $node->safe_psql('one',
		"SELECT uaef.wait_for_workflow('$id', '$timeout')");
}

sub output_of
{
	my ($id, $key) = @_;
	return $node->safe_psql('one',
		"SELECT output->>'$key' FROM uaef.task_execution WHERE execution_id = '$id'");
}

my $executors = "SELECT string_agg(role || ' ' || state, ', ' ORDER BY role)"
  . " FROM uaef.worker_status WHERE kind = 'executor'";

# Who has ended a task looks for another one before it is idle.
sub executors_become
{
	my ($expected, $message) = @_;
	return ok($node->poll_query_until('one', $executors, $expected), $message);
}

# Wait until so many executors are at a task that somebody's lock holds up.
sub held_up
{
	my ($n, $message) = @_;
	return ok($node->poll_query_until('one', "SELECT count(*) = $n FROM pg_locks"
			  . " WHERE locktype = 'advisory' AND objid = 78 AND NOT granted"),
		$message);
}

# A backlog of a role: short tasks, for many turns.
sub start_naps
{
	my ($role, $n) = @_;
	$node->safe_psql('one',
		"SELECT uaef.start_workflow('nap', '{\"s\":0.4}') FROM generate_series(1, $n)",
		extra_params => [ '-U', $role ]);
	return;
}

sub naps_sql
{
	my ($role, $status) = @_;
	return "SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'nap'"
	  . " AND initiated_by = '$role'::regrole AND status = '$status'";
}

sub naps
{
	my ($role, $status) = @_;
	return $node->safe_psql('one', naps_sql($role, $status));
}

# One may end just before it is cancelled.
sub end_naps
{
	$node->safe_psql('one', q{
		DO $$
		DECLARE
			run uuid;
		BEGIN
			FOR run IN SELECT execution_id FROM uaef.workflow_run WHERE status = 'running' LOOP
				BEGIN
					PERFORM uaef.cancel_workflow(run);
				EXCEPTION WHEN SQLSTATE 'UA305' THEN NULL;
				END;
			END LOOP;
		END $$});
	return;
}

# An executor is the role's own, and serves it again.
my $id = start_as('ann', 'who');
is(wait_for($id, '10s'), 'completed', 'a SQL task runs');
is(output_of($id, 'name'), 'ann', 'as the role that started it, in its session');
my $pid = output_of($id, 'pid');
$id = start_as('ann', 'who');
is(wait_for($id, '10s'), 'completed', 'a second one runs');
is(output_of($id, 'pid'), $pid, 'in the same process');
executors_become('ann idle', 'worker_status shows it');

# One place for two roles: the idle one goes for the other.
$id = start_as('bob', 'who');
is(wait_for($id, '10s'), 'completed', 'another role gets the place');
is(output_of($id, 'name'), 'bob', 'with an executor of its own');
executors_become('bob idle', 'the first one is gone');

# A busy one goes after its turn, however much waits behind it, and whichever of
# them was made first; its role gets the place back.
start_naps('ann', 60);
executors_become('ann busy', 'the place is taken');
$id = start_as('bob', 'who');
is(wait_for($id, '60s'), 'completed', 'a role waits for a busy place');
my $had = naps('ann', 'completed');
my $all = naps_sql('ann', 'completed');
cmp_ok(naps('ann', 'running'), '>', 0, 'for a turn, not for all that there is');
is(naps('ann', 'failed'), 0, 'what was running has ended well');
ok($node->poll_query_until('one', "SELECT ($all) > $had"),
	'what waited behind it goes on');
end_naps();

# A task that claims of another queue does not take what its executor was told.
my $holder = $node->background_psql('one');
$holder->query_safe('SELECT pg_advisory_lock(77), pg_advisory_lock(78)');
my $nap = start_as('ann', 'claim');
ok( $node->poll_query_until('one', "SELECT count(*) = 1 FROM pg_locks"
		  . " WHERE locktype = 'advisory' AND NOT granted"),
	'the only executor is busy');
my $told = start_as('ann', 'who');
$holder->query_safe('SELECT pg_advisory_unlock(77)');
held_up(1, 'and has claimed');

# More executors for one role whose first is busy.
$node->append_conf('postgresql.conf', "uaef.max_executors = 2\nuaef.priority_step = '24h'");
$node->reload;
ok($node->poll_query_until('one', "SELECT current_setting('uaef.max_executors') = '2'"),
	'two executors are allowed');
is(wait_for($told, '60s'), 'completed', 'and a second one takes what the first was told');
$holder->query_safe('SELECT pg_advisory_unlock(78)');
is(wait_for($nap, '10s'), 'completed', 'the claim ends');
is(wait_for(start_as('bob', 'who'), '10s'), 'completed', 'a place is taken back');
$holder->query_safe('SELECT pg_advisory_lock(78)');
$nap = start_as('ann', 'held');
held_up(1, 'one executor is busy');
$id = start_as('ann', 'who');
is(wait_for($id, '60s'), 'completed', 'a second one takes the next task');
$holder->query_safe('SELECT pg_advisory_unlock(78)');

# Also if that is the last of all: its rank is the highest there is.
is(wait_for($nap, '10s'), 'completed', 'the nap ends');
executors_become('ann idle, ann idle', 'nobody is busy');
for (1 .. 2)
{
	$id = start_as('bob', 'who');
	is(wait_for($id, '5s'), 'completed', 'quick tasks, which are taken by many');
}
$holder->query_safe('SELECT pg_advisory_lock(78)');
$nap = start_as('bob', 'held');
held_up(1, 'one executor is busy');
$id = start_as('bob', 'who', '{}', ', priority => -2147483648');
is(wait_for($id, '60s'), 'completed', 'a task of the lowest priority waits no longer');
$holder->query_safe('SELECT pg_advisory_unlock(78)');

# Three roles for two places, each with more to do than it has time for: they
# take turns, at both places.
is(wait_for($nap, '10s'), 'completed', 'the nap ends');
my $since = $node->safe_psql('one', 'SELECT clock_timestamp()');
start_naps($_, 60) for ('ann', 'bob', 'dan');
ok($node->poll_query_until('one', qq{
		SELECT count(*) = 3 FROM (SELECT initiated_by
			FROM uaef.workflow_run JOIN uaef.task_run USING (execution_id)
			WHERE workflow_run.workflow = 'nap' AND workflow_run.created_at > '$since'
			GROUP BY 1 HAVING count(DISTINCT task_run.output->>'pid') > 2) AS by_many}),
	'each role gets places again and again');
end_naps();

# Who has claimed many tasks keeps none from the others while a long one runs, be
# it new to him, and first, or known to be long, and in the middle.
my $unfinished = "SELECT count(*) = 0 FROM uaef.workflow_run"
  . " WHERE workflow = 'who' AND status = 'running'";
my $some = "SELECT count(uaef.start_workflow('who')) FROM generate_series(1, 200)";
$node->safe_psql('one', q{
	SELECT uaef.create_workflow('long', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_advisory_xact_lock_shared(78)"}}]}')});
$node->safe_psql('one', $some, extra_params => [ '-U', 'ann' ]);
ok($node->poll_query_until('one', $unfinished), 'claims have grown');
for my $before ('SELECT 1', $some)
{
	$holder->query_safe('SELECT pg_advisory_lock(78)');
	$node->safe_psql('one',
		"BEGIN; $before; SELECT uaef.start_workflow('long');"
		  . " SELECT count(uaef.start_workflow('who')) FROM generate_series(1, 8); COMMIT",
		extra_params => [ '-U', 'ann' ]);
	held_up(1, 'a long task runs');
	ok($node->poll_query_until('one', $unfinished), 'the short ones complete meanwhile');
	$holder->query_safe('SELECT pg_advisory_unlock(78)');
	ok($node->poll_query_until('one',
			"SELECT count(*) = 0 FROM uaef.workflow_run WHERE workflow = 'long' AND status = 'running'"),
		'and the long one ends');
}

# Two long tasks that come at once, for a role that has no executor: the first is no
# reason for the second to wait.
$node->safe_psql('one', q{
	CREATE ROLE eve LOGIN;
	GRANT USAGE ON SCHEMA uaef TO eve;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO eve});
$holder->query_safe('SELECT pg_advisory_lock(78)');
$node->safe_psql('one', "SELECT uaef.start_workflow('held'), uaef.start_workflow('held')",
	extra_params => [ '-U', 'eve' ]);
my $took = seconds_of(sub { held_up(2, 'two long tasks run beside each other') });
ok($took < 30, sprintf 'at once, not when something else wakes the worker: %.1f s', $took);
$holder->query_safe('SELECT pg_advisory_unlock(78)');
executors_become('eve idle, eve idle', 'both have ended');

# An executor that is ended in the middle of a task: it is run again.
$holder->query_safe('SELECT pg_advisory_lock(78)');
$nap = start_as('ann', 'held');
held_up(1, 'an executor is busy');
is($node->safe_psql('one',
		"SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_locks"
		  . " WHERE locktype = 'advisory' AND objid = 78 AND NOT granted) AS ended"),
	1, 'it is ended');
$holder->query_safe('SELECT pg_advisory_unlock(78)');
is(wait_for($nap, '60s'), 'completed', 'its task is run again');

# COMMIT PREPARED wakes too.
$node->safe_psql('one', q{
	BEGIN;
	SELECT uaef.start_workflow('who', '{}', idempotency_key => 'prepared');
	PREPARE TRANSACTION 'p';
}, extra_params => [ '-U', 'ann' ]);
$node->safe_psql('one', "COMMIT PREPARED 'p'", extra_params => [ '-U', 'ann' ]);
$id = $node->safe_psql('one',
	"SELECT execution_id FROM uaef.workflow_start_key WHERE idempotency_key = 'prepared'");
is(wait_for($id, '10s'), 'completed', 'a prepared transaction is seen to');

# A task that a transaction took, and gives back when it is undone, while the
# executors saw nothing to do.
for my $undo ('ROLLBACK', 'ROLLBACK TO before', 'ROLLBACK PREPARED')
{
	$holder->query_safe('SELECT pg_advisory_lock(78)');
	start_as('ann', 'held') for 1 .. 2;
	held_up(2, 'all executors are busy');
	$id = start_as('ann', 'who');
	my $session = $node->background_psql('one', extra_params => [ '-U', 'ann' ]);
	$session->query_safe("BEGIN; SAVEPOINT before; SELECT uaef.cancel_workflow('$id')");
	$session->query_safe("PREPARE TRANSACTION 'q'") if $undo =~ /PREPARED/;
	$holder->query_safe('SELECT pg_advisory_unlock(78)');
	executors_become('ann idle, ann idle', 'and then find nothing');
	$session->query_safe($undo =~ /PREPARED/ ? "$undo 'q'" : $undo);
	is(wait_for($id, '10s'), 'completed', "a task that $undo gives back is run");
	$session->quit;
}
$holder->quit;

# A role that cannot log in has no executor before version 17.
SKIP:
{
	skip 'workers may be of any role', 3 if $node->safe_psql('one', 'SHOW server_version_num') >= 170000;
	$id = $node->safe_psql('one',
		"SET ROLE cat; SELECT uaef.start_workflow('who', '{}')");
	ok( $node->poll_query_until(
			'one',
			"SELECT detail = 'role \"cat\" has SQL tasks, but cannot log in'"
			  . " FROM uaef.worker_status WHERE kind = 'worker'"),
		'worker_status says that a role cannot log in');
	is(count_log($node, qr/WARNING.*has SQL tasks, but cannot log in/),
		1, 'the log says it once');
	$node->safe_psql('one', 'ALTER ROLE cat LOGIN');
	$node->reload;
	is(wait_for($id, '10s'), 'completed', 'with LOGIN its task is run');
}

# What was queued before uaef.priority_step changed is found at its old place.
$node->safe_psql('one', 'SELECT uaef.stop_worker()');
my ($broken, $here, $moved) = split /\|/, $node->safe_psql('one',
	"SELECT uaef.start_workflow('promise', priority => 5),"
	  . " uaef.start_workflow('who', priority => 5), uaef.start_workflow('who', priority => 5)");
$node->append_conf('postgresql.conf', "uaef.priority_step = '1h'");
$node->reload;
ok($node->poll_query_until('one', "SELECT current_setting('uaef.priority_step') = '1h'"),
	'a point of priority is worth less');
is($node->safe_psql('one', "SELECT uaef.execute_next_tasks('$here')"), 1,
	'execute_next_tasks() takes a task');
my $rank = "SELECT string_agg(rank::text, ',') FROM uaef.task_ready WHERE execution_id = '$moved'";
my $before = $node->safe_psql('one', $rank);
$node->safe_psql('one', "SELECT uaef.alter_task('$moved', 't', priority => 1)");
cmp_ok($node->safe_psql('one', $rank), '>', $before, 'alter_task() gives one another place');
$node->safe_psql('one', 'SELECT uaef.start_worker()');
is(wait_for($broken, '60s'), 'failed', 'one that fails at its commit is run once');
is(wait_for($moved, '10s'), 'completed', 'the other one too');

# The worker and its executors end for a command, whatever they are at.
$nap = start_as('ann', 'nap', '{"s":60}');
ok( $node->poll_query_until(
		'one',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'an executor is busy for long');
$took = seconds_of(
	sub {
		is($node->safe_psql('one', 'SELECT uaef.stop_worker()'),
			't', 'stop_worker() ends a busy executor');
	});
ok($took < 15, sprintf 'in %.1f s', $took);
is($node->safe_psql('one', $executors), '', 'there is none left');
$node->safe_psql('one', 'SELECT uaef.start_worker()');
ok( $node->poll_query_until(
		'one',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'after start_worker() the task is at it again');
$took = seconds_of(
	sub { $node->safe_psql('postgres', 'DROP DATABASE one'); });
ok($took < 15, sprintf 'DROP DATABASE under a busy executor takes %.1f s', $took);

# Idle executors end after their time.
$node->append_conf('postgresql.conf', "uaef.executor_idle_timeout = '200ms'");
$node->reload;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	SELECT uaef.create_workflow('who', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT 1 AS one"}}]}');
});
for (1 .. 2)
{
	$id = $node->safe_psql('postgres', "SELECT uaef.start_workflow('who', '{}')");
	is( $node->safe_psql('postgres',
			"SELECT uaef.wait_for_workflow('$id', '10s')"),
		'completed', 'a task runs while executors come and go');
	$node->safe_psql('postgres', 'SELECT pg_sleep(0.1 + random() * 0.2)');
}
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 0 FROM uaef.worker_status WHERE kind = 'executor'"),
	'an idle executor ends');

# Roles that cannot have an executor, however many, keep nobody from his.
$node->safe_psql('postgres', q{
	DO $$ BEGIN
		FOR i IN 1 .. 40 LOOP
			EXECUTE format('CREATE ROLE nologin%s NOLOGIN', i);
			EXECUTE format('GRANT USAGE ON SCHEMA uaef TO nologin%s', i);
			EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO nologin%s', i);
			EXECUTE format('SET ROLE nologin%s', i);
			PERFORM uaef.start_workflow('who');
			RESET ROLE;
		END LOOP;
	END $$;
	CREATE ROLE zoe LOGIN;
	GRANT USAGE ON SCHEMA uaef TO zoe;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO zoe});
$id = $node->safe_psql('postgres', "SELECT uaef.start_workflow('who')",
	extra_params => [ '-U', 'zoe' ]);
is( $node->safe_psql('postgres',
		"SELECT uaef.wait_for_workflow('$id', '20s')"),
	'completed', 'a task runs beside 40 roles that cannot log in');

# Shutdown in the middle of a task.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('nap', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_sleep(60)"}}]}');
	SELECT uaef.start_workflow('nap', '{}');
});
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
$took = seconds_of(sub { $node->stop('fast'); });
ok($took < 15, sprintf 'fast shutdown under a busy executor takes %.1f s', $took);
is(count_log($node, qr/PANIC|TRAP|terminated by signal/), 0, 'nothing crashed');

done_testing();
