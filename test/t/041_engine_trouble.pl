# Trouble for the engine that needs the worker: batches that fail at their end,
# tasks that end their own execution, timers that cannot be fired, clients that
# hold an execution and go to sleep.
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
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	CREATE TABLE done (n int);
	SELECT uaef.create_workflow('good', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"INSERT INTO done VALUES (($1->>''n'')::int)"}}]}');
	SELECT uaef.create_workflow('wait', '{"tasks":[{"id":"t","type":"wait",
		"config":{"for":"100ms"}}]}');
	SELECT uaef.create_workflow('longer wait', '{"tasks":[{"id":"t","type":"wait",
		"config":{"for":"3s"}}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub start
{
	my ($workflow, $input) = @_;
	return $node->safe_psql('postgres',
		"SELECT uaef.start_workflow('$workflow', '" . ($input // '{}') . "')");
}

sub ending
{
	my ($id, $timeout) = @_;
	return $node->safe_psql('postgres',
		"SELECT uaef.wait_for_workflow('$id', '" . ($timeout // '20s') . "')");
}

sub error_code
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT error->>'code' FROM uaef.workflow_run WHERE execution_id = '$id'");
}

# A constraint that is checked at the end of the transaction is the task's.
$node->safe_psql('postgres', q{
	CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	SELECT uaef.create_workflow('late', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"INSERT INTO late SELECT 1 FROM generate_series(1, 2)"}}]}')});
my $late = start('late');
is(ending($late), 'failed', 'a deferred constraint fails the task');
is(error_code($late), '23505', 'with its code');

# What cannot be applied fails its task; the executor and the others go on.
$node->safe_psql('postgres', q{
	CREATE FUNCTION rename() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		ALTER TABLE uaef.task_ready RENAME COLUMN item TO item2;
		ALTER TABLE uaef.task_execution RENAME TO gone;
		RETURN 1;
	END $$;
	SELECT uaef.create_workflow('breaks', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT rename()"}}]}')});
my $breaks = start('breaks');
is(ending($breaks), 'failed', 'a task whose transaction cannot be ended fails');
is(ending(start('good', '{"n": 1}')), 'completed', 'and others go on');
is($node->safe_psql('postgres', "SELECT count(*) FROM uaef.task_ready"), '0',
	'nothing is left in the ready set');

# A task that cancels its own execution does so once.
$node->safe_psql('postgres', q{
	CREATE TABLE tries (at timestamptz);
	SELECT uaef.create_workflow('self', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"WITH try AS (INSERT INTO tries VALUES (now())) SELECT uaef.cancel_workflow(($1->>''id'')::uuid)",
		"input":{"id":"{{sys.execution_id}}"}}}]}')});
is(ending(start('self')), 'cancelled', 'a task may cancel its own execution');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tries'), '1', 'once');

# What a batch that fails as a whole left in the session is gone when its task runs
# again: it loses against another transaction once, when its outcome is written.
$node->safe_psql('postgres', q{
	CREATE SEQUENCE losses;
	CREATE FUNCTION lose_once() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('public.losses') = 1 THEN
			RAISE EXCEPTION 'lost' USING ERRCODE = 'serialization_failure';
		END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER lose_once BEFORE INSERT ON uaef.human_approval
		FOR EACH ROW EXECUTE FUNCTION lose_once();
	CREATE FUNCTION prepare() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_lock(2);
		EXECUTE 'PREPARE p AS SELECT 1';
		RETURN 1;
	END $$;
	SELECT uaef.create_workflow('prepare', '{"tasks":[
		{"id":"t","type":"sql","config":{"sql":"SELECT prepare()"}},
		{"id":"a","type":"human_approval"}],"edges":[{"from":"t","to":"a"}]}')});
my $prepare = start('prepare');
ok($node->poll_query_until('postgres',
		"SELECT status <> 'queued' FROM uaef.task_run WHERE execution_id = '$prepare' AND task = 't'"),
	'a task runs that loses at its end');
is($node->safe_psql('postgres', q{SELECT last_value FROM losses}), '2', 'twice');
is($node->safe_psql('postgres',
		"SELECT status, error FROM uaef.task_run WHERE execution_id = '$prepare' AND task = 't'"),
	'completed|', 'and finds the session clean');
$node->safe_psql('postgres',
	"DROP TRIGGER lose_once ON uaef.human_approval; SELECT uaef.cancel_workflow('$prepare')");

# A task that another one cancels, in one batch: it has taken effect and is
# completed, or neither.
$node->safe_psql('postgres', q{
	CREATE TABLE paid (e uuid);
	SELECT uaef.create_workflow('pay', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"INSERT INTO paid VALUES (($1->>''id'')::uuid)","input":{"id":"{{sys.execution_id}}"}}}]}');
	SELECT uaef.create_workflow('cancel', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow = ''pay'' AND name = $1->>''name'' AND status = ''running''"}}]}')});
my $all_ended = "SELECT count(*) = 0 FROM uaef.workflow_run WHERE workflow IN ('pay', 'cancel') AND status = 'running'";
ending(start('cancel', '{"name":"nobody"}'));
$node->safe_psql('postgres', "SELECT count(uaef.start_workflow('pay')) FROM generate_series(1, 200)");
ok($node->poll_query_until('postgres', $all_ended), 'claims have grown');
$node->safe_psql('postgres', qq{
	BEGIN;
	SELECT uaef.start_workflow('pay', name => 'pays first');
	SELECT uaef.start_workflow('cancel', '{"name":"pays first"}');
	SELECT uaef.start_workflow('pay', name => 'cancelled first');
	SELECT uaef.start_workflow('cancel', '{"name":"cancelled first"}', priority => 1);
	COMMIT});
ok($node->poll_query_until('postgres', $all_ended), 'all end');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'pay'"
		  . " AND (status = 'completed') <> EXISTS (SELECT FROM paid WHERE e = execution_id)"),
	'0', 'who is cancelled by another task has not taken effect');

# Pause and resume of a task that is running.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('slow', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_advisory_xact_lock(1)"}}]}')});
my $sleeper = $node->background_psql('postgres');
$sleeper->query_safe('SELECT pg_advisory_lock(1)');
my $slow = start('slow');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"),
	'a task runs');
$node->safe_psql('postgres',
	"SELECT uaef.pause_workflow('$slow'); SELECT uaef.resume_workflow('$slow')");
$sleeper->query_safe('SELECT pg_advisory_unlock(1)');
is(ending($slow), 'completed', 'pause and resume while a task runs');

# A lock_timeout of the role is for what its SQL waits for, not for its execution.
$node->safe_psql('postgres', q{
	CREATE TABLE go ();
	CREATE FUNCTION poll_go() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT EXISTS (SELECT FROM go) LOOP
			PERFORM pg_sleep(0.05);
		END LOOP;
		RETURN current_setting('lock_timeout') = '200ms';
	END $$;
	CREATE ROLE hasty LOGIN;
	ALTER ROLE hasty SET lock_timeout = '200ms';
	GRANT SELECT ON go TO hasty;
	SELECT uaef.grant_access('hasty', 'operator');
	SELECT uaef.create_workflow('hasty', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT poll_go() AS set"}}]}')});
my $hasty = $node->safe_psql('postgres', "SELECT uaef.start_workflow('hasty')",
	extra_params => [ '-U', 'hasty' ]);
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
	'a task runs');
$sleeper->query_safe("BEGIN; SELECT uaef.pause_workflow('$hasty'); SELECT uaef.resume_workflow('$hasty')");
$node->safe_psql('postgres', 'INSERT INTO go DEFAULT VALUES');
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)"
		  . " WHERE NOT granted AND backend_type = 'uaef executor'"
		  . " AND waitstart < clock_timestamp() - interval '500 ms'"),
	'its executor waits for the execution longer than the role would');
$sleeper->query_safe('COMMIT');
is(ending($hasty), 'completed', 'and the task completes');
is($node->safe_psql('postgres',
		"SELECT attempt, losses, output->>'set' FROM uaef.task_run WHERE execution_id = '$hasty'"),
	'1|0|true', 'at once, and its SQL has the setting');

# A client that holds an execution and sleeps holds up nobody else.
my $held = start('longer wait');
$sleeper->query_safe("BEGIN; SELECT uaef.pause_workflow('$held')");
is(ending(start('wait')), 'completed', 'timers of others fire');
is(ending(start('good', '{"n": 2}')), 'completed', 'tasks of others run');
$sleeper->query_safe('ROLLBACK');
is(ending($held), 'completed', 'and the one that was held goes on');
$sleeper->quit;

# A timer that cannot be fired is put off; those beside it fire.
$node->safe_psql('postgres', q{
	CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
	SELECT uaef.create_workflow('bad', '{"tasks":[{"id":"w","type":"wait",
		"config":{"for":"50ms"}},{"id":"a","type":"human_approval"}],
		"edges":[{"from":"w","to":"a"}]}');
	CREATE TRIGGER no BEFORE INSERT ON uaef.human_approval
		FOR EACH ROW EXECUTE FUNCTION no()});
my $bad = start('bad');
is(ending(start('wait')), 'completed', 'the timers beside a bad one fire');
ok($node->poll_query_until('postgres',
		"SELECT due_at > now() + interval '20 s' FROM uaef.task_timer WHERE execution_id = '$bad'"),
	'the bad one is put off');
like(slurp_file($node->logfile), qr/a timer of execution $bad cannot be fired/,
	'and the log says which');
$node->safe_psql('postgres', "SELECT uaef.cancel_workflow('$bad')");

is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM uaef.verify_ledger() WHERE code <> 'UNSEALED_OVERDUE'"),
	'0', 'the ledger verifies');
unlike(slurp_file($node->logfile), qr/exited with exit code 1|terminated by signal/,
	'no process of ours broke');
$node->stop;
done_testing();
