# What a task waits for while the worker looks after its time: signals that do
# not come, and queries that become true, or do not.
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
	CREATE TABLE flag (name text PRIMARY KEY, up bool);
	CREATE TABLE looks (name text);
	CREATE ROLE clerk LOGIN;
	GRANT USAGE ON SCHEMA uaef TO clerk;
	GRANT EXECUTE ON FUNCTION uaef.start_workflow, uaef.wait_for_workflow TO clerk;
	GRANT SELECT ON uaef.workflow_run TO clerk;
});
wait_for_worker($node, 'postgres', 'the worker runs');

# define(name, task, edges) makes a workflow of a task t and two that may follow
sub define
{
	my ($name, $task, $edges) = @_;
	$edges //= '[]';
	$node->safe_psql('postgres', qq{
		SELECT uaef.create_workflow('$name', jsonb_build_object('edges', \$e\$$edges\$e\$::jsonb, 'tasks', jsonb_build_array(
			\$t\$$task\$t\$::jsonb || '{"id": "t"}',
			'{"id": "yes", "type": "parallel"}'::jsonb, '{"id": "no", "type": "parallel"}'::jsonb)))});
	return;
}

sub start
{
	my ($workflow, $input) = @_;
	$input //= '{}';
	return $node->safe_psql('postgres', "SELECT uaef.start_workflow('$workflow', '$input')");
}

# Start one and send it a signal at once, before its time is up; returns its id,
# and what became of the signal.
sub start_and_signal
{
	my ($workflow) = @_;
	return split /\n/, $node->safe_psql('postgres', <<"SQL");
SELECT uaef.start_workflow('$workflow') AS id \\gset
SELECT :'id'; SELECT uaef.signal_workflow(:'id', 's');
SQL
}

# the status of an execution at its end, with the code of its error
sub ending
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT uaef.wait_for_workflow('$id', '20s'); SELECT coalesce(error->>'code', '') FROM uaef.workflow_run WHERE execution_id = '$id'")
	  =~ s/\n/ /r;
}

sub tasks
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(task || ' ' || status, ', ' ORDER BY task, item) FROM uaef.task_run WHERE execution_id = '$id'");
}

my $both = '[{"from":"t","to":"yes","on":"%s"},{"from":"t","to":"no","on":"timeout"}]';

# A signal that does not come.
define('late', '{"type":"signal","config":{"name":"s","timeout":"200ms"}}');
is(ending(start('late')), 'failed UA309', 'a signal that does not come fails its task');
define('late labels', '{"type":"signal","config":{"name":"s"},"timeout":"200ms"}', sprintf($both, 'received'));
my $id = start('late labels');
is(ending($id), 'completed ', 'or is a label');
is(tasks($id), 'no completed, t completed, yes skipped', 'which the edges follow');
define('late skip', '{"type":"signal","config":{"name":"s","timeout":"200ms"},"on_failure":"skip"}', '[{"from":"t","to":"yes"}]');
$id = start('late skip');
is(ending($id), 'completed ', 'on_failure holds for it');
is(tasks($id), 'no completed, t failed, yes skipped', 'as for any task');
is($node->safe_psql('postgres', 'SELECT count(*) FROM uaef.workflow_signal_wait'), '0', 'nothing waits any more');
define('late map', '{"type":"map","config":{"over":[1,2],"join":"any","task":{"type":"signal","config":{"name":"s","timeout":"500ms"}}}}');
($id, my $said) = start_and_signal('late map');
is($said, 'consumed', 'in a map');
is(ending($id), 'completed ', 'one item is enough');
is(ending(start('late map')), 'failed UA309', 'none is not');

# A signal in time: its timer finds nothing to do.
define('timely', '{"type":"signal","config":{"name":"s","timeout":"1s"}}', sprintf($both, 'received'));
($id) = start_and_signal('timely');
is(ending($id), 'completed ', 'a signal in time');
is(tasks($id), 'no skipped, t completed, yes completed', 'is followed by its edge');

# Queries: a boolean, or a row; the row is the output.
define('bool', '{"type":"wait","config":{"query":"SELECT bool_or(up) FROM flag WHERE name = $1->>\'name\'","every":"100ms"}}');
my $bool = start('bool', '{"name": "b"}');
define('row', '{"type":"wait","config":{"query":"SELECT name, up FROM flag WHERE name = $1->>\'who\'","every":"100ms","input":{"who":"{{in.name}}"}}}');
my $row = start('row', '{"name": "r"}');
ok($node->poll_query_until('postgres',
		"SELECT count(*) >= 2 FROM uaef.task_timer WHERE kind = 'query'"),
	'queries are to be asked again');
is(tasks($bool), 'no completed, t running, yes completed', 'a query that is not true waits');
my $version = $node->safe_psql('postgres', "SELECT xmin FROM uaef.task_execution WHERE execution_id = '$bool' AND task = 't'");
$node->safe_psql('postgres', "INSERT INTO flag VALUES ('b', false), ('r', false)");
is(ending($row), 'completed ', 'a row is true');
is($node->safe_psql('postgres', "SELECT output->'t' FROM uaef.workflow_run WHERE execution_id = '$row'"),
	'{"up": false, "name": "r"}', 'and is the output');
is($node->safe_psql('postgres', "SELECT xmin FROM uaef.task_execution WHERE execution_id = '$bool' AND task = 't'"),
	$version, 'a query that is run in vain writes no row of its task');
is($node->safe_psql('postgres', "SELECT count(*) FROM uaef.audit_trail WHERE execution_id = '$bool' AND task = 't'"),
	'0', 'and no event');
$node->safe_psql('postgres', "UPDATE flag SET up = true WHERE name = 'b'");
is(ending($bool), 'completed ', 'true is true');

# Paused: what is waited for may come about, and nothing follows.
define('pause', '{"type":"wait","config":{"query":"SELECT 1 FROM flag WHERE name = \'p\'","every":"100ms"}}', '[{"from":"t","to":"yes"}]');
$id = start('pause');
$node->safe_psql('postgres', "SELECT uaef.pause_workflow('$id'); INSERT INTO flag VALUES ('p', true)");
ok($node->poll_query_until('postgres', "SELECT status = 'completed' FROM uaef.task_run WHERE execution_id = '$id' AND task = 't'"),
	'a paused execution goes on waiting');

# Not true in time.
define('never', '{"type":"wait","timeout":"300ms","config":{"query":"SELECT false","every":"100ms"}}');
is(ending(start('never')), 'failed UA309', 'a query that is not true in time fails its task');
define('never labels', '{"type":"wait","timeout":"300ms","config":{"query":"SELECT false","every":"10s"}}', sprintf($both, 'met'));
$id = start('never labels');
is(ending($id), 'completed ', 'or is a label');
is(tasks($id), 'no completed, t completed, yes skipped', 'which the edges follow');
define('long', '{"type":"wait","timeout":"300ms","config":{"query":"SELECT pg_sleep(30) IS NULL"}}', sprintf($both, 'met'));
$id = start('long');
is(ending($id), 'completed ', 'a query that takes too long is stopped');
is(tasks($id), 'no completed, t completed, yes skipped', 'and is as one that is not true');
define('never again', '{"type":"wait","timeout":"200ms","retry":{"max_attempts":2,"initial":"100ms"},"config":{"query":"SELECT false","every":"100ms"}}');
$id = start('never again');
is(ending($id), 'failed UA309', 'retry waits once more');
is($node->safe_psql('postgres', "SELECT attempt FROM uaef.task_run WHERE execution_id = '$id' AND task = 't'"), '2', 'as often as it says');

define('short', '{"type":"wait","timeout":"200ms","config":{"for":"1h"}}');
is(ending(start('short')), 'failed UA309', 'a wait for a time has a timeout too');

# Errors, rights, and what a query leaves behind.
define('many', '{"type":"wait","config":{"query":"SELECT up FROM (VALUES (true), (true)) v (up)"}}');
is(ending(start('many')), 'failed 21000', 'several booleans are no answer');
define('error', '{"type":"wait","config":{"query":"SELECT 1 / ($1->>\'n\')::int > 0"}}');
is(ending(start('error', '{"n": 0}')), 'failed 22012', 'an error fails the task');
my $mine = $node->safe_psql('postgres', "SELECT uaef.start_workflow('row', '{\"name\": \"r\"}')",
	extra_params => [ '-U', 'clerk' ]);
is(ending($mine), 'failed 42501', 'a query is run as the role that started the execution');
$node->safe_psql('postgres', q{
	CREATE FUNCTION look(n int) RETURNS bool LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO looks VALUES ('look');
		RETURN nextval('looked') >= n;
	END $$;
	CREATE SEQUENCE looked});
define('effects', '{"type":"wait","config":{"query":"SELECT look(3)","every":"100ms"}}');
is(ending(start('effects')), 'completed ', 'a query with effects');
is($node->safe_psql('postgres', "SELECT count(*), (SELECT last_value FROM looked) FROM looks"), '1|3',
	'has them once: when it is true');

# Cancelled while its query runs: what that says nobody wants any more.
$node->safe_psql('postgres', q{
	CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO looks VALUES ('slow');
		PERFORM pg_advisory_xact_lock(1);
		RETURN true;
	END $$});
define('slow', '{"type":"wait","config":{"query":"SELECT slow()"}}');
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$id = start('slow');
my $waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";
ok($node->poll_query_until('postgres', $waits, '1'), 'a query runs');
$node->safe_psql('postgres', "SELECT uaef.cancel_workflow('$id')");
$holder->quit;
ok($node->poll_query_until('postgres', $waits, '0'), 'and ends after its execution');
is(ending(start('row', '{"name": "r"}')), 'completed ', 'its executor goes on');
is(tasks($id), 'no completed, t cancelled, yes completed', 'the task stays cancelled');
is($node->safe_psql('postgres', "SELECT count(*) FROM looks WHERE name = 'slow'"), '0', 'and its effects are gone');

# Cancelled while it waits; in a map.
define('cancel', '{"type":"wait","config":{"query":"SELECT false","every":"100ms"}}');
$id = start('cancel');
$node->safe_psql('postgres', "SELECT uaef.cancel_workflow('$id')");
define('map', '{"type":"map","config":{"over":["m1","m2"],"task":{"type":"wait","config":{"query":"SELECT name FROM flag WHERE name = $1#>>\'{}\'","every":"100ms"}}}}');
$id = start('map');
$node->safe_psql('postgres', "INSERT INTO flag VALUES ('m1', true), ('m2', true)");
is(ending($id), 'completed ', 'items wait for queries');
is($node->safe_psql('postgres', "SELECT output->'t' FROM uaef.workflow_run WHERE execution_id = '$id'"),
	'[{"name": "m1"}, {"name": "m2"}]', 'each for its own');

# A settle task that waits for its signals: two parts, which people approve.
sub define_settle
{
	my ($name, $config, $more, $edges) = @_;
	define($name, qq({"type":"settle","config":$config$more}), $edges);
	$node->safe_psql('postgres', qq{SET uaef.rule_activation = 'any';
		SELECT uaef.create_settlement_rule('$name', '{"workflow":"$name","task":"t","currency":"EUR","fixed":"10.00",
			"split":{"parts":[{"to":"external:a","share":"50%"},{"to":"external:b","share":"50%"}]},
			"approval":{"bands":[{"need":1,"distinct_from":[]}],"expires":"1 day"}}');
		SELECT uaef.activate_settlement_rule('$name', (SELECT max(version) FROM uaef.settlement_rule_status WHERE name = '$name'))});
	return;
}

# act(id, call) does something about each signal of an execution that waits for it
sub act
{
	my ($execution, $call, $where) = @_;
	$where //= 'true';
	return $node->safe_psql('postgres', "SELECT $call FROM uaef.settlement WHERE execution_id = '$execution' AND status <> 'cancelled' AND $where ORDER BY signal_id")
	  =~ s/\n/ /gr;
}

define_settle('settle', '{"wait":"approved"}', ',"timeout":"1 h"', sprintf($both, 'settled'));
$id = start('settle');
is(act($id, 'status'), 'pending_approval pending_approval', 'signals are there');
is(act($id, 'uaef.approve_settlement(signal_id)', "part_no = 1"), 'approved', 'one of them is approved');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM uaef.task_timer WHERE kind = 'settled')"), 'the task looks');
is(tasks($id), 't waiting_input', 'and waits on');
act($id, 'uaef.approve_settlement(signal_id)', 'part_no = 2');
is(ending($id), 'completed ', 'until all are');
is($node->safe_psql('postgres', "SELECT output #> '{signals,0,status}' FROM uaef.task_run WHERE execution_id = '$id' AND task = 't'"), '"approved"', 'as its output says');

define_settle('refuse', '{"wait":"approved"}', '');
$id = start('refuse');
act($id, 'uaef.approve_settlement(signal_id)', 'part_no = 1');
act($id, "uaef.reject_settlement(signal_id, 'no')", 'part_no = 2');
is(ending($id), 'failed UA323', 'a rejection fails the task');
is($node->safe_psql('postgres', "SELECT string_agg(status, ' ' ORDER BY part_no) FROM uaef.settlement WHERE execution_id = '$id'"),
	'cancelled rejected', 'and takes the other part back');
$node->safe_psql('postgres', "SELECT uaef.retry_workflow('$id')");
is(act($id, 'part_no || status', "status <> 'rejected'"), '3pending_approval 4pending_approval', 'a retry asks anew');
act($id, 'uaef.approve_settlement(signal_id)', 'part_no > 2');
is(ending($id), 'completed ', 'and may go well');
is($node->safe_psql('postgres', "SELECT count(*) FROM uaef.settlement WHERE execution_id = '$id' AND status = 'approved'"), '2', 'once');

define_settle('expire', '{"wait":"approved"}', '', '[{"from":"t","to":"yes","on":"settled"},{"from":"t","to":"no","on":"refused"}]');
$node->safe_psql('postgres', q{SET uaef.rule_activation = 'any';
	SELECT uaef.create_settlement_rule('expire', jsonb_set(uaef.settlement_rule_definition('expire', 1), '{approval,expires}', '"200ms"'));
	SELECT uaef.activate_settlement_rule('expire', 2)});
$id = start('expire');
is(ending($id), 'completed ', 'an approval that expires while its task waits');
is(tasks($id), 'no completed, t completed, yes skipped', 'is a refusal, and a label');
like(act($id, 'status'), qr/^expired/, 'of its signals');

define_settle('settle late', '{"wait":"paid"}', ',"timeout":"300ms"');
$id = start('settle late');
act($id, 'uaef.approve_settlement(signal_id)');
is(ending($id), 'failed UA309', 'approved is not paid');
is(act($id, 'status'), '', 'what was not paid in time never will be');
define_settle('settle label', '{"wait":"approved"}', ',"timeout":"300ms"', sprintf($both, 'settled'));
$id = start('settle label');
is(ending($id), 'completed ', 'a timeout is a label where one asks for it');
is(act($id, 'status'), 'pending_approval pending_approval', 'and the signals stay');
define_settle('paid', '{"wait":"paid"}', '');
$id = start('paid');
act($id, 'uaef.approve_settlement(signal_id)');
act($id, "uaef.process_settlement(signal_id, 'TX' || part_no)");
is(ending($id), 'completed ', 'a task that waits for the payment');
is($node->safe_psql('postgres', 'SELECT count(*) FROM uaef.audit_money()'), '0', 'the books are clean');

# A fork waits for the signals of the execution that it comes from, of which
# nobody tells it.
for my $end ([ 'uaef.approve_settlement(signal_id)', 'no skipped, t completed, yes completed', 'approved' ],
	[ "uaef.reject_settlement(signal_id, 'no')", 'no completed, t completed, yes skipped', 'refused' ])
{
	define_settle("heir $end->[2]", '{"wait":"approved"}', ',"timeout":"300ms"', sprintf($both, 'settled'));
	$id = start("heir $end->[2]");
	is(ending($id), 'completed ', 'nobody has decided in time');
	define("heir $end->[2]", '{"type":"settle","config":{"wait":"approved"}}', '[{"from":"t","to":"yes","on":"settled"},{"from":"t","to":"no","on":"refused"}]');
	my $heir = $node->safe_psql('postgres', "SELECT uaef.fork_workflow('$id', 't', version => 2)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM uaef.task_timer WHERE execution_id = '$heir' AND kind = 'inherited' AND due_at > now()"), 'a fork waits, and looks again later');
	act($id, $end->[0]);
	$node->safe_psql('postgres', "UPDATE uaef.task_timer SET due_at = now() WHERE kind = 'inherited'");
	start('settle label');
	is(ending($heir), 'completed ', 'to its end');
	is(tasks($heir), $end->[1], "which says that they were $end->[2]");
}

# A settle task waits on after a crash.
my $unsettled = start('settle');

# What waits outlives the server.
my $late = start('timely');
$id = start('row', '{"name": "after"}');
my $kept = $node->safe_psql('postgres', "SELECT uaef.signal_workflow('$id', 'none', '[1]')");
$node->stop('immediate');
$node->start;
wait_for_worker($node, 'postgres', 'the worker runs again');
$node->safe_psql('postgres', "INSERT INTO flag VALUES ('after', true)");
is(ending($id), 'completed ', 'a query is looked at after a crash');
is(ending($late), 'completed ', 'and a signal times out');
act($unsettled, 'uaef.approve_settlement(signal_id)');
is(ending($unsettled), 'completed ', 'and what was settled before is paid attention to');
is(tasks($late), 'no completed, t completed, yes skipped', 'as it would have');
is($node->safe_psql('postgres', "SELECT payload FROM uaef.workflow_signal_kept WHERE execution_id = '$id'"), '[1]', 'a kept signal is kept');

# Nothing waits: nothing is looked at.
ok($node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM uaef.task_timer WHERE kind = 'query') AND NOT EXISTS (SELECT FROM uaef.task_ready)"),
	'no query is left');
is($node->safe_psql('postgres', "SELECT count(*) FROM uaef.verify_ledger() WHERE code <> 'UNSEALED_OVERDUE'"),
	'0', 'the ledger verifies');
unlike(slurp_file($node->logfile), qr/exited with exit code 1|terminated by signal/, 'no process of ours broke');
$node->stop;
done_testing();
