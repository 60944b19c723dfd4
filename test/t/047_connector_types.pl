# The types of connectors, against servers that check what they are sent.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_base64);
use MIME::Base64;
use PeerCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = PeerCluster->start('types', "uaef.http_timeout = '10s'\n");
my $url = $peer->server->url;
my $what = q(concat_ws(' ', status, error ->> 'code', attempt));

sub outcome
{
	my ($connector, $payload, $operation) = @_;

	return $peer->ended($peer->send($connector, $payload, $operation), $what);
}

sub output
{
	my ($connector, $payload, $operation) = @_;

	return $peer->ended($peer->send($connector, $payload, $operation),
		q(concat_ws(' ', status, error ->> 'code', response_status, response_body::text)));
}

# The last request that the server got.
sub last_request { return ($peer->requests)[-1]; }

# Webhooks: the forms of bodies, and signatures.
my $form = $peer->connector('webhook', { body => 'form' });
is(outcome($form, { 'a b' => "x&y\x{e9}", list => [ 1, 'zwei' ], no => undef }),
	'succeeded 1', 'a form');
is(last_request()->{body}, 'a%20b=x%26y%C3%A9&list=1&list=zwei', 'its body');
is(last_request()->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'its type');
my $binary = $peer->connector('webhook', { body => 'binary' });
is(outcome($binary, encode_base64('plain bytes', '')), 'succeeded 1', 'binary');
is(last_request()->{body}, 'plain bytes', 'its body');
my $text = $peer->connector('webhook', { body => 'text' });
is(outcome($text, "f\x{fc}nf"), 'succeeded 1', 'text');
is(last_request()->{headers}{'content-type'}, 'text/plain; charset=utf-8', 'its type');
foreach my $bad ([ $text, {} ], [ $form, { a => { b => 1 } } ], [ $binary, 'no base64' ])
{
	my $payload = JSON::PP->new->allow_nonref->encode($bad->[1]);
	my (undef, undef, $error) =
	  $peer->node->psql('postgres', "SELECT uaef.send('$bad->[0]', '$payload')");
	like($error, qr/invalid payload/, "$bad->[0] refuses $payload");
}

my @keys = map { encode_base64($_ x 24, '') } 'k', 'l';
my $signed = $peer->connector('webhook', { sign => 'standard' },
	{ signing_key => "whsec_$keys[0]", second_signing_key => $keys[1] });
is(outcome($signed, { a => 1 }), 'succeeded 1', 'a signed webhook');
my $headers = last_request()->{headers};
my $to_sign = join('.', @{$headers}{qw(webhook-id webhook-timestamp)}, '{"a": 1}');
is($headers->{'webhook-signature'},
	join(' ', map { 'v1,' . hmac_sha256_base64($to_sign, decode_base64($_)) . '=' } @keys),
	'signatures by both keys');
ok(abs($headers->{'webhook-timestamp'} - time) < 60, 'and the time');
is(outcome($peer->connector('webhook', { sign => 'standard' }, {}), {}),
	'failed UA425 1', 'no key, and nothing is sent');

# Who we are.
foreach my $auth (
	[ 'basic', { type => 'basic', username => "us\x{e9}r" }, { password => 'canary-password' } ],
	[ 'bearer', { type => 'bearer' }, { token => 'canary-token' } ],
	[ 'header', { type => 'header', header => 'X-API-Key' }, { value => 'canary-value' } ],
	[ 'oauth', { type => 'oauth2', token_url => "$url/oauth/token", client_id => 'uaef client' },
		{ client_secret => 'canary:client&secret' } ],
	[ 'oauth', { type => 'oauth2', token_url => "$url/oauth/token", client_id => 'uaef client',
			client => 'post', scope => 'a b', audience => 'https://x' },
		{ client_secret => 'canary:client&secret' } ])
{
	my ($kind, $config, $secret) = @$auth;
	my %hook = (url => "$url/hook/$kind", auth => $config);

	is(outcome($peer->connector('webhook', \%hook, $secret), {}), 'succeeded 1', "auth $kind");
}
is(outcome($peer->connector('webhook', { url => "$url/hook/bearer", auth => { type => 'bearer' } },
	{ token => "a\nX-Other: b" }), {}), 'failed UA425 1', 'a secret cannot begin a header');

# OAuth 2.0: one token for all, a new one when it ends, no token at all.
sub tokens { return scalar grep { $_->{path} =~ m{^/oauth} } $peer->requests; }
my $before = tokens();
my $oracle = $peer->connector('oracle', {});
$peer->sql(qq(SELECT uaef.send('$oracle',
	jsonb_build_object('resource', 'items', 'data', jsonb_build_object('Id', n)))
	FROM generate_series(1, 30) n));
$peer->node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.delivery
	WHERE connector = '$oracle' AND finished_at IS NULL");
is($peer->sql("SELECT status, count(*), max(attempt) FROM uaef.delivery
	WHERE connector = '$oracle' GROUP BY 1"), 'succeeded|30|1', '30 deliveries');
is(tokens() - $before, 1, 'one token for all');
is(outcome($peer->connector('oracle', {}, { client_secret => 'wrong' }),
	{ resource => 'items', data => { Id => 1 } }, 'create'),
	'failed session_refused 1', 'a secret that is wrong');
unlike($peer->sql('SELECT string_agg(d::text, chr(10)) FROM uaef.delivery d'),
	qr/bad secret/, 'what a server says of it is not repeated');
is(outcome($peer->connector('oracle', { auth => { type => 'oauth2',
		token_url => "$url/oauth/~s-503/token", client_id => 'uaef client' } }),
	{ resource => 'items', data => { Id => 1 } }), 'failed session_unavailable 3',
	'a token server that is down');
is(outcome($peer->connector('oracle', { auth => { type => 'oauth2',
		token_url => 'http://127.0.0.2:1/token', client_id => 'x' } }),
	{ resource => 'items', data => { Id => 1 } }), 'failed egress_denied 1',
	'a token server that no rule allows');
is(outcome($peer->connector('oracle', { url => "$url/fusion/~expired.1" }),
	{ resource => 'items', data => { Id => 100 } }), 'succeeded 2', 'a token that ended');
is($peer->sql("SELECT outcome, error_code, http_status FROM uaef.delivery_attempt
	WHERE delivery_id = (SELECT max(delivery_id) FROM uaef.delivery) ORDER BY attempt"),
	"retry|session_expired|401\nsucceeded||201", 'is recorded');
is(outcome($peer->connector('oracle', { url => "$url/fusion/~expired",
		retry => { max_attempts => 1 } }),
	{ resource => 'items', data => { Id => 100 } }), 'failed http_401 2', 'but once only');

# Oracle: media types, upsert, ETags, actions, errors.
$oracle = $peer->connector('oracle', { resource => 'invoices', framework_version => '4' });
like(output($oracle, { data => { Id => 1, Amount => 5 } }), qr/^succeeded 201 /, 'create');
like(outcome($oracle, { data => { Id => 1 } }), qr/^failed oracle_jbo_25013 1/, 'again');
like(output($oracle, { data => { Id => 1, Amount => 6 } }, 'upsert'), qr/^succeeded 200 /, 'upsert');
is(last_request()->{headers}{'upsert-mode'}, 'true', 'by its mode');
is(outcome($oracle, { id => 1, data => { Amount => 7 }, etag => '"1"' }, 'update'),
	'failed etag_mismatch 1', 'an ETag that is stale');
is(outcome($oracle, { id => 1, data => { Amount => 7 }, etag => '"2"' }, 'update'),
	'succeeded 1', 'one that is not');
like(output($oracle, { id => 1, query => { fields => 'Id,Amount' } }, 'get'),
	qr/^succeeded 200 .*"Amount": 7/, 'get');
is(last_request()->{path}, '/fusion/invoices/1?fields=Id,Amount', 'its path');
like(output($oracle, { id => 1, action => 'validate', parameters => { deep => JSON::PP::true } }, 'action'),
	qr/"validate"/, 'an action');
is(last_request()->{body}, '{"name": "validate", "parameters": [{"deep": true}]}', 'its body');
is(outcome($oracle, { id => 1 }, 'delete'), 'succeeded 1', 'delete');
is(outcome($oracle, { id => 1 }, 'delete'), 'failed http_404 1', 'what is not there');
is(outcome($oracle, { resource => 'problem', data => {} }), 'failed oracle_poz_2130405 1', 'an error');
is(outcome($oracle, { resource => 'plain', data => {} }), 'failed http_400 1', 'one in plain text');
like($peer->sql("SELECT error ->> 'message' FROM uaef.delivery ORDER BY delivery_id DESC LIMIT 1"),
	qr/ORA-01400/, 'with its words');

# SAP: the token and all cookies, keys, functions, errors.
my $sap = $peer->connector('sap', { entity => 'Orders' });
sub csrf { return scalar grep { ($_->{headers}{'x-csrf-token'} // '') eq 'Fetch' } $peer->requests; }
like(output($sap, { key => { ID => '1' } }, 'get'), qr/^failed sap_iwbep_cm_mgw_rt_020 404/, 'an error of version 2');
is(csrf(), 0, 'reading needs no token');
is(outcome($sap, { data => { ID => "a'b", Text => "\x{20ac}" } }), 'succeeded 1', 'create');
is(outcome($sap, { key => "a'b", data => { Text => 'y' }, etag => '*' }, 'update'), 'succeeded 1', 'update');
is(last_request()->{path}, "/sap/Orders('a''b')", 'a key with a quote');
is(csrf(), 1, 'one token for both');
like(output($sap, { key => "a'b" }, 'get'), qr/"Text": "y"/, 'get');
is(outcome($sap, { key => "a'b", data => {}, etag => 'W/"1"' }, 'update'),
	'failed etag_mismatch 1', 'an ETag that is stale');
$peer->server->put('life', '0');
my $short = $peer->connector('sap', { entity => 'Orders', retry => { max_attempts => 1 } });
is(outcome($short, { data => { ID => 'short' } }), 'failed http_403 2', 'a token that never holds');
$peer->server->put('life');
is(outcome($peer->connector('sap', { url => "$url/sap/~expired.1", entity => 'Orders',
		retry => { max_attempts => 1 } }), { data => { ID => 'late' } }), 'succeeded 2',
	'one that ended');
is(outcome($sap, { function => 'Release', parameters => { Order => "a'b", N => 1 } }, 'call'),
	'succeeded 1', 'a function');
is(last_request()->{path}, "/sap/Release?N=1&Order='a''b'", 'its path');
is(outcome($sap, { entity => 'Broken', data => {} }), 'failed sap_sy_530 1', 'an error of version 2');
like($peer->sql("SELECT error ->> 'message' FROM uaef.delivery ORDER BY delivery_id DESC LIMIT 1"),
	qr/^Order is locked/, 'with its words');
is(outcome($sap, { entity => 'Broken4', data => {} }), 'failed sap_so_001 1', 'of version 4');
is(outcome($sap, { key => "a'b", etag => '*' }, 'delete'), 'succeeded 1', 'delete');
is(outcome($peer->connector('sap', {}, { password => 'wrong' }), { entity => 'Orders', data => {} }),
	'failed session_refused 1', 'a password that is wrong');

# SQS: signatures, batches, FIFO, what came back.
my $sqs = $peer->connector('sqs', { attributes => { kind => '{{payload.kind}}' } });
is(outcome($sqs, { kind => "f\x{fc}nf  drei", n => 1 }), 'succeeded 1', 'a message');
like(last_request()->{body}, qr/"uaef-idempotency-key": \{"DataType": "String"/, 'carries the key');
is(outcome($peer->connector('sqs', {}), { a => "\x{1f600}" }), 'succeeded 1', 'UTF-8');
is(outcome($peer->connector('sqs', {}, { access_key_id => 'AKIDEXAMPLE', secret_access_key => 'x' }), {}),
	'failed sqs_signature_does_not_match 1', 'a signature that is wrong');
is(outcome($peer->connector('sqs', {}, { access_key_id => 'AKIDEXAMPLE',
		secret_access_key => 'canary-sqs-secret/+=', session_token => 'canary-session' }), {}),
	'succeeded 1', 'with a session token');
is(last_request()->{headers}{'x-amz-security-token'}, 'canary-session', 'which is sent');
like(last_request()->{headers}{authorization}, qr/x-amz-security-token/, 'and signed');
is(outcome($peer->connector('sqs', { url => "$url/123/missing" }), {}),
	'failed sqs_queue_does_not_exist 1', 'no queue');
is(outcome($peer->connector('sqs', { url => "$url/123/garble" }), {}),
	'in_doubt in_doubt 1', 'a digest that differs');
my $fifo = $peer->connector('sqs', { url => "$url/123/q~reset-body.1.fifo", region => 'eu-west-1',
	group_id => '{{payload.g}}' });
is(outcome($fifo, { g => 'one', n => 1 }), 'succeeded 2', 'FIFO, sent again when in doubt');
like(output($sqs, [ { kind => 1 }, { kind => 2 } ], 'send_batch'),
	qr/^succeeded 200 .*"Id": "1"/, 'a batch');
is(outcome($peer->connector('sqs', {}), [ 'a', 'refuse' ], 'send_batch'),
	'failed sqs_invalid_message_contents 1', 'a batch of which a part is refused');
foreach my $bad (q([]), q([1,2,3,4,5,6,7,8,9,10,11]), q({"a":1}))
{
	my (undef, undef, $error) =
	  $peer->node->psql('postgres', "SELECT uaef.send('$sqs', '$bad', NULL, 'send_batch')");
	like($error, qr/invalid payload/, "no batch: $bad");
}

# Service Bus: tokens, properties, codes.
my $bus = $peer->connector('servicebus', { session_id => '{{payload.s}}', subject => "n\x{fc}\x{1f600}",
	properties => { amount => '{{payload.n}}', name => '{{payload.s}}' }, time_to_live => 60 });
is(outcome($bus, { s => 'x', n => 1.5 }), 'succeeded 1', 'a message');
$headers = last_request()->{headers};
is_deeply(JSON::PP->new->decode($headers->{brokerproperties}),
	{ MessageId => $headers->{'idempotency-key'}, SessionId => 'x', Label => "n\x{fc}\x{1f600}",
		TimeToLive => 60 }, 'its broker properties');
is("$headers->{amount} $headers->{name}", '1.5 "x"', 'and others');
is(outcome($peer->connector('servicebus', {}, { key => 'wrong' }), {}),
	'failed servicebus_unauthorized 1', 'a key that is wrong');
is(outcome($peer->connector('servicebus', { url => "$url/sb/missing" }), {}),
	'failed servicebus_gone 1', 'no queue');
is(outcome($peer->connector('servicebus', { url => "$url/sb/full" }), {}),
	'failed servicebus_quota 3', 'a queue that is full');

# As tasks.
my $definition = JSON::PP->new->encode({
	tasks => [ { id => 'put', type => 'connector', config =>
			{ connector => $sqs, operation => 'send', payload => { kind => '{{in.kind}}' } } } ],
	output => { id => '{{task.put.message_id}}' } });
$peer->sql("SELECT uaef.create_workflow('send', '$definition')");
my $execution = $peer->sql(q(SELECT uaef.start_workflow('send', '{"kind":"k"}')));
$peer->node->poll_query_until('postgres',
	"SELECT status IN ('completed', 'failed') FROM uaef.workflow_execution WHERE execution_id = '$execution'");
like($peer->sql("SELECT output ->> 'id' FROM uaef.workflow_execution WHERE execution_id = '$execution'"),
	qr/^[0-9a-f-]{36}$/, 'the output of a task');

# What a secret held is not left in the worker's memory, once all is sent: of
# parts that nothing is made of, not even by libcurl.
sub memory_holds
{
	my ($pid, $text) = @_;
	my $held = 0;

	open my $maps, '<', "/proc/$pid/maps" or return;
	open my $memory, '<:raw', "/proc/$pid/mem" or return;
	while (<$maps>)
	{
		my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ 00:00/ or next;
		sysseek $memory, hex $from, 0;
		sysread($memory, my $bytes, hex($to) - hex $from) // next;
		$held++ while $bytes =~ /\Q$text\E/g;
	}
	return $held;
}
my $kept = $peer->connector('webhook', { url => "$url/hook/oauth", auth => {
		type => 'oauth2', token_url => "$url/oauth/token", client_id => 'uaef client', client => 'post' } },
	{ client_secret => 'canary:client&secret', password => 'never sent, never kept; ' x 2000 });
is(outcome($kept, { n => $_ }), 'succeeded 1', "a secret of two parts, $_") for 1 .. 3;
my $worker = $peer->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef worker' AND datname = 'postgres'");
SKIP:
{
	skip 'the sanitizers keep what was freed', 2 if $ENV{UAEF_SANITIZE};
	skip 'the memory of processes cannot be read here', 2 if !defined memory_holds($worker, $kept);
	cmp_ok(memory_holds($worker, $kept), '>', 0, 'the memory of the worker holds the name of a connector');
	is(memory_holds($worker, 'never sent, never kept'), 0, 'and no copy of its secret');
}

# No secret is in a table or in the log.
my $dump = $peer->sql(q(SELECT string_agg(t, chr(10)) FROM (
	SELECT d::text FROM uaef.delivery d UNION ALL SELECT a::text FROM uaef.delivery_attempt a
	UNION ALL SELECT e::text FROM uaef.ledger_event e UNION ALL SELECT c::text FROM uaef.connector c) x(t)));
unlike($dump, qr/canary|Y2FuYXJ5/, 'no secret in the tables');
unlike(slurp_file($peer->node->logfile), qr/canary|Y2FuYXJ5|access\./, 'and none in the log');

$peer->node->stop;
done_testing();
