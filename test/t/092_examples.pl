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

if (system('/usr/bin/python3', '-c', 'import psycopg2') == 0)
{
	python_worker();
	lambda();
}
postgrest();

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

# The serverless functions, called as their host does, by a role that may do what
# they do.
sub lambda
{
	$node->safe_psql('postgres', q{
		CREATE ROLE lambda LOGIN;
		SELECT uaef.grant_access('lambda', 'operator');
		SELECT uaef.create_webhook_source('shop', 'hmac', '{"header": "x-sign", "on": [{"start": {"workflow": "label", "input": {"text": "{{body.text}}"}}}]}', '{"keys": ["a key of the shop"]}')});
	my $sign = $node->safe_psql('postgres', q{SELECT encode(hmac('{"text": "new"}', 'a key of the shop', 'sha256'), 'hex')});
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => 'lambda',
		PYTHONPATH => "$FindBin::Bin/../../examples", PYTHONDONTWRITEBYTECODE => 1);
	my $said = sub {
		my ($handler, $event) = @_;
		my ($out, $errors) = run_command([ '/usr/bin/python3', '-c', <<'END', $handler, $event ]);
import json, sys
import lambda_function
event = json.loads(sys.argv[2])
handler = getattr(lambda_function, sys.argv[1])
handler({}, None)
lambda_function.connection.close()
answer = handler(event, None)
body = json.loads(answer["body"])
body.pop("execution_id", None)
print(answer["statusCode"], answer["headers"]["content-type"], body if "result" not in body else body["result"]["outcome"])
END
		is($errors, '', "$handler complains of nothing");
		return $out;
	};
	is($said->('workflow_trigger', '{"version": "2.0", "headers": {}, "body": "{\\"definition_id\\": \\"label\\"}"}'),
		q(200 application/json {'status': 'running', 'workflow_name': 'label'}), 'a workflow is started for a request');
	is($said->('workflow_trigger', '{"detail-type": "x", "detail": {}}'), q(400 application/json {'error': 'definition_id is required'}),
		'and not without its name');
	is($said->('webhook', qq({"pathParameters": {"source": "shop"}, "headers": {"X-Sign": "$sign"}, "body": "{\\"text\\": \\"new\\"}"})),
		'200 application/json accepted', 'a webhook is taken in');
	is($said->('schedule', '{"definition_id": "nothing"}'), q(404 application/json {'code': 'UA302', 'error': 'workflow "nothing" does not exist'}), 'a schedule of nothing');
	is($said->('task_execution', '{"queue": "empty", "worker": "lambda"}'), q(200 application/json {'tasks': []}), 'a worker without work');
	return;
}

# What PostgREST calls, as it does: the headers in a setting, the body as the one
# argument, the answer's status in a setting.
sub postgrest
{
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$FindBin::Bin/../../examples/postgrest.sql" ],
		'the functions for PostgREST are made');
	$node->safe_psql('postgres', q{SELECT uaef.create_webhook_source('github', 'github', '{}', '{"keys": ["a key for github"]}'), uaef.rotate_token_key()});
	my $rpc = sub {
		my ($call, $headers) = @_;
		return $node->safe_psql('postgres', <<"END");
BEGIN;
SET LOCAL ROLE web_anon;
SELECT set_config('request.headers', \$h\$$headers\$h\$, true) IS NULL AS set \\gset
SELECT convert_from($call, 'UTF8') AS body \\gset
SELECT current_setting('response.status'), current_setting('response.headers'), regexp_replace(:'body', '[0-9a-f-]{36}', 'ID');
COMMIT;
END
	};
	my $body = '{ "zen":  "spaces are signed" }';
	my $sign = $node->safe_psql('postgres', "SELECT encode(hmac('$body', 'a key for github', 'sha256'), 'hex')");
	is($rpc->("api.github('$body')", qq({"x-hub-signature-256": "sha256=$sign"})),
		'200|[{"Content-Type" : "application/json"}]|{"status": "received"}', 'a webhook by PostgREST');
	is($rpc->("api.github('{}')", qq({"x-hub-signature-256": "sha256=$sign"})),
		'401|[{"Content-Type" : "application/json"}]|{"error": "Invalid webhook signature"}', 'and one that is not signed so');
	my $token = $node->safe_psql('postgres', q{SELECT uaef.create_token('somebody', 'api')});
	is($rpc->(q(api.start('{"definition_id": "label"}')), '{}'),
		'401|[{"Content-Type" : "application/json"}]|{"code": "UA450", "error": "a bearer token is required"}', 'a start without a token');
	is($rpc->(q(api.start('{"definition_id": "label"}')), qq({"authorization": "Bearer $token"})),
		'200|[{"Content-Type" : "application/json"}]|{"status": "running", "execution_id": "ID", "workflow_name": "label"}', 'and with one');
	my ($status, $out, $error) = $node->psql('postgres', "SET ROLE web_anon; SELECT uaef.handle_workflow_trigger('{}')");
	like($error, qr/permission denied/, 'who comes by PostgREST may do nothing else');
	return;
}

$node->stop;
done_testing();
