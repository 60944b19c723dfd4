# The worker in examples/ does the tasks of its queue: what it puts out is the
# task's output, a command that fails fails the attempt, and a task whose lease
# ran out comes to it with a new lease.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $example = "$FindBin::Bin/../../examples/worker.sh";
plan skip_all => 'the examples are not beside the tests' if !-e $example;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	CREATE ROLE printer LOGIN;
	SELECT uaef.grant_access('printer', 'worker');
	SELECT uaef.create_workflow('label', '{"tasks": [
		{"id": "print", "type": "external", "queue": "labels",
		 "retry": {"max_attempts": 2, "initial": "1ms"}}]}');
});

# Run the example for so many tasks, as the role that may only do this.
sub work
{
	my ($tasks, @command) = @_;

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port,
		PGDATABASE => 'postgres', PGUSER => 'printer');
	return run_log([ 'timeout', 60, $example, '-n', $tasks, 'labels', @command ]);
}

sub start
{
	return $node->safe_psql('postgres',
		q(SELECT uaef.start_workflow('label', '{"text": "A|b''c"}')));
}

sub output_of
{
	return $node->safe_psql('postgres',
		"SELECT status, output FROM uaef.task_run WHERE execution_id = '$_[0]'");
}

my $id = start();
ok(work(1, 'cat'), 'the worker ends after one task');
is(output_of($id), q(completed|{"text": "A|b'c"}), 'what the command put out is the output');

$id = start();
ok(work(2, 'false'), 'a command that fails does not end the worker');
is( $node->safe_psql('postgres',
		"SELECT status, attempt, error->>'code' FROM uaef.task_run WHERE execution_id = '$id'"),
	'failed|2|task_error', 'it fails the attempts');

$id = start();
ok(work(1, 'echo', 'no JSON'), 'a worker outlives output that is refused');
is( $node->safe_psql('postgres',
		"SELECT status, attempt, error->>'message' FROM uaef.task_run WHERE execution_id = '$id'"),
	'failed|1|output refused', 'which fails the task');

# A worker that says nothing loses its task.
$id = start();
my $lost = $node->safe_psql('postgres', q(SELECT task_id || ', ''{}'', ''' || lease_token || ''''
	FROM uaef.claim_tasks('dead', 'labels', 1, '10 ms')));
ok(work(1, 'cat'), 'the next worker gets the task');
like(output_of($id), qr/^completed/, 'and completes it');
my ($status, $out, $error) = $node->psql('postgres',
	"\\set VERBOSITY sqlstate\nSELECT uaef.complete_task($lost)");
like($error, qr/UA306/, 'the result of the dead one is refused');

$node->stop;
done_testing();
