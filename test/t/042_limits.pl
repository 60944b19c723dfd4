# Limits with workers: never more at once than allowed, no faster than allowed,
# and no place is lost when processes are killed.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\nuaef.max_executors = 4\nrestart_after_crash = on\nmax_worker_processes = 16\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	CREATE TABLE span (key text, began timestamptz, ended timestamptz);
	CREATE FUNCTION work(key text) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		began timestamptz := clock_timestamp();
	BEGIN
		PERFORM pg_sleep(0.2);
		INSERT INTO span VALUES (key, began, clock_timestamp());
		RETURN 1;
	END $$;
	-- the most that ran at once for a key
	CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS $$
		SELECT max((SELECT count(*) FROM span b WHERE b.key = a.key
			AND b.began <= a.began AND b.ended > a.began)) FROM span a $$;
	SELECT uaef.create_workflow('keyed', '{"tasks":[{"id":"t","type":"sql",
		"limits":[{"key":"{{in.key}}","concurrency":2}],
		"config":{"sql":"SELECT public.work($1->>''key'')"}}]}');
	SELECT uaef.create_workflow('sleepers', '{"tasks":[{"id":"t","type":"wait",
		"limits":[{"concurrency":1}],"config":{"for":"100ms"}}]}');
	SELECT uaef.create_workflow('paced', '{"tasks":[{"id":"t","type":"sql",
		"limits":[{"rate":"5/s"}],"config":{"sql":"SELECT public.work(''paced'')"}}]}');
	SELECT uaef.create_workflow('queued', '{"limits":[{"key":"{{in.key}}","concurrency":1}],
		"tasks":[{"id":"t","type":"external","queue":"queued"}]}');
	SELECT uaef.create_workflow('skipped', '{"limits":[{"concurrency":1}],"on_limit":"skip",
		"tasks":[{"id":"t","type":"external","queue":"skipped"}]}');
	SELECT uaef.create_workflow('newest', '{"limits":[{"concurrency":1}],"on_limit":"cancel_oldest",
		"tasks":[{"id":"t","type":"external","queue":"newest"}]}');
	SELECT uaef.create_workflow('external', '{"tasks":[{"id":"t","type":"external","queue":"x","limits":[{"concurrency":1}]}]}');
	SELECT uaef.create_workflow('input', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT public.work($1->>''key'')"}}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text); }

sub becomes
{
	my ($query, $expected, $message) = @_;
	my $ok = $node->poll_query_until('postgres', $query, $expected);
	diag(sql('SELECT * FROM uaef.limit_status') . "\n" . sql("SELECT * FROM uaef.limit_key")) if !$ok;
	return ok($ok, $message);
}

sub statuses
{
	my ($workflow) = @_;
	return "SELECT string_agg(status, ' ' ORDER BY created_at) FROM uaef.workflow_run WHERE workflow = '$workflow'";
}

my $open = q(SELECT count(*) FROM uaef.workflow_run WHERE status IN ('pending', 'running'));
my $kept = q{SELECT (SELECT count(*) FROM uaef.limit_slot) || ' ' || (SELECT count(*) FROM uaef.limit_waiter)
	|| ' ' || (SELECT count(*) FROM uaef.limit_change) || ' ' || (SELECT coalesce(sum(running), 0) FROM uaef.limit_key)};

# Concurrency, per key.
sql(q(SELECT count(uaef.start_workflow('keyed', jsonb_build_object('key', 'k' || i % 2))) FROM generate_series(1, 40) i));
becomes($open, '0', 'all tasks run');
is(sql('SELECT count(*) FROM span'), '40', 'each once');
is(sql('SELECT peak()'), '2', 'two at once for a key, and no more');
becomes($kept, '0 0 0 0', 'nothing is kept');

# What is handed out by a timer.
sql(q(SELECT count(uaef.start_workflow('sleepers')) FROM generate_series(1, 3) i));
becomes($open, '0', 'waits under a limit end');
is(sql(q(SELECT count(*) FROM uaef.task_run a JOIN uaef.task_run b
	ON a.workflow = 'sleepers' AND b.workflow = 'sleepers' AND a.task_id < b.task_id
	AND a.started_at < b.completed_at AND b.started_at < a.completed_at)), '0', 'one after the other');

# A rate.
sql(q(TRUNCATE span; SELECT count(uaef.start_workflow('paced')) FROM generate_series(1, 4) i));
becomes($open, '0', 'tasks under a rate run');
cmp_ok(sql('SELECT extract(epoch FROM max(began) - min(began)) FROM span'), '>=', 0.55, 'no faster than allowed');
becomes($kept, '0 0 0 0', 'nothing is kept');

# Limits of executions.
sql(q(SELECT uaef.start_workflow('queued', '{"key":"a"}'); SELECT uaef.start_workflow('queued', '{"key":"a"}');
	SELECT uaef.start_workflow('queued', '{"key":"b"}')));
becomes(statuses('queued'), 'running pending running', 'the second of a key waits');
sql(q(SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'queued', 10)));
becomes(statuses('queued'), 'completed running completed', 'and begins when the first has ended');
sql("SELECT uaef.start_workflow('skipped')") for 1 .. 3;
becomes(statuses('skipped'), 'running cancelled cancelled', 'later ones are skipped');
sql(q(SELECT uaef.start_workflow('newest')));
becomes(statuses('newest'), 'running', 'one runs');
sql(q(SELECT uaef.start_workflow('newest')));
becomes(statuses('newest'), 'cancelled running', 'the oldest makes place');
sql(q(SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE status = 'running'));
becomes($kept, '0 0 0 0', 'nothing is kept');

# Somebody takes a task out of the line, then changes their mind.
sql(q(SELECT uaef.start_workflow('external') FROM generate_series(1, 2)));
becomes('SELECT count(*) FROM uaef.limit_slot', '1', 'one has the place');
my $session = $node->background_psql('postgres');
$session->query_safe(q(BEGIN; SELECT uaef.complete_task(t.task_id) FROM uaef.task_execution t JOIN uaef.limit_waiter w USING (execution_id)));
sql(q(SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'x', 1)));
becomes('SELECT count(*) FROM uaef.limit_slot', '0', 'the place is free');
$session->query_safe('ROLLBACK');
$session->quit;
becomes('SELECT count(*) FROM uaef.limit_slot', '1', 'who stays in the line gets it');

# A worker that loses its lease loses the place too; the next attempt asks again.
sql(q(SELECT task_id FROM uaef.claim_tasks('w', 'x', 1, '100 ms')));
becomes(q(SELECT count(*) FROM uaef.task_ready WHERE queue = 'x'), '1', 'a lost lease is handed out again');
is(sql('SELECT count(*) FROM uaef.limit_slot'), '1', 'with one place');
sql(q(SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'x', 1)));
becomes($kept, '0 0 0 0', 'nothing is kept');

# Debounce: one execution, with the last input.
sql(q(TRUNCATE span; SELECT count(uaef.start_workflow('input', jsonb_build_object('key', i), debounce_key => 'd', debounce => '200 ms')) FROM generate_series(1, 5) i));
becomes($open, '0', 'the debounced execution ran');
is(sql("SELECT string_agg(key, ' ') FROM span"), '5', 'once, with the last input');

# kill -9 of executors and of the worker, again and again.
sql(q(TRUNCATE span; SELECT count(uaef.start_workflow('keyed', jsonb_build_object('key', 'k' || i % 3))) FROM generate_series(1, 60) i));
for my $kind ('uaef executor', 'uaef worker', 'uaef executor')
{
	my $done = sql('SELECT count(*) FROM span');
	$node->poll_query_until('postgres', "SELECT count(*) > $done OR count(*) = 60 FROM span");
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$kind' LIMIT 1");
	$node->kill_process($pid) if $pid;
}
becomes($open, '0', 'after kill -9 all tasks run');
is(sql('SELECT count(*) FROM span'), '60', 'each once');
cmp_ok(sql('SELECT peak()'), '<=', 2, 'never more at once than allowed');
becomes($kept, '0 0 0 0', 'no place is lost');

is(sql("SELECT count(*) FROM uaef.verify_ledger() WHERE code <> 'UNSEALED_OVERDUE'"), '0', 'the ledger verifies');

# A map over the limit is refused, and says why.
sql(q(SELECT uaef.create_workflow('map', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.items}}","task":{"type":"external","queue":"m"}}}]}')));
my $run = sql(q(SET uaef.max_payload_size = '64MB';
	SELECT uaef.start_workflow('map', jsonb_build_object('items', (SELECT jsonb_agg(i) FROM generate_series(1, 1000000) i)))));
is(sql("SELECT status || ' ' || (error->>'code') || ' ' || (error->>'message') FROM uaef.workflow_run WHERE execution_id = '$run'"),
	'failed UA001 a list of 1000000 items is longer than uaef.max_map_items (100000)', 'a list of a million is refused');
is(sql("SELECT count(*) FROM uaef.task_execution WHERE execution_id = '$run'"), '1', 'and nothing of it is kept');
$node->stop;
done_testing();
