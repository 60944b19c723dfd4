# Requests of connectors, judged by libraries of others: signatures of SQS by
# smithy's, with fauxqs as the queues behind them; tokens for Service Bus by
# Azure's; client credentials by oauth2-mock-server, whose tokens jose verifies.
# They come from NODE_PATH or the registry of packages of node; without them, or
# without node, the test is skipped.
#
# ORACLE_MESSAGES says how many messages each signature is tried with.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy qw(copy);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IPC::Open2 qw(open2);
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use Test::More;
use UaefCluster;

my $messages = $ENV{ORACLE_MESSAGES} // 25;
my $packages = 'fauxqs@1.9.2 oauth2-mock-server@9 @smithy/signature-v4@5 @aws-crypto/sha256-js@5 @azure/core-amqp@4 jose@6';
my $folder = tempdir(CLEANUP => 1);

plan skip_all => 'no node' if system('node --version > /dev/null 2>&1') != 0;
copy("$FindBin::Bin/../oracle/connectors.mjs", $folder) or die $!;
symlink $ENV{NODE_PATH}, "$folder/node_modules" if $ENV{NODE_PATH} && -d "$ENV{NODE_PATH}/fauxqs";
if (!-e "$folder/node_modules")
{
	system("cd $folder && timeout 120 npm install --no-audit --no-fund $packages > /dev/null 2>&1") == 0
	  or plan skip_all => "node's packages $packages cannot be had";
}

my $pid = open2(my $from, my $to, 'node', "$folder/connectors.mjs");
my $line = <$from> // plan skip_all => "node's packages do not run with this node";
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $server = $json->decode($line);
my $url = "http://127.0.0.1:$server->{port}";
my $http = HTTP::Tiny->new;
my $cluster = UaefCluster->new(conf => "fsync = off\nuaef.http_max_concurrent = 100\n");

END { close $to if $to; waitpid $pid, 0 if $pid; }

sub said { return $json->decode($http->get("$url/said")->{content}); }

sub sql { my ($statement) = @_; return $cluster->query("SET client_min_messages = warning;\n$statement"); }

sub quoted { my ($value) = @_; return '$json$' . $json->encode($value) . '$json$'; }

sub connector
{
	my ($name, $type, $config, $secret) = @_;

	return "SELECT uaef.create_connector('$name', '$type', " . quoted($config) . ', ' . quoted($secret) . ");\n";
}

sub all_end
{
	my ($what) = @_;
	my $open = 'SELECT count(*) FROM uaef.delivery WHERE finished_at IS NULL';

	$cluster->poll($open, 0, 240 + $messages) or diag($cluster->query('SELECT status, error FROM uaef.delivery WHERE finished_at IS NULL LIMIT 5'));
	is($cluster->query("SELECT count(*), min(error::text) FROM uaef.delivery WHERE status <> 'succeeded'"), '0|', $what);
	return;
}

sql("SELECT uaef.allow_egress('127.0.0.1', NULL, 'http', '127.0.0.1/32')");

# Texts as JSON may have them, and some that canonical forms stumble on.
my @texts = ('x', ' two  spaces ', "line\nbreak", 'ß 中 € ü', 'a+b=c&d%20e', '', '~-._/\\', '"quoted"', 'x' x 5000);
utf8::decode($_) for @texts;
sub text { my ($n) = @_; return $texts[ $n % @texts ] . ' ' . $n; }

# SQS: three identities, each to a plain queue and to one that keeps order.
my ($made, $sent) = ('', '');
foreach my $n (0 .. $#{ $server->{hosts} })
{
	my ($id, $key, $token) = @{ $server->{hosts}[$n]{identity} };
	my %config = (region => 'us-east-1', endpoint => "http://127.0.0.1:$server->{hosts}[$n]{port}/",
		attributes => { kind => '{{payload.text}}' }, body => '{{payload}}');
	my %secret = (access_key_id => $id, secret_access_key => $key, $token ? (session_token => $token) : ());

	$made .= connector("plain$n", 'sqs', { %config, url => $server->{plain} }, \%secret);
	$made .= connector("fifo$n", 'sqs', { %config, url => $server->{fifo}, group_id => 'g{{payload.n}}' }, \%secret);
}
foreach my $n (1 .. $messages)
{
	my $payload = quoted({ n => $n % 5, text => text($n) });
	$sent .= sprintf "SELECT uaef.send('%s%d', %s, operation => '%s');\n", $n % 2 ? 'plain' : 'fifo', $n % @{ $server->{hosts} },
	  $n % 7 == 0 ? ("jsonb_build_array(${payload}::jsonb, ${payload}::jsonb)", 'send_batch') : ($payload, 'send');
}
sql($made . $sent);
all_end("$messages messages to queues");
my $told = said();
is("$told->{sqs_differ} of $told->{sqs}", "0 of $messages", 'signatures of SQS are those of the library') or diag($json->encode($told->{examples}));

# Received, taken away once it is started, and nothing is left.
my %queue = (region => 'us-east-1', endpoint => "http://127.0.0.1:$server->{hosts}[0]{port}/");
my %keys = (access_key_id => $server->{hosts}[0]{identity}[0], secret_access_key => $server->{hosts}[0]{identity}[1]);

sub left_in
{
	my ($queue) = @_;
	my $answer = $http->post("http://127.0.0.1:$server->{queue_port}/", {
		headers => { 'content-type' => 'application/x-amz-json-1.0', 'x-amz-target' => 'AmazonSQS.GetQueueAttributes' },
		content => $json->encode({ QueueUrl => $queue, AttributeNames => ['All'] }) });
	my $attributes = $json->decode($answer->{content})->{Attributes};

	return join '+', @$attributes{qw(ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible)};
}

sql(q(SELECT uaef.create_workflow('take', '{"tasks": [{"id": "a", "type": "condition", "config": {"when": {"in.text": {"$ne": ""}}}}]}')));
sql(connector('cycle', 'sqs', { %queue, url => $server->{cycle},
			receive => { on => [ { start => { workflow => 'take', input => '{{body}}' } } ], wait => 1, visibility => 1 } }, \%keys)
	  . connector('poison', 'sqs', { %queue, url => $server->{poison},
			receive => { on => [ { start => { workflow => '{{body.workflow}}' } } ], wait => 1 } }, \%keys));
$http->post("$url/keep/2");
sql("SELECT count(uaef.send('cycle', jsonb_build_object('text', 't' || n))) FROM generate_series(1, 15) n;
	SELECT uaef.send('poison', '{\"workflow\": \"nowhere\"}')");
all_end('messages for ourselves');
ok($cluster->poll("SELECT count(*), count(DISTINCT input) FROM uaef.workflow_execution WHERE status = 'completed'", '15|15', 60),
	'each message starts one execution');
my $until = time + 30;
sleep 1 while left_in($server->{cycle}) ne '0+0' && time < $until;
is(left_in($server->{cycle}), '0+0', 'and is taken away from the queue');
is(said()->{kept}, 2, 'at last: it could not be at first, and came again when it was visible');
ok($cluster->poll('SELECT count(*) FROM uaef.parked_message', 1, 60),
	'a message that cannot be handled is parked');
is($cluster->query('SELECT count(*) FROM uaef.workflow_execution'), '15', 'and starts nothing');
$until = time + 30;
sleep 1 while left_in($server->{poison}) ne '0+0' && time < $until;
is(left_in($server->{poison}), '0+0', 'its queue is empty too');

# Service Bus: each message with a policy, a key and a path of its own.
$made = $sent = '';
foreach my $n (1 .. $messages)
{
	my $name = ('Root', 'send-only', 'a b', 'ü&=')[ $n % 4 ] . $n;
	my $key = ('YWJj', 'abc/+==', 'k e y', 'x' x 44)[ $n % 3 ] . $n;
	utf8::decode($name);
	my @parts = map { my $bytes = $_; utf8::encode($bytes); encode_base64url($bytes) } $name, $key;

	$made .= connector("bus$n", 'servicebus', { url => "$url/sb/$parts[0]/$parts[1]/~queue-$n.x", key_name => $name, max_concurrent => 5 }, { key => $key });
	$sent .= "SELECT uaef.send('bus$n', " . quoted(text($n)) . ");\n";
}
sql($made . $sent);
all_end("$messages messages to Service Bus");
$told = said();
is("$told->{sb_differ} of $told->{sb}", "0 of $messages", 'its tokens are those of the library') or diag($json->encode($told->{examples}));

# Client credentials.
my $secret = 'a/b:é';
utf8::decode($secret);
my %auth = (type => 'oauth2', token_url => "http://127.0.0.1:$server->{token_port}/token", client_id => 'uaef client', scope => 'all');

sub send_some
{
	my ($name, $n) = @_;

	sql("SELECT count(uaef.send('$name', '{}')) FROM generate_series(1, $n)");
	return;
}
sql(connector('api', 'webhook', { url => "$url/api", auth => \%auth }, { client_secret => $secret }));
send_some('api', 20);
all_end('calls with a token');
$told = said();
is("$told->{tokens} $told->{api} $told->{api_refused}", '1 20 0', 'one token for all, which the library believes');
$http->post("$url/revoke");
send_some('api', 5);
all_end('calls after the token was revoked');
$told = said();
is("$told->{tokens} $told->{api}", '2 25', 'another token is fetched');
ok($told->{api_refused} > 0, 'because the first was refused');
$http->post("$url/life/1");
$http->post("$url/revoke");
send_some('api', 1);
all_end('a token that lives for a second');
$cluster->query('SELECT pg_sleep(1.1)');
send_some('api', 1);
all_end('and one after it');
is(said()->{tokens}, 4, 'a token that is over is not used');
sql(connector('stranger', 'webhook', { url => "$url/api", auth => { %auth, scope => 'x' } }, { client_secret => 'wrong' }));
send_some('stranger', 1);
ok($cluster->poll(q(SELECT error ->> 'code' FROM uaef.delivery WHERE connector = 'stranger'), 'session_refused', 60), 'a client that is not known is refused');
like($cluster->query(q(SELECT error ->> 'message' FROM uaef.delivery WHERE connector = 'stranger')), qr/401, invalid_client$/, 'as the server says, and no more of it');
is(said()->{refused_clients}, 1, 'after one look');

done_testing();
