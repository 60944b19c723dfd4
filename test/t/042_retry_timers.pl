# Timers of what was reset, or altered, since they were set: each leaves alone
# what it no longer belongs to.
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
	CREATE TABLE run (key text PRIMARY KEY, e uuid);
	CREATE FUNCTION start(workflow text, key text) RETURNS void LANGUAGE sql
		AS 'INSERT INTO run VALUES (key, uaef.start_workflow(workflow))';
});
wait_for_worker($node, 'postgres', 'the worker runs');

# wait until no timer of this kind is due within a minute
sub fired
{
	my ($kind) = @_;
	return $node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM uaef.task_timer WHERE kind = '$kind' AND due_at < now() + interval '1 min')");
}

sub tasks
{
	my ($key) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(task || ' ' || status, ', ' ORDER BY task) FROM uaef.task_run JOIN run ON e = execution_id WHERE key = '$key'");
}

# A task that waited for its next attempt is reset; what it follows on runs again.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('again', '{"tasks": [{"id": "a", "type": "external", "queue": "q"},
		{"id": "b", "type": "external", "queue": "q", "retry": {"max_attempts": 3, "initial": "500ms", "jitter": 0}}],
		"edges": [{"from": "a", "to": "b"}]}');
	SELECT start('again', 'again');
	SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'q');
	BEGIN;
	SELECT uaef.fail_task(task_id, 'no', true, lease_token) FROM uaef.claim_tasks('w', 'q');
	SELECT uaef.cancel_workflow(e), uaef.retry_workflow(e, 'a') FROM run WHERE key = 'again';
	COMMIT;
});
ok(fired('retry'), 'the timer of the former attempt has fired');
is(tasks('again'), 'a queued, b pending', 'the task waits for the one before it');

# The same where a policy had put it off.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('put off', '{"tasks": [{"id": "a", "type": "external", "queue": "p"},
		{"id": "b", "type": "external", "queue": "p"}], "edges": [{"from": "a", "to": "b"}]}');
	SELECT uaef.create_policy('pace', 'rate_limit', '{"max": 1, "window": "2s"}', 'strict', '{"workflow": "put off", "task": "b"}');
	SELECT start('put off', 'first'), start('put off', 'second');
	BEGIN;
	SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'p', 2);
	INSERT INTO run SELECT 'later', execution_id FROM uaef.policy_decision WHERE decision = 'put_off';
	SELECT uaef.cancel_workflow(e), uaef.retry_workflow(e, 'a') FROM run WHERE key = 'later';
	COMMIT;
});
ok(fired('policy'), 'the timer of the policy has fired');
is(tasks('later'), 'a queued, b pending', 'the task waits for the one before it');

# A longer timeout of a task that waits counts, and so does a shorter one.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('signal', '{"tasks": [{"id": "t", "type": "signal", "config": {"name": "s", "timeout": "1s"}}]}');
	SELECT start('signal', 'signal');
	SELECT uaef.alter_task(e, 't', timeout => '1h') FROM run WHERE key = 'signal';
});
ok(fired('timeout'), 'the timer of the former timeout has fired');
is(tasks('signal'), 't waiting_input', 'the task waits for longer');
is($node->safe_psql('postgres', q{
	SELECT FROM run, uaef.alter_task(e, 't', timeout => '1s') WHERE key = 'signal';
	SELECT uaef.wait_for_workflow(e, '20s') FROM run WHERE key = 'signal';
}) =~ s/^\n//r, 'failed', 'a shorter timeout ends it');

$node->stop;
done_testing();
