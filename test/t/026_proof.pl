# Proofs and exports of the ledger against a verifier that was written from
# docs/proofs.md, and exports into a folder under all that may go wrong there.

use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $oracle = "$ENV{TESTDIR}/test/oracle/verify_proofs.py";
my $node = new_node('main', <<"CONF");
shared_preload_libraries = 'uaef'
uaef.start_workers = off
uaef.seal_max_events = 3000
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE big');
$node->safe_psql($_, 'CREATE EXTENSION uaef CASCADE') for qw(postgres big);

sub sql { return $node->safe_psql($_[0], $_[1]); }

sub record
{
	my ($database, $n) = @_;
	sql($database,
		"SELECT count(uaef.record_event('some', jsonb_build_object('n', i, 't', 'a\"\\é'))) FROM generate_series(1, $n) i");
	sql($database, 'SELECT uaef.seal_ledger()');
	return;
}

# What the verifier says of questions: texts, one JSON object a line.
sub ask_oracle
{
	my (@questions) = @_;
	open my $file, '>', "$dir/questions" or die $!;
	print $file map { "$_\n" } @questions;
	close $file or die $!;
	return scalar `python3 "$oracle" < "$dir/questions" 2>&1`;
}

sub questions
{
	my ($database, $query) = @_;
	return split /\n/, sql($database, $query);
}

my $leaves = <<'SQL';
SELECT json_build_object('leaves', coalesce(json_agg(e.event_hash ORDER BY b.block_no, n), '[]'))
FROM uaef.ledger_block b, unnest(b.event_ids) WITH ORDINALITY u (event_id, n)
JOIN uaef.ledger_event e USING (event_id)
SQL
my $size_query = 'SELECT coalesce(max(tree_size), 0) FROM uaef.ledger_block';

sub error_of
{
	my ($database, $query) = @_;
	my ($out, $err) = ('', '');
	$node->psql($database, "\\set VERBOSITY verbose\n$query", stdout => \$out, stderr => \$err);
	return $err;
}

# All proofs in all trees of up to 70 events, of blocks of any size.
like(sql('postgres', 'SELECT uaef.consistency_proof(0, NULL)'),
	qr/"proof": \[\]/, 'an empty ledger has an empty proof');
record('postgres', $_) for 1, 1, 2, 3, 5, 8, 13, 9, 20;
my $size = sql('postgres', $size_query);
cmp_ok($size, '>=', 70, 'enough events');
my @all = questions('postgres', $leaves);
push @all, questions('postgres', <<"SQL");
SELECT json_build_object('inclusion', uaef.inclusion_proof(e.event_id, n))
FROM uaef.ledger_block b, unnest(b.event_ids) WITH ORDINALITY e (event_id, o), generate_series(1, 70) n
WHERE b.first_leaf + e.o <= n
SQL
push @all, questions('postgres', <<"SQL");
SELECT json_build_object('consistency', uaef.consistency_proof(m, n))
FROM generate_series(1, 70) n, generate_series(0, n) m
SQL
is(scalar(@all), 1 + 70 * 71 / 2 + 70 * 71 / 2 + 70, 'all pairs');
is(ask_oracle(@all), (@all - 1) . " checked, 0 problems\n", 'every proof holds');

# The verifier sees what is wrong.
my ($bad) = grep { /"leaf_index": 33,.*"tree_size": 70/ || /"tree_size": 70.*"leaf_index": 33/ } @all;
$bad =~ s/("proof": \[")(.)/$1 . ($2 eq '0' ? '1' : '0')/e;
like(ask_oracle($all[0], $bad), qr/^inclusion of 33 in 70: does not hold$/m, 'a wrong hash is seen');

# Random pairs in a tree that has a tile of tiles.
record('big', $_) for 100, 65_000, 1, 5_000;
$size = sql('big', $size_query);
cmp_ok($size, '>', 70_000, 'a tree of more than a tile of tiles');
@all = questions('big', $leaves);
push @all, questions('big', <<"SQL");
WITH pair AS (
	SELECT n, (random() * (n - 1))::bigint AS leaf
	FROM (SELECT 1 + (random() * ($size - 1))::bigint AS n FROM generate_series(1, 150)
		  UNION ALL VALUES (256), (257), (65535), (65536), (65537), ($size), ($size), ($size)) x
)
SELECT json_build_object('inclusion', uaef.inclusion_proof(b.event_ids[p.leaf - b.first_leaf + 1], p.n))
FROM pair p JOIN uaef.ledger_block b ON p.leaf >= b.first_leaf AND p.leaf < b.tree_size
UNION ALL
SELECT json_build_object('consistency', uaef.consistency_proof(leaf, n)) FROM pair
SQL
is(ask_oracle(@all), (@all - 1) . " checked, 0 problems\n", 'every proof of a large tree holds');

# The ways from an event to its leaf and back are one.
is( sql('big', <<'SQL'), '0', 'every event has its leaf');
SELECT count(*) FROM uaef.ledger_block b, unnest(b.event_ids) WITH ORDINALITY e (event_id, o)
WHERE (e.o % 97 = 0 OR e.o IN (1, b.leaf_count))
	AND (uaef.inclusion_proof(e.event_id)->>'leaf_index')::bigint <> b.first_leaf + e.o - 1
SQL

# A folder before anything was signed.
my $folder = "$dir/tiles";
like(sql('big', "SELECT * FROM uaef.export_tiles('$folder')"), qr/^\d+\|\d+\|$size$/, 'an export');
ok(!-e "$folder/checkpoint", 'without a checkpoint');
is(ask_oracle(encode_json({ folder => $folder })), "1 checked, 0 problems\n", 'it holds');
is(sql('big', "SELECT * FROM uaef.export_tiles('$folder')"), "0|0|$size", 'the second time there is nothing to do');
is( sql('big', "SELECT count(*) FROM uaef.tile_files()"),
	`find '$folder' -type f ! -name .uaef-ledger-id | wc -l` + 0,
	'a client gets the same files');

# With a key there are checkpoints.
my ($vkey) = run_command([ 'uaef-signer', 'keygen', 'test.example/ledger', "$dir/key" ]);
chmod 0600, "$dir/key";
$node->append_conf('postgresql.conf', "uaef.ledger_origin = 'test.example/ledger'\nuaef.ledger_key_file = '$dir/key'");
$node->reload;
like(error_of('big', "SELECT uaef.tlog_proof(100)"), qr/UA103: +no signed checkpoint covers event 100/,
	'no checkpoint, no tlog-proof');
like(sql('big', 'SELECT uaef.ledger_checkpoint()'), qr{^test.example/ledger\n$size\n}, 'a checkpoint is signed');
is(ask_oracle(questions('big', <<'SQL')), "3 checked, 0 problems\n", 'tlog-proofs hold');
SELECT json_build_object('tlog_proof', uaef.tlog_proof(event_id), 'leaf', event_hash)
FROM uaef.ledger_event WHERE event_id IN (1, 40000, 70050)
SQL
like(sql('big', "SELECT * FROM uaef.export_tiles('$folder')"), qr/^\d\|\d+\|$size$/, 'the export is brought up to date');
ok(-e "$folder/checkpoint" && -e "$folder/uaef/checkpoints/$size", 'with the checkpoint');
record('big', 300);
my $unsigned = sql('big', 'SELECT max(event_id) FROM uaef.ledger_event');
like(error_of('big', "SELECT uaef.tlog_proof($unsigned - 10)"), qr/UA103: +no signed checkpoint covers/,
	'an event after the last checkpoint has no tlog-proof yet');
is(sql('big', "SELECT tree_size FROM uaef.export_tiles('$folder')"), $size, 'an export ends at the checkpoint');
sql('big', 'SELECT uaef.ledger_checkpoint()');
my $signed = sql('big', 'SELECT max(tree_size) FROM uaef.ledger_checkpoint');
is(sql('big', "SELECT tree_size FROM uaef.export_tiles('$folder')"), $signed, 'until the next one is signed');
is(ask_oracle(encode_json({ folder => $folder })), "1 checked, 0 problems\n", 'the grown folder holds');
cmp_ok(sql('big', "SELECT count(*) FROM uaef.tile_files($size)"), '<', 20, 'what is new is little');

# Receipts.
$node->safe_psql('big', <<'SQL');
SELECT uaef.create_workflow('one', '{"tasks": [{"id": "a", "type": "sql", "config": {"sql": "SELECT 1"}}]}');
SELECT uaef.start_workflow('one', '{"n": 9007199254740993}');
SQL
my $run = sql('big', 'SELECT execution_id FROM uaef.workflow_run');
like(error_of('big', "SELECT uaef.receipt('$run')"), qr/UA103: +event \d+ is not sealed/, 'no receipt before the seal');
sql('big', 'SELECT uaef.seal_ledger()');
my $receipt = sql('big', "SELECT json_build_object('receipt', uaef.receipt('$run'))");
like($receipt, qr/"checkpoint": null/, 'a receipt without a checkpoint says so');
is(ask_oracle($receipt), "1 checked, 0 problems\n", 'and holds');
sql('big', 'SELECT uaef.ledger_checkpoint()');
$receipt = sql('big', "SELECT json_build_object('receipt', uaef.receipt('$run'))");
unlike($receipt, qr/"checkpoint": null/, 'with a checkpoint');
is(ask_oracle($receipt), "1 checked, 0 problems\n", 'it holds too');
(my $forged = $receipt) =~ s/("event_type": ")(\w+)/$1x$2/;
like(ask_oracle($forged), qr/receipt: does not hold/, 'an edited event does not');
like(error_of('big', "SELECT uaef.receipt(gen_random_uuid())"), qr/UA303/, 'nor does an unknown execution');

# Lines of JSON.
my @lines = split /\n/, sql('big', 'SELECT uaef.export_ledger()');
is(scalar(@lines),
	sql('big', 'SELECT 1 + (SELECT count(*) FROM uaef.ledger_event) + (SELECT count(*) FROM uaef.ledger_block) + (SELECT count(*) FROM uaef.ledger_checkpoint)'),
	'a line for each row');
is(scalar(grep { eval { decode_json($_); 1 } } @lines[ 0 .. 100 ], @lines[ -60 .. -1 ]), 161, 'each is JSON');
is(sql('big', "SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape'; SET datestyle = 'German'; SET standard_conforming_strings = off; SELECT md5(string_agg(l, '')) FROM uaef.export_ledger() l"),
	sql('big', "SELECT md5(string_agg(l, '')) FROM uaef.export_ledger() l"),
	'the same under any settings');
is(sql('big', 'SELECT count(*) FROM (SELECT uaef.export_ledger() LIMIT 5) x'), '5', 'it may be left off');
my $from = sql('big', 'SELECT max(event_id) - 50 FROM uaef.ledger_event');
is(sql('big', "SELECT count(*) FROM uaef.export_ledger($from) l WHERE l::jsonb->>'row' = 'event'"),
	sql('big', "SELECT count(*) FROM uaef.ledger_event WHERE event_id >= $from"),
	'from an event on');

# Killed while it writes, again and again: what is there is whole, there is
# never a checkpoint before the end, and in the end all is there.
my $killed = "$dir/killed";
my $kills = 0;
my $whole = sql('big', 'SELECT count(*) FROM uaef.tile_files()');
sub exported
{
	return -d $killed ? `find '$killed' -type f ! -name .uaef-ledger-id ! -name '*.uaef-new' | wc -l` + 0 : 0;
}
for my $round (1 .. 6)
{
	my $want = 40 * $round;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $node->connstr('big'), '-c', 'SELECT pg_backend_pid()', '-c', "SELECT uaef.export_tiles('$killed')" ],
		'>', \$out, '2>', \$err);
	my $limit = time + 60;
	while (time < $limit && $run->pumpable)
	{
		$run->pump_nb;
		next if exported() < $want || $out !~ /^(\d+)$/m;
		$kills += $node->kill_process($1);
		last;
	}
	$run->finish;
	# The export may have been faster than the kill.
	ok(!-e "$killed/checkpoint" || exported() == $whole, "round $round: no checkpoint before the end");
	last if -e "$killed/checkpoint";
}
cmp_ok($kills, '>=', 1, "killed $kills times");
is(`find '$killed' -type f -size 0 ! -name '*.uaef-new'`, '', 'no file is torn');
$signed = sql('big', 'SELECT max(tree_size) FROM uaef.ledger_checkpoint');
is(sql('big', "SELECT tree_size FROM uaef.export_tiles('$killed')"), $signed, 'then it is finished');
is(exported(), $whole, 'and whole');
is(ask_oracle(encode_json({ folder => $killed })), "1 checked, 0 problems\n", 'and holds');

# A transaction that began before others exported more does not call it
# evidence, and puts nothing older in its place.
my $connection = $node->connstr('big');
my $meanwhile = join ' ', map { qq(-c "$_") } "SELECT uaef.record_event('meanwhile')", 'SELECT uaef.seal_ledger()',
	'SELECT uaef.ledger_checkpoint()', "SELECT uaef.export_tiles('$killed')";
like(error_of('big', <<"SQL"), qr/55000: .*has a newer export/, 'nothing older is put in the place of a newer export');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM uaef.ledger_block;
\\! psql -XqAt -d "$connection" $meanwhile
SELECT uaef.export_tiles('$killed');
SQL
mkdir "$dir/open";
for my $mode (0777, 02775, 0757)
{
	chmod $mode, "$dir/open";
	refused("$dir/open", qr/55000: .*is not the server's own.*chmod go-w/s, sprintf('not into a directory of mode %o', $mode));
}

# What is not proved is told.
sql('big', "SELECT uaef.record_event('waits')");
like(error_of('big', 'SELECT count(*) FROM uaef.export_ledger()'), qr/NOTICE: +00000: 1 event is not sealed yet/, 'that an event is not sealed');
sql('big', 'SELECT uaef.seal_ledger()');
my $told = error_of('big', 'SELECT count(*) FROM uaef.tile_files()');
unlike($told, qr/not sealed/, 'not that of a seal');
like($told, qr/NOTICE: +00000: the export ends at the newest signed checkpoint/, 'that the newest are not signed');

# Where it does not write.
sub refused { my ($path, $pattern, $name) = @_; return like(error_of('big', "SELECT uaef.export_tiles('$path')"), $pattern, $name); }
refused('relative/path', qr/42602: .*not an absolute path/, 'not to a relative path');
refused($node->data_dir . '/x', qr/55000: .*belongs to the server/, 'not into the data directory');
refused("$dir/none/at/all", qr/58P01/, 'not where there is nothing');
symlink $node->data_dir, "$dir/link";
refused("$dir/link/x", qr/55000: .*belongs to the server/, 'nor through a link');
mkdir "$dir/full", 0755;
append_to_file("$dir/full/precious", 'x');
refused("$dir/full", qr/55000: .*has other things in it/, 'not over other things');
mkdir "$dir/linked", 0755;
$node->command_ok([ 'cp', '-a', "$folder/.uaef-ledger-id", "$dir/linked/" ]);
mkdir "$dir/target";
symlink "$dir/target", "$dir/linked/tile";
refused("$dir/linked", qr/55000: .*linked\/tile" is not a directory/, 'not through a link in the folder');
ok(!glob("$dir/target/*"), 'nothing got there');
like(error_of('postgres', "SELECT uaef.export_tiles('$folder')"), qr/55000: .*has another ledger in it/, 'not over another ledger');
sql('big', 'CREATE ROLE auditor LOGIN');
sql('big', "SELECT uaef.grant_access('auditor', 'auditor')");
my ($out, $err) = ('', '');
$node->psql('big', "SELECT uaef.export_tiles('$dir/denied')", extra_params => [ '-U', 'auditor' ], stdout => \$out, stderr => \$err);
like($err, qr/permission denied to write files of the server/, 'not for who may not write files');
ok(!-e "$dir/denied", 'nothing was made');
SKIP:
{
	skip 'root may write everywhere', 1 if $> == 0;
	mkdir "$dir/readonly", 0555;
	refused("$dir/readonly", qr/42501: .*could not create file/, 'not where the server may not');
}

# A redacted payload goes from the folder too; nothing else changes.
sub tamper
{
	my ($change) = @_;
	sql('big', "BEGIN; ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard; $change;"
		  . ' ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard; COMMIT');
	return;
}
sql('big', "SELECT uaef.export_tiles('$folder')");
like(slurp_file("$folder/uaef/payload/000"), qr/\A(\{.*\n){100}/, 'payloads are there');
sql('big', 'INSERT INTO uaef.ledger_redaction VALUES (5, 6)');
tamper('UPDATE uaef.ledger_event SET payload = NULL, salt = NULL WHERE event_id = 5');
mkdir "$folder/uaef/payload/000.p";
append_to_file("$folder/uaef/payload/000.p/100", 'what it said');
is(sql('big', "SELECT files FROM uaef.export_tiles('$folder')"), '1', 'one file is replaced');
ok(!-e "$folder/uaef/payload/000.p/100", 'the one of fewer events is gone');
like(slurp_file("$folder/uaef/payload/000"), qr/\A(\{.*\n){4}null\n\{/, 'and has the payload no more');
is(ask_oracle(encode_json({ folder => $folder })), "1 checked, 0 problems\n", 'the folder holds');

# Of retired events there are hashes only.
my $leaf = sql('big', 'SELECT event_hash FROM uaef.ledger_event WHERE event_id = 7');
tamper('DELETE FROM uaef.ledger_event WHERE event_id <= 300');
sql('big', "SELECT uaef.export_tiles('$dir/retired')");
ok(!-e "$dir/retired/tile/entries/$_" && !-e "$dir/retired/uaef/payload/$_", "no bundle $_") for qw(000 001);
ok(-e "$dir/retired/tile/entries/002", 'but the others');
like(slurp_file("$dir/retired/uaef/ledger.json"), qr/"first_entry":512,/, 'as the description says');
is(ask_oracle(encode_json({ folder => "$dir/retired" })), "1 checked, 0 problems\n", 'it holds');
my $proof = sql('big', "SELECT json_build_object('tlog_proof', uaef.tlog_proof(7), 'leaf', '$leaf')");
unlike($proof, qr/extra/, 'a proof without its entry');
is(ask_oracle($proof), "1 checked, 0 problems\n", 'holds too');

# A folder that has seen more of this ledger than it has now.
my $note = slurp_file("$folder/checkpoint");
(my $ahead = $note) =~ s/^(.*\n)\d+\n/${1}99999999\n/;
open my $file, '>', "$folder/checkpoint" or die $!;
print $file $ahead;
close $file;
refused($folder, qr/UA102: .*does not continue/, 'not over a checkpoint of more events');
(my $other = $note) =~ s/^(.*\n\d+\n).{43}=/${1}47DEQpj8HBSa+\/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=/;
open $file, '>', "$folder/checkpoint" or die $!;
print $file $other;
close $file;
refused($folder, qr/UA102: .*does not continue/, 'nor of others');
is(slurp_file("$folder/checkpoint"), $other, 'it stays');
$node->stop;
done_testing();
