# HTTP tasks of workflows: what an answer, or the lack of one, does to the
# task, its execution and the ledger.
use strict;
use warnings;

use HttpServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('http_task');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
uaef.http_timeout = '20s'
uaef.max_payload_size = '64kB'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $server = HttpServer->start;
my ($port, $url) = ($server->port, $server->url);
sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

my $made = 0;

# Start a workflow of one HTTP task with this config; more is JSON for the task.
sub begin
{
	my ($config, $more) = @_;
	my $name = 'w' . ++$made;

	$more //= '{}';
	sql(qq(SELECT uaef.create_workflow('$name', jsonb_build_object('tasks',
		jsonb_build_array('{"id":"call","type":"http"}'::jsonb || '$more'
			|| jsonb_build_object('config', '$config'::jsonb))))));
	return sql("SELECT uaef.start_workflow('$name', '{\"n\":7,\"name\":\"a b/c\"}')");
}

# The status of the execution, once it has ended, and the task's error.
sub outcome
{
	my ($id) = @_;

	return sql("SELECT uaef.wait_for_workflow('$id', '1min')") . ' '
	  . sql("SELECT coalesce(error ->> 'code', '') FROM uaef.task_execution
		WHERE execution_id = '$id' AND item = -1");
}

sub delivery
{
	my ($id, $expression) = @_;

	return sql("SELECT $expression FROM uaef.delivery WHERE execution_id = '$id'");
}

sub wait_for
{
	my ($id, $condition) = @_;

	$node->poll_query_until('postgres',
		"SELECT $condition FROM uaef.delivery WHERE execution_id = '$id'")
	  or die delivery($id, 'delivery::text');
	return;
}

my $retry = '{"retry":{"max_attempts":3,"initial":"50ms"}}';

# The answer is the task's output; templates are filled in.
my $ok = begin(qq({"url":"$url/echo/{{in.name}}","method":"POST","headers":{"X-N":"no {{in.n}}"},
	"body":{"n":"{{in.n}}"}}));
is(outcome($ok), 'completed ', 'answer');
is( sql(qq(SELECT output ->> 'status', output #>> '{headers,content-type}',
		output #>> '{body,path}', output #>> '{body,headers,x-n}', output #>> '{body,body}'
		FROM uaef.task_execution WHERE execution_id = '$ok')),
	'200|application/json|/echo/a%20b%2Fc|no 7|{"n": 7}',
	'output');
is(delivery($ok, 'response_body IS NULL'), 't', 'the body is stored once');

# A status that is expected is a success.
my $expected = begin(qq({"url":"$url/status/404/e","expect":{"status":[404]}}));
is(outcome($expected), 'completed ', 'expected status');

# The delivery retries, with one key, and the task is attempted once.
my $passes = begin(qq({"url":"$url/fail-first/2/t","method":"POST","body":{}}), $retry);
is(outcome($passes), 'completed ', 'a failure that passes');
is(delivery($passes, 'attempt'), 3, 'attempts of the delivery');
is(sql("SELECT attempt FROM uaef.task_execution WHERE execution_id = '$passes'"), 1,
	'attempts of the task');
my $key = delivery($passes, 'idempotency_key');
is_deeply([ $server->keys_of('/fail-first/2/t') ], [ ($key) x 3 ], 'one key');

is(outcome(begin(qq({"url":"$url/status/500/t"}), $retry)), 'failed http_500', 'server error');
is(scalar($server->keys_of('/status/500/t')), 3, 'as often as the policy says');
is(outcome(begin(qq({"url":"$url/status/400/t"}), $retry)), 'failed http_400', 'our error');

# What is in doubt is not sent again, whatever the policy asks for.
is( outcome(begin(qq({"url":"$url/hang/t","method":"POST","body":{}}),
		'{"timeout":"300ms","retry":{"max_attempts":3,"on":["in_doubt","http_timeout"]}}')),
	'failed in_doubt', 'no answer');
is(scalar($server->keys_of('/hang/t')), 1, 'sent once');
is( outcome(begin(qq({"url":"$url/reset/t"}),
		'{"retry":{"max_attempts":2,"initial":"50ms","on":["http_reset"]}}')),
	'failed http_reset', 'reset');
is(scalar($server->keys_of('/reset/t')), 2, 'codes that are listed are tried again, and by one delivery');

# An address that is not allowed fails the task.
is(outcome(begin('{"url":"http://127.0.0.3/"}', $retry)), 'failed UA401', 'no rule');

# An answer that the engine does not take is a failure that says so.
is(outcome(begin(qq({"url":"$url/big/131072"}))), 'failed UA001', 'an output that is too large');

# The wait of a delivery for its next attempt can be ended.
my $hurried = begin(qq({"url":"$url/fail-first/1/hurried","method":"POST","body":{}}), '{"retry":{"max_attempts":3,"initial":"1h"}}');
wait_for($hurried, q(status = 'retry'));
sql("SELECT uaef.retry_task_now(task_id) FROM uaef.task_run WHERE execution_id = '$hurried'");
is(outcome($hurried), 'completed ', 'retry_task_now() ends the wait of a delivery');

# A workflow that is cancelled sends nothing more.
my $waiting = begin(qq({"url":"$url/status/503/c"}), '{"retry":{"max_attempts":9,"initial":"1h"}}');
wait_for($waiting, q(status = 'retry'));
sql("SELECT uaef.cancel_workflow('$waiting')");
is(delivery($waiting, 'status'), 'cancelled', 'a retry is withdrawn');
my $sending = begin(qq({"url":"$url/hang/d"}), '{"timeout":"5s","retry":{"max_attempts":9,"initial":"1ms"}}');
wait_for($sending, q(status = 'sending'));
sql("SELECT uaef.cancel_workflow('$sending')");
wait_for($sending, 'finished_at IS NOT NULL');
is(delivery($sending, q(status || ' ' || attempt)), 'cancelled 1', 'an attempt under way is the last');
is(sql("SELECT uaef.wait_for_workflow('$sending')"), 'cancelled', 'and the execution stays cancelled');

# Many at once: all of a map's items, each once.
sql(qq(SELECT uaef.create_workflow('many', '{"tasks":[{"id":"each","type":"parallel",
	"config":{"over":"{{in.list}}","task":{"type":"http",
		"config":{"url":"$url/echo/many","method":"POST","body":{"i":"{{item}}"}}}}}]}')));
my $many = sql(q(SELECT uaef.start_workflow('many',
	jsonb_build_object('list', (SELECT jsonb_agg(i) FROM generate_series(1, 300) i)))));
is(sql("SELECT uaef.wait_for_workflow('$many', '1min')"), 'completed', 'many requests');
is( sql("SELECT count(*), count(DISTINCT output #>> '{body,body}') FROM uaef.task_execution
		WHERE execution_id = '$many' AND item >= 0 AND status = 'completed'"),
	'300|300', 'each item has its own answer');
is(scalar($server->keys_of('/echo/many')), 300, 'each was sent once');

# The execution's stream tells what came of its delivery.
is( sql("SELECT count(*), min(payload ->> 'idempotency_key') FROM uaef.ledger_event
		WHERE stream = '$passes' AND event_type = 'delivery_succeeded'"),
	"1|$key", 'event');
is(sql("SELECT count(*) FROM uaef.ledger_event WHERE payload::text LIKE '%key=1%'"), 0,
	'no query of a URL is in the ledger');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger verifies');

$node->stop('fast');
$server->stop;
done_testing();
