# The workers in examples/ do the tasks of their queues: what it puts out is the
# task's output, a command that fails fails the attempt, and a task whose lease
# ran out comes to it with a new lease.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
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

python_worker() if system('/usr/bin/python3', '-c', 'import psycopg2') == 0;

# The one in Python waits for its tasks, knows what it is able to do, and ends when
# it is told to, without leaving a task behind.
sub python_worker
{
	my $module = PostgreSQL::Test::Utils::tempdir;
	append_to_file("$module/jobs.py", <<'END');
class Wrong(Exception):
    retryable = False

def work(task):
    if "fail" in task.input:
        raise Wrong("cannot " + task.input["fail"])
    if "slow" in task.input:
        __import__("time").sleep(3)
    return {"text": task.input.get("text", "").upper(), "attempt": task.attempt}
END
	$node->safe_psql('postgres', q{SELECT uaef.create_workflow('photo', '{"tasks": [
		{"id": "develop", "type": "external", "queue": "photos", "config": {"capability": "colour"}}]}')});
	my %environment = (PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres',
		PGUSER => 'printer', PYTHONPATH => $module, PYTHONDONTWRITEBYTECODE => 1);
	my ($said, $errors) = ('', '');
	my $worker = IPC::Run::start([ 'env', (map { "$_=$environment{$_}" } keys %environment),
			'/usr/bin/python3', "$FindBin::Bin/../../examples/worker.py", '-n', 2,
			'labels,photos', 'jobs:work', 'colour' ], '>', \$said, '2>', \$errors);
	my $begin = sub { return $node->safe_psql('postgres', "SELECT uaef.start_workflow('$_[0]', '$_[1]')") };
	my $ends = sub {
		my ($id, $output, $what) = @_;
		ok($node->poll_query_until('postgres', "SELECT status IN ('completed', 'failed') FROM uaef.workflow_run WHERE execution_id = '$id'"),
			"$what ends");
		return is($node->safe_psql('postgres', "SELECT status, coalesce(output->>'text', error->>'message') FROM uaef.task_run WHERE execution_id = '$id'"),
			$output, $what);
	};

	$ends->($begin->('label', '{"text": "loud"}'), 'completed|LOUD', 'a task of the worker in Python');
	$ends->($begin->('photo', '{"text": "sea"}'), 'completed|SEA', 'one that needs a capability');
	$ends->($begin->('label', '{"fail": "print"}'), 'failed|Wrong: cannot print', 'an exception without retry');
	my $slow = $begin->('label', '{"slow": 1, "text": "late"}');
	ok($node->poll_query_until('postgres', "SELECT status = 'running' FROM uaef.task_run WHERE execution_id = '$slow'"),
		'a slow one runs');
	$worker->signal('TERM');
	my $took = seconds_of(sub { IPC::Run::finish($worker) });
	is($worker->full_result(0), 0, 'SIGTERM ends the worker') or diag($errors);
	cmp_ok($took, '<', 20, 'without the rest of its wait');
	$ends->($slow, 'completed|LATE', 'after what it had begun');
	is($errors, '', 'it had nothing to complain of');
	return;
}

$node->stop;
done_testing();
