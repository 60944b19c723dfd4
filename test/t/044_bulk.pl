# Control of many executions: filters, limits, rates, what others hold, rights.
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
	SELECT uaef.create_workflow('many', '{"tasks":[{"id":"t","type":"external","queue":"many"}]}');
	SELECT uaef.create_workflow('other', '{"tasks":[{"id":"t","type":"external","queue":"other"}]}');
	CREATE ROLE clerk LOGIN;
	SELECT uaef.grant_access('clerk', 'operator');
	SELECT count(uaef.start_workflow('many', name => 'run ' || i, priority => i % 10)) FROM generate_series(1, 250) i;
	SELECT count(uaef.start_workflow('other')) FROM generate_series(1, 5) i;
	SET SESSION AUTHORIZATION clerk;
	SELECT count(uaef.start_workflow('many', name => 'of the clerk')) FROM generate_series(1, 5) i;
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# An operation that has ended: status, done, refused.
sub bulk
{
	my ($call) = @_;
	my $id = sql("SELECT uaef.$call");
	ok($node->poll_query_until('postgres',
			"SELECT status <> 'running' FROM uaef.bulk_operation WHERE bulk_id = $id"),
		"$call ends");
	return sql("SELECT status, done, refused, busy FROM uaef.bulk_operation WHERE bulk_id = $id");
}

sub states
{
	return sql("SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM"
		  . " (SELECT status, count(*) n FROM uaef.workflow_run WHERE workflow = 'many' GROUP BY 1) s");
}

is(bulk("pause_workflows('many')"), 'completed|255|0|0', 'all are paused');
is(states(), 'paused 255', 'and the others are not');
is(sql("SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'other' AND status = 'running'"),
	5, 'of another workflow');
is(bulk("resume_workflows('many', '{\"name\": \"run %\"}')"),
	'completed|250|0|0', 'a filter by name');
is(bulk("cancel_workflows('many', '{\"min_priority\": 3, \"max_priority\": 4}', reason => 'no time')"),
	'completed|50|0|0', 'a filter by priority');
is(bulk("cancel_workflows('many', '{\"status\": [\"running\"]}', max_executions => 30)"),
	'completed|30|0|0', 'a limit');
is(states(), 'cancelled 80, paused 5, running 170', 'as it was asked for');
is(sql("SELECT count(*) FROM uaef.workflow_run WHERE error->>'message' = 'no time'"),
	50, 'the reason is kept');

# Failed ones are retried; those that were cancelled only when they are named.
sql("SELECT count(uaef.fail_task(task_id, 'no', false, lease_token, CASE WHEN task_id % 2 = 0 THEN 'even' ELSE 'odd' END))"
	  . " FROM uaef.claim_tasks('w', 'many', 1000)");
my $even = sql("SELECT count(*) FROM uaef.dead_letter WHERE code = 'even'");
is(bulk("retry_workflows('many', '{\"code\": [\"even\"]}')"), "completed|$even|0|0",
	'a filter by code');
is(bulk("retry_workflows('many')"), 'completed|' . (170 - $even) . '|0|0',
	'the rest of the failed ones');
is(bulk("retry_workflows('many', '{\"status\": [\"cancelled\"]}')"),
	'completed|80|0|0', 'the cancelled ones');
is(sql('SELECT count(*) FROM uaef.dead_letter'), 0, 'no dead letter is left');

# What somebody holds is passed over, and done later.
my $holder = $node->background_psql('postgres');
my $held = sql("SELECT execution_id FROM uaef.workflow_run WHERE name = 'run 1'");
$holder->query_safe("BEGIN; SELECT uaef.pause_workflow('$held')");
my $id = sql("SELECT uaef.cancel_workflows('many', '{\"name\": \"run 1%\"}')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM uaef.workflow_run WHERE name LIKE 'run 1%' AND status = 'running'"),
	'all but the one that is held are cancelled');
is(sql("SELECT status FROM uaef.bulk_operation WHERE bulk_id = $id"), 'running',
	'the operation waits for it');
$holder->query_safe('ROLLBACK');
$holder->quit;
ok($node->poll_query_until('postgres',
		"SELECT status = 'completed' FROM uaef.bulk_operation WHERE bulk_id = $id"),
	'until it is let go');
is(sql("SELECT status FROM uaef.workflow_run WHERE execution_id = '$held'"),
	'cancelled', 'then it is done too');

# A rate, and an end before the end.
$id = sql("SELECT uaef.cancel_workflows('many', rate => 1)");
ok($node->poll_query_until('postgres',
		"SELECT done > 0 FROM uaef.bulk_operation WHERE bulk_id = $id"),
	'one with a rate begins');
is(sql("SELECT uaef.cancel_bulk_operation($id)"), 't', 'it can be cancelled');
is(sql("SELECT status, done < 20 FROM uaef.bulk_operation WHERE bulk_id = $id"),
	'cancelled|t', 'before it has done much');
is(sql("SELECT uaef.cancel_bulk_operation($id)"), 'f', 'once');

# Roles reach their own executions, and see their own operations.
is(sql("SET SESSION AUTHORIZATION clerk; SELECT uaef.cancel_workflows('many') > 0"),
	't', 'an operator may ask');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM uaef.bulk_operation WHERE status = 'running'"),
	'and it ends');
is(sql("SELECT done FROM uaef.bulk_operation ORDER BY bulk_id DESC LIMIT 1"), 5,
	'having reached those of the role');
is(sql("SET SESSION AUTHORIZATION clerk; SELECT count(*) FROM uaef.bulk_operation"),
	1, 'which sees no other operation');
is(sql("SET SESSION AUTHORIZATION clerk; SELECT uaef.cancel_bulk_operation($id)"),
	'f', 'nor can end it');

# What makes no sense is refused at once.
for my $bad (
	[ q{retry_workflows('nobody')}, 'UA302' ],
	[ q{retry_workflows('many', '[]')}, '22023' ],
	[ q{retry_workflows('many', '{"colour": "red"}')}, '22023' ],
	[ q{retry_workflows('many', '{"status": "failed"}')}, '22023' ],
	[ q{retry_workflows('many', '{"status": ["completed"]}')}, '22023' ],
	[ q{cancel_workflows('many', '{"started_from": "soon"}')}, '22007' ],
	[ q{cancel_workflows('many', '{"min_priority": 1e20}')}, '22003' ],
	[ q{cancel_workflows('many', max_executions => 0)}, '22023' ],
	[ q{cancel_workflows('many', rate => 'NaN')}, '22023' ])
{
	my ($rc, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT uaef.$bad->[0]");
	like($err, qr/$bad->[1]/, "$bad->[0]: $bad->[1]");
}
# A workflow whose starts are held back.
is(sql("SELECT uaef.hold_workflow('other', 'stocktaking')"), 't', 'a hold');
is(sql("SELECT uaef.hold_workflow('other')"), 'f', 'is made once');
is(sql("SELECT held FROM uaef.workflow WHERE name = 'other'"), 't', 'and is seen');
my $waiting = sql("SELECT uaef.start_workflow('other')");
my $later = sql(
	"SELECT uaef.start_workflow('other', start_at => now() + interval '200 ms')");
my $doomed = sql("SELECT uaef.start_workflow('other', timeout => '300 ms')");
my $gone = sql("SELECT uaef.start_workflow('other')");
sql("SELECT uaef.cancel_workflow('$gone')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 4 FROM uaef.task_timer WHERE kind = 'start' AND due_at = 'infinity'"),
	'starts, also later ones, wait for its end');
ok($node->poll_query_until('postgres',
		"SELECT status = 'failed' FROM uaef.workflow_run WHERE execution_id = '$doomed'"),
	'a deadline holds all the same');
is(sql("SELECT string_agg(status, ' ') FROM uaef.workflow_run WHERE execution_id IN ('$waiting', '$later')"),
	'pending pending', 'they do not begin');
is(sql("SELECT uaef.release_workflow('other')"), 't', 'the release');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM uaef.workflow_run WHERE execution_id IN ('$waiting', '$later') AND status = 'running'"),
	'has them begin');
is(sql("SELECT status FROM uaef.workflow_run WHERE execution_id = '$gone'"),
	'cancelled', 'but for the cancelled one');
is(sql("SELECT uaef.release_workflow('other')"), 'f', 'there is no hold any more');
is(sql("SELECT count(*) FROM uaef.task_timer WHERE due_at = 'infinity'"), 0,
	'and nothing that waits for ever');
# So are retries and forks, which go on with what was done before.
sql(q{SELECT uaef.create_workflow('pair', '{"tasks": [{"id": "a", "type": "external", "queue": "pair"},
	{"id": "b", "type": "external", "queue": "pair"}], "edges": [{"from": "a", "to": "b"}]}')});
my $pair = sql(q{SELECT uaef.start_workflow('pair')});
sql(q{SELECT uaef.complete_task(task_id, '{"a": 1}') FROM uaef.claim_tasks('w', 'pair')});
sql("SELECT uaef.cancel_workflow('$pair')");
sql(q{SELECT uaef.hold_workflow('pair')});
my $fork = sql("SELECT uaef.fork_workflow('$pair', 'b')");
sql("SELECT uaef.retry_workflow('$pair')");
is(sql("SELECT string_agg(status, ' ') FROM uaef.workflow_run WHERE execution_id IN ('$pair', '$fork')"),
	'pending pending', 'a retry and a fork wait too');
sql(q{SELECT uaef.release_workflow('pair')});
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM uaef.task_run WHERE workflow = 'pair' AND task = 'b' AND status = 'queued'"),
	'and go on where they were');
sql(q{SELECT uaef.complete_task(task_id, '{"b": 2}') FROM uaef.claim_tasks('w', 'pair', 10)});
is(sql("SELECT string_agg(status, ' ') FROM uaef.workflow_run WHERE execution_id IN ('$pair', '$fork')"),
	'completed completed', 'to their end');
for my $bad (
	[ q{SELECT uaef.hold_workflow('nobody')}, 'UA302' ],
	[ q{SET SESSION AUTHORIZATION clerk; SELECT uaef.hold_workflow('other')}, '42501' ],
	[ q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT uaef.release_workflow('other')}, '25000' ])
{
	my ($rc, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY sqlstate\n$bad->[0]");
	like($err, qr/$bad->[1]/, "$bad->[0]: $bad->[1]");
}

is(sql("SELECT count(*) FROM uaef.ledger_event WHERE event_type = 'bulk_requested'"),
	sql('SELECT count(*) FROM uaef.bulk_operation'),
	'each operation is an event');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger is whole');
$node->stop;
done_testing();
