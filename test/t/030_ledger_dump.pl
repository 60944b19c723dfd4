# The ledger over a parallel dump and restore, other encodings, rewrites of its
# tables and pg_upgrade: what is redacted, retired and signed comes along, and
# all of it verifies.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = <<'CONF';
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', $conf);
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;

sub sql { return $node->safe_psql($_[0], $_[1]); }

# The checkpoints are made up here, in encodings that cannot hold real ones.
my $errors =
  "SELECT string_agg(DISTINCT code, ',') FROM uaef.verify_ledger() WHERE severity <> 'info' AND code <> 'SIG_BAD'";
my $infos =
  "SELECT string_agg(code || ' ' || n, ',' ORDER BY code) FROM (SELECT code, count(*) n FROM uaef.verify_ledger() WHERE severity = 'info' GROUP BY code) s";

# A ledger with everything in it.
sub fill
{
	my ($db) = @_;
	sql($db, 'CREATE EXTENSION IF NOT EXISTS uaef CASCADE');
	sql($db,
		"SELECT count(uaef.record_event('many', jsonb_build_object('i', i, 'r', random()))) FROM generate_series(1, 700) i"
	);
	sql($db, 'SELECT uaef.seal_ledger()');
	sql($db,
		"INSERT INTO uaef.ledger_checkpoint SELECT 'test', tree_size, tree_root, '', now() FROM uaef.ledger_block"
	);
	sql($db, "SELECT uaef.redact_events('\$.i < 6', 'asked for')");
	is(sql($db, "SELECT uaef.retire_events(now(), 'old', max_events => 300)"),
		'300', "$db: events are retired");
	sql($db, "SELECT uaef.redact_events('\$.i > 690', 'asked for')");
	sql($db, 'SELECT uaef.seal_ledger()');
}

# Restore a dump in parallel and see that nothing is lost.
sub restore_and_check
{
	my ($from, $to) = @_;
	$node->command_ok(
		[ 'pg_dump', '-Fd', '-j4', '-f', "$dir/$from-$to", '-d',
			$node->connstr($from) ],
		"$from: dump");
	$node->command_ok(
		[ 'pg_restore', '-j4', '-e', '-d', $node->connstr($to),
			"$dir/$from-$to" ],
		"$from to $to: parallel restore");
	is(sql($to, 'SELECT ledger_id FROM uaef.ledger'),
		sql($from, 'SELECT ledger_id FROM uaef.ledger'),
		'the same ledger');
	my $all =
	  'SELECT md5(string_agg(event_hash::text, $$,$$ ORDER BY event_id)) FROM uaef.ledger_event';
	is(sql($to, $all), sql($from, $all), 'the same events');
	is(sql($to, $errors), '', 'no problems');
	is(sql($to, $infos), sql($from, $infos), 'and what was redacted and retired');
	is(sql($to, "SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_1')"),
		'0', 'the archive came along');

	# It goes on here, and says so.
	sql($to, "SELECT uaef.record_event('here', '{\"k\": \"\\u00e9\"}')");
	sql($to, 'SELECT uaef.seal_ledger()');
	is(sql($to, $errors), 'INCARNATION_UNDECLARED', 'that it goes on is found');
	is(sql($to, 'SELECT declared FROM uaef.ledger_status'), 'f', 'and shown');
	sql($to, "SELECT uaef.declare_incarnation('a copy')");
	is(sql($to, $errors), '', 'until it is declared');
	is(sql($to, 'SELECT declared FROM uaef.ledger_status'), 't', 'and shown');
	my ($code) = $node->psql($to, "SELECT uaef.declare_incarnation('again')");
	is($code, 3, 'once');
	is(sql($to, "SELECT uaef.restore_events('uaef_archive.retirement_1', 'wanted')"),
		'300', 'what was retired can be put back');
	is(sql($to, $errors), '', 'no problems');
}

sql('postgres', 'CREATE DATABASE utf8');
sql('postgres', 'CREATE DATABASE copy');
fill('utf8');
restore_and_check('utf8', 'copy');

# Other encodings: hashes are over UTF-8.
sql('postgres',
	"CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
sql('postgres', 'CREATE DATABASE from_latin1');
sql('latin1', 'CREATE EXTENSION uaef CASCADE');
sql('latin1',
	"SET client_encoding = 'UTF8'; SELECT uaef.record_event('acc', '{\"Zo\\u00eb\": \"caf\\u00e9\"}', agent_id => 'Zoë')"
);
fill('latin1');
restore_and_check('latin1', 'from_latin1');
is( sql('from_latin1',
		"SET client_encoding = 'UTF8'; SELECT agent_id FROM uaef.ledger_event WHERE event_type = 'acc'"
	),
	'Zoë',
	'a name in another encoding');
sql('postgres',
	"CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
);
sql('postgres', 'CREATE DATABASE from_ascii');
fill('ascii');
restore_and_check('ascii', 'from_ascii');

# An event that was changed in the dump is not let in.
$node->command_ok(
	[ 'pg_dump', '-f', "$dir/plain", '-d', $node->connstr('copy') ], 'dump');
my $text = slurp_file("$dir/plain");
$text =~ s/\there\tuser/\tmore\tuser/ or die 'no event to change';
PostgreSQL::Test::Utils::append_to_file("$dir/changed", $text);
sql('postgres', 'CREATE DATABASE changed');
$node->command_fails_like(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v',
		'VERBOSITY=verbose', '-f', "$dir/changed", '-d',
		$node->connstr('changed') ],
	qr/UA102/,
	'a changed event is refused');

# Where a block cannot be read, a copy seals nothing, rather than twice.
sql('postgres', 'CREATE DATABASE damaged TEMPLATE copy');
sql('damaged', <<'SQL');
ALTER TABLE uaef.ledger_block DISABLE TRIGGER ALL;
UPDATE uaef.ledger_block SET frontier = '\x' WHERE block_no = 1;
SQL
my ($status, $sealed, $error) = $node->psql('damaged', "\\set VERBOSITY verbose\nSELECT uaef.seal_ledger()");
like($error, qr/UA102: block 1 is damaged/, 'a copy with a block that is damaged');
is(sql('damaged', 'SELECT count(*) - count(DISTINCT e) FROM uaef.ledger_block, unnest(event_ids) AS e'),
	0, 'no event is in two blocks');
sql('postgres', 'DROP DATABASE damaged');

# Rewrites of the tables.
sql('utf8', $_)
  for ('VACUUM FULL uaef.ledger_event',
	'CLUSTER uaef.ledger_event USING ledger_event_event_id',
	'ALTER TABLE uaef.ledger_event SET (fillfactor = 50)',
	'VACUUM FULL uaef.ledger_block',
	'VACUUM FULL uaef.ledger_tile',
	'REINDEX SCHEMA uaef',
	'VACUUM (FREEZE, ANALYZE)');
is(sql('utf8', $errors), '', 'no problems after rewrites');
sql('utf8', "SELECT uaef.record_event('after')");
is(sql('utf8', 'SELECT uaef.seal_ledger() > 0'), 't', 'it goes on');
is(sql('utf8', $errors), '', 'no problems');

# pg_upgrade.
my $before = sql('utf8',
	'SELECT md5(string_agg(e::text, $$,$$ ORDER BY event_id)) FROM uaef.ledger_event e');
sql('postgres', "DROP DATABASE $_")
  for qw(copy latin1 from_latin1 ascii from_ascii changed);
$node->stop;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', $conf);
my $bin = $node->config_data('--bindir');
chdir $dir;
command_ok(
	[ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir,
		'-b', $bin, '-B', $bin, '-s', $new->host, '-p', $node->port, '-P',
		$new->port, '-U', $ENV{PGUSER} || (getpwuid($<))[0] ],
	'pg_upgrade');
chdir '/';
$new->start;
is( $new->safe_psql('utf8',
		'SELECT md5(string_agg(e::text, $$,$$ ORDER BY event_id)) FROM uaef.ledger_event e'
	),
	$before,
	'the same events');
is($new->safe_psql('utf8', $errors), '', 'no problems after pg_upgrade');
$new->safe_psql('utf8', "SELECT uaef.record_event('upgraded')");
$new->safe_psql('utf8', 'SELECT uaef.seal_ledger()');
is($new->safe_psql('utf8', $errors),
	'INCARNATION_UNDECLARED', 'that it goes on elsewhere is found');
$new->safe_psql('utf8', "SELECT uaef.declare_incarnation('pg_upgrade')");
$new->safe_psql('utf8', 'SELECT uaef.seal_ledger()');
is($new->safe_psql('utf8', $errors), '', 'until it is declared');
$new->stop;

done_testing();
