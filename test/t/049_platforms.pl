# Connectors to models and to providers of payments, against strict servers.
use strict;
use warnings;

use JSON::PP;
use PeerCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = PeerCluster->start('platforms', "uaef.http_timeout = '5s'\n");
my $url = $peer->server->url;

# How a delivery ended, and a task's output of it.
sub outcome
{
	my ($connector, $payload, $operation) = @_;

	return $peer->ended($peer->send($connector, $payload, $operation),
		q(concat_ws(' ', status, error ->> 'code', attempt)));
}

sub message
{
	return $peer->sql("SELECT error ->> 'message' FROM uaef.delivery ORDER BY delivery_id DESC LIMIT 1");
}

my $runs = 0;

sub output
{
	my ($connector, $payload, $operation) = @_;
	my $name = 'run' . ++$runs;
	my $json = JSON::PP->new->ascii->canonical->allow_nonref;
	my $definition = $json->encode({ tasks => [ { id => 'ask', type => 'connector', config =>
				{ connector => $connector, payload => '{{in}}', ($operation ? (operation => $operation) : ()) } } ] })
	  =~ s/"\{\{in}}"/{"{{in.payload}}":0}/r;
	$definition = $definition =~ s/\{"\{\{in.payload}}":0}/"{{in.payload}}"/r;

	$peer->sql("SELECT uaef.create_workflow('$name', '$definition')");
	my $input = $json->encode({ payload => $payload }) =~ s/'/''/gr;
	my $id = $peer->sql("SELECT uaef.start_workflow('$name', '$input')");
	$peer->node->poll_query_until('postgres',
		"SELECT status IN ('completed', 'failed') FROM uaef.workflow_run WHERE execution_id = '$id'");
	my $text = $peer->sql("SELECT output -> 'ask' FROM uaef.workflow_run WHERE execution_id = '$id'");
	return $text eq '' ? {} : $json->decode($text);
}

sub last_body { return JSON::PP->new->decode(($peer->requests)[-1]->{body}); }

# Anthropic.
my $claude = $peer->connector('anthropic', {});
my $out = output($claude, "say h\x{e9}llo");
is($out->{text}, "h\xc3\xa9llo", 'text');
is_deeply($out->{usage}, { input_tokens => 12, output_tokens => 5 }, 'usage, with what a cache had');
is("$out->{cost} $out->{currency}", '0.000111 USD', 'its cost, exactly');
is("$out->{stop_reason} $out->{request_id} $out->{model}", 'end_turn req_stub large', 'and more');
my %chat = (messages => [ { role => 'user', content => 'tool look_up' } ], system => 'Be short.',
	tools => [ { name => 'look_up', input_schema => { type => 'object' } } ], max_tokens => 99);
$out = output($claude, \%chat);
is_deeply($out->{tool_calls}, [ { id => 'toolu_1', name => 'look_up', input => { n => 1 } } ], 'tool calls');
is_deeply(last_body(), { %chat, model => 'large' }, 'the request is passed through');
is(outcome($claude, 'fail 529 1'), 'succeeded 2', 'overloaded, then not');
is(outcome($claude, 'fail 500'), 'failed anthropic_api_error 3', 'never right');
is(message(), 'told to (request req_stub)', 'with the number of the request');
is(outcome($claude, 'fail spend'), 'failed anthropic_spend_limit 1', 'a limit of spending is final');
my $late = $peer->send($claude, 'fail 429 1');
is($peer->ended($late, q(concat_ws(' ', status, attempt))), 'succeeded 2', 'too many');
is($peer->sql("SELECT (SELECT started_at FROM uaef.delivery_attempt WHERE delivery_id = $late AND attempt = 2)
	- (SELECT finished_at FROM uaef.delivery_attempt WHERE delivery_id = $late AND attempt = 1) >= '1s'"),
	't', 'waits as long as it is told to');
is(outcome($peer->connector('anthropic', {}, { api_key => 'wrong' }), 'say x'),
	'failed anthropic_authentication_error 1', 'a key that is wrong');
is(outcome($peer->connector('anthropic', {}, {}), 'say x'), 'failed UA425 1', 'no key');
foreach my $fault ([ 'reset', 'in_doubt in_doubt 1' ], [ 'reset-body', 'in_doubt in_doubt 1' ],
	[ 'html', 'in_doubt in_doubt 1' ], [ 'cut-json', 'in_doubt in_doubt 1' ], [ 'nul', 'in_doubt in_doubt 1' ],
	[ 'scalar', 'in_doubt in_doubt 1' ], [ 'big', 'failed response_too_large 1' ],
	[ '504', 'in_doubt in_doubt 1' ], [ '503.1', 'succeeded 2' ], [ 'redirect', 'failed http_302 1' ],
	[ 'garbage', 'in_doubt in_doubt 1' ], [ '408.1', 'succeeded 2' ])
{
	foreach my $type (qw(anthropic openai))
	{
		my $base = $type eq 'openai' ? 'gpt' : 'claude';
		my $c = $peer->connector($type, { url => "$url/$base/~$fault->[0]" });
		is(outcome($c, 'say x'), $fault->[1], "$type, fault $fault->[0]");
	}
}
is(outcome($peer->connector('anthropic', { url => "$url/claude/~reset.1", idempotent => JSON::PP::true }), 'say x'),
	'succeeded 2', 'asked again where the config lets it');

# OpenAI.
my $gpt = $peer->connector('openai', { max_tokens => 50 });
$out = output($gpt, 'say hi');
is_deeply([ @{$out}{qw(text stop_reason request_id cost)} ], [ 'hi', 'stop', 'req_gpt', 0.000013 ], 'a completion');
is_deeply(last_body(), { model => 'small', max_tokens => 50,
		messages => [ { role => 'user', content => 'say hi' } ] }, 'its request');
$out = output($gpt, 'tool add');
is_deeply($out->{tool_calls}, [ { id => 'call_1', name => 'add', input => { n => 1 } },
		{ id => 'call_2', name => 'add', input => '{n' } ], 'tool calls, one that is no JSON');
is(outcome($gpt, 'x quota'), 'failed openai_insufficient_quota 1', 'no quota is final');
is(outcome($peer->connector('openai', {}, {}), 'x'), 'failed openai_invalid_api_key 1', 'no key');
foreach my $bad (qq({}), '{"messages": []}', '7', '{"messages": [{}], "stream": true}', 'null')
{
	my (undef, undef, $error) = $peer->node->psql('postgres', "SELECT uaef.send('$gpt', '$bad')");
	like($error, qr/invalid payload/, "no chat: $bad");
}

# LangServe and plain agents.
my $chain = $peer->connector('langserve', {});
$out = output($chain, 'abc');
is("$out->{text} $out->{usage}{input_tokens} $out->{request_id}", 'abc 4 r1', 'a chain');
is_deeply(output($chain, [ 'a', 'b' ], 'batch')->{output}, [ 'a', 'b' ], 'a batch');
is(outcome($peer->connector('langserve', { url => "$url/chain/x" }), {}), 'succeeded 1', 'a chain elsewhere');
is(outcome($peer->connector('langserve', { url => "$url/chain/~scalar" }), {}), 'in_doubt in_doubt 1', 'no output');
$out = output($peer->connector('agent_http', {}), 'shout');
is("$out->{text} $out->{usage}{output_tokens}", 'SHOUT 2', 'an agent of its own');
is(outcome($peer->connector('agent_http', { text => 'reply.none' }), 'x'), 'in_doubt in_doubt 1', 'no text');

# Payouts.
my $pay = $peer->connector('payout', {});
my %payment = (amount => '12.50', currency => 'EUR', reference => 'ref/1');
$out = output($pay, \%payment);
is("$out->{state} " . ($out->{reference} =~ /^pay_/ ? 'named' : 'not'), 'accepted named', 'a payment');
$out = output($pay, { reference => 'ref/1' }, 'lookup');
ok($out->{found} && $out->{state} eq 'accepted', 'is found');
$out = output($pay, { reference => 'ref/2' }, 'lookup');
ok(!$out->{found} && $out->{status} == 404, 'another is not, which is an answer');
is(outcome($pay, { amount => '0', reference => 'r3' }), 'failed http_422 1', 'refused');
is(outcome($pay, { amount => '500', reference => 'r4' }), 'succeeded 2', '500 is asked again');
$peer->server->put('pay-drop', '1');
is(outcome($pay, { amount => '1', reference => 'r5' }), 'succeeded 2', 'an answer that is lost, too');
my %keys;
$keys{ $_->{headers}{'idempotency-key'} }++
  foreach $peer->requests(sub { $_[0]{body} =~ /r[45]"/ });
is_deeply([ values %keys ], [ 2, 2 ], 'with the same key');
my $once = $peer->connector('payout', { contract => { idempotency => 'none', lookup => 'by_reference' } });
is(outcome($once, { amount => '500', reference => 'r6' }), 'in_doubt in_doubt 1', 'not where keys mean nothing');
is(outcome($peer->connector('payout', { url => "$url/pay/~503" }), { reference => 'r7' }),
	'in_doubt in_doubt 3', 'never a clear answer');
is(outcome($peer->connector('payout', { url => "$url/pay/~scalar" }), { reference => 'r8' }),
	'in_doubt in_doubt 3', 'an answer without the payment');

my $dump = $peer->sql(q(SELECT string_agg(t, chr(10)) FROM (
	SELECT d::text FROM uaef.delivery d UNION ALL SELECT a::text FROM uaef.delivery_attempt a
	UNION ALL SELECT e::text FROM uaef.ledger_event e UNION ALL SELECT c::text FROM uaef.connector c) x(t)));
unlike($dump, qr/canary/, 'no secret in the tables');
unlike(slurp_file($peer->node->logfile), qr/canary/, 'and none in the log');

$peer->node->stop;
done_testing();
