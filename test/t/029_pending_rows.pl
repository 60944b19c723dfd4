# Changes of ledgered rows that wait to be recorded: what a transaction sees, and
# what is there in the end, is as if they had been recorded at once.  Random
# transactions with savepoints, exceptions, roles, DDL and errors change a table
# that also has a trigger in plpgsql, which writes the events that must be there.
# UAEF_CASES (150) is how many, UAEF_SEED the first one's seed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cases = $ENV{UAEF_CASES} // 150;
my $first_seed = $ENV{UAEF_SEED} // 1;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
max_prepared_transactions = 5
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE r (id int PRIMARY KEY, v int, note text);
CREATE TABLE bag (a int);
CREATE TABLE expected (seq bigserial, tx xid8 DEFAULT pg_current_xact_id(), type text, tab text,
	key jsonb, new jsonb, role text, app text);
CREATE ROLE clerk;
CREATE ROLE auditor_of_r;
GRANT ALL ON r, bag, expected, expected_seq_seq TO clerk, auditor_of_r;
GRANT USAGE ON SCHEMA uaef TO clerk, auditor_of_r;

CREATE FUNCTION key_of(j jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT jsonb_build_object('id', j->'id') WHERE j ? 'id' $$;

-- What an event must say of a row: all of it, or what differs from before.
CREATE FUNCTION image_of(j jsonb, before jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(j)
   WHERE key <> 'id' AND (before IS NULL OR NOT before ? 'id' OR before->key IS DISTINCT FROM value) $$;

CREATE FUNCTION expect() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	o jsonb;
	n jsonb;
BEGIN
	IF TG_OP <> 'INSERT' THEN o := to_jsonb(OLD); END IF;
	IF TG_OP <> 'DELETE' THEN n := to_jsonb(NEW); END IF;
	IF TG_OP = 'UPDATE' AND o = n THEN
		RETURN NULL;
	ELSIF TG_OP = 'UPDATE' AND o->'id' <> n->'id' THEN
		INSERT INTO expected (type, tab, key, new, role, app)
		VALUES ('row_updated', TG_TABLE_NAME, key_of(o), NULL, current_user, current_setting('application_name')),
			('row_updated', TG_TABLE_NAME, key_of(n), image_of(n, NULL), current_user, current_setting('application_name'));
	ELSE
		INSERT INTO expected (type, tab, key, new, role, app)
		VALUES (CASE TG_OP WHEN 'INSERT' THEN 'row_inserted' WHEN 'UPDATE' THEN 'row_updated' ELSE 'row_deleted' END,
			TG_TABLE_NAME, COALESCE(key_of(n), key_of(o)), image_of(n, o), current_user, current_setting('application_name'));
	END IF;
	RETURN NULL;
END $$;
ALTER FUNCTION image_of(jsonb, jsonb) CALLED ON NULL INPUT;
CREATE TRIGGER a_expect AFTER INSERT OR UPDATE OR DELETE ON r FOR EACH ROW EXECUTE FUNCTION expect();
CREATE TRIGGER a_expect AFTER INSERT OR UPDATE OR DELETE ON bag FOR EACH ROW EXECUTE FUNCTION expect();

CREATE VIEW wanted AS SELECT tx, row_number() OVER (PARTITION BY tx ORDER BY seq) AS n, type, key,
	CASE WHEN type <> 'row_deleted' THEN new END AS new, role, app FROM expected;
CREATE VIEW found AS SELECT tx, row_number() OVER (PARTITION BY tx ORDER BY event_id) AS n, event_type AS type,
	payload->'key' AS key, payload->'new' AS new, actor_id AS role, COALESCE(payload->>'application_name', '') AS app
	FROM uaef.ledger_event WHERE event_type IN ('row_inserted', 'row_updated', 'row_deleted')
	AND payload->>'table' NOT LIKE '%ddl_log';
CREATE VIEW differing AS SELECT w AS wanted, f AS found FROM wanted w FULL JOIN found f ON w.tx = f.tx AND w.n = f.n
	WHERE ROW(w.type, w.key, w.new, w.role, w.app) IS DISTINCT FROM ROW(f.type, f.key, f.new, f.role, f.app);

-- In a transaction, by statements of all kinds: what is seen of its own events.
CREATE FUNCTION own_difference() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$
	SELECT count(*) FROM (SELECT n, type, key, new, role, app FROM wanted WHERE tx = pg_current_xact_id_if_assigned()) w
	FULL JOIN (SELECT n, type, key, new, role, app FROM found WHERE tx = pg_current_xact_id_if_assigned()) f USING (n)
	WHERE ROW(w.type, w.key, w.new, w.role, w.app) IS DISTINCT FROM ROW(f.type, f.key, f.new, f.role, f.app) $$;
CREATE FUNCTION check_own() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF own_difference() <> 0 THEN
		RAISE WARNING 'DIFFERS';
	END IF;
END $$;
CREATE FUNCTION check_stable() RETURNS int LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
	IF own_difference() <> 0 THEN
		RAISE WARNING 'DIFFERS, as a stable function sees it';
	END IF;
	RETURN 0;
END $$;
CREATE FUNCTION check_table(t regclass) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	codes text[] := ARRAY(SELECT code || ' ' || detail FROM uaef.verify_table(t));
BEGIN
	IF codes <> '{}' THEN
		RAISE WARNING 'DIFFERS, as verify_table() sees it: %', codes;
	END IF;
END $$;
-- One that changes rows in a subtransaction, which may fail.
CREATE FUNCTION try_it(low int, high int, fail bool, look bool) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	UPDATE r SET v = v + 1 WHERE id BETWEEN low AND high;
	IF look THEN PERFORM check_own(); END IF;
	IF fail THEN RAISE EXCEPTION 'as it was asked to'; END IF;
	RETURN 0;
EXCEPTION WHEN raise_exception THEN
	UPDATE r SET v = v - 1 WHERE id = low;
	RETURN 1;
END $$;
CREATE PROCEDURE ends_between() LANGUAGE plpgsql AS $$
BEGIN
	UPDATE r SET v = 7 WHERE id < 4;
	COMMIT;
	UPDATE r SET v = 8 WHERE id < 4;
	ROLLBACK;
	UPDATE r SET v = 9 WHERE id < 4;
END $$;
INSERT INTO r SELECT i, i, 'n' || i FROM generate_series(1, 30) i;
TRUNCATE expected;
SELECT uaef.attach_ledger('r'), uaef.attach_ledger('bag');
SQL

sub id { return 1 + int rand 40; }

# Statements that may be in a transaction, each as often as its weight.
my @kinds = (
	[ 10, sub { sprintf 'UPDATE r SET v = v + %d WHERE id = %d;', int rand 3, id() } ],
	[ 4, sub { sprintf "INSERT INTO r VALUES (%d, 1, 'i') ON CONFLICT (id) DO UPDATE SET v = r.v + 1;", id() } ],
	[ 3, sub { sprintf "INSERT INTO r VALUES (%d, 1, 'i');", id() } ],
	[ 3, sub { sprintf 'DELETE FROM r WHERE id = %d;', id() } ],
	[ 3, sub { sprintf 'UPDATE r SET id = %d WHERE id = %d;', id(), id() } ],
	[ 2, sub { 'UPDATE r SET v = v + 1;' } ],
	[ 1, sub { sprintf 'UPDATE r SET v = v + n FROM generate_series(1, 3) n WHERE id = %d RETURNING check_stable();', id() } ],
	[ 2, sub { sprintf "UPDATE r SET note = (SELECT string_agg(md5(i::text || %d), '') FROM generate_series(1, 400) i) WHERE id = %d;", int rand 1000, id() } ],
	[ 2, sub { sprintf "UPDATE r SET note = 'short' WHERE id > %d;", id() } ],
	[ 2, sub { sprintf 'INSERT INTO bag SELECT generate_series(1, %d);', 1 + int rand 90 } ],
	[ 1, sub { 'DELETE FROM bag WHERE a > 20;' } ],
	[ 3, sub { sprintf 'SELECT try_it(%d, %d, %s, %s);', id(), id(), rand() < 0.5 ? 'true' : 'false', rand() < 0.3 ? 'true' : 'false' } ],
	[ 1, sub { sprintf 'SELECT sum(try_it(i, i + 2, i %% 3 = 0, i %% 4 = 0)) FROM generate_series(%d, %d) i;', (sort { $a <=> $b } id(), id()) } ],
	[ 3, sub { 'SELECT check_own();' } ],
	[ 3, sub { 'SELECT check_stable();' } ],
	[ 1, sub { "SELECT uaef.record_event('noted', '{}');" } ],
	[ 1, sub { "SET LOCAL application_name = 'app " . int(rand 5) . "';" } ],
	[ 1, sub { 'SET LOCAL ROLE ' . (qw(clerk auditor_of_r))[ rand 2 ] . ';' } ],
	[ 1, sub { 'RESET ROLE;' } ],
	[ 1, sub { sprintf 'ALTER TABLE r %s COLUMN IF %s EXISTS extra%s;', @{ [ [ 'ADD', 'NOT', ' int DEFAULT 5' ], [ 'DROP', '', '' ] ]->[ rand 2 ] } } ],
	[ 1, sub { 'CLUSTER r USING r_pkey;' } ],
	[ 1, sub { 'TRUNCATE bag;' } ],
	[ 1, sub { "SELECT 1 / (v - v) FROM r LIMIT 1;" } ],
	[ 1, sub { sprintf 'SELECT check_table(%s);', (qw('r' 'bag'))[ rand 2 ] } ]);
my @drawn = map { my ($weight, $make) = @$_; ($make) x $weight } @kinds;

# The statements of one transaction, with savepoints that nest.
sub transaction
{
	my ($case) = @_;
	my @open;
	my $sql = "BEGIN" . (rand() < 0.2 ? ' ISOLATION LEVEL REPEATABLE READ' : '') . ";\n";

	for my $k (1 .. 3 + int rand 15)
	{
		my $what = rand;

		if ($what < 0.12)
		{
			push @open, "s$k";
			$sql .= "SAVEPOINT s$k;\n";
		}
		elsif ($what < 0.24 && @open)
		{
			my $s = $open[ rand @open ];

			$sql .= "ROLLBACK TO $s;\n";
			pop @open while $open[-1] ne $s;
		}
		elsif ($what < 0.30 && @open)
		{
			my $s = $open[ rand @open ];

			$sql .= "RELEASE $s;\n";
			pop @open while $open[-1] ne $s;
			pop @open;
		}
		else
		{
			$sql .= $drawn[ rand @drawn ]->() . "\n";
		}
	}
	$sql .= "SET TRANSACTION READ ONLY;\n" if rand() < 0.15;
	my $end = rand;
	return $sql . "ROLLBACK;\n" if $end < 0.1;
	return $sql . "PREPARE TRANSACTION 'p$case';\nCOMMIT PREPARED 'p$case';\n" if $end < 0.2;
	return $sql . "COMMIT;\n";
}

my ($seen, $wrong, $failed) = (0, 0, 0);
for my $seed ($first_seed .. $first_seed + $cases - 1)
{
	srand $seed;
	my $sql = transaction($seed) . (rand() < 0.05 ? "CALL ends_between();\n" : '');
	my ($stdout, $stderr);

	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr, on_error_stop => 0,
		extra_params => rand() < 0.4 ? [ '-v', 'ON_ERROR_ROLLBACK=on' ] : []);
	$failed++ if $stderr =~ /ERROR/;
	$seen++ if $sql =~ /check_|look/;
	next if $stderr !~ /DIFFERS|recording changes|server closed|PANIC|XX000/;
	$wrong++;
	diag("seed $seed:\n$sql\n$stderr") if $wrong < 3;
}
is($wrong, 0, "$cases random transactions see their own events as they must");
cmp_ok($seen, '>', $cases / 10, 'many looked');
cmp_ok($failed, '>', $cases / 20, 'some met an error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM differing'), 0, 'events are those that the other trigger wrote, in its order')
  or diag($node->safe_psql('postgres', 'SELECT d FROM differing d LIMIT 5'));
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM found'), '>', 10 * $cases, 'there are many');
is( $node->safe_psql('postgres',
		"SELECT string_agg(concat_ws(' ', code, detail), ',') FROM (SELECT code, detail FROM uaef.verify_ledger()"
		. " UNION ALL SELECT v.code, v.detail FROM uaef.ledgered_table t, uaef.verify_table(t.\"table\") v) x"),
	'', 'no problems');

# Rows that a command's event trigger writes to the table that it is about to
# give other columns.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE ddl_log (id bigserial PRIMARY KEY, tag text, v int DEFAULT 1);
SELECT uaef.attach_ledger('ddl_log');
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.ddl_log (tag) VALUES (tg_tag || ' begins'); END $$;
CREATE EVENT TRIGGER a_log ON ddl_command_start EXECUTE FUNCTION log_ddl();
BEGIN;
INSERT INTO ddl_log (tag) VALUES ('mine');
ALTER TABLE ddl_log ALTER COLUMN v TYPE text USING repeat(v::text, 3), ALTER COLUMN id TYPE text;
ALTER TABLE ddl_log DROP COLUMN v;
COMMIT;
DROP EVENT TRIGGER a_log;
SQL
is( $node->safe_psql('postgres',
		"SELECT string_agg(COALESCE(new->>'tag', '') || ' ' || COALESCE(new->>'v', '-'), ', ' ORDER BY event_id) FROM ("
		  . "SELECT event_id, payload->'new' AS new FROM uaef.ledger_event WHERE event_type = 'row_inserted' AND payload->>'table' LIKE '%ddl_log') e"),
	'mine 1, ALTER TABLE begins 1, ALTER TABLE begins 1', 'what an event trigger writes is recorded before the command');
is($node->safe_psql('postgres', "SELECT string_agg(code, ',') FROM uaef.verify_table('ddl_log')"), '', 'and so verified');

# What cannot be recorded fails the COMMIT, which says what it was at.
my ($stdout, $stderr);
$node->safe_psql('postgres', 'CREATE INDEX partial ON uaef.ledger_event (event_type) WHERE event_type IS NULL');
$node->psql('postgres', 'BEGIN; UPDATE r SET v = -1; COMMIT;', stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
like($stderr, qr/cannot write to table "uaef.ledger_event" with index "partial".*HINT.*CONTEXT:  recording changes of rows of ledgered tables/s,
	'an error comes with the COMMIT');
is($node->safe_psql('postgres', 'SELECT count(*) FROM r WHERE v = -1'), 0, 'and nothing was changed');
$node->safe_psql('postgres', 'DROP INDEX uaef.partial');

# Without the library preloaded nothing waits, and all is recorded as well.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', <<'SQL');
UPDATE r SET v = v + 1;
BEGIN;
UPDATE r SET v = v + 1 WHERE id < 10;
SELECT check_own();
SAVEPOINT s;
INSERT INTO bag SELECT generate_series(1, 100);
ROLLBACK TO s;
DELETE FROM bag WHERE a < 5;
COMMIT;
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM differing'), 0, 'a library that is not preloaded records at once');
$node->stop;

done_testing();
