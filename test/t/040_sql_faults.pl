# SQL tasks that fail, hang, try to leave their role, or leave things behind:
# each ends as it should, and the worker goes on as if nothing had been.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Time::HiRes qw(time);
use UaefCluster;

my $cluster = UaefCluster->new(conf => "fsync = off\n");

# Make a workflow of one SQL task, with what the task needs besides its SQL.
sub define
{
	my ($name, $sql, $more) = @_;

	$more //= '';
	$cluster->query(<<"END");
SELECT uaef.create_workflow('$name', jsonb_build_object('tasks', jsonb_build_array(
	jsonb_build_object('id', 'only', 'type', 'sql', 'config', jsonb_build_object('sql', \$sql\$$sql\$sql\$))
	|| '{$more}')))
END
	return;
}

# Start a workflow as a role and wait for it; returns "status|error code".
sub run_as
{
	my ($role, $name) = @_;

	my $id = $cluster->query("SET ROLE $role; SELECT uaef.start_workflow('$name')");
	$cluster->query("SELECT uaef.wait_for_workflow('$id', '30s')");
	return $cluster->query("SELECT status, error->>'code' FROM uaef.workflow_execution WHERE execution_id = '$id'");
}

$cluster->query(<<'END');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
GRANT CREATE ON SCHEMA public TO alice, bob;
CREATE TABLE who (what text, now_user name, login_user name);
GRANT INSERT ON who TO alice, bob;
CREATE TABLE done (what text, at timestamptz DEFAULT clock_timestamp());
GRANT INSERT ON done TO alice, bob;
GRANT USAGE ON SCHEMA uaef TO alice, bob;
GRANT EXECUTE ON FUNCTION uaef.start_workflow TO alice, bob;

-- Tries every way to another role, and notes who it is after each.
CREATE FUNCTION climb() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	step text;
BEGIN
	FOREACH step IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', 'SET ROLE postgres',
		'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION',
		'SET SESSION AUTHORIZATION postgres', 'SET LOCAL ROLE bob']
	LOOP
		BEGIN
			EXECUTE step;
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
		INSERT INTO public.who VALUES (step, current_user, session_user);
	END LOOP;
END $$;

CREATE FUNCTION leave_temp_table() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE left_behind AS SELECT current_user AS whose;
	INSERT INTO public.done VALUES ('temp');
END $$;

CREATE FUNCTION leave_settings() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'nowhere', false);
	PERFORM set_config('default_transaction_read_only', 'on', false);
	PERFORM set_config('statement_timeout', '1ms', false);
END $$;

CREATE FUNCTION use_and_drop() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.short_lived VALUES (1);
	DROP TABLE public.short_lived;
END $$;
END

my $log_from = $cluster->log_size;

# An error of the task is the error of the execution.
define('divides', 'SELECT 1 / (length($1::text) - length($1::text))');
is(run_as('alice', 'divides'), 'failed|22012', 'a task that errors fails with its SQLSTATE');

# What a failed task has done is gone.
define('half', 'WITH x AS (INSERT INTO public.done VALUES (\'half\') RETURNING 1) SELECT 1 / (count(*) - count(*)) FROM x');
is(run_as('alice', 'half'), 'failed|22012', 'a task that writes and then errors fails');
is($cluster->query("SELECT count(*) FROM done WHERE what = 'half'"), '0', 'and leaves nothing');

# A task is stopped at its timeout.
define('hangs', 'SELECT pg_sleep(60)', '"timeout": "300ms"');
my $began = time;
is(run_as('alice', 'hangs'), 'failed|UA309', 'a task that hangs is timed out');
cmp_ok(time - $began, '<', 10, 'soon');

# Retries come with growing pauses, and the last error stands.
$cluster->query(<<'END');
CREATE SEQUENCE luck;
GRANT USAGE ON luck TO alice;
CREATE FUNCTION no_luck() RETURNS integer LANGUAGE sql AS $$
	SELECT (1 / (nextval('public.luck') * 0))::integer
$$;
END
define('tries', 'SELECT public.no_luck()',
	'"retry": {"max_attempts": 3, "backoff": "exponential", "initial": "100ms", "factor": 2, "jitter": 0, "on": ["22012"]}');
$began = time;
is(run_as('alice', 'tries'), 'failed|22012', 'a task that never succeeds fails with its last error');
cmp_ok(time - $began, '>=', 0.29, 'after pauses of 100 and 200 ms');
is($cluster->query('SELECT last_value FROM luck'), '3', 'and three attempts');
is($cluster->query("SELECT attempt FROM uaef.task_execution t JOIN uaef.workflow_execution e USING (execution_id) JOIN uaef.workflow_definition d USING (definition_id) WHERE d.name = 'tries'"),
	'3', 'which its row counts');

# No way leads out of the role that started the execution.
define('climbs', 'SELECT public.climb()');
is(run_as('alice', 'climbs'), 'completed|', 'a task that tries to change its role goes on as it was');
is($cluster->query('SELECT count(*), string_agg(DISTINCT now_user || \' \' || login_user, \',\') FROM who'),
	'7|alice alice', 'after each try it is still who started it');
$cluster->query('TRUNCATE who');
is(run_as('bob', 'climbs'), 'completed|', 'the same for another role');
is($cluster->query("SELECT string_agg(DISTINCT login_user, ',') FROM who"), 'bob', 'each in its own session');

# What one task leaves in its session, the next does not find.
define('temp', 'SELECT public.leave_temp_table()');
is(run_as('alice', 'temp'), 'completed|', 'a task may make a temporary table') for 1 .. 4;
define('seeks', 'SELECT 1 / (to_regclass(\'pg_temp.left_behind\') IS NULL)::integer');
is(run_as('alice', 'seeks'), 'completed|', 'the next task does not see it');
define('settings', 'SELECT public.leave_settings()');
define('writes', 'INSERT INTO public.done VALUES (\'after settings\')');
is(run_as('alice', 'settings'), 'completed|', 'a task may change settings');
is(run_as('alice', 'writes'), 'completed|', 'the next task does not feel it') for 1 .. 4;

# A task may drop the table that it was planned for.
$cluster->query('SET ROLE alice; CREATE TABLE short_lived (i integer)');
define('drops', 'SELECT public.use_and_drop()');
define('inserts', 'INSERT INTO public.short_lived VALUES (2)');
is(run_as('alice', 'inserts'), 'completed|', 'a table is there');
is(run_as('alice', 'drops'), 'completed|', 'a task drops its own table');
is(run_as('alice', 'inserts'), 'failed|42P01', 'the next one that wants it fails with undefined_table');

# A start that is rolled back has not been.
# The sealer's own events are not of this; they come when they come.
my $counts = q{SELECT (SELECT count(*) FROM uaef.workflow_execution),
	(SELECT count(*) FROM uaef.ledger_event WHERE event_type <> 'ledger_sealed'),
	(SELECT count(*) FROM uaef.task_ready)};
my $before = $cluster->query($counts);
$cluster->query("BEGIN; SELECT uaef.start_workflow('writes') FROM generate_series(1, 10); ROLLBACK");
is($cluster->query($counts),
	$before, 'a start that is rolled back leaves nothing');

# After all that the same processes work on, and the ledger holds.
is(run_as('alice', 'writes'), 'completed|', 'the worker works on');
my $log = $cluster->log($log_from);
unlike($log, qr/terminated by signal|PANIC|TRAP|exited with exit code [^01]/, 'no process broke');
is($cluster->query('SELECT count(*) FROM uaef.verify_ledger()'), '0', 'the ledger verifies');
done_testing();
