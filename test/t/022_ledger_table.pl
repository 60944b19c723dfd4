# Ledgered tables over dump and restore, on a logical replica, with prepared
# transactions, MERGE, many rows in one transaction; and their benchmark runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use BenchTest;

my $conf = <<'CONF';
shared_preload_libraries = 'uaef'
uaef.start_workers = off
max_prepared_transactions = 5
CONF
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', $conf);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql($_[0], $_[1]); }

my $problems =
  "SELECT string_agg(code || ' ' || detail, ',') FROM (SELECT code, detail FROM uaef.verify_ledger()"
  . " UNION ALL SELECT v.code, v.detail FROM uaef.ledgered_table t, uaef.verify_table(t.\"table\") v) x";

# A table in a schema that needs quotes, whose columns have gaps, one with
# partitions, one without a key; one of them not as it should be.
sql('postgres', <<'SQL');
CREATE SCHEMA "My app";
CREATE TABLE "My app"."The orders" (gone int, id int PRIMARY KEY, v int, "Note" text);
ALTER TABLE "My app"."The orders" DROP COLUMN gone;
INSERT INTO "My app"."The orders" VALUES (1, 1, 'a');
SELECT uaef.attach_ledger('"My app"."The orders"', columns => '{v,Note}');
CREATE TABLE part (id int, r int, PRIMARY KEY (id, r)) PARTITION BY RANGE (r);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
SELECT uaef.attach_ledger('part');
INSERT INTO part VALUES (1, 1);
CREATE TABLE bag (a int);
INSERT INTO bag VALUES (1), (1);
SELECT uaef.attach_ledger('bag');
CREATE TABLE was (id int PRIMARY KEY);
SELECT uaef.attach_ledger('was');
INSERT INTO was VALUES (1);
DROP TABLE was;
SQL
is(sql('postgres', $problems), '', 'no problems at first');

# Prepared transactions keep a row and its stream until they end.
sql('postgres', <<'SQL');
BEGIN;
UPDATE "My app"."The orders" SET v = 2;
PREPARE TRANSACTION 'p';
SQL
is(sql('postgres', q[SELECT count(*) FROM uaef.row_history('"My app"."The orders"', '1')]),
	'1', 'what is prepared has not happened');
sql('postgres', "COMMIT PREPARED 'p'");
sql('postgres', 'UPDATE "My app"."The orders" SET v = 3');
is(sql('postgres', q[SELECT string_agg(new->>'v', ',' ORDER BY event_id) FROM uaef.row_history('"My app"."The orders"', '1')]),
	'1,2,3', 'what was prepared is followed');

SKIP:
{
	skip 'MERGE came with 15', 1 if sql('postgres', 'SHOW server_version_num') < 150000;
	sql('postgres', <<'SQL');
MERGE INTO "My app"."The orders" o USING (VALUES (1), (2)) s (id) ON o.id = s.id
WHEN MATCHED THEN UPDATE SET v = 4 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 5);
SQL
	is(sql('postgres', q[SELECT string_agg(operation || (new->>'v'), ',') FROM uaef.row_history('"My app"."The orders"', '2')]),
		'INSERT5', 'MERGE is recorded');
}
is(sql('postgres', $problems), '', 'no problems');

# A bulk update in one transaction keeps nothing for each row.
sql('postgres', 'CREATE TABLE bulk (id int PRIMARY KEY, v int)');
sql('postgres', 'INSERT INTO bulk SELECT i, 0 FROM generate_series(1, 20000) i');
sql('postgres', "SELECT uaef.attach_ledger('bulk')");
is( sql('postgres', <<'SQL'),
BEGIN;
UPDATE bulk SET v = 1;
UPDATE bulk SET v = 2;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'uaef stream heads';
SELECT count(*) < 100 FROM pg_locks;
COMMIT;
SELECT count(*) FROM uaef.row_history('bulk', '77');
SQL
	"0\nt\n3", 'nor a head nor a lock is kept for each row');
is(sql('postgres', "SELECT count(*) FROM uaef.verify_table('bulk')"), '0', 'and all is recorded');
sql('postgres', 'DROP TABLE bulk');

# Dump and restore: triggers and attachments survive, nothing is recorded by the
# restore itself, and changes made on the way are found.
my $dir = PostgreSQL::Test::Utils::tempdir;
my $events = 'SELECT count(*) FROM uaef.ledger_event';
$node->command_ok([ 'pg_dump', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump", '-d', $node->connstr('copy') ],
	'restore');
is(sql('copy', $events), sql('postgres', $events), 'the restore records nothing');
is(sql('copy', $problems), '', 'no problems in the copy');
is(sql('copy', 'SELECT count(*) FROM uaef.ledgered_table'), '3', 'three tables are attached');
sql('copy', <<'SQL');
UPDATE "My app"."The orders" SET v = 7 WHERE id = 1;
ALTER TABLE "My app"."The orders" RENAME v TO w;
INSERT INTO part VALUES (2, 2);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO part VALUES (2, 12);
DELETE FROM bag WHERE ctid = '(0,1)';
SQL
is(sql('copy', $problems), '', 'changes in the copy are recorded');
is(sql('copy', q[SELECT new->>'v' FROM uaef.row_history('"My app"."The orders"', '1') ORDER BY event_id DESC LIMIT 1]),
	'7', 'and follow what was');
is(sql('copy', q[SELECT columns FROM uaef.ledgered_table WHERE "table" = '"My app"."The orders"'::regclass]),
	'{id,w,Note}', 'columns are followed though their numbers are others');
is(sql('copy', q[SELECT nextval('uaef.ledger_table_id') > (SELECT max(table_id) FROM uaef.ledger_table)]),
	't', 'numbers go on');

(my $forged = slurp_file("$dir/dump")) =~ s/^(1\t)[34](\ta)$/${1}40$2/m;
append_to_file("$dir/forged", $forged);
$node->safe_psql('postgres', 'CREATE DATABASE forged');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/forged", '-d', $node->connstr('forged') ],
	'a forged restore');
like(sql('forged', $problems), qr/^ROW_DIVERGES row \{"id": 1\} of [^,]*, in "v"$/, 'is found');

# What comes by logical replication is recorded as what the subscription does.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', $conf);
$subscriber->start;
$node->safe_psql('postgres', 'CREATE TABLE sent (id int PRIMARY KEY, v int); CREATE PUBLICATION pub FOR TABLE sent');
$node->safe_psql('postgres', 'INSERT INTO sent VALUES (1, 1)');
$subscriber->safe_psql('postgres', <<'SQL');
CREATE EXTENSION uaef CASCADE;
CREATE TABLE sent (id int PRIMARY KEY, v int);
SELECT uaef.attach_ledger('sent');
SQL
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '" . $node->connstr . " dbname=postgres' PUBLICATION pub");
$subscriber->wait_for_subscription_sync if $subscriber->can('wait_for_subscription_sync');
$subscriber->poll_query_until('postgres', 'SELECT count(*) = 1 FROM sent');
$node->safe_psql('postgres', 'UPDATE sent SET v = 2; INSERT INTO sent VALUES (2, 2); DELETE FROM sent WHERE id = 2');
$node->wait_for_catchup('sub');
is( $subscriber->safe_psql('postgres',
		"SELECT string_agg(operation, ',' ORDER BY event_id) FROM (SELECT * FROM uaef.row_history('sent', '1')"
		  . " UNION ALL SELECT * FROM uaef.row_history('sent', '2')) h"),
	'INSERT,UPDATE,INSERT,DELETE', 'a subscriber records what it applies');
is($subscriber->safe_psql('postgres', $problems), '', 'no problems on the subscriber');
$node->safe_psql('postgres', 'TRUNCATE sent');
$node->wait_for_catchup('sub');
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM sent, uaef.row_history('sent', '1')"), '0', 'a TRUNCATE too');
is($subscriber->safe_psql('postgres', $problems), '', 'no problems on the subscriber');

# The server that applies truncates without a command: what a row that was deleted
# just before had stored apart is gone by then.
$_->safe_psql('postgres', 'ALTER TABLE sent ADD COLUMN note text; ALTER TABLE sent ALTER COLUMN note SET STORAGE EXTERNAL')
  for $node, $subscriber;
$node->safe_psql('postgres', "INSERT INTO sent VALUES (3, 3, repeat('x', 9000))");
$node->safe_psql('postgres', 'BEGIN; DELETE FROM sent; TRUNCATE sent; COMMIT');
$node->wait_for_catchup('sub');
is( $subscriber->safe_psql('postgres',
		"SELECT string_agg(operation || ' ' || coalesce(length(old->>'note'), 0), ',' ORDER BY event_id) FROM uaef.row_history('sent', '3')"),
	'INSERT 0,DELETE 9000', 'and a row with a large value before it');
is($subscriber->safe_psql('postgres', $problems), '', 'no problems on the subscriber');
$subscriber->stop;

# What events said that are retired: a TRUNCATE, a column with a default, rows
# without a key.  Nothing is missing or too many for it; a forged row still is.
sql('postgres', 'CREATE DATABASE retired');
sql('retired', <<'SQL');
CREATE EXTENSION uaef CASCADE;
CREATE TABLE keyed (id int PRIMARY KEY, v int);
CREATE TABLE heap (a int);
SELECT uaef.attach_ledger('keyed'), uaef.attach_ledger('heap');
INSERT INTO keyed VALUES (1, 1), (2, 2);
INSERT INTO heap VALUES (1), (2);
ALTER TABLE keyed ADD w int DEFAULT 7;
TRUNCATE keyed;
INSERT INTO keyed VALUES (3, 3);
ALTER TABLE keyed ADD x int DEFAULT 8;
DELETE FROM heap WHERE a = 2;
INSERT INTO heap SELECT generate_series(1, 300);
SELECT uaef.seal_ledger();
INSERT INTO uaef.ledger_checkpoint SELECT 'test', tree_size, tree_root, '', now()
FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1;
SQL
cmp_ok(sql('retired', "SELECT uaef.retire_events(now() + interval '1 hour', 'old')"), '>', 200, 'events are retired');
is(sql('retired', "SELECT * FROM uaef.verify_table('keyed')"), '', 'rows are judged by what is left');
is(sql('retired', "SELECT severity, code FROM uaef.verify_table('heap')"), 'info|REDACTED', 'rows without a key are not judged');
is( sql('retired', "INSERT INTO keyed VALUES (4, 4); DELETE FROM keyed WHERE id = 4; "
		  . "ALTER TABLE keyed DISABLE TRIGGER uaef_ledger_row; INSERT INTO keyed VALUES (4, 4);"
		  . " ALTER TABLE keyed ENABLE ALWAYS TRIGGER uaef_ledger_row; SELECT severity, code FROM uaef.verify_table('keyed')"),
	'error|ROW_EXTRA', 'a row after its deletion is');

# The extension goes only with the triggers, and then the tables are free.
isnt($node->psql('postgres', 'DROP EXTENSION uaef'), 0, 'the extension is held by ledgered tables');
sql('postgres', 'DROP EXTENSION uaef CASCADE');
sql('postgres', 'INSERT INTO bag VALUES (5); ALTER TABLE bag ADD b int');
$node->stop;

# The benchmark's figures come out; their size says nothing here.
my %figure = figures_of('tables', 'the benchmark runs');
like($figure{$_}{value}, qr/^[\d.e-]+$/, "$_ is a number")
  for qw(ratio vs_chain vs_hash prepared_ratio prepared_vs_chain cpu_ratio attach_us verify_us);
are_none(\%figure, 'problems');
done_testing();
