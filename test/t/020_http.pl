# Deliveries to servers that answer well, badly, or not at all.
use strict;
use warnings;

use HttpServer;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use UaefNode;

my $node = UaefNode->new('http');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
uaef.http_max_response_size = '1MB'
uaef.http_retry_after_max = '20s'
uaef.http_timeout = '20s'
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $server = HttpServer->start;
my $port = $server->port;
my $url = $server->url;
sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");

# The next port that nobody listens on.
my $refused = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my $refused_port = $refused->sockport;
close $refused;
sql("SELECT uaef.allow_egress('127.0.0.1', $refused_port, 'http', '127.0.0.1/32')");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

my $made = 0;

# Make a connector of this URL and options, and send through it.
sub deliver
{
	my ($to, $options) = @_;
	my $name = 'c' . ++$made;

	$options //= '{}';
	sql(qq(SELECT uaef.create_connector('$name', 'webhook',
		'{"retry":{"max_attempts":3,"initial":"50ms"}}'
		|| jsonb_build_object('url', '$to') || '$options')));
	return sql(qq(SELECT uaef.send('$name', '{"amount":1}')));
}

sub wait_for
{
	my ($id, $condition) = @_;

	$node->poll_query_until('postgres',
		"SELECT $condition FROM uaef.delivery WHERE delivery_id = $id")
	  or die "delivery $id: " . column($id, 'd::text');
	return;
}

sub eventually
{
	my ($holds) = @_;
	my $limit = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($holds->())
	{
		die 'waited too long' if time > $limit;
		Time::HiRes::usleep(10_000);
	}
	return;
}

sub column
{
	my ($id, $expression) = @_;

	return sql("SELECT $expression FROM uaef.delivery d WHERE delivery_id = $id");
}

my $no_retry = '{"retry":{"max_attempts":1}}';
my $idempotent = '{"idempotent":true}';
my $get = '{"method":"GET"}';

# Each fault with the status, the error, the attempts and the phase of the last
# one that it must lead to.
my @faults = (
	['answer', '/echo', undef, 'succeeded', '', 1, 'answered'],
	['answer without body', '/status/204', undef, 'succeeded', '', 1, 'answered'],
	['not found', '/status/404', undef, 'failed', 'http_404', 1, 'answered'],
	['server error', '/status/500', undef, 'failed', 'http_500', 3, 'answered'],
	['server error that passes', '/fail-first/2/a', undef, 'succeeded', '', 3, 'answered'],
	['server error, no retry', '/status/503', $no_retry, 'failed', 'http_503', 1, 'answered'],
	['codes to retry', '/status/404/', '{"retry":{"max_attempts":2,"initial":"50ms","on":["http_4xx"]}}',
		'failed', 'http_404', 2, 'answered'],
	['redirect', '/redirect/http://127.0.0.1/', undef, 'failed', 'http_302', 1, 'answered'],
	['no answer', '/hang/a', '{"timeout":"300ms"}', 'in_doubt', 'in_doubt', 1, 'sent'],
	['no answer, idempotent', '/hang/b', '{"timeout":"300ms","idempotent":true}',
		'in_doubt', 'in_doubt', 3, 'sent'],
	['no answer, GET', '/hang/c', '{"timeout":"300ms","method":"GET"}',
		'failed', 'http_timeout', 3, 'sent'],
	['drops', '/drip', '{"timeout":"500ms"}', 'in_doubt', 'in_doubt', 1, 'sent'],
	['reset', '/reset/a', undef, 'in_doubt', 'in_doubt', 1, 'sent'],
	['reset, idempotent', '/reset/b', $idempotent, 'in_doubt', 'in_doubt', 3, 'sent'],
	['reset within the body', '/reset-body', undef, 'in_doubt', 'in_doubt', 1, 'sent'],
	['reset, GET', '/reset/c', $get, 'failed', 'http_reset', 3, 'sent'],
	['headers too large', '/headers/80', undef, 'failed', 'response_too_large', 1, 'sent']);
my %ids = map { $_->[0] => deliver($url . $_->[1], $_->[2]) } @faults;
$ids{refused} = deliver("http://127.0.0.1:$refused_port/");
push @faults, ['refused', undef, undef, 'failed', 'http_connect', 3, 'not_sent'];

foreach my $fault (@faults)
{
	my ($name, undef, undef, @expected) = @$fault;
	my $id = $ids{$name};

	wait_for($id, 'finished_at IS NOT NULL');
	is( sql("SELECT d.status, coalesce(d.error ->> 'code', ''), d.attempt, a.phase
			FROM uaef.delivery d JOIN uaef.delivery_attempt a USING (delivery_id, attempt)
			WHERE delivery_id = $id"),
		join('|', @expected), $name);
}

# Each attempt carries the delivery's one key.
my $key = column($ids{'server error that passes'}, 'idempotency_key');
is_deeply([ $server->keys_of('/fail-first/2/a') ], [ ($key) x 3 ],
	'attempts have the same idempotency key');
is(scalar($server->keys_of('/hang/a')), 1, 'what is in doubt is not sent again');
is(scalar($server->keys_of('/reset/b')), 3, 'what is idempotent is sent again');
is(scalar($server->keys_of('/reset/a')), 1, 'no request is repeated behind our back');

# What the server sees.
is(column($ids{answer}, q(response_body ->> 'body')), '{"amount": 1}', 'body');
is( column($ids{answer}, q(response_body #>> '{headers,content-type}')),
	'application/json', 'content type');
is(column($ids{answer}, q((response_body #>> '{headers,idempotency-key}') = idempotency_key
	AND (response_body #>> '{headers,webhook-id}') = idempotency_key)),
	't', 'headers with the key');

# Bodies become jsonb whatever their bytes are.
my @bodies = (
	['json', '/json/7b2261223a317d', '{"a": 1}'],
	['malformed json', '/json/7b2261223a', '"{\"a\":"'],
	['json that jsonb refuses', '/json/225c753030303022', '"\"\\\\u0000\""'],
	['json number out of range', '/json/316539393939393939', '"1e9999999"'],
	['deep json', '/json/' . '5b' x 3000, 'string'],
	['text', '/bytes/c3a4', '"ä"'],
	['invalid UTF-8', '/bytes/41ff42', '{"base64": "Qf9C"}'],
	['zero byte', '/bytes/410042', '{"base64": "QQBC"}']);
foreach my $body (@bodies)
{
	my ($name, $path, $expected) = @$body;
	my $id = deliver($url . $path, $get);

	wait_for($id, 'finished_at IS NOT NULL');
	is(column($id, 'status'), 'succeeded', "$name: status");
	is( column($id, $expected eq 'string'
			? 'jsonb_typeof(response_body)' : 'response_body'),
		$expected, "$name: body");
}

# Retry-After is the least wait, in seconds or as a date, up to the limit.
my %waits = (
	'/status/429/Retry-After/3' => [ 2, 13 ],
	'/status/503/Retry-After/86400' => [ 19, 30 ],
	'/status/503/Retry-After/soon' => [ 0, 10 ],
	'/retry-date/4' => [ 1.5, 14 ]);
my %waiting = map { $_ => deliver($url . $_, '{"retry":{"initial":"50ms"}}') }
  sort keys %waits;
foreach my $path (sort keys %waits)
{
	my ($least, $most) = @{ $waits{$path} };
	my $id = $waiting{$path};

	wait_for($id, 'attempt > 1 OR status = $$retry$$');
	my $wait = sql("SELECT extract(epoch FROM
		coalesce(b.started_at, d.next_attempt_at) - a.finished_at)
		FROM uaef.delivery d JOIN uaef.delivery_attempt a ON a.delivery_id = d.delivery_id
		LEFT JOIN uaef.delivery_attempt b ON b.delivery_id = d.delivery_id AND b.attempt = 2
		WHERE d.delivery_id = $id AND a.attempt = 1");
	cmp_ok($wait, '>=', $least, "$path waits long enough");
	cmp_ok($wait, '<', $most, "$path does not wait too long");
}
wait_for($waiting{'/status/429/Retry-After/3'}, 'attempt = 2');
sql('UPDATE uaef.delivery SET cancel_requested = true WHERE finished_at IS NULL');
wait_for($_, 'finished_at IS NOT NULL') foreach values %waiting;

# Endless and huge answers cost no more memory than the limit allows.
my $worker = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef worker'));

sub worker_peak_kb
{
	return slurp_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 : die;
}
my $before = worker_peak_kb();
my @big = map { deliver("$url/big/300000000", $_) } ($get) x 5, (undef) x 5;
my $bomb = deliver("$url/gzip-bomb", $get);
foreach my $id (@big)
{
	wait_for($id, 'finished_at IS NOT NULL');
	is(column($id, q(concat_ws(' ', status, error ->> 'code', response_body IS NULL))),
		'failed response_too_large t', 'a huge answer is refused');
}
wait_for($bomb, 'finished_at IS NOT NULL');
is(column($bomb, q(status || ' ' || length(response_body ->> 'base64'))) =~ /^succeeded \d{5}$/,
	1, 'an answer that was not asked to be packed is not unpacked');
cmp_ok(worker_peak_kb() - $before, '<', 48 * 1024, 'memory of the worker');

# An answer that there is no memory to parse waits until there is.
SKIP:
{
	skip 'the sanitizers need addresses without a limit', 2 if $ENV{UAEF_SANITIZE};
	my ($mapped) = slurp_file("/proc/$worker/status") =~ /^VmSize:\s+(\d+) kB/m;
	my $log_start = -s $node->logfile;
	system_or_bail('prlimit', "--pid=$worker", '--as=' . ($mapped + 16 * 1024) * 1024 . ':');
	my $ones = deliver("$url/ones/500000", $get);
	eventually(sub { column($ones, 'status') eq 'succeeded'
		|| slurp_file($node->logfile, $log_start) =~ /could not record the result of delivery $ones: out of memory/ });
	is(column($ones, 'status'), 'sending', 'an answer that does not fit the memory now');
	system_or_bail('prlimit', "--pid=$worker", '--as=unlimited:');
	wait_for($ones, 'finished_at IS NOT NULL');
	is(column($ones, q(concat_ws(' ', status, attempt, jsonb_typeof(response_body)))),
		'succeeded 1 array', 'is recorded later, as what it is');
}

# A connector that is paused waits.
my $paused = sql(qq(SELECT uaef.create_connector('paused', 'webhook', '{"url":"$url/echo/paused"}');
	SELECT uaef.pause_connector('paused');
	SELECT uaef.send('paused', '{}'))) =~ s/.*\n//sr;
my $other = deliver("$url/echo/other");
wait_for($other, 'finished_at IS NOT NULL');
is(column($paused, 'status'), 'pending', 'paused connector');
sql(q(SELECT uaef.resume_connector('paused')));
wait_for($paused, q(status = 'succeeded'));

# Addresses that are not public need a rule that names their network: without
# it not even a connection is opened.
my $listener = IO::Socket::INET->new(
	Listen => 5,
	LocalAddr => '127.0.0.2') or die "cannot listen: $!";
my $listener_port = $listener->sockport;
foreach my $host ('127.0.0.2', '::ffff:127.0.0.2', '2130706434', '0x7f.2', '0177.0.0.2')
{
	my $written = $host =~ /:/ ? "[$host]" : $host;

	sql("SELECT uaef.allow_egress('$host', $listener_port, 'http')");
	my $id = deliver("http://$written:$listener_port/");
	wait_for($id, 'finished_at IS NOT NULL');
	is(column($id, q(concat_ws(' ', status, error ->> 'code', attempt))),
		'failed egress_denied 1', "$host is denied");
}
my $hop = deliver("$url/redirect/http://127.0.0.2:$listener_port/");
wait_for($hop, 'finished_at IS NOT NULL');
ok(!IO::Select->new($listener)->can_read(0), 'no packet reached the denied address');

# A rule of one role does not open the connections of another, even where the
# connection stands already.
sql('CREATE ROLE trusted; CREATE ROLE stranger;
	GRANT USAGE ON SCHEMA uaef TO trusted, stranger;
	GRANT EXECUTE ON FUNCTION uaef.send(text, jsonb, text, text, integer, timestamptz) TO trusted, stranger');
sql(qq(DELETE FROM uaef.egress_rule;
	SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32', 'trusted');
	SELECT uaef.allow_egress('127.0.0.1', $port, 'http', NULL, 'stranger');
	SELECT uaef.create_connector('shared', 'webhook', '{"url":"$url/echo/shared","idempotent":true}')));
my ($trusted, $stranger) = map {
	my $id = sql("SET ROLE $_; SELECT uaef.send('shared', '{}')");
	wait_for($id, 'finished_at IS NOT NULL');
	$id;
} qw(trusted stranger);
is(column($trusted, 'status'), 'succeeded', 'the role with the rule');
is(column($stranger, q(error ->> 'code')), 'egress_denied', 'the role without');
is(scalar($server->keys_of('/echo/shared')), 1, 'one request arrived');

# A rule that goes away between sending and the attempt stops it.
sql(q(SELECT uaef.pause_connector('shared')));
my $late = sql(q(SET ROLE trusted; SELECT uaef.send('shared', '{}')));
sql(q(SELECT uaef.deny_egress(rule_id) FROM uaef.egress_rule));
sql(q(SELECT uaef.resume_connector('shared')));
wait_for($late, 'finished_at IS NOT NULL');
is(column($late, q(error ->> 'code')), 'egress_denied', 'rules are looked at again');
sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");

# No transaction is open while a server keeps us waiting, others are served
# meanwhile, and a shutdown does not wait for it.
my $slow = deliver("$url/hang/slow");
my $slow_again = deliver("$url/hang/slow-again", $idempotent);
$node->poll_query_until('postgres',
	q(SELECT count(*) = 2 FROM uaef.delivery WHERE status = 'sending'))
  or die 'not sending';
my $quick = deliver("$url/echo/quick");
wait_for($quick, q(status = 'succeeded'));
ok($node->poll_query_until('postgres', q(SELECT backend_xmin IS NULL AND backend_xid IS NULL
		AND (SELECT count(*) = 2 FROM uaef.delivery WHERE status = 'sending')
		FROM pg_stat_activity WHERE backend_type = 'uaef worker')),
	'no transaction stays open during the requests');
eventually(sub { $server->keys_of('/hang/slow-again') == 1 && $server->keys_of('/hang/slow') == 1 });
my $stop = time;
$node->stop('fast');
cmp_ok(time - $stop, '<', 15, 'shutdown with requests under way');

# After it, what is not certain is said, and only what may be repeated is.
$node->start;
wait_for($slow, q(status = 'in_doubt'));
wait_for($slow_again, q(attempt = 2 AND status = 'sending'));
is(column($slow_again, 'uncertain'), 't', 'an attempt that was cut off may have had its effect');

# The same after a crash of the worker.
eventually(sub { $server->keys_of('/hang/slow-again') == 2 });
$node->kill_process(sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef worker')));
wait_for($slow_again, q(attempt = 3 AND status = 'sending'));
eventually(sub { $server->keys_of('/hang/slow-again') == 3 });
my $one_key = column($slow_again, 'idempotency_key');
is_deeply([ $server->keys_of('/hang/slow-again') ], [ ($one_key) x 3 ], 'with the same key');
is(scalar($server->keys_of('/hang/slow')), 1, 'and what is in doubt is left alone');

$node->stop('immediate');
$server->stop;
done_testing();
