# Gates: concurrency, rates, breakers, priorities; and what people do about
# deliveries that did not go well.
use strict;
use warnings;

use HttpServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('gates');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
uaef.http_max_concurrent = 20
uaef.http_max_per_gate = 18
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $server = HttpServer->start;
my $other = HttpServer->start;

foreach my $port ($server->port, $other->port)
{
	sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");
}

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# Make a connector of this name, server, path and options.
sub connector
{
	my ($name, $to, $path, $options) = @_;
	my $url = $to->url . $path;

	sql(qq(SELECT uaef.create_connector('$name', 'webhook',
		'{"retry":{"max_attempts":1},"idempotent":true}'
		|| jsonb_build_object('url', '$url') || '$options')));
	return;
}

sub eventually
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
	return;
}

# How many of a connector's attempts were under way at one time, at most.
sub most_at_once
{
	my ($connector) = @_;

	return sql(qq(SELECT max(n) FROM (
		SELECT sum(step) OVER (ORDER BY at, step) AS n
		FROM uaef.delivery_log, LATERAL (VALUES (started_at, 1), (finished_at, -1)) v(at, step)
		WHERE connector LIKE '$connector') s));
}

# A fast connector does not wait behind a slow one to another host, whatever
# waits there.
connector('slow', $server, '/hang/slow', '{"timeout":"20s"}');
connector('fast', $other, '/status/200', '{}');
sql("SELECT count(uaef.send('slow', '{}')) FROM generate_series(1, 50)");
eventually("count(*) = 18 FROM uaef.delivery WHERE status = 'sending'",
	'a gate has its places');
sql("SELECT count(uaef.send('fast', '{}')) FROM generate_series(1, 30)");
eventually("count(*) = 30 FROM uaef.delivery WHERE connector = 'fast' AND status = 'succeeded'",
	'a fast connector passes a slow one');
is(sql("SELECT count(*) FROM uaef.delivery WHERE connector = 'slow' AND status = 'pending'"),
	32, 'which still waits');
is(sql("SELECT waiting, sending, succeeded FROM uaef.stat_connector WHERE lane LIKE 'slow@%'"),
	'32|18|0', 'as stat_connector says');
is(sql("SELECT waiting, sending, succeeded, p50_ms > 0 FROM uaef.stat_connector WHERE lane LIKE 'fast@%'"),
	'0|0|30|t', 'and of the fast one');
sql("UPDATE uaef.delivery SET status = 'cancelled', finished_at = now() WHERE status = 'pending'");
$server->stop;
$server = HttpServer->start;
my $port = $server->port;
sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");
eventually("NOT EXISTS (SELECT FROM uaef.delivery WHERE status = 'sending')", 'the slow ones end');

# Concurrency of a connector.
connector('narrow', $server, '/status/200', '{"max_concurrent":2}');
sql("SELECT count(uaef.send('narrow', '{}')) FROM generate_series(1, 40)");
eventually("count(*) = 40 FROM uaef.delivery WHERE connector = 'narrow' AND status = 'succeeded'",
	'a narrow connector sends all');
cmp_ok(most_at_once('narrow'), '<=', 2, 'two at a time');

# A rate: 20 in a second and a burst of 5 means that 15 take at least half a second.
connector('paced', $server, '/status/200', '{"rate":"20/s","burst":5}');
sql("SELECT count(uaef.send('paced', '{}')) FROM generate_series(1, 15)");
eventually("count(*) = 15 FROM uaef.delivery WHERE connector = 'paced' AND status = 'succeeded'",
	'a paced connector sends all');
is( sql("SELECT max(started_at) - min(started_at) >= '0.45 s' FROM uaef.delivery_log WHERE connector = 'paced'"),
	't', 'at its rate');

# The same of a host, for whoever sends there.
sql("SELECT uaef.limit_host('127.0.0.1', $port, '20/s', 5)");
connector('first', $server, '/status/200', '{}');
connector('second', $server, '/status/200', '{}');
sql("SELECT count(uaef.send(c, '{}')) FROM generate_series(1, 8), unnest('{first,second}'::text[]) c");
eventually("count(*) = 16 FROM uaef.delivery WHERE connector IN ('first', 'second') AND status = 'succeeded'",
	'a limited host gets all');
is( sql("SELECT max(started_at) - min(started_at) >= '0.45 s' FROM uaef.delivery_log WHERE connector IN ('first', 'second')"),
	't', 'at its rate, through both connectors');
sql("SELECT uaef.unlimit_host('127.0.0.1', $port)");

# Higher priorities first.
connector('ranked', $server, '/status/200', '{"max_concurrent":1}');
sql("SELECT uaef.pause_connector('ranked')");
sql("SELECT uaef.send('ranked', '{}', priority => p) FROM unnest('{0,-5,100,7}'::int[]) p");
sql("SELECT uaef.resume_connector('ranked')");
eventually("count(*) = 4 FROM uaef.delivery WHERE connector = 'ranked' AND status = 'succeeded'",
	'a paused connector goes on');
is( sql("SELECT string_agg((-d.rank)::text, ' ' ORDER BY a.started_at)
		FROM uaef.delivery_attempt a JOIN uaef.delivery d USING (delivery_id) WHERE connector = 'ranked'"),
	'100 7 0 -5', 'in the order of priorities');

# More lanes than places: each gets its turn, and no place is given twice.
connector("lane$_", $_ % 2 ? $server : $other, '/status/200', '{}') for 1 .. 60;
sql("SELECT count(uaef.send('lane' || n, '{}')) FROM generate_series(1, 60) n, generate_series(1, 3)");
eventually("count(*) = 180 FROM uaef.delivery WHERE connector LIKE 'lane%' AND status = 'succeeded'",
	'many connectors send all');
cmp_ok(most_at_once('lane%'), '<=', 20, 'as many at once as there are places');

# Not before its time.
my $time = sql("SELECT clock_timestamp() + '300 ms'");
my $later = sql("SELECT uaef.send('fast', '{}', send_at => '$time')");
eventually("status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $later", 'what is sent later is sent');
is(sql("SELECT started_at >= '$time' FROM uaef.delivery_attempt WHERE delivery_id = $later"),
	't', 'at its time');

# A breaker opens after failures in a row, lets one through after a time, and
# shuts again or closes.
connector('broken', $other, '/status/500', '{"max_concurrent":1,"breaker":{"failures":3,"open":"1s"}}');
sql("SELECT count(uaef.send('broken', '{}')) FROM generate_series(1, 5)");
eventually("failures >= 3 FROM uaef.delivery_gate WHERE name = 'connector broken'", 'a breaker opens');
eventually("breaker = 'open' FROM uaef.stat_connector WHERE lane LIKE 'broken@%'", 'stat_connector says so');
is(sql("SELECT payload->>'failures' FROM uaef.ledger_event WHERE event_type = 'breaker_opened'
	AND payload->>'gate' = 'connector broken' ORDER BY event_id LIMIT 1"), 3, 'after three failures');
eventually("failures >= 4 FROM uaef.delivery_gate WHERE name = 'connector broken'", 'one is let through');
is( sql("SELECT max(gap) >= '1 s' FROM (SELECT started_at - lag(finished_at) OVER (ORDER BY started_at)
		FROM uaef.delivery_log WHERE connector = 'broken') g(gap)"),
	't', 'when it was shut for its time');
is( sql("SELECT opens_at - changed_at > '1.9 s' FROM uaef.delivery_gate WHERE name = 'connector broken'"),
	't', 'and it is shut twice as long');

# Repaired: whoever alters it has it begin anew.
sql(qq(SELECT uaef.alter_connector('broken', '{"url":"@{[$other->url]}/status/200","retry":{"max_attempts":1}}')));
my $repaired = sql("SELECT uaef.send('broken', '{}')");
eventually("status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $repaired", 'a repaired connector sends');
eventually("breaker = 'closed' FROM uaef.delivery_gate WHERE name = 'connector broken'", 'and its breaker is closed');
like(sql("SELECT array_agg(event_type ORDER BY event_id) FROM uaef.ledger_event WHERE event_type LIKE 'breaker%'"),
	qr/^\{(breaker_opened,){2,}breaker_closed\}$/, 'the ledger has it all');

# Hundreds of hosts that are down hold nobody else up, and one of them that is
# resumed is asked again while the others are left alone.
sql("SELECT count(uaef.allow_egress('127.0.1.' || n, 1, 'http', '127.0.1.0/24')) FROM generate_series(1, 250) n");
sql(q(SELECT count(uaef.create_connector('down' || n, 'webhook', format('{"url":"http://127.0.1.%s:1/",
	"breaker":{"failures":1,"open":"1h"},"retry":{"max_attempts":3,"initial":"50ms"}}', n)::jsonb)) FROM generate_series(1, 250) n));
sql("SELECT count(uaef.send('down' || n, '{}')) FROM generate_series(1, 250) n");
eventually("count(*) = 250 FROM uaef.delivery_gate WHERE name LIKE 'connector down%' AND breaker = 'open'",
	'hundreds of hosts are down');
my $passing = sql("SELECT uaef.send('fast', '{}')");
eventually("status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $passing", 'one that is up gets its own');
sql("SELECT uaef.resume_connector('down7')");
eventually("attempt = 2 FROM uaef.delivery WHERE connector = 'down7'", 'one that is resumed is asked again');
is(sql("SELECT count(*) FROM uaef.delivery WHERE connector LIKE 'down%' AND attempt = 1"), 249, 'the others are not');
sql("UPDATE uaef.delivery SET status = 'cancelled', finished_at = now() WHERE connector LIKE 'down%'");

# What failed is sent again with its key.
is(sql("SELECT uaef.replay_deliveries('broken', until => clock_timestamp()) > 0"), 't', 'what failed can be sent again');
eventually("NOT EXISTS (SELECT FROM uaef.delivery WHERE connector = 'broken' AND status IN ('pending', 'retry', 'sending'))",
	'all of it is');
my $failed = sql("SELECT min(delivery_id) FROM uaef.delivery WHERE connector = 'broken' AND status = 'failed'");
my $key = sql("SELECT idempotency_key FROM uaef.delivery WHERE delivery_id = $failed");
is(sql("SELECT attempt FROM uaef.delivery WHERE delivery_id = $failed"), 2, 'with another attempt');
is(scalar(grep { $_ eq $key } $other->keys_of('/status/500')), 2, 'and the key that it had');
sql("SELECT uaef.replay_delivery($failed)");
eventually("attempt = 3 AND status = 'failed' FROM uaef.delivery WHERE delivery_id = $failed", 'one by one too');

# What is in doubt is settled by who knows.
connector('doubtful', $server, '/hang/d', '{"timeout":"200ms","idempotent":false}');
my $doubt = sql("SELECT uaef.send('doubtful', '{}')");
eventually("status = 'in_doubt' FROM uaef.delivery WHERE delivery_id = $doubt", 'a delivery is in doubt');
sql("SELECT uaef.resolve_delivery($doubt, true, 'the other side has order 7')");
is(sql("SELECT status, error FROM uaef.delivery WHERE delivery_id = $doubt"), 'succeeded|', 'until somebody knows');

# A test that is live is a delivery.
my $tested = sql("SELECT uaef.test_connector('fast', live => true) ->> 'delivery_id'");
eventually("status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $tested", 'a live test is sent');

# A worker that starts anew keeps a breaker shut.
sql(qq(SELECT uaef.create_connector('dead', 'webhook', '{"url":"@{[$other->url]}/status/502",
	"retry":{"max_attempts":1},"breaker":{"failures":1,"open":"10min"}}')));
sql("SELECT uaef.send('dead', '{}')");
eventually("breaker = 'open' FROM uaef.delivery_gate WHERE name = 'connector dead'", 'a breaker is open');
$node->restart;
sql("SELECT uaef.send('dead', '{}')");
my $alive = sql("SELECT uaef.send('fast', '{}')");
eventually("status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $alive", 'others are sent after a restart');
is(sql("SELECT count(*) FROM uaef.delivery WHERE connector = 'dead' AND status = 'pending'"), 1, 'it is not');
sql("SELECT uaef.resume_connector('dead')");
eventually("count(*) = 2 FROM uaef.delivery WHERE connector = 'dead' AND status = 'failed'", 'until it is resumed');

# More hosts have something due than requests may be under way.
my $server_port = $server->port;
sql("SELECT uaef.allow_egress('*.localhost', $server_port, 'http', '127.0.0.1/32')");
sql(qq(SELECT uaef.create_workflow('hosts', '{"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.items}}",
	"task": {"type": "http", "config": {"url": "http://h{{item}}.localhost:$server_port/status/200"}}}}]}')));
sql("SELECT uaef.start_workflow('hosts', jsonb_build_object('items', (SELECT jsonb_agg(i) FROM generate_series(1, 300) i)))");
eventually("count(*) = 300 FROM uaef.delivery WHERE url LIKE '%localhost%' AND status = 'succeeded'", 'all of them get their turn');

is(sql('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger is sound');
$node->stop;
done_testing;
