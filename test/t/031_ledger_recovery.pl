# The ledger after recovery to a point in time, on a promoted standby, in two
# primaries at once, and on a logical subscriber.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(has_archiving => 1, allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
wal_level = logical
max_worker_processes = 16
autovacuum = off
CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $errors =
  "SELECT string_agg(DISTINCT code, ',') FROM uaef.verify_ledger() WHERE severity <> 'info'";
my $size = 'SELECT tree_size FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1';

sub events
{
	my ($node, $word, $n) = @_;
	$node->safe_psql('postgres',
		"SELECT count(uaef.record_event('$word', jsonb_build_object('i', i))) FROM generate_series(1, $n) i"
	);
	return $node->safe_psql('postgres', 'SELECT uaef.seal_ledger()');
}

# What somebody outside keeps: size and root.
sub keep
{
	my ($node) = @_;
	return split /\|/,
	  $node->safe_psql('postgres',
		'SELECT tree_size, tree_root FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1'
	  );
}

# Whether a ledger still has what was kept: the root of its tree of that size.
sub root_at
{
	my ($node, $at) = @_;
	my ($code, $out) = $node->psql('postgres',
		"SELECT uaef.consistency_proof($at)->>'old_root'");
	return $code == 0 ? $out : 'shorter';
}

events($primary, 'first', 300);
$primary->backup('base');
events($primary, 'second', 10);
my @early = keep($primary);
$primary->safe_psql('postgres', "SELECT pg_create_restore_point('early')");
events($primary, 'third', 300);
my @late = keep($primary);
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');

# Recovery to the point before the last events.
my $recovered = PostgreSQL::Test::Cluster->new('recovered');
$recovered->init_from_backup($primary, 'base', has_restoring => 1);
$recovered->append_conf('postgresql.conf', <<'CONF');
recovery_target_name = 'early'
recovery_target_action = 'promote'
CONF
$recovered->start;
$recovered->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
  or die 'not recovered';
is($recovered->safe_psql('postgres', $errors),
	'', 'recovered: what there is verifies');
is(root_at($recovered, $early[0]), $early[1], 'what was kept before is there');
is(root_at($recovered, $late[0]), 'shorter', 'what was kept later is not');
events($recovered, 'instead', 400);
is($recovered->safe_psql('postgres', $errors),
	'INCARNATION_UNDECLARED', 'that it went on is found');
isnt(root_at($recovered, $late[0]),
	$late[1], 'what was kept later is contradicted, even when it has grown');
$recovered->safe_psql('postgres',
	"SELECT uaef.declare_incarnation('recovered to early')");
is($recovered->safe_psql('postgres', $errors), '', 'declared');
is( $recovered->safe_psql('postgres',
		'SELECT timeline, tree_size, root FROM uaef.ledger_incarnation'),
	"2|$early[0]|$early[1]",
	'with the tree that it went on from');
my ($code) = $recovered->psql('postgres',
	"SELECT uaef.declare_incarnation('again')");
is($code, 3, 'once');
isnt(root_at($recovered, $late[0]),
	$late[1], 'a declaration does not hide what was lost');
$recovered->stop;

# A streaming standby is promoted, with a worker that goes on sealing.
$primary->backup('second');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'second', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'uaef.start_workers = on');
$standby->start;
events($primary, 'fourth', 20);
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', $size),
	$primary->safe_psql('postgres', $size),
	'the standby has it all');
is(root_at($standby, $late[0]), $late[1], 'and proves it');
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
  or die 'not promoted';
my @common = keep($primary);
$standby->safe_psql('postgres', "SELECT uaef.record_event('promoted')");
$standby->poll_query_until('postgres',
	'SELECT unsealed = 0 AND timeline = 2 FROM uaef.ledger_status')
  or die 'the sealer does not go on';
pass('the sealer goes on');
is($standby->safe_psql('postgres', $errors),
	'INCARNATION_UNDECLARED', 'nobody declared it');
$standby->safe_psql('postgres', "SELECT uaef.declare_incarnation('failover')");
is($standby->safe_psql('postgres', $errors), '', 'declared');
is(root_at($standby, $late[0]), $late[1], 'everything kept before is there');

# The old primary goes on too: two trees of one ledger contradict each other.
events($primary, 'alone', 30);
$standby->poll_query_until('postgres',
	'SELECT unsealed = 0 FROM uaef.ledger_status')
  or die 'not sealed';
$standby->safe_psql('postgres', "SELECT uaef.record_event('also_alone')")
  for 1 .. 40;
$standby->poll_query_until('postgres',
	'SELECT unsealed = 0 FROM uaef.ledger_status')
  or die 'not sealed';
is($primary->safe_psql('postgres', $errors), '', 'one fits itself');
is($standby->safe_psql('postgres', $errors), '', 'so does the other');
my @split = keep($primary);
is(root_at($standby, $common[0]), root_at($primary, $common[0]),
	'they have a beginning in common');
isnt(root_at($standby, $split[0]), $split[1], 'and no more');
$standby->stop;

# A logical subscriber: rows are checked as they come.
my $sub = PostgreSQL::Test::Cluster->new('sub');
$sub->init;
$sub->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
max_worker_processes = 16
CONF
$sub->start;
$sub->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');
$primary->safe_psql('postgres',
	'CREATE PUBLICATION ledger FOR TABLE uaef.ledger, uaef.ledger_event, uaef.ledger_block, uaef.ledger_tile, uaef.ledger_redaction'
);
my $connstr = $primary->connstr . ' dbname=postgres';
$sub->safe_psql('postgres',
	"CREATE SUBSCRIPTION ledger CONNECTION '$connstr' PUBLICATION ledger");
$sub->wait_for_subscription_sync($primary, 'ledger');
is($sub->safe_psql('postgres', $size),
	$primary->safe_psql('postgres', $size),
	'the subscriber has the tree');
is($sub->safe_psql('postgres', $errors), '', 'which verifies');
events($primary, 'published', 50);
$primary->wait_for_catchup('ledger');
my @published = keep($primary);
is(root_at($sub, $published[0]), $published[1], 'and follows');
$primary->safe_psql('postgres',
	"SELECT uaef.redact_events('\$.i == 50', 'asked for')");
$primary->wait_for_catchup('ledger');
is( $sub->safe_psql('postgres',
		"SELECT count(*) FROM uaef.ledger_event WHERE event_type = 'published' AND payload IS NULL"
	),
	'1',
	'what is redacted is redacted there');
is($sub->safe_psql('postgres', $errors), '', 'no problems');

# An event that was changed on its way, here by the publisher's superuser.
$primary->safe_psql('postgres', <<'SQL');
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_chain;
INSERT INTO uaef.ledger_event SELECT nextval('uaef.ledger_event_id'), stream,
	stream_seq + 1, tx, recorded_at, kind, 'forged', actor_type, actor_id,
	session_role, effective_role, task_id, agent_id, payload, salt,
	payload_hash, signer, signature, event_hash, event_hash
FROM uaef.ledger_event WHERE event_type = 'published'
ORDER BY stream_seq DESC LIMIT 1;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_chain;
SQL
ok( $sub->wait_for_log(qr/event does not match its hash/),
	'a forged event is not let in');
is( $sub->safe_psql('postgres',
		"SELECT count(*) FROM uaef.ledger_event WHERE event_type = 'forged'"),
	'0',
	'it is not there');
$sub->stop;
$primary->stop;

done_testing();
