# Deadlines, limits and retries of executions that have children, or undo what
# they did.
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
	SELECT uaef.create_workflow('undo', '{"timeout": "3s", "tasks": [
		{"id": "book", "type": "external", "queue": "book", "limits": [{"concurrency": 3}],
			"compensate": {"type": "external", "queue": "undo", "limits": [{"concurrency": 1}]}},
		{"id": "pay", "type": "external", "queue": "pay"}], "edges": [{"from": "book", "to": "pay"}]}');
	SELECT uaef.create_workflow('leaf', '{"tasks": [{"id": "t", "type": "external", "queue": "leaf"}]}');
	SELECT uaef.create_workflow('late leaf', '{"timeout": "200ms", "tasks": [{"id": "t", "type": "external", "queue": "late"}]}');
	SELECT uaef.create_workflow('late tree', '{"timeout": "200ms", "tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "leaf"}}]}');
	SELECT uaef.create_workflow('tree', '{"tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "late leaf"}}]}');
	SELECT uaef.create_workflow('one', '{"limits": [{"concurrency": 1}], "tasks": [
		{"id": "a", "type": "external", "queue": "a"}, {"id": "b", "type": "external", "queue": "b"}], "edges": [{"from": "a", "to": "b"}]}');
	SELECT uaef.create_workflow('ones', '{"tasks": [{"id": "m", "type": "map", "config": {"over": [{}, {}],
		"task": {"type": "workflow", "config": {"workflow": "one"}}}}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub start
{
	my ($workflow) = @_;
	return $node->safe_psql('postgres', "SELECT uaef.start_workflow('$workflow')");
}

sub becomes
{
	my ($id, $want, $what) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT concat_ws(' ', status, ending, error->>'code') = '$want'"
			  . " FROM uaef.workflow_run WHERE execution_id = '$id'"), $what);
}

# Do the next task of a queue, which may not be there yet.
sub work
{
	my ($queue, $fine) = @_;
	my $end = $fine // 1 ? "complete_task(task_id, '{}', lease_token)"
	  : "fail_task(task_id, 'no', false, lease_token)";
	return $node->poll_query_until('postgres',
		"SELECT count(uaef.$end) > 0 FROM uaef.claim_tasks('w', '$queue')");
}

my $undo = start('undo');
work('book');
becomes($undo, 'running failed deadline', 'a deadline has what was done undone');
is($node->safe_psql('postgres',
		"SELECT string_agg(limit_name, ' ') FROM uaef.limit_status WHERE running + waiting > 0"),
	'undo/book/1/compensate', 'a compensation has limits of its own');
work('undo');
becomes($undo, 'failed deadline', 'and the execution fails after that');

my $tree = start('late tree');
becomes($tree, 'failed deadline', 'a deadline of a parent');
ok($node->poll_query_until('postgres',
		"SELECT status = 'cancelled' FROM uaef.workflow_run WHERE parent_execution_id = '$tree'"),
	'ends its children');
$tree = start('tree');
becomes($tree, 'failed deadline', 'a deadline of a child fails the task that began it');

my $first = start('one');
work('a');
work('b', 0);
becomes($first, 'failed task_error', 'one of a limited number has failed');
my $second = start('one');
becomes($second, 'running', 'the next one has its place');
$node->safe_psql('postgres', "SELECT uaef.retry_workflow('$first')");
becomes($first, 'pending', 'so a retry waits');
work('a');
work('b');
becomes($second, 'completed', 'until the other has ended');
becomes($first, 'running', 'then it goes on');
is($node->safe_psql('postgres',
		"SELECT string_agg(task || ' ' || status, ', ' ORDER BY task) FROM uaef.task_run WHERE execution_id = '$first'"),
	'a completed, b queued', 'with what had failed');
work('b');
becomes($first, 'completed', 'to its end');

my $fork_of = $node->safe_psql('postgres', "SELECT uaef.fork_workflow('$first', 'b')");
becomes($fork_of, 'running', 'a fork of it asks for a place too');
work('b');
becomes($fork_of, 'completed', 'and keeps what it took over');

my $ones = start('ones');
my $children = "SELECT string_agg(status, ' ' ORDER BY status) FROM uaef.workflow_run WHERE parent_execution_id = '$ones'";
ok($node->poll_query_until('postgres', $children, 'pending running'),
	'the limits of children hold');
work('a');
work('b');
ok($node->poll_query_until('postgres', $children, 'completed running'),
	'the next child begins');
$node->safe_psql('postgres', "SELECT uaef.cancel_workflow('$ones')");
ok($node->poll_query_until('postgres', $children, 'cancelled completed'),
	'a cancel reaches it');
is($node->safe_psql('postgres',
		'SELECT (SELECT count(*) FROM uaef.limit_slot), (SELECT count(*) FROM uaef.limit_waiter)'),
	'0|0', 'and all places are given back');

$node->stop;
done_testing();
