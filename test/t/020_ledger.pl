# The ledger over dump and restore, prepared transactions, a new extension in
# an old session, and against a verifier that was written from its format.

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
max_prepared_transactions = 5
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql($_[0], $_[1]); }

my $problems =
  "SELECT string_agg(code || ' ' || coalesce(event_id, 0), ',') FROM uaef.verify_ledger()";

# A prepared transaction: its stream is held, its events are sealed later.
sql('postgres', "SELECT uaef.record_event('before')");
sql('postgres', <<'SQL');
BEGIN;
SELECT uaef.record_event('prepared');
PREPARE TRANSACTION 'p';
SQL
sql('postgres', "SELECT uaef.record_event('meanwhile')");
is(sql('postgres', 'SELECT uaef.seal_ledger()'), '1', 'a block is sealed');
is(sql('postgres',
		"SELECT count(*) FROM uaef.ledger_block WHERE leaf_count = 2"),
	'1', 'without the prepared event');
sql('postgres', "SELECT uaef.record_event('after')");
is(sql('postgres', 'SELECT uaef.seal_ledger()'), '2', 'the next block');
sql('postgres', "COMMIT PREPARED 'p'");
is(sql('postgres', 'SELECT uaef.seal_ledger()'), '3', 'and one more');
is( sql('postgres', <<'SQL'),
SELECT count(*) FROM uaef.ledger_block b
JOIN uaef.ledger_event e ON e.event_id = ANY (b.event_ids)
WHERE e.event_type = 'prepared' AND b.block_no = 3
SQL
	'1', 'holds the prepared event');
is(sql('postgres', 'SELECT uaef.seal_ledger()'), '', 'then there is nothing');
is(sql('postgres', $problems), '', 'no problems');

# Several blocks of one snapshot.
$node->append_conf('postgresql.conf', 'uaef.seal_max_events = 100');
$node->reload;
sql('postgres',
	"SELECT uaef.record_event('many', jsonb_build_object('r', random(), 'i', i)) FROM generate_series(1, 250) i"
);
is(sql('postgres', 'SELECT uaef.seal_ledger()'), '6', 'three blocks');
is( sql('postgres',
		'SELECT count(DISTINCT snapshot::text), max(leaf_count) FROM uaef.ledger_block WHERE block_no > 3'
	),
	'1|100',
	'of one snapshot and no more than so many events');
is(sql('postgres', $problems), '', 'no problems');

# The verifier that was written from docs/ledger-format.md agrees.
my $export = <<'SQL';
SELECT json_build_object('row', 'ledger', 'ledger_id', ledger_id) FROM uaef.ledger;
SELECT to_jsonb(e) || '{"row":"event"}' FROM uaef.ledger_event e;
SELECT to_jsonb(b) || '{"row":"block"}' FROM uaef.ledger_block b;
SQL
my $dir = PostgreSQL::Test::Utils::tempdir;
my $oracle = "$ENV{TESTDIR}/test/oracle/verify_ledger.py";

sub ask_oracle
{
	my ($text) = @_;
	PostgreSQL::Test::Utils::append_to_file("$dir/export", $text);
	my $said = `python3 "$oracle" < "$dir/export"`;
	unlink "$dir/export";
	return $said;
}

sql('postgres',
	q[SELECT uaef.record_event('odd', '{"k":[9007199254740993,1e400,1e-7,-0.0,1.50],"\u20ac":"\u0001\"","\ufb33":1,"\ud83d\ude02":2}', task_id => 5, agent_id => 'Zoë')]
);
my $text = sql('postgres', $export);
like(ask_oracle($text), qr/^\d+ events, 6 blocks, 0 problems$/,
	'the other verifier agrees');
(my $edited = $text) =~ s/"odd"/"ode"/;
like(ask_oracle($edited), qr/^EVENT_HASH_MISMATCH event \d+\n.* 1 problems$/,
	'and sees an edit');
($edited = $text) =~ s/("kind": )2(?=.*"event_type": "odd")/${1}1/;
like(ask_oracle($edited), qr/^EVENT_HASH_MISMATCH event \d+\n.* 1 problems$/,
	'or another writer');
($edited = $text) =~ s/^(?=.*"row": "block").*"block_no": 6,.*\n?//m;
like(ask_oracle($edited), qr/^BLOCK_CHAIN_BREAK block 6$/m,
	'or the last block missing');

# Dump and restore into another database: identity, events and blocks come
# over, and what was not sealed is sealed there.
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(
	[ 'pg_dump', '-f', "$dir/dump", '-d', $node->connstr('postgres') ],
	'dump');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump",
		'-d', $node->connstr('copy') ],
	'restore');
is(sql('copy', 'SELECT ledger_id FROM uaef.ledger'),
	sql('postgres', 'SELECT ledger_id FROM uaef.ledger'),
	'the same ledger');
is(sql('copy', $problems), '', 'no problems in the copy');
is(sql('copy', "SELECT uaef.record_event('copied') > 0"), 't', 'it goes on');
sql('copy', "SELECT uaef.declare_incarnation('a copy')");
is(sql('copy', 'SELECT uaef.seal_ledger()'), '7', 'and is sealed');
is( sql('copy',
		"SELECT count(*) FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'"
	),
	'0',
	'all of it');
sql('copy', "SELECT uaef.record_event('copied_again')");
is(sql('copy', 'SELECT uaef.seal_ledger()'), '8', 'again');
is(sql('copy', $problems), '', 'no problems');
like(ask_oracle(sql('copy', $export)), qr/ 8 blocks, 0 problems$/,
	'the other verifier agrees');

# A session outlives the extension.
is( sql('copy', <<'SQL'),
SELECT count(uaef.record_event('old'));
DROP EXTENSION uaef;
CREATE EXTENSION uaef;
SELECT count(uaef.record_event('new'));
SELECT count(*) FROM uaef.verify_ledger();
SELECT uaef.seal_ledger();
SELECT count(*) FROM uaef.verify_ledger();
SQL
	"1\n1\n0\n1\n0", 'an old session uses the new ledger');

# So it does when both happen in one transaction, which has told the old
# ledger something.
is( sql('copy', <<'SQL'),
BEGIN;
SELECT count(uaef.record_event('old'));
DROP EXTENSION uaef;
CREATE EXTENSION uaef;
SELECT count(uaef.record_event('new'));
COMMIT;
SELECT count(*) FROM uaef.verify_ledger();
SELECT min(stream_seq) FROM uaef.ledger_event;
SQL
	"1\n1\n0\n1", 'a transaction that makes it anew uses the new ledger');

# Nothing but committed events survives a crash, and they still chain.
sql('postgres', "SELECT uaef.record_event('kept')");
$node->stop('immediate');
$node->start;
sql('postgres', "SELECT uaef.record_event('later')");
sql('postgres', 'SELECT uaef.seal_ledger()');
is(sql('postgres', $problems), '', 'no problems after a crash');

$node->stop;
done_testing();
