# Policies where the worker and its executors run: SQL that is kept to what it
# may reach, rate limits, approvals that expire, retries.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use UaefCluster;

my $cluster = UaefCluster->new(conf => "fsync = off\n");

$cluster->query(<<'END');
CREATE ROLE alice LOGIN;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app, uaef TO alice;
GRANT CREATE ON DATABASE postgres TO alice;
GRANT EXECUTE ON FUNCTION uaef.start_workflow, uaef.execute_next_tasks TO alice;
CREATE TABLE app.open (id int, note text);
CREATE TABLE app.shut (pin text);
INSERT INTO app.open VALUES (1, 'one');
INSERT INTO app.shut VALUES ('1234');
CREATE VIEW app.peek AS SELECT pin FROM app.shut;
GRANT ALL ON ALL TABLES IN SCHEMA app TO alice;
CREATE FUNCTION app.run(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE command INTO result;
	RETURN result;
END $$;
CREATE FUNCTION app.do_it(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'done';
END $$;
CREATE FUNCTION app.as_owner() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT pin FROM app.shut); END';
CREATE FUNCTION app.apart(int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE COST 100000 AS 'BEGIN RETURN (SELECT pin FROM app.shut); END';
CREATE FUNCTION app.gather() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM app.apart(id) FROM app.open; END';
CREATE FUNCTION app.caught() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT pin FROM app.shut);
EXCEPTION WHEN OTHERS THEN
	RETURN 'caught';
END $$;
CREATE FUNCTION app.on_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.note = 'peek' THEN
		PERFORM pin FROM app.shut;
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER on_open AFTER INSERT ON app.open DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION app.on_open();
END

# Define a workflow of one SQL task, unless it is the one that there is.
sub define
{
	my ($name, $sql, $more) = @_;

	$more //= '';
	$cluster->query(<<"END");
SELECT uaef.create_workflow('$name', jsonb_build_object('tasks', jsonb_build_array(
	jsonb_build_object('id', 't', 'type', 'sql', 'config', jsonb_build_object('sql', \$sql\$$sql\$sql\$))
	|| '{$more}')))
END
	return;
}

# Start it as alice, and wait; returns "status|code of the error|its detail".
sub run_it
{
	my ($name) = @_;
	my $id = $cluster->query("SET ROLE alice; SELECT uaef.start_workflow('$name')");

	$cluster->query("SELECT uaef.wait_for_workflow('$id', '30s')");
	return $cluster->query("SELECT status, error->>'code', error->>'detail' FROM uaef.workflow_execution WHERE execution_id = '$id'");
}

# An executor that has run the task before there was a policy sees it at once.
define('free', 'SELECT pin FROM app.shut');
is(run_it('free'), 'completed||', 'without a policy the role has its own rights');
$cluster->query(<<'END');
SELECT uaef.create_policy('fence', 'data_access',
	'{"tables": {"app.open": ["select", "insert", "update"]}, "functions": ["app.*"]}')
END
my $denied = 'failed|policy_denied|SELECT on "app.shut"';
is(run_it('free'), $denied, 'a policy is in force in executors that run already');

my @escapes = (
	'SELECT pin FROM app.peek' => 'SELECT on "app.peek"',
	'WITH w AS (UPDATE app.shut SET pin = 0) SELECT 1 AS one' => 'UPDATE on "app.shut"',
	'SELECT app.as_owner()' => 'SELECT on "app.shut"',
	'SELECT app.caught()' => 'SELECT on "app.shut"',
	"SELECT app.run('SELECT pin FROM app.shut')" => 'SELECT on "app.shut"',
	"SELECT app.run('WITH x AS (SELECT pin FROM app.shut) SELECT pin FROM x')" => 'SELECT on "app.shut"',
	"INSERT INTO app.open VALUES (2, 'peek')" => 'SELECT on "app.shut"',
	"SELECT app.do_it('SET ROLE postgres')" => 'command SET',
	"SELECT app.do_it('RESET SESSION AUTHORIZATION')" => 'command RESET',
	"SELECT app.do_it('DO \$x\$ BEGIN PERFORM pin FROM app.shut; END \$x\$')" => 'command DO',
	"SELECT app.do_it('PREPARE p AS SELECT pin FROM app.shut')" => 'command PREPARE',
	"SELECT app.do_it('COPY app.shut TO ''/tmp/never''')" => 'command COPY',
	"SELECT app.do_it('CREATE SCHEMA mine')" => 'command CREATE SCHEMA',
	"SELECT set_config('role', 'postgres', false)" => 'function "pg_catalog.set_config"',
	"SELECT pg_notify('a', 'b')" => 'function "pg_catalog.pg_notify"',
	"SELECT uaef.start_workflow('free')" => 'function "uaef.start_workflow"',
	'TRUNCATE app.open' => 'command TRUNCATE TABLE',
);
while (my ($sql, $reason) = splice(@escapes, 0, 2))
{
	define('escape', $sql);
	is(run_it('escape'), "failed|policy_denied|$reason", $sql);
}

# The processes of a parallel plan have no guard, so there are none.
my $forced = $cluster->query("SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
$cluster->query("ALTER ROLE alice SET $forced = on");
$cluster->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'uaef executor'");
define('escape', 'SELECT app.gather()');
is(run_it('escape'), $denied, 'a function in a parallel plan');
$cluster->query("ALTER ROLE alice RESET $forced");

# What is allowed goes on, and the executor is none the worse.
define('allowed', 'INSERT INTO app.open SELECT id + 1, app.run(\'SELECT note FROM app.open\') FROM app.open');
is(run_it('allowed'), 'completed||', 'what the policy allows');
is($cluster->query('SELECT count(*), (SELECT pin FROM app.shut) FROM app.open'), '2|1234', 'is done, and nothing else');

# Company: tasks of one batch are each judged by their own policies.
$cluster->query("SELECT uaef.create_policy('fence', 'data_access', '{\"tables\": {}}', scope => '{\"workflow\": \"free\"}')");
define('other', 'SELECT pin FROM app.shut');
$cluster->query(<<'END');
SET ROLE alice;
SELECT count(uaef.start_workflow(CASE n % 2 WHEN 0 THEN 'free' ELSE 'other' END)) FROM generate_series(1, 200) n
END
ok( $cluster->poll("SELECT count(*) = 0 FROM uaef.workflow_execution WHERE status = 'running'", 't', 60),
	'200 executions end');
is($cluster->query(<<'END'), "free|failed|100\nother|completed|100", 'as their own policies say');
SELECT d.name, e.status, count(*) FROM uaef.workflow_execution e JOIN uaef.workflow_definition d USING (definition_id)
WHERE d.name = 'other' OR (d.name = 'free' AND e.created_at > (SELECT max(created_at) FROM uaef.policy))
GROUP BY 1, 2 ORDER BY 1
END
is($cluster->query("SELECT count(*), count(DISTINCT execution_id) FROM uaef.policy_decision WHERE policy = 'fence' AND version = 2"),
	'100|100', 'each denial is recorded once');
$cluster->query("SELECT uaef.drop_policy('fence')");

# A rate limit puts tasks off, and no window has more of them.
$cluster->query("SELECT uaef.create_policy('rate', 'rate_limit', '{\"max\": 5, \"window\": \"3s\"}', scope => '{\"workflow\": \"other\"}')");
$cluster->query("SET ROLE alice; SELECT count(uaef.start_workflow('other')) FROM generate_series(1, 14)");
ok($cluster->poll("SELECT count(*) = 0 FROM uaef.workflow_execution WHERE status = 'running'", 't', 60), 'tasks over the limit run later');
is($cluster->query(<<'END'), '5', 'no three seconds have more than they may');
SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY at RANGE BETWEEN CURRENT ROW AND '2999 ms' FOLLOWING) AS n
	FROM uaef.policy_use WHERE policy = 'rate') x
END
is($cluster->query("SELECT decision, count(*) FROM uaef.policy_decision WHERE policy = 'rate' GROUP BY 1"), 'put_off|9', 'each was put off once');
$cluster->query("SELECT uaef.drop_policy('rate')");

# An approval that nobody gives expires, and that is a no; one that is given
# holds for all attempts, but not for another version of the policy.
$cluster->query("SELECT uaef.create_policy('ask', 'approval', '{\"approvers\": [\"alice\"], \"four_eyes\": false, \"expires\": \"300ms\"}', scope => '{\"workflow\": \"other\"}')");
is(run_it('other'), 'failed|policy_denied|approval was expired', 'silence is no approval');

$cluster->query("SELECT uaef.create_policy('ask', 'approval', '{\"approvers\": [\"postgres\"], \"four_eyes\": false}', scope => '{\"workflow\": \"tries\"}')");
define('tries', 'SELECT 1 / (length($1::text) - length($1::text))', '"retry": {"max_attempts": 3, "initial": "100ms", "jitter": 0, "backoff": "fixed", "on": ["22012"]}');
my $id = $cluster->query("SET ROLE alice; SELECT uaef.start_workflow('tries')");
my $task = "FROM uaef.task_execution WHERE execution_id = '$id'";
is($cluster->query("SELECT status, attempt $task"), 'waiting_input|0', 'a task waits for its approval');
my $approval = $cluster->query("SELECT max(approval_id) FROM uaef.human_approval WHERE execution_id = '$id'");
$cluster->query("SELECT uaef.approve($approval)");
$cluster->query("SELECT uaef.wait_for_workflow('$id', '30s')");
is($cluster->query("SELECT status, attempt $task"), 'failed|3', 'then it has all its attempts');
is($cluster->query("SELECT count(*) FROM uaef.human_approval WHERE execution_id = '$id'"), '1', 'for one approval');

define('tries', 'SELECT 1 / (length($1::text) - length($1::text))', '"retry": {"max_attempts": 2, "initial": "1h", "jitter": 0, "backoff": "fixed", "on": ["22012"]}');
$id = $cluster->query("SET ROLE alice; SELECT uaef.start_workflow('tries')");
$task = "FROM uaef.task_execution WHERE execution_id = '$id'";
$approval = $cluster->query("SELECT max(approval_id) FROM uaef.human_approval WHERE execution_id = '$id'");
$cluster->query("SELECT uaef.approve($approval)");
ok($cluster->poll("SELECT status = 'pending' $task", 't', 30), 'its first attempt fails');
$cluster->query("SELECT uaef.create_policy('ask', 'approval', '{\"approvers\": [\"postgres\"], \"four_eyes\": false, \"need\": 2}', scope => '{\"workflow\": \"tries\"}')");
$cluster->query("SELECT uaef.retry_task_now(task_id) $task");
ok($cluster->poll("SELECT status = 'waiting_input' $task", 't', 30), 'the next one waits for the approval that the policy now wants');
is($cluster->query("SELECT count(*) FROM uaef.human_approval WHERE execution_id = '$id'"), '2', 'which is another one');
$cluster->query("SELECT uaef.cancel_workflow('$id')");

# The time limit of one question does not end the next one.
$cluster->query(<<'END');
SELECT uaef.create_policy('ask', 'approval', '{"approvers": ["postgres"], "four_eyes": false, "expires": "5s"}', scope => '{"workflow": "other"}');
SELECT uaef.create_policy('then', 'approval', '{"approvers": ["postgres"], "four_eyes": false}', scope => '{"workflow": "other"}');
END
$id = $cluster->query("SET ROLE alice; SELECT uaef.start_workflow('other')");
$cluster->query("SELECT uaef.approve(max(approval_id)) FROM uaef.human_approval WHERE execution_id = '$id'");
ok($cluster->poll("SELECT count(*) = 0 FROM uaef.task_timer WHERE execution_id = '$id'", 't', 30), 'the time of the first question is over');
is($cluster->query("SELECT policy, status FROM uaef.human_approval WHERE execution_id = '$id' ORDER BY approval_id"),
	"ask|approved\nthen|pending", 'the second one still waits');
$cluster->query("SELECT uaef.cancel_workflow('$id')");

is($cluster->query('SELECT count(*) FROM uaef.verify_ledger()'), '0', 'the ledger verifies');

done_testing();
