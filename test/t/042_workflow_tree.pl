# Executions below executions, and compensation, with the worker: what finds
# the other one busy, what one step leaves to the next, and SIGKILL of worker
# and executors in the middle of it.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n"
	  . "restart_after_crash = on\nfsync = off\nlog_min_messages = warning\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	CREATE TABLE row (n int GENERATED ALWAYS AS IDENTITY, key text, what text);
	CREATE FUNCTION note(task jsonb, what text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO public.row (key, what) SELECT task->>'key', what; SELECT pg_sleep(0.002 * random()) $$;
	SELECT uaef.create_workflow('ask', '{"tasks":[{"id":"x","type":"external","queue":"q"}]}');
	SELECT uaef.create_workflow('asks', '{"tasks":[{"id":"first","type":"external","queue":"p"},
		{"id":"c","type":"workflow","config":{"workflow":"ask"}}]}');
	SELECT uaef.create_workflow('pure', '{"tasks":[{"id":"p","type":"parallel"}]}');
	SELECT uaef.create_workflow('many', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.list}}",
		"task":{"type":"workflow","config":{"workflow":"pure","input":{}}}}}]}');
	SELECT uaef.create_workflow('tick', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT ($1->>''n'')::int + 1 AS n"}}],"output":{"n":"{{task.t.n}}"}}');
	SELECT uaef.create_workflow('ticks', '{"tasks":[{"id":"l","type":"workflow","config":{"workflow":"tick","input":{"n":"{{last.n}}"},
		"repeat":{"first":{"n":0},"until":{"last.n":{"$gte":5}},"max":10,"delay":"10ms"}}}]}');
	SELECT uaef.create_workflow('slow', '{"tasks":[{"id":"c","type":"workflow","timeout":"200ms","config":{"workflow":"ask"}}]}');
	SELECT uaef.create_workflow('undo', '{"tasks":[{"id":"a","type":"sql","config":{"sql":"SELECT public.note($1, ''a'')"},
			"compensate":{"type":"sql","config":{"sql":"SELECT public.note($1, ''no a'')"}}},
		{"id":"b","type":"sql","config":{"sql":"SELECT public.note($1, ''b'')"},
			"compensate":{"type":"sql","config":{"sql":"SELECT public.note($1, ''no b'')"}}},
		{"id":"z","type":"sql","config":{"sql":"SELECT 1 / ($1->>''n'')::int"}}],
		"edges":[{"from":"a","to":"b"},{"from":"b","to":"z"}]}');
	SELECT uaef.create_workflow('tree', '{"tasks":[{"id":"s","type":"sql","config":{"sql":"SELECT public.note($1, ''s'')"},
			"compensate":{"type":"sql","config":{"sql":"SELECT public.note($1, ''no s'')"}}},
		{"id":"l","type":"workflow","config":{"workflow":"tick","input":{"n":"{{last.n}}"},
			"repeat":{"first":{"n":0},"until":{"last.n":2}}}},
		{"id":"c","type":"workflow","config":{"workflow":"undo"}}],
		"edges":[{"from":"s","to":"l"},{"from":"s","to":"c"}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

sub start
{
	my ($workflow, $input) = @_;
	return query("SELECT uaef.start_workflow('$workflow', '" . ($input // '{}') . "')");
}

sub ending
{
	return query("SELECT uaef.wait_for_workflow('$_[0]', '60s')");
}

sub complete
{
	my ($id, $task) = @_;
	return "SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = '$id' AND task = '$task'";
}

sub child
{
	return query("SELECT child_execution_id FROM uaef.task_run WHERE execution_id = '$_[0]' AND task = 'c'");
}

# The parent is held by somebody when the child ends: the worker tells it.
my $asks = start('asks');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe(complete($asks, 'first'));
query(complete(child($asks), 'x'));
is(query("SELECT status FROM uaef.workflow_run WHERE execution_id = '" . child($asks) . "'"),
	'completed', 'a child ends while its parent is busy');
sleep 0.3;
is(query("SELECT status FROM uaef.workflow_run WHERE execution_id = '$asks'"), 'running', 'which does not know yet');
$holder->query_safe('COMMIT');
is(ending($asks), 'completed', 'and is told when it is free');

# The child is held by somebody when the parent fails: the worker cancels it.
$asks = start('asks');
$holder->query_safe('BEGIN');
$holder->query_safe("SELECT uaef.pause_workflow('" . child($asks) . "')");
query("SELECT uaef.fail_task(task_id, 'no', false) FROM uaef.task_run WHERE execution_id = '$asks' AND task = 'first'");
is(ending($asks), 'failed', 'a parent fails while its child is busy');
$holder->query_safe('COMMIT');
is(ending(child($asks)), 'cancelled', 'which is cancelled when it is free');
$holder->quit;

# A timeout takes the child along.
my $slow = start('slow');
is(ending($slow), 'failed', 'a workflow that takes too long');
is(query("SELECT error->>'code' FROM uaef.workflow_run WHERE execution_id = '$slow'"), 'UA309', 'times out');
is(ending(child($slow)), 'cancelled', 'with its child');

# More than one step takes on, and a loop with delays.
my $many = start('many', '{"list":[' . join(',', (0) x 12000) . ']}');
is(query("SELECT status FROM uaef.workflow_run WHERE execution_id = '$many'"), 'running', 'a step leaves children to later ones');
is(ending($many), 'completed', 'which run them all');
is(query("SELECT count(*) FROM uaef.workflow_run WHERE parent_execution_id = '$many' AND status = 'completed'"), 12000, 'each once');
my $ticks = start('ticks');
is(ending($ticks), 'completed', 'a loop with delays');
is(query("SELECT output->'l'->>'n' FROM uaef.workflow_run WHERE execution_id = '$ticks'"), 5, 'ran as often as it had to');

# What grows without end: a cancel stops all of it, and one that nobody cancels
# comes to its bound, and fails.
query(q{SELECT uaef.create_workflow('bomb', '{"tasks":[{"id":"m","type":"map","config":{"over":[1,2,3],
	"task":{"type":"workflow","config":{"workflow":"bomb","input":{}}}}}]}')});
my $open = "status NOT IN ('completed', 'failed', 'cancelled')";
my $bomb = start('bomb');
ok($node->poll_query_until('postgres', "SELECT count(*) > 8000 FROM uaef.workflow_execution WHERE root_execution_id = '$bomb'"),
	'executions that begin three each grow');
query("SELECT uaef.cancel_workflow('$bomb')");
my $then = query("SELECT count(*) FROM uaef.workflow_execution WHERE root_execution_id = '$bomb'");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.workflow_execution WHERE $open"), 'a cancel catches up');
cmp_ok(query("SELECT count(*) FROM uaef.workflow_execution WHERE root_execution_id = '$bomb'"), '<', 4 * $then + 10000,
	'with little that began after it');
$node->append_conf('postgresql.conf', 'uaef.max_descendants = 1000');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('uaef.max_descendants') = '1000'");
$bomb = start('bomb');
is(ending($bomb), 'failed', 'a bound ends the growth');
is(query("SELECT error->>'code' FROM uaef.workflow_run WHERE execution_id = '$bomb'"), 'UA315', 'and says so');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.workflow_execution WHERE $open"), 'all of it ends');
cmp_ok(query("SELECT count(*) FROM uaef.workflow_execution WHERE root_execution_id = '$bomb'"), '<=', 1000, 'with no more than that');

# SIGKILL of worker and executors, while trees end, fail and are compensated.
sub kill_one
{
	my ($kind) = @_;
	my $deadline = time + 10;
	my $pid = '';

	while (time < $deadline && $pid !~ /^\d+$/)
	{
		(undef, $pid) = $node->psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef $kind' ORDER BY random() LIMIT 1");
		$pid //= '';
	}
	return $pid =~ /^\d+$/ ? $node->kill_process($pid) : 0;
}

my %met = (worker => 0, executor => 0);
my $n = 120;
my $before = query('SELECT count(*) FROM uaef.workflow_execution');
query("SELECT uaef.start_workflow('tree', jsonb_build_object('key', i, 'n', i % 2)) FROM generate_series(1, $n) i");
for my $round (1 .. 3)
{
	for my $kind (sort keys %met)
	{
		sleep 0.1 + rand(0.2);
		$met{$kind} += kill_one($kind);
		query("SELECT uaef.start_workflow('tree', jsonb_build_object('key', 'r$round $kind ' || i, 'n', i % 2)) FROM generate_series(1, 20) i");
		$n += 20;
	}
}
cmp_ok($met{$_}, '>', 0, "a kill met the $_") for sort keys %met;
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM uaef.workflow_execution WHERE status NOT IN ('completed', 'failed', 'cancelled')"),
	'every execution ends');
my $half = $n / 2;
is(query("SELECT status, count(*) FROM uaef.workflow_run WHERE workflow = 'tree' GROUP BY status ORDER BY status"),
	"completed|$half\nfailed|$half", 'half of the trees failed, as they had to');
is(query("SELECT what, count(*), count(DISTINCT key) FROM row GROUP BY what ORDER BY what"),
	join("\n", "a|$n|$n", "b|$n|$n", "no a|$half|$half", "no b|$half|$half", "no s|$half|$half", "s|$n|$n"),
	'each effect, and each compensation, is there exactly once');
is(query("SELECT DISTINCT whats FROM (SELECT string_agg(what, ',' ORDER BY n) AS whats FROM row GROUP BY key) k ORDER BY whats"),
	"s,a,b\ns,a,b,no b,no a,no s", 'in reverse order');
is(query("SELECT status, count(*) FROM uaef.task_run WHERE compensates OR (workflow = 'undo' AND task = 'a') OR task = 's' GROUP BY status ORDER BY status"),
	join("\n", 'compensated|' . $n, 'completed|' . (3 * $half + $n)), 'tasks say so');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.task_timer WHERE kind IN ('ended', 'child', 'repeat', 'cancel', 'stop')"),
	'no timer is left');
is(query('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger verifies');

$node->stop;
done_testing();
