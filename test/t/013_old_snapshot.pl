# Beside an old snapshot, under which executors and timers look from where they
# were, or from where somebody tells them: nothing is passed over.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n"
	  . "uaef.max_executors = 1\nmax_prepared_transactions = 2\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	SELECT uaef.create_workflow('one', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT 1"}}]}');
	SELECT uaef.create_workflow('nap', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT pg_advisory_xact_lock(1)"}}]}');
	SELECT uaef.create_workflow('short', '{"tasks":[{"id":"t","type":"wait","config":{"for":"100ms"}}]}');
	SELECT uaef.create_workflow('tick', '{"tasks":[{"id":"t","type":"wait","config":{"for":"1ms"}}]}');
	SELECT uaef.create_workflow('long', '{"tasks":[{"id":"t","type":"wait","config":{"for":"2s"}}]}');
	SELECT uaef.create_workflow('tasks', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.items}}",
		"task":{"type":"sql","config":{"sql":"SELECT 1"}}}}]}');
	SELECT uaef.create_workflow('job', '{"tasks":[{"id":"t","type":"external","queue":"q"}]}');
	SELECT uaef.create_workflow('jobs', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.items}}",
		"task":{"type":"external","queue":"q"}}}]}');
	SELECT uaef.create_workflow('waits', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.items}}",
		"task":{"type":"wait","config":{"for":"10ms"}}}}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub ends
{
	my ($id, $what) = @_;
	return is($node->safe_psql('postgres', "SELECT uaef.wait_for_workflow('$id', '3min')"), 'completed', $what);
}

sub start
{
	my ($workflow, $items) = @_;
	my $input = $items ? ", jsonb_build_object('items', (SELECT jsonb_agg(i) FROM generate_series(1, $items) i))" : '';
	return $node->safe_psql('postgres', "SELECT uaef.start_workflow('$workflow'$input)");
}

# Entries of an index that are read while executions run one after the other.
sub entries_read
{
	my ($workflow, $n, $index) = @_;
	my $count = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = '$index'";
	my $before = $node->safe_psql('postgres', $count);

	$node->safe_psql('postgres',
		"SELECT uaef.start_workflow('$workflow') AS id \\gset\nSELECT uaef.wait_for_workflow(:'id');\n" x $n);
	return $node->safe_psql('postgres', $count) - $before;
}

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
ends(start('tasks', 10_000), 'many tasks run');
ends(start('waits', 10_000), 'many timers fire');
is($node->safe_psql('postgres', 'SELECT count(*) FROM uaef.task_ready, uaef.task_timer'), 0, 'all are gone');

# What comes at its time, once the executor has come to the end, and idles.
ends(start('one'), 'a task runs') for 1 .. 3;
ends(start('short'), 'a timer fires') for 1 .. 3;
my $long = start('long');
ends(start('short'), 'one that is due before another fires first');
ends($long, 'and the other one');

# They are not found by walking over those that are gone.
my $read = entries_read('one', 100, 'task_ready_order');
cmp_ok($read, '<', 500_000, 'entries read for 100 tasks');
$read = entries_read('tick', 100, 'task_timer_due');
cmp_ok($read, '<', 500_000, 'entries read for 100 timers');

# What is queued before, and committed after.
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
my $slow = $session->query_safe("SELECT uaef.start_workflow('one')");
my $slow_wait = $session->query_safe("SELECT uaef.start_workflow('short')");
ends(start('one'), 'a task that is queued later and committed first');
ends(start('short'), 'a timer likewise');
$session->query_safe('COMMIT');
ends($slow, 'the task that was committed last');
ends($slow_wait, 'and the timer');

# What goes far to the front.
ends($node->safe_psql('postgres', "SELECT uaef.start_workflow('one', priority => 1000)"), 'a task of a high priority') for 1 .. 2;
$node->safe_psql('postgres', "BEGIN; SELECT uaef.start_workflow('one', idempotency_key => 'p'); PREPARE TRANSACTION 'p'");
ends(start('one'), 'a task after one that is prepared');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
ends($node->safe_psql('postgres', "SELECT execution_id FROM uaef.workflow_start_key WHERE idempotency_key = 'p'"),
	'the prepared one');

# One that somebody took while it stood in line, and gave back: it is found when
# the executor comes by the next time.
$session->query_safe('SELECT pg_advisory_lock(1)');
my $nap = start('nap');
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND backend_type = 'uaef executor'"),
	'the executor is busy');
my $taken = start('one');
$session->query_safe("BEGIN; SELECT uaef.cancel_workflow('$taken')");
$session->query_safe('SELECT pg_advisory_unlock(1)');
ends($nap, 'until its task ends');
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM uaef.worker_status WHERE kind = 'executor' AND state = 'idle'"),
	'it finds nothing then');
$session->query_safe('ROLLBACK');
ends(start('one'), 'the next task');
ends($taken, 'and the one that was given back');

# A session that claims for outside workers, and has come to the end.
my $worker = $node->background_psql('postgres');
start('jobs', 8_000);
is($worker->query_safe("SELECT count(*) FROM uaef.claim_tasks('w', 'q', 1000, '1 hour')"), 1000, 'many are claimed') for 1 .. 8;
is($worker->query_safe("SELECT count(*) FROM uaef.claim_tasks('w', 'q', 1000, '1 hour')"), 0, 'there is no other') for 1 .. 2;
$node->safe_psql('postgres', "SELECT uaef.start_workflow('job', priority => 1000)");
is($worker->query_safe("SELECT count(*) FROM uaef.claim_tasks('w', 'q', 10, '1 hour', wait => '30s')"), 1, 'one far in front is waited for');
$node->safe_psql('postgres', "SELECT uaef.start_workflow('job')");
is($worker->query_safe("SELECT count(*) FROM uaef.claim_tasks('w', 'q', 10, '1 hour')"), 1, 'one at the end is there at once');
$worker->quit;

# Other processes begin from the front.
$node->safe_psql('postgres', 'SELECT uaef.stop_worker()');
my @left = map { start($_) } 'one', 'short';
$node->safe_psql('postgres', 'SELECT uaef.start_worker()');
ends($_, 'a new worker finds what there is') for @left;

$session->quit;
$old->query_safe('COMMIT');
$old->quit;
is($node->safe_psql('postgres', 'SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger verifies');
$node->stop;
done_testing();
