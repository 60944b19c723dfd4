# Both offline verifiers on exports of real ledgers with everything in them:
# executions, a ledgered table, signed, redacted and retired events, several
# incarnations.  Nothing is wrong with them; one changed byte is, to both.

use strict;
use warnings;

use File::Find;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $oracle = "$ENV{TESTDIR}/test/oracle";
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
$ENV{PYTHONPATH} = $oracle;
$ENV{PGCLIENTENCODING} = 'UTF8';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
my ($vkey) = run_command([ 'uaef-signer', 'keygen', 'test.example/ledger', "$dir/key" ]);
chmod 0600, "$dir/key";
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'uaef'
uaef.start_workers = off
uaef.seal_max_events = 500
uaef.ledger_origin = 'test.example/ledger'
uaef.ledger_key_file = '$dir/key'
CONF
$node->start;

sub sql { return $node->safe_psql($_[0], $_[1]); }

sub put
{
	my ($name, $text) = @_;
	open my $file, '>:raw', "$dir/$name" or die "$name: $!";
	print $file $text;
	close $file or die "$name: $!";
	return "$dir/$name";
}

# ----------
# Who signs: an actor, and a witness of checkpoints
# ----------
my $sign = put('sign.py', <<'PY');
import base64, hashlib, sys
import ed25519
kind, name, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seed = hashlib.sha256(name.encode()).digest()
key = bytes([kind]) + ed25519.public_key(seed)
key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
if what == "key":
    print("%s+%s+%s" % (name, key_id.hex(), base64.b64encode(key).decode()))
elif what == "cosign":
    note = open(sys.argv[4], "rb").read()
    when = int(sys.argv[5])
    text = note[:note.rindex(b"\n\n") + 1]
    data = when.to_bytes(8, "big") + ed25519.sign(seed, b"cosignature/v1\ntime %d\n" % when + text)
    print("\u2014 %s %s" % (name, base64.b64encode(key_id + data).decode()))
else:
    print(ed25519.sign(seed, bytes.fromhex(what)).hex())
PY

sub signer
{
	my @arguments = @_;
	my $out = `PYTHONIOENCODING=utf-8 python3 $sign @arguments`;
	chomp $out;
	return $out;
}

sub record_signed
{
	my ($db, $arguments) = @_;
	my $claim = sql($db, "SELECT encode(uaef.claim_bytes($arguments), 'hex')");
	my $signature = signer(1, 'clara', $claim);
	return sql($db, "SELECT uaef.record_event($arguments, signer => 'clara', signature => '\\x$signature')");
}

my $policy = put('policy', join "\n", "log $vkey",
	'witness w ' . signer(4, 'witness.example', 'key'), 'quorum none', '');
my $strict = put('strict', join "\n", "log $vkey",
	'witness w ' . signer(4, 'witness.example', 'key'), 'quorum w', '');

# ----------
# Asking both
# ----------
my @place = qw(code stream stream_seq event_id block_no leaf_index tree_size);

sub ask
{
	my ($command, @arguments) = @_;
	my $said = `$command --json @arguments 2>&1`;
	my $code = $? >> 8;
	my %found;
	for my $line (grep { /^\{"severity"/ } split /\n/, $said)
	{
		my $row = decode_json($line);
		$found{ join ' ', map { $row->{$_} // '-' } @place } = 1;
	}
	return "exit $code\n" . join '', map { "$_\n" } sort keys %found;
}

# What both say; and they must say the same.
sub both
{
	my ($name, @arguments) = @_;
	my $c = ask('uaef-verify', @arguments);
	my $python = ask("python3 $oracle/verify_ledger.py", @arguments);
	is($c, $python, "$name: both agree");
	return $c;
}

# The codes of what both say, each once, and the exit code.
sub codes
{
	my ($said) = @_;
	my %codes = map { /^([A-Z_]+) / ? ($1 => 1) : () } split /\n/, $said;
	return join ' ', $said =~ /^exit (\d)/, sort keys %codes;
}

sub export
{
	my ($db) = @_;
	my $rows = sql($db, 'SELECT uaef.export_ledger()');
	sql($db, "SELECT * FROM uaef.export_tiles('$dir/$db.tiles')");
	return (put("$db.jsonl", "$rows\n"), "$dir/$db.tiles");
}

# Export both ways; both must have just these codes.
sub sound
{
	my ($db, $expected, $name) = @_;
	my ($lines, $folder) = export($db);
	$expected = $expected eq '' ? '0' : "0 $expected";
	is(codes(both("$name, lines", '--policy', $policy, $lines)), $expected, "$name: lines");
	is(codes(both("$name, folder", '--policy', $policy, $folder)), $expected, "$name: folder");
	return ($lines, $folder);
}

sub seal
{
	my ($db) = @_;
	sql($db, 'SELECT uaef.seal_ledger()');
	sql($db, 'SELECT uaef.ledger_checkpoint()');
	return;
}

# ----------
# A ledger with everything
# ----------
sql('postgres', 'CREATE DATABASE a');
sql('a', 'CREATE EXTENSION uaef CASCADE');
sql('a', <<'SQL');
SELECT uaef.create_workflow('w', '{"tasks": [{"id": "w", "type": "wait", "config": {"for": "1h"}}]}');
CREATE TABLE account (id int PRIMARY KEY, owner text, amount numeric);
SELECT uaef.attach_ledger('account');
SQL
my $execution = sql('a', q(SELECT uaef.start_workflow('w', '{"n": 9007199254740993, "s": "\u00e9"}')));
sql('a', "SELECT uaef.register_signer('" . signer(1, 'clara', 'key') . "')");
record_signed('a', q('paid', '{"amount": 12.50, "no": 1}'));
record_signed('a', q('seen', NULL));
record_signed('a', qq('paid', '{"no": 2}', '$execution'));
record_signed('a', q('paid', '{"no": 3, "secret": true}'));
sql('a', q(SELECT uaef.record_event('noted', '{"no": 4}', uaef.start_workflow('w', '{}'))));
sql('a', <<'SQL');
INSERT INTO account SELECT i, 'owner ' || i, i * 1.10 FROM generate_series(1, 40) i;
UPDATE account SET amount = amount * 2 WHERE id % 3 = 0;
DELETE FROM account WHERE id > 35;
SELECT count(uaef.record_event('many', jsonb_build_object('i', i, 'r', random(), 's', E'\u20ac\n"'))) FROM generate_series(1, 900) i;
SQL
seal('a');
sound('a', '', 'a mixed load');
sql('a', q(SELECT uaef.redact_events('$.secret == true', 'asked for')));
sql('a', q(SELECT uaef.redact_events('$.i > 850', 'asked for')));
seal('a');
sound('a', 'REDACTED', 'with redactions');
is(sql('a', "SELECT uaef.retire_events(now(), 'old', max_events => 300)"), '300', 'events are retired');
seal('a');
sound('a', 'REDACTED RETIRED', 'with an archive');
is(sql('a', "SELECT uaef.restore_events('uaef_archive.retirement_1', 'wanted')"), '300', 'the archive is restored');
seal('a');
sound('a', 'REDACTED', 'after the restore');

# Of a bundle with retired events there is no new file; what is redacted goes
# from the one that is there, whether the event was retired or not.
my @salts = split /\n/, sql('a', q(SELECT salt FROM uaef.ledger_event
	WHERE payload @@ '$.no == 4 || $.i <= 3' AND event_type IN ('noted', 'many')));
is(scalar(@salts), 4, 'events that will be redacted');
sub payloads
{
	my $all = '';
	find(sub { $all .= slurp_file($_) if -f }, "$dir/a.tiles/uaef/payload");
	return $all;
}
my $payloads = payloads();
is(scalar(grep { $payloads =~ /$_/ } @salts), 4, 'their payloads are in the folder');
sql('a', q(SELECT uaef.redact_events('$.no == 4 || $.i <= 3', 'asked for')));
is(sql('a', "SELECT uaef.retire_events(now(), 'old', max_events => 300)"), '300', 'events are retired again');
is(sql('a', "SELECT uaef.retire_events(now(), 'not needed', archive => false, max_events => 150)"), '150', 'and deleted');
seal('a');
my ($lines, $folder) = sound('a', 'REDACTED RETIRED', 'with deleted events');
$payloads = payloads();
is(scalar(grep { $payloads =~ /$_/ } @salts), 0, 'the payloads are in the folder no more');
ok(-e "$folder/tile/entries/000", 'whose bundle is still there');
like(slurp_file("$folder/uaef/payload/000"), qr/\A((\{.*|null)\n){256}\z/, 'with the other payloads');
is(sql('a', "SELECT files FROM uaef.export_tiles('$folder')"), '0', 'then there is nothing to do');
append_to_file("$folder/uaef/payload/000", 'x');
is(sql('a', "SELECT files FROM uaef.export_tiles('$folder')"), '1', 'a damaged file');
like(slurp_file("$folder/uaef/payload/000"), qr/\A(null\n){256}\z/, 'says nothing more');
is(sql('a', "SELECT uaef.export_tiles('$dir/fresh') IS NOT NULL"), 't', 'a fresh folder');
is(codes(both('a fresh folder', '--policy', $policy, "$dir/fresh")), '0 REDACTED RETIRED', 'a fresh folder without their bundles');
ok(!-e "$dir/fresh/tile/entries/000", 'which are not there');

# ----------
# What was kept outside
# ----------
my $kept = put('kept', sql('a', 'SELECT uaef.ledger_checkpoint()') =~ s/\n*\z/\n/r);
my ($size) = slurp_file($kept) =~ /\A.*\n(\d+)\n/;
my $cosigned = put('cosigned', slurp_file($kept) . signer(4, 'witness.example', 'cosign', $kept, time) . "\n");
for my $export ($lines, "$dir/fresh")
{
	is(codes(both('a kept checkpoint', '--policy', $policy, '--checkpoint', $kept, $export)),
		'0 REDACTED RETIRED', 'a kept checkpoint');
	is(codes(both('without a witness', '--policy', $strict, '--checkpoint', $kept, $export)),
		'3 COSIG_MISSING REDACTED RETIRED', 'without its witness it is not enough');
	is(codes(both('cosigned', '--policy', $strict, '--checkpoint', $cosigned, $export)),
		'0 REDACTED RETIRED', 'with it, it is');
}
like(`uaef-verify --policy $strict --checkpoint $cosigned $lines`,
	qr/^consistent with checkpoint of size $size, signed by test.example\/ledger, cosigned by 1 of 1 witnesses$/m,
	'and is called so');

# ----------
# One byte in each sort of line and file
# ----------
sub other { my ($c) = @_; return $c eq '1' ? '2' : '1'; }

my $text = slurp_file($lines);

# The head that the first event of some stream follows; heads of streams that
# are restored, or retired further, say nothing any more.
my ($head) = sql('a', <<'SQL') =~ /^.(\w+)/ or die;
SELECT h.event_hash FROM uaef.ledger_retired_head h
JOIN uaef.ledger_event e ON e.stream = h.stream AND e.stream_seq = h.stream_seq + 1
LEFT JOIN uaef.ledger_event b ON b.stream = h.stream AND b.stream_seq = h.stream_seq
WHERE b.event_id IS NULL LIMIT 1
SQL
my %changes = (
	'ledger' => [ qr/^(\{"row":"ledger".*"ledger_id":")(.)/m, qr/EVENT_HASH_MISMATCH/ ],
	'retirement' => [ qr/^(\{"row":"retirement".*"leaves":"\{\[\d+,\d*)(\d)\).*"restored_by":null/m, qr/LEAF_MISSING/ ],
	'retired_head' => [ qr/^(\{"row":"retired_head".*"event_hash":")(.)$head/m, qr/SEQ_GAP/ ],
	'tile' => [ qr/^(\{"row":"tile".*"hashes":".{300})(.)/m, qr/ROOT_MISMATCH|TILE_MISMATCH/ ],
	'event' => [ qr/^(\{"row":"event".*"i": ?\d*)(\d)/m, qr/PAYLOAD_MISMATCH/ ],
	'signature' => [ qr/^(\{"row":"event".*"signature":"\\\\x)(.)/m, qr/SIG_BAD/ ],
	'event_hash' => [ qr/^(\{"row":"event".*"event_type":"many".*"event_hash":")(.)/m, qr/EVENT_HASH_MISMATCH/ ],
	'redacted' => [ qr/^(\{"row":"event".*"event_type":"event_redacted".*"payload_hash": ?")(.)/m, qr/EVENT_HASH_MISMATCH|PAYLOAD_MISMATCH/ ],
	'block' => [ qr/^(\{"row":"block".*"tree_root":")(.)/m, qr/ROOT_MISMATCH/ ],
	'checkpoint' => [ qr/^(\{"row":"checkpoint".*\\n\d*)(\d)\\n/m, qr/SIG_BAD|ANCHOR/ ],
);
for my $sort (sort keys %changes)
{
	my ($pattern, $expected) = @{ $changes{$sort} };
	my $changed = $text;
	if ($changed !~ $pattern)
	{
		fail("$sort: there is such a line");
		next;
	}
	substr($changed, $-[2], 1, other($2));
	my $said = both("a byte of $sort", '--policy', $policy, put('changed', $changed));
	like($said, qr/^exit 1/, "a byte of $sort is found");
	like($said, $expected, "a byte of $sort: as what it is");
}

# Redactions and retirements that no event tells of.
for my $type ('event_redacted', 'events_retired')
{
	(my $without = $text) =~ s/^\{"row":"event"[^\n]*"event_type":"$type"[^\n]*\n//mg;
	like(both("without $type", put('changed', $without)),
		$type eq 'event_redacted' ? qr/PAYLOAD_MISMATCH/ : qr/LEAF_MISSING/, "without $type it is a problem");
}

# Each sort of file: the first byte that must fit something.
my %file;
find(sub { $file{ $File::Find::name =~ s/^\Q$dir\/fresh\E\///r } = 1 if -f }, "$dir/fresh");
my %sorts;
for my $name (sort keys %file)
{
	my $sort = $name =~ s/\/?(x\d+\/)*\d+(\.p\/\d+)?$//r;
	$sorts{$sort} //= $name unless $name eq '.uaef-ledger-id';
}
for my $sort (sort keys %sorts)
{
	my $name = "$dir/fresh/$sorts{$sort}";
	my $whole = slurp_file($name);
	my $at = $sort eq 'uaef/retired.jsonl' ? rindex($whole, '"leaves":"{[', index($whole, '"restored_by":null')) + 12
	  : $sort eq 'uaef/ledger.json' ? index($whole, 'ledger_id') + 12
	  : $sort eq 'uaef/blocks' ? index($whole, 'tree_root') + 12
	  : $sort eq 'uaef/payload' ? index($whole, '"salt":"') + 9
	  : $sort =~ /checkpoint/ ? index($whole, "\n") + 1
	  : length($whole) / 2;
	my $changed = $whole;
	my $byte = substr($changed, $at, 1);
	substr($changed, $at, 1, $byte =~ /^[0-9a-z]$/ ? other($byte) : chr(ord($byte) ^ 1));
	put("fresh/$sorts{$sort}", $changed);
	like(both("a byte of file $sorts{$sort}", '--policy', $policy, "$dir/fresh"), qr/^exit [12]/, "a byte of file $sorts{$sort} is found");
	put("fresh/$sorts{$sort}", $whole);
}
cmp_ok(scalar(keys %sorts), '>=', 9, 'all sorts of files');
is(codes(both('put right', '--policy', $policy, "$dir/fresh")), '0 REDACTED RETIRED', 'and put right again');

# ----------
# Proofs and receipts
# ----------
my $event = sql('a', "SELECT max(event_id) FROM uaef.ledger_event WHERE event_type = 'many'");
my %proof = (
	proof => sql('a', "SELECT uaef.tlog_proof($event)") =~ s/\n*\z/\n/r,
	receipt => sql('a', "SELECT uaef.receipt('$execution')"));
for my $sort (sort keys %proof)
{
	my $file = put($sort, $proof{$sort});
	is(both("a $sort", '--policy', $policy, "--$sort", $file), "exit 0\n", "a $sort holds");
	is(codes(both("a $sort with the export", '--policy', $policy, "--$sort", $file, $lines)),
		'0 REDACTED RETIRED', "a $sort with the export");
	(my $changed = $proof{$sort}) =~ s/(extra .{80}|"event_type": ")(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/e;
	like(both("a changed $sort", '--policy', $policy, "--$sort", put('changed', $changed)), qr/^exit 1/, "a changed $sort does not");
}
(my $moved = $proof{receipt}) =~ s/("prev_block_hash": ")(.)/$1 . other($2)/e;
like(both('a changed block', '--policy', $policy, '--receipt', put('changed', $moved)),
	qr/^BLOCK_CHAIN_BREAK|^PROOF_MISMATCH/m, 'nor does one with a changed block');

# ----------
# Elsewhere
# ----------
for my $to ('b', 'c')
{
	my $from = $to eq 'b' ? 'a' : 'b';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/$to.dump", '-d', $node->connstr($from) ], "dump of $from");
	sql('postgres', "CREATE DATABASE $to");
	$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr($to), "$dir/$to.dump" ], "restored as $to");
	sql($to, "SELECT count(uaef.record_event('here', jsonb_build_object('i', i))) FROM generate_series(1, 20) i");
	seal($to);
	sound($to, 'INCARNATION_UNDECLARED REDACTED RETIRED', "$to, not declared");
	sql($to, "SELECT uaef.declare_incarnation('moved')");
	record_signed($to, q('paid', '{"no": 9}'));
	seal($to);
	sound($to, 'REDACTED RETIRED', "$to, declared");
}
sql('c', "SELECT uaef.revoke_signer('clara', 'lost')");
seal('c');
sound('c', 'REDACTED RETIRED', 'a signer is revoked');

# ----------
# An archive outlives the extension
# ----------
sql('postgres', 'CREATE DATABASE d');
for my $number (1, 2)
{
	run_command([ 'uaef-signer', 'keygen', "test.example/$number", "$dir/key$number" ]);
	chmod 0600, "$dir/key$number";
	sql('postgres', "ALTER DATABASE d SET uaef.ledger_origin = 'test.example/$number'");
	sql('postgres', "ALTER DATABASE d SET uaef.ledger_key_file = '$dir/key$number'");
	sql('d', 'CREATE EXTENSION uaef CASCADE');
	sql('d', "SELECT count(uaef.record_event('many', jsonb_build_object('i', i))) FROM generate_series(1, 300) i");
	seal('d');
	is(sql('d', "SELECT uaef.retire_events(now(), 'old')"), '256', "round $number: events are retired");
	is(sql('d', 'SELECT archive FROM uaef.ledger_retirement'), "uaef_archive.retirement_$number", 'into a table of the next free number');
	is(sql('d', "SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_$number')"), '0', 'which holds');
	my $changed = sql('d', <<"SQL");
BEGIN;
UPDATE uaef_archive.retirement_$number SET event_hash = substr(event_hash, 2) WHERE leaf_index = 7;
UPDATE uaef_archive.retirement_$number SET salt = salt || '\\x00' WHERE leaf_index = 8;
SELECT code FROM uaef.verify_archive('uaef_archive.retirement_$number');
ROLLBACK;
SQL
	is($changed, "EVENT_HASH_MISMATCH\nPAYLOAD_MISMATCH", 'and what is no hash is seen');
	sql('d', 'DROP EXTENSION uaef') if $number == 1;
	is(sql('d', "SELECT count(event_hash) FROM uaef_archive.retirement_1"), '256', 'nothing of it is lost');
}
sql('d', <<'SQL');
ALTER TABLE uaef_archive.retirement_2 ALTER salt TYPE uaef.hash256, ALTER payload_hash TYPE uaef.hash256,
	ALTER prev_hash TYPE uaef.hash256, ALTER event_hash TYPE uaef.hash256
SQL
is(sql('d', "SELECT uaef.restore_events('uaef_archive.retirement_2', 'wanted')"), '256', 'one with hashes of our type is restored too');

$node->stop;
done_testing();
