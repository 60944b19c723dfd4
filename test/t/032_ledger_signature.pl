# Signed events: what an outside program signed is accepted, verified again,
# and, when it was tampered with, found.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# An outside program: Ed25519 as it was written from the RFC.
my $seed = '42' x 32;

sub python
{
	my ($code) = @_;
	local $ENV{PYTHONPATH} = "$ENV{TESTDIR}/test/oracle";
	my $out = `python3 -c 'import base64, hashlib, ed25519; seed = bytes.fromhex("$seed"); $code'`;
	chomp $out;
	return $out;
}

my $key = python(
	'k = bytes([1]) + ed25519.public_key(seed); h = hashlib.sha256(b"clara\n" + k).digest()[:4].hex(); print("clara+" + h + "+" + base64.b64encode(k).decode())'
);
ok(sql("SELECT uaef.register_signer('$key')"), 'a signer is registered');

# Arguments of claim_bytes() and record_event(); returns the event.
sub record
{
	my ($arguments) = @_;
	my $claim = sql("SELECT encode(uaef.claim_bytes($arguments), 'hex')");
	my $signature =
	  python("print(ed25519.sign(seed, bytes.fromhex(\"$claim\")).hex())");
	return sql(
		"SELECT uaef.record_event($arguments, signer => 'clara', signature => '\\x$signature')"
	);
}

my $event = record(q('paid', '{"amount": 12.50, "no": 1}'));
my $bare = record(q('seen', NULL));
sql(q(SELECT uaef.create_workflow('w', '{"tasks": [{"id": "w", "type": "wait", "config": {"for": "1h"}}]}')));
my $execution = sql(q(SELECT uaef.start_workflow('w')));
my $inside = record(qq('paid', '{"no": 2}', '$execution'));
my $redacted = record(q('paid', '{"no": 3}'));
sql('SELECT uaef.seal_ledger()');

my $codes = "SELECT string_agg(code || ' ' || event_id, ',' ORDER BY event_id) FROM uaef.verify_ledger()";
is(sql($codes), '', 'all of them are good');
is(sql("SELECT signer FROM uaef.audit_trail WHERE event_id = $event"),
	'clara', 'the trail names the signer');
is(sql("SELECT signed_events FROM uaef.audit_summary WHERE execution_id = '$execution'"),
	'1', 'the summary counts them');

# The claim is what is signed: another type, payload or execution is another.
my $claim = sql(q(SELECT encode(uaef.claim_bytes('paid', '{"no": 4}'), 'hex')));
my $signature = python("print(ed25519.sign(seed, bytes.fromhex(\"$claim\")).hex())");
for my $other (
	q('paid', '{"no": 5}'), q('sent', '{"no": 4}'),
	qq('paid', '{"no": 4}', '$execution'), q('paid', NULL))
{
	my ($code, $out, $error) = $node->psql('postgres',
		"\\set VERBOSITY sqlstate\nSELECT uaef.record_event($other, signer => 'clara', signature => '\\x$signature')"
	);
	like($error, qr/UA154/, "not for $other");
}
for my $byte (0, 31, 32, 63)
{
	my $bad = $signature;
	substr($bad, 2 * $byte, 2) ^= "\x01";
	my ($code, $out, $error) = $node->psql('postgres',
		"\\set VERBOSITY sqlstate\nSELECT uaef.record_event('paid', '{\"no\": 4}', signer => 'clara', signature => decode('$bad', 'hex'))"
	);
	like($error, qr/UA154|22023/, "nor with byte $byte changed");
}

# A signature that a superuser put there, with the hash made anew: the chain
# fits, the signature does not.
sql("SELECT uaef.redact_event($redacted, 'asked for')");
is(sql($codes), "REDACTED $redacted", 'a redacted one is not called bad');
is( sql(<<"SQL"),
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_event SET event_type = 'sold' WHERE event_id = $event;
UPDATE uaef.ledger_event SET event_hash = uaef.hash_event(event_id) WHERE event_id = $event;
SELECT string_agg(code, ',' ORDER BY code) FROM uaef.verify_event($event);
ROLLBACK;
SQL
	'SIG_BAD',
	'a forged claim is found');
is( sql(<<"SQL"),
BEGIN;
ALTER TABLE uaef.ledger_signer DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_signer SET public_key = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
SELECT string_agg(DISTINCT code, ',' ORDER BY code) FROM uaef.verify_ledger()
WHERE severity = 'error' AND code <> 'GUARD_TAMPERED';
ROLLBACK;
SQL
	'SIG_BAD',
	'so is another key');

# Revoked: nothing new, and what there is stays good.
sql("SELECT uaef.revoke_signer('clara', 'lost')");
my ($code, $out, $error) = $node->psql('postgres',
	"\\set VERBOSITY sqlstate\nSELECT uaef.record_event('paid', '{\"no\": 4}', signer => 'clara', signature => '\\x$signature')"
);
like($error, qr/UA155/, 'a revoked signer is refused');
is(sql($codes), "REDACTED $redacted", 'earlier events stay good');

$node->stop;
done_testing();
