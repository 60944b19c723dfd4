# The verifier and pages that are damaged: it goes on, names the place, and the
# server does not crash.  Also: being cancelled, losing those that help, and
# events that are written meanwhile.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('damage');
$node->init;
# With checksums, which are the default since 18, the server finds it itself.
my ($control) = run_command([ 'pg_controldata', $node->data_dir ]);
system_or_bail('pg_checksums', '--disable', '-D', $node->data_dir) if $control =~ /checksum version: +[1-9]/;
$node->append_conf('postgresql.conf', "uaef.start_workers = off\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pgcrypto; CREATE EXTENSION uaef');
$node->safe_psql('postgres', q{
INSERT INTO uaef.ledger_event (stream, event_type, payload)
SELECT ('00000000-0000-8000-8000-00000000000' || n % 5)::uuid, 'damage', jsonb_build_object('n', n, 'a', ARRAY[n, 2.5], 's', 'text')
FROM generate_series(1, 3000) n});
$node->safe_psql('postgres', 'SELECT uaef.seal_ledger()');

sub verify
{
	my ($arguments, $what) = @_;
	my ($out, $err);
	my $status = $node->psql('postgres',
		'SELECT ' . ($what // q{code || ' ' || coalesce(ctid::text, '') || ' ' || coalesce(event_id::text, '')})
		  . " FROM uaef.verify_ledger($arguments) ORDER BY 1",
		stdout => \$out, stderr => \$err);
	return $status == 0 ? $out : "failed: $err";
}

is(verify(''), '', 'undamaged, one process');
is(verify('jobs => 2'), '', 'undamaged, two processes');

my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('uaef.ledger_event')});
my $pages = $node->safe_psql('postgres', q{SELECT pg_relation_size('uaef.ledger_event') / 8192});

# Change bytes of the file, or of another, while the server is down; returns what
# was there.
sub poke
{
	my ($at, $bytes, $file) = (@_, $file);
	$node->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	seek $fh, $at, 0;
	read $fh, my $old, length $bytes;
	seek $fh, $at, 0;
	print $fh $bytes;
	close $fh;
	$node->start;
	return $old;
}

# Whole structures.
my $old = poke(2 * 8192 + 12, "\xff\xff\xff\xff\xff\xff");
my $found = verify('');
like($found, qr/^HEAP_DAMAGED \(2,0\)/m, 'a page header that makes no sense');
unlike($found, qr/^HEAP_DAMAGED \((?!2,)/m, 'of that page only');
like($found, qr/LEAF_MISSING/, 'its events are missed');
is(verify('jobs => 2'), $found, 'two processes find the same');
poke(2 * 8192 + 12, $old);
is(verify(''), '', 'put back');

$old = poke(3 * 8192 + 24, "\xff\xff\xfe\xff");
like(verify(''), qr/^HEAP_DAMAGED \(3,1\)/m, 'a line pointer that leads out of the page');
poke(3 * 8192 + 24, $old);

# One byte after another, anywhere in some pages: whatever holds data is found,
# and nothing makes it fail.
my $flips = $ENV{UAEF_DAMAGE_FLIPS} // 12;
my ($failed, $hits, $data) = (0, 0, 0);
srand(20);
for (1 .. $flips)
{
	my $page = 4 + int rand($pages - 5);
	my $at = $page * 8192 + 4096 + int rand(4000);
	my $byte = poke($at, chr(1 + int rand 255));
	my $result = verify('');
	$failed++ if $result =~ /failed/;
	$hits++ if $result ne '' && $result !~ /failed/;
	poke($at, $byte);
}
is($failed, 0, "$flips bytes changed: the verifier always comes to its end");
cmp_ok($hits, '>=', $flips / 2, "and finds what changes an event ($hits of $flips)");
is(verify(''), '', 'all put back');

# A length of a value: the header of the first event's type.
my $tid = $node->safe_psql('postgres', q{SELECT ctid FROM uaef.ledger_event WHERE stream_seq = 500 LIMIT 1});
my ($block) = $tid =~ /\((\d+),/;
open my $fh, '<:raw', $file or die;
seek $fh, $block * 8192, 0;
read $fh, my $page, 8192;
close $fh;
my $type = rindex($page, "\x0fdamage");
cmp_ok($type, '>', 0, 'an event is where it is looked for');
poke($block * 8192 + $type, "\xff");
like(verify(''), qr/^HEAP_DAMAGED \($block,\d+\)/m, 'a value that is longer than its row');
poke($block * 8192 + $type, "\x0f");
is(verify(''), '', 'put back');

# What is at the beginning of a table's file, or of an index.
sub head_of
{
	my ($relation) = @_;
	my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$relation')");
	open my $fh, '<:raw', $path or die "$path: $!";
	read $fh, my $bytes, 8192;
	close $fh;
	return ($path, $bytes);
}

# The tables of blocks, tiles and checkpoints, and what is out of line.
for my $table (qw(uaef.ledger_block uaef.ledger_tile uaef.ledger_checkpoint))
{
	$node->safe_psql('postgres', <<'SQL') if $table =~ /checkpoint/;
INSERT INTO uaef.ledger_checkpoint SELECT 'damage', tree_size, tree_root,
	E'damage\n' || tree_size || E'\n' || encode(tree_root::bytea, 'base64') || E'\n\n\u2014 damage AAAAAAAA\n', now()
FROM uaef.ledger_block
SQL
	my ($path) = head_of($table);
	my $old = poke(12, "\xff\xff\xff\xff\xff\xff", $path);
	my $found = verify('');
	like($found, qr/^HEAP_DAMAGED/m, "$table: a page header that makes no sense");
	is(verify('jobs => 2'), $found, 'two processes find the same');
	poke(12, $old, $path);
	is(verify(''), '', 'put back');
}
my ($toast) = head_of($node->safe_psql('postgres', "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'uaef.ledger_tile'::regclass"));
my $old_toast = poke(12, "\xff\xff\xff\xff\xff\xff", $toast);
like(verify(''), qr/^TILE_MISMATCH/m, 'tiles whose hashes cannot be read');
is(verify('jobs => 2'), verify(''), 'two processes find the same');
poke(12, $old_toast, $toast);

# An index that is not what its table is: the first event's number in it.
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');
is(verify('indexes => true'), '', 'the indexes are what their tables are');
my $index = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('uaef.ledger_event_event_id')});
open $fh, '<:raw', $index or die;
seek $fh, 8192, 0;
read $fh, $page, 8192;
close $fh;
my $entry = rindex($page, pack 'q<', 5);
cmp_ok($entry, '>', 0, 'an entry of the index is where it is looked for');
poke(8192 + $entry, pack('q<', 4), $index);
is(verify('', 'code'), '', 'an entry of another number: the table is sound');
is(verify('indexes => true', 'DISTINCT code'), 'INDEX_DIVERGES', 'the index is not');
like(verify('indexes => true', 'detail'), qr/index "ledger_event_event_id": /, 'which is named');
poke(8192 + $entry, pack('q<', 5), $index);

# Events that are not sealed yet, on a page that cannot be read.
$node->safe_psql('postgres', q{SELECT count(uaef.record_event('unsealed', to_jsonb(repeat(n::text, 900)))) FROM generate_series(1, 40) n});
my $last = $node->safe_psql('postgres', q{SELECT pg_relation_size('uaef.ledger_event') / 8192 - 1});
$old = poke($last * 8192 + 12, "\xff\xff\xff\xff\xff\xff");
for my $arguments ('', 'jobs => 2', '2, sample => 0')
{
	like(verify($arguments), qr/^HEAP_DAMAGED/m, "the last page cannot be read: verify_ledger($arguments)");
}
poke($last * 8192 + 12, $old);
$node->safe_psql('postgres', 'SELECT uaef.seal_ledger()');
is(verify(''), '', 'all put back');

# Cancelled, with helpers.
$node->safe_psql('postgres', q{
INSERT INTO uaef.ledger_event (stream, event_type, payload)
SELECT ('00000000-0000-8000-8000-00000000000' || n % 5)::uuid, 'more', jsonb_build_object('n', n)
FROM generate_series(1, 60000) n});
for my $jobs (1, 2)
{
	my ($out, $err);
	$node->psql('postgres', "SET statement_timeout = '20ms'; SELECT count(*) FROM uaef.verify_ledger(jobs => $jobs)",
		stdout => \$out, stderr => \$err);
	like($err, qr/canceling statement due to statement timeout/, "cancelled, jobs $jobs");
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'"),
	'no helper is left');

# Helpers that are terminated, or that there is no room for: this one goes on
# alone, and finds what there is.
sub verify_forged
{
	my ($setting) = @_;
	my ($out, $err);
	$node->psql('postgres', qq{
SET client_min_messages = debug1; SET $setting;
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ALL;
UPDATE uaef.ledger_event SET payload = '"forged"' WHERE event_id = 60000;
SELECT code, event_id FROM uaef.verify_ledger(jobs => 2) WHERE code <> 'GUARD_TAMPERED';
ROLLBACK}, stdout => \$out, stderr => \$err);
	return ($out, $err);
}

my $forged = 'PAYLOAD_MISMATCH|60000';
my $said = '';
my @found;
for (1 .. 50)
{
	my $pid = fork // die;
	if ($pid == 0)
	{
		$node->psql('postgres', q{
DO $$ BEGIN
	FOR i IN 1 .. 20000 LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'parallel worker') > 0;
	END LOOP;
END $$});
		require POSIX;
		POSIX::_exit(0);
	}
	(my $out, $said) = verify_forged('max_parallel_workers = 8');
	push @found, $out;
	waitpid $pid, 0;
	last if $said =~ /goes on alone: terminating/;
}
like($said, qr/goes on alone: terminating/, 'a helper was terminated');
is_deeply([ grep { $_ ne $forged } @found ], [], 'and nothing else is found than with it');
is((verify_forged('max_parallel_workers = 0'))[0], $forged, 'no helper is allowed');

# Events and blocks that come meanwhile are no problems.
my $pid = fork // die;
if ($pid == 0)
{
	for (1 .. 30)
	{
		$node->psql('postgres', "SELECT uaef.record_event('meanwhile'), uaef.record_event('meanwhile')");
		$node->psql('postgres', 'SELECT uaef.seal_ledger()');
	}
	require POSIX;
	POSIX::_exit(0);
}
my $problems = '';
$problems .= verify($_ % 2 ? '' : 'jobs => 2') for 1 .. 8;
waitpid $pid, 0;
is($problems, '', 'no problem while events are written and sealed');

# Whoever helps, as many events were looked at.
my $looked = 'SELECT events FROM uaef.ledger_verdict(from_block => 2, sample => 0, jobs => %d)';
my $alone = $node->safe_psql('postgres', sprintf $looked, 1);
cmp_ok($alone, '>', 60000, 'what is new was looked at');
is($node->safe_psql('postgres', sprintf $looked, 2), $alone, 'by two processes too');

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is((verify_forged('max_parallel_workers = 8'))[0], $forged, 'no process is free to help');

unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP:|PANIC:/, 'the server never crashed');
$node->stop;
done_testing();
