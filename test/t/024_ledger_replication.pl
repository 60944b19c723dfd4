# A logical replication subscriber has a copy of the ledger that verifies, and
# that goes on when it is made the primary.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %node;
for my $name (qw(publisher subscriber))
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init(allows_streaming => 'logical');
	$node{$name}->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
	$node{$name}->start;
}

sub sql { my ($name, $sql) = @_; return $node{$name}->safe_psql('postgres', $sql); }

my $problems = "SELECT string_agg(code || ' ' || coalesce(event_id, 0), ',') FROM uaef.verify_ledger()";

# The copy begins as a dump, so that it has the identity; roles and settings
# are as there.
sql('publisher', 'CREATE EXTENSION uaef CASCADE');
sql('publisher', "SELECT uaef.record_event('before')");
sql('publisher', 'SELECT uaef.seal_ledger()');
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$node{publisher}->command_ok([ 'pg_dump', '-f', $dump, '-d', $node{publisher}->connstr('postgres') ], 'dump');
$node{subscriber}->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node{subscriber}->connstr('postgres') ], 'restore');

my $from = $node{publisher}->connstr . ' dbname=postgres';
sql('publisher', 'CREATE PUBLICATION p FOR TABLE uaef.ledger_event, uaef.ledger_block, uaef.ledger_tile');
sql('subscriber', "CREATE SUBSCRIPTION s CONNECTION '$from' PUBLICATION p WITH (copy_data = false)");

sql('publisher', "SELECT uaef.record_event('many', jsonb_build_object('i', i)) FROM generate_series(1, 600) i");
sql('publisher', "INSERT INTO uaef.ledger_event (stream, event_type) SELECT '00000000-0000-8000-8000-00000000a001', 'inserted' FROM generate_series(1, 5)");
sql('publisher', 'SELECT uaef.seal_ledger()');
sql('publisher', "SELECT uaef.record_event('unsealed')");
$node{publisher}->wait_for_catchup('s');

for my $table (qw(ledger_event ledger_block ledger_tile))
{
	my $digest = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text COLLATE \"C\")) FROM uaef.$table t";
	is(sql('subscriber', $digest), sql('publisher', $digest), "$table is the same");
}
is(sql('subscriber', $problems), '', 'the copy verifies');

# What does not match its hash does not get in, by replication either.
is(sql('subscriber', "SELECT tgenabled FROM pg_trigger WHERE tgname = 'ledger_chain'"), 'A',
	'what is replicated is checked');

# The subscriber becomes the primary, and says so.
sql('subscriber', 'DROP SUBSCRIPTION s');
sql('subscriber', "SELECT setval('uaef.ledger_event_id', (SELECT max(event_id) FROM uaef.ledger_event))");
sql('subscriber', "SELECT uaef.declare_incarnation('the publisher is gone')");
sql('subscriber', "SELECT uaef.record_event('after')");
sql('subscriber', 'SELECT uaef.seal_ledger()');
is(sql('subscriber', "SELECT count(*) FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'"), '0', 'it seals what was left');
is(sql('subscriber', "SELECT count(*) FROM uaef.ledger_block b JOIN uaef.ledger_event e ON e.event_id = ANY (b.event_ids) WHERE e.event_type IN ('unsealed', 'after')"),
	'2', 'once');
is(sql('subscriber', $problems), '', 'and verifies');

$_->stop for values %node;
done_testing();
