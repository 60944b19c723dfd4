# Payouts through a connector, and approvals of settlements that expire: what
# the worker does.
use strict;
use warnings;

use HttpServer;
use Pain001 ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('payout');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'uaef'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $server = HttpServer->start;
my ($port, $url) = ($server->port, $server->url);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub wait_for
{
	my ($query, $what) = @_;

	ok($node->poll_query_until('postgres', $query), $what)
	  or diag sql('SELECT * FROM uaef.payout_status');
	return;
}

sql(<<"END");
SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32');
SELECT uaef.create_workflow('pay', '{"tasks":[{"id":"a","type":"parallel"}]}');
SELECT uaef.create_settlement_rule('pay', '{"workflow":"pay","currency":"EUR",
	"amount":"in.x","recipient":"external:{{in.to}}"}');
SET uaef.rule_activation = 'any';
SELECT uaef.activate_settlement_rule('pay', 1);
END

# A payout of its own connector, which answers as the path says.
my $made = 0;

sub pay
{
	my ($path, $contract, $retry) = @_;
	my $name = 'c' . ++$made;

	$retry //= '{"max_attempts":1}';

	$contract //= '{"idempotency":"native","reference":"path"}';
	sql(<<"END");
SELECT uaef.create_connector('$name', 'webhook', '{"url":"$url$path","timeout":"1s","retry":$retry}');
SELECT uaef.create_payout_channel('$name', 'connector', '$contract', '$name');
SELECT uaef.set_payee('external:$name', '$name', '{"iban":"$name"}');
SELECT uaef.start_workflow('pay', '{"x":$made.50,"to":"$name"}');
SELECT uaef.send_payouts(uaef.build_payouts());
END
	return $name;
}

sub is_status
{
	my ($name, $status, $signal) = @_;

	wait_for("SELECT status = '$status' FROM uaef.payout WHERE channel = '$name'",
		"a payout is $status");
	is( sql("SELECT s.status FROM uaef.settlement s WHERE recipient = 'external:$name'"),
		$signal, "and its signal $signal");
	return;
}

# What the provider takes is settled where nothing more is heard of it, and else
# accepted; the key is the payout's.
my $paid = pay('/echo/paid');
is_status($paid, 'settled', 'paid');
is_deeply([ $server->keys_of('/echo/paid') ],
	[ sql("SELECT idempotency_key FROM uaef.payout WHERE channel = '$paid'") ],
	'it was sent once, under its key');
is(sql("SELECT external_ref FROM uaef.payout WHERE channel = '$paid'"), '/echo/paid',
	'the reference is where the contract says');
is_status(pay('/echo/a', '{"idempotency":"native","webhooks":true}'), 'accepted', 'in_payout');

# A refusal is one; what is not an answer is no refusal.
is_status(pay('/status/422/r'), 'released', 'failed');
is_status(pay('/status/500/u'), 'unknown', 'in_payout');
is_status(pay('/reset/u'), 'unknown', 'in_payout');
my $hang = pay('/hang/u');
is_status($hang, 'unknown', 'in_payout');

# The same again, under the same key.
sql("SELECT uaef.replay_payout(payout_id) FROM uaef.payout WHERE channel = '$hang'");
wait_for("SELECT status = 'unknown' AND fence = 2 FROM uaef.payout WHERE channel = '$hang'",
	'it is sent again, and still unknown');
is(scalar(@{[ $server->keys_of('/hang/u') ]}), 2, 'sent twice');
my %keys = map { $_ => 1 } $server->keys_of('/hang/u');
is(scalar(keys %keys), 1, 'under one key');
is(sql("SELECT uaef.resolve_payout(payout_id, 'rejected', '{\"reference\":\"call 7\"}')
	FROM uaef.payout WHERE channel = '$hang'"), 'released', 'a person says what happened');

# Nothing was sent at all.
my $closed = PostgreSQL::Test::Cluster::get_free_port();
sql("SELECT uaef.allow_egress('127.0.0.1', $closed, 'http', '127.0.0.1/32')");
my $there = $url;
$url = "http://127.0.0.1:$closed";
is_status(pay('/n'), 'not_found_confirmed', 'in_payout');
$url = $there;

# What an error answers may have been paid: without keys it is not sent again,
# whatever the connector's retries say.
my $often = '{"max_attempts":5,"initial":"1ms","jitter":0}';
is_status(pay('/status/500/blind', '{"statement":"csv"}', $often), 'unknown', 'in_payout');
is(scalar(@{[ $server->keys_of('/status/500/blind') ]}), 1, 'an error is not tried again without keys');

# A refusal after an error is about the request, not about the payment.
my $later = pay('/status/500/then');
is_status($later, 'unknown', 'in_payout');
sql("SELECT uaef.alter_connector('$later', '{\"url\":\"$url/status/401/then\",\"retry\":{\"max_attempts\":1}}');
SELECT uaef.replay_payout(payout_id) FROM uaef.payout WHERE channel = '$later'");
wait_for("SELECT fence = 2 AND status <> 'sending' FROM uaef.payout WHERE channel = '$later'",
	'it is sent again');
is_status($later, 'unknown', 'in_payout');

# An attempt that comes after the key is forgotten does not leave.
my $slow = pay('/reset/slow', '{"idempotency":"native","key_ttl":"1s"}',
	'{"max_attempts":3,"initial":"1s","jitter":0}');
is_status($slow, 'unknown', 'in_payout');
is(scalar(@{[ $server->keys_of('/reset/slow') ]}), 1, 'a key is not relied on for longer than it lives');
is(sql("SELECT string_agg(a.error_code, ' ' ORDER BY a.attempt) FROM uaef.delivery_attempt a
	JOIN uaef.delivery d USING (delivery_id) WHERE d.connector = '$slow'") =~ /payout_over$/ ? 1 : 0,
	1, 'its attempt says why');

# The delivery of a payout is its payout's alone.
my ($ret, $out, $err) = $node->psql('postgres',
	"SELECT uaef.replay_delivery(delivery_id) FROM uaef.delivery WHERE connector = '$slow'");
like($err, qr/is of payout .*which decides/, 'its delivery is not replayed');
is(sql("SELECT uaef.replay_deliveries(status => '{failed,in_doubt,cancelled}')"), 0,
	'nor with others');

# Nobody pays through a channel's connector but its payouts.
for my $try ("send('$slow', '{\"amount\":\"1.00\"}')", "test_connector('$slow', '{}', live => true)")
{
	($ret, $out, $err) = $node->psql('postgres', "SELECT uaef.$try");
	like($err, qr/permission denied for connector .*only payouts do/s, 'money is not sent by hand');
}
($ret, $out, $err) = $node->psql('postgres', "SELECT uaef.drop_connector('$slow')");
like($err, qr/payout channel "$slow" sends by it/, 'and the connector stays');

# Who says no withdraws what waits to be tried again.
my $waits = pay('/status/429/w', undef, '{"max_attempts":5,"initial":"1h","max":"1h"}');
wait_for("SELECT status = 'retry' FROM uaef.delivery WHERE connector = '$waits'", 'an attempt waits');
is(sql("SELECT uaef.resolve_payout(payout_id, 'rejected', '{\"reference\":\"call 8\"}')
	FROM uaef.payout WHERE channel = '$waits'"), 'released', 'a person says no');
is(sql("SELECT status FROM uaef.delivery WHERE connector = '$waits'"), 'cancelled',
	'and nothing leaves after that');

# A provider that can be asked is asked by itself, until it tells, or people must.
sub doubtful
{
	my ($look, $more) = @_;
	my $name = 'c' . ++$made;
	my $contract = '{"idempotency":"native","lookup":"by_key","webhooks":true,"reference":"id",
		"states":{"paid":"settled","refused":"rejected","waits":"unknown"},"lookup_after":"100ms"' . ($more // '') . '}';

	sql(<<"END");
SELECT uaef.create_connector('$name', 'payout', '{"url":"$url/reset/$name","lookup_url":"$url$look","state":"status",
	"timeout":"1s","retry":{"max_attempts":1},"contract":$contract}');
SELECT uaef.create_payout_channel('$name', 'connector', '$contract', '$name');
SELECT uaef.set_payee('external:$name', '$name', '{}');
SELECT uaef.start_workflow('pay', '{"x":$made.25,"to":"$name"}');
SELECT uaef.send_payouts(uaef.build_payouts());
END
	return $name;
}

sub answers { return '/json/' . unpack 'H*', $_[0]; }

sub asked { return scalar grep { defined } $server->keys_of($_[0]); }

sub evidence
{
	return sql("SELECT string_agg(e.kind || ' ' || e.says || coalesce(' ' || e.reference, ''), ', ' ORDER BY evidence_id)
		FROM uaef.payout_evidence e JOIN uaef.payout USING (payout_id) WHERE channel = '$_[0]'");
}

my $look = answers('{"status":"paid","id":"tr_9"}');
my $found = doubtful($look);
is_status($found, 'settled', 'paid');
is(evidence($found), 'delivery unknown, lookup settled tr_9', 'as the provider says when it is asked');
is(asked($look), 1, 'once');

is_status(doubtful(answers('{"status":"refused","id":"tr_8"}')), 'released', 'failed');

# A word that tells nothing, then one that does.
my $waits_for = answers('{"status":"waits"}');
my $told = doubtful($waits_for, ',"lookups":100,"lookup_after":"300ms"');
wait_for("SELECT lookups >= 3 FROM uaef.payout WHERE channel = '$told'", 'it is asked again while it does not tell');
is(sql("SELECT status FROM uaef.payout WHERE channel = '$told'"), 'unknown', 'and is still unknown');
sql("SELECT uaef.alter_connector('$told', config || jsonb_build_object('lookup_url', '$url$look')) FROM uaef.connector WHERE name = '$told'");
is_status($told, 'settled', 'paid');
my @ends = split /\|/, sql("SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM uaef.delivery WHERE connector = '$told'");
is($ends[1], 0, 'nothing more is asked');

# What nobody knows comes to people, after so many questions and not one more.
my $nobody = doubtful('/status/404/nobody', ',"lookups":2');
is_status($nobody, 'manual_review', 'in_payout');
is(asked('/status/404/nobody'), 2, 'after the last question');
is(evidence($nobody), 'delivery unknown, lookup not_found, lookup not_found', 'which nobody could answer');
is(sql("SELECT payload->>'reason' FROM uaef.ledger_event WHERE event_type = 'payout_manual_review'
	AND payload->>'recipient' = 'external:$nobody'"), '2 lookups did not tell', 'the ledger says why');

# Who knows before it is asked has it not be asked.
my $known = doubtful($look, ',"lookup_after":"1h"');
is_status($known, 'unknown', 'in_payout');
is(sql("SELECT d.status || ' ' || (d.next_attempt_at > now() + interval '30 min') FROM uaef.delivery d
	JOIN uaef.payout p ON d.delivery_id = p.lookup_id WHERE p.channel = '$known'"), 'pending true', 'a question waits for its time');
is(sql("SELECT uaef.resolve_payout(payout_id, 'settled', '{\"reference\":\"call 9\"}')
	FROM uaef.payout WHERE channel = '$known'"), 'settled', 'a person knows before');
is(sql("SELECT d.status FROM uaef.delivery d JOIN uaef.payout p ON d.delivery_id = p.lookup_id
	WHERE p.channel = '$known'"), 'cancelled', 'and it is not asked');

# What cannot be asked is for people too.
my $gone = doubtful('/json/{{payload.nothing}}');
is_status($gone, 'manual_review', 'in_payout');

($ret, $out, $err) = $node->psql('postgres',
	"SELECT uaef.create_payout_channel('x', 'connector', '{\"idempotency\":\"native\",\"lookup\":\"by_key\",\"states\":{\"a\":\"settled\"}}', '$waits')");
like($err, qr/have no operation "lookup"/, 'a connector that cannot ask is refused');
for my $states ('{"a":"gone"}', '[]', '{"a":1}')
{
	($ret, $out, $err) = $node->psql('postgres',
		"SELECT uaef.create_payout_channel('x', 'worker', '{\"idempotency\":\"native\",\"lookup\":\"by_key\",\"states\":$states}')");
	like($err, qr/"states" of the contract|"states"/, "states $states are refused");
}

# A bank file is what the schema of pain.001.001.09 asks for, in each currency,
# and the checker would see if it were not.
my $bank = 0;
sql("SELECT uaef.create_payout_channel('bank', 'file', '{\"statement\":\"camt053\"}')");
for my $of ([ 'EUR', '12.34' ], [ 'JPY', '1200' ], [ 'KWD', '0.005' ], [ 'EUR', '99999999.99' ])
{
	my ($currency, $x) = @$of;
	my $name = 'bank' . ++$bank;
	my $rest = $bank == 2 ? '' : ',"bic":"COBADEFFXXX"';

	sql(<<"END");
SET uaef.rule_activation = 'any';
SELECT uaef.create_workflow('$name', '{"tasks":[{"id":"a","type":"parallel"}]}');
SELECT uaef.create_settlement_rule('$name', '{"workflow":"$name","currency":"$currency","amount":"in.x","recipient":"external:$name"}');
SELECT uaef.activate_settlement_rule('$name', 1);
SELECT uaef.set_payee('external:$name', 'bank', '{"name":"A & <B> $name","iban":"DE89370400440532013000"$rest}');
SELECT uaef.start_workflow('$name', '{"x":$x}');
END
}
my $file = sql(q(SELECT uaef.export_pain001(uaef.build_payouts(channel => 'bank'), '{"name":"House","iban":"AT611904300234573201"}')));
is_deeply([ Pain001::problems("$file\n") ], [], 'a bank file is as the schema has it');
is(() = $file =~ /<CdtTrfTxInf>/g, 4, 'with all transfers');
my @wrong = (
	[ 'order', sub { s/(<PmtMtd>TRF<\/PmtMtd>)(<NbOfTxs>.*?<\/NbOfTxs>)/$2$1/ } ],
	[ 'check digits', sub { s/DE89370400440532013000/DE89370400440532013001/ } ],
	[ 'decimals', sub { s/>1200</>1200.00</g } ],
	[ 'count', sub { s/<NbOfTxs>4</<NbOfTxs>5</ } ],
	[ 'sum', sub { s/<CtrlSum>12\d+/<CtrlSum>1/ } ],
	[ 'length', sub { s/<Nm>House/'<Nm>' . 'x' x 141/e } ],
	[ 'pattern', sub { s/COBADEFFXXX/COBADEFFXX/ } ],
	[ 'twice', sub { my ($id) = /<EndToEndId>(\w+)/; s/(.*<EndToEndId>)\w+/$1$id/s } ],
	[ 'missing', sub { s/<EndToEndId>\w+<\/EndToEndId>// } ],
	[ 'namespace', sub { s/001\.09/001.03/ } ],
	[ 'entity', sub { s/&amp;/&/ } ]);
for my $case (@wrong)
{
	local $_ = "$file\n";

	$case->[1]->();
	my @found = Pain001::problems($_);
	ok(@found > 0 && $_ ne "$file\n", "the checker sees a wrong $case->[0]");
}

# Approvals that nobody gives expire by the timer.
for my $case ([ 'expire', 'expired' ], [ 'reject', 'rejected' ])
{
	my ($word, $status) = @$case;
	my $id = sql(<<"END");
SET uaef.rule_activation = 'any';
SELECT uaef.activate_settlement_rule('pay',
	uaef.create_settlement_rule('pay', '{"workflow":"pay","currency":"EUR","amount":"in.x",
	"recipient":"house","approval":{"bands":[{"need":1}],"expires":"300ms","on_expiry":"$word"}}'));
SELECT uaef.start_workflow('pay', '{"x":1}');
END
	$id =~ s/.*\n//s;
	wait_for("SELECT status = '$status' FROM uaef.settlement WHERE execution_id = '$id'",
		"an approval is $status in time");
}
is(sql("SELECT string_agg(event_type || ' ' || actor_type, ', ' ORDER BY event_id) FROM uaef.ledger_event
	WHERE event_type IN ('settlement_expired', 'settlement_rejected')"),
	'settlement_expired system, settlement_rejected system', 'by the system');

is(sql('SELECT count(*) FROM uaef.audit_money()'), 0, 'the books balance');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger verifies');

$node->stop;
done_testing;
