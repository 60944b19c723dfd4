# uaef-verify, the offline verifier: published vectors, real ledgers, a corpus
# on which it and the verifier in Python must agree, and input that is no ledger.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $oracle = "$ENV{TESTDIR}/test/oracle";
$ENV{PYTHONDONTWRITEBYTECODE} = 1;

# What a command says, and how it ends.
sub run_it
{
	my ($command) = @_;
	my $said = qx{$command 2>&1};
	return ($said, $? >> 8);
}

# Its last line and its exit code, in one.
sub verdict
{
	my ($said, $code) = run_it("uaef-verify @_");
	my @lines = split /\n/, $said;
	return "$code " . ($lines[-1] // '');
}

sub write_file
{
	my ($name, $text) = @_;
	open my $handle, '>:raw', "$dir/$name" or die "$name: $!";
	print $handle $text;
	close $handle or die "$name: $!";
	return "$dir/$name";
}

# Vectors.
for my $how ('', '--portable')
{
	like((run_it("uaef-verify $how --self-test"))[0],
		qr/^\d+ passed, 0 failed$/m, "published vectors $how");
}
like((run_it("python3 $oracle/vectors.py"))[0],
	qr/^\d+ passed, 0 failed$/m, 'published vectors, in Python');

# A real ledger, and the same in another cluster's eyes.
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
uaef.seal_max_events = 70
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');
$node->safe_psql('postgres', <<'SQL');
SELECT uaef.record_event('many', jsonb_build_object('r', random(), 'i', i,
	'big', 1e400, 'e', 1e-7, 's', E'\u20ac\n"', 'n', null)) FROM generate_series(1, 200) i;
SELECT uaef.record_event('null', 'null');
SELECT uaef.record_event('task', '{}', task_id => 7, agent_id => 'Zoë');
SELECT uaef.seal_ledger();
SELECT uaef.record_event('later');
SELECT uaef.seal_ledger();
SELECT uaef.record_event('not_sealed');
SQL
my $export = <<'SQL';
SELECT json_build_object('row', 'ledger', 'ledger_id', ledger_id) FROM uaef.ledger;
SELECT to_jsonb(e) || '{"row":"event"}' FROM uaef.ledger_event e;
SELECT to_jsonb(b) || '{"row":"block"}' FROM uaef.ledger_block b;
SQL
my $text = $node->safe_psql('postgres', $export) . "\n";
my $file = write_file('export', $text);

is(verdict($file),
	'0 internally consistent only: no checkpoint from outside was given',
	'a real ledger has no problem, and no more is claimed');
is(verdict("- < $file"), verdict($file), 'read from standard input');
is(verdict("--jobs 3 $file"), verdict($file), 'by three threads');
like((run_it("uaef-verify $file"))[0],
	qr/^208 events in 2 streams, 206 leaves, 4 blocks, 0 checkpoints; 2 events in no block$/m, 'its figures')
  or diag((run_it("uaef-verify $file"))[0]);
like((run_it("uaef-verify --json $file"))[0],
	qr/^\{"result":"sound","events":208,.*"errors":0,.*"verdict":"internally/m, 'as JSON');
unlike((run_it("uaef-verify $file"))[0], qr/\r/, 'no progress where there is no terminal');

# The same problem is found in the database and outside, at the same place.
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE uaef.ledger_event DISABLE TRIGGER USER;
UPDATE uaef.ledger_event SET actor_id = 'mallory'
	WHERE event_id = (SELECT event_ids[3] FROM uaef.ledger_block WHERE block_no = 2);
UPDATE uaef.ledger_event SET payload = '{}'
	WHERE event_id = (SELECT event_ids[5] FROM uaef.ledger_block WHERE block_no = 2);
DELETE FROM uaef.ledger_event
	WHERE event_id = (SELECT event_ids[7] FROM uaef.ledger_block WHERE block_no = 2);
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_chain;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;
SQL
my $found = $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(DISTINCT code || ' ' || coalesce(event_id, 0), ',' ORDER BY code || ' ' || coalesce(event_id, 0))
FROM uaef.verify_ledger() WHERE code NOT LIKE 'GUARD%' AND severity = 'error'
SQL
my ($said, $code) = run_it('uaef-verify --json -q '
	  . write_file('damaged', $node->safe_psql('postgres', $export) . "\n"));
my %there;
while ($said =~ /"code":"(\w+)"(?:.*?"event_id":(\d+))?/g)
{
	$there{ "$1 " . ($2 // 0) } = 1;
}
is(join(',', sort keys %there), $found, 'what verify_ledger() finds is found outside');
like($found, qr/PAYLOAD_MISMATCH/, 'and it finds something');
is($code, 1, 'problems end it with 1');
$node->stop;

# Input that cannot be read, and what is said of it.
my ($first) = $text =~ /^(.*\n)/;
for my $case (
	[ 'empty', '', qr/is empty/ ],
	[ 'no ledger', "{}\n", qr/:1: the first line of an export is that of its ledger/ ],
	[ 'no JSON', "$first\{\"row\":\"event\",}\n", qr/:2: byte 16: a key is missing/ ],
	[ 'a key twice', "$first\{\"row\":\"event\",\"row\":\"block\"}\n", qr/:2: byte 1: a key occurs twice/ ],
	[ 'no UTF-8', "$first\"\xff\"\n", qr/:2: byte 1: the text is not UTF-8/ ],
	[ 'NUL', "$first\"\0\"\n", qr/:2: byte 2: a control character in a string/ ],
	[ 'too deep', $first . '[' x 20000 . "\n", qr/:2: byte 10001: arrays and objects nested too deep/ ],
	[ 'no row', "${first}1e400\n", qr/:2: the line is no row of a ledger/ ],
	[ 'an event late', $text . ($text =~ /^(.*"row": "event".*\n)/m)[0], qr/an event, or what was retired, behind a block/ ])
{
	my ($name, $content, $expected) = @$case;
	($said, $code) = run_it('uaef-verify ' . write_file('bad', $content));
	ok($code == 2 && $said =~ $expected, "unreadable: $name") or diag("$code $said");
}
for my $case (
	[ '', qr/an export is missing/ ],
	[ '/nonexistent', qr/could not open "\/nonexistent": No such file/ ],
	[ "--from 5 $file", qr/--from 5 needs a --checkpoint of that size/ ],
	[ "--jobs 0 $file", qr/--jobs must be a number from 1 to 64/ ],
	[ "--policy $file $file", qr/export:1: / ],
	[ "$file $file", qr/too many arguments/ ])
{
	($said, $code) = run_it("uaef-verify $case->[0]");
	ok($code == 2 && $said =~ $case->[1], "usage: $case->[0]") or diag("$code $said");
}

# Ledgers of all shapes, whole and changed.
my $corpus = "python3 $oracle/corpus.py --verify uaef-verify";
($said, $code) = run_it("$corpus --mutations 100 --seed 7");
ok($code == 0, 'two verifiers agree on what is found, and where') or diag($said);
like($said, qr/ 0 differ, 0 not found, 0 false alarms$/m, 'all is found, without false alarms');

# With the sanitizers, where there is a compiler and the source.
my $program = 'uaef-verify';
my @source = glob "$ENV{TESTDIR}/src/bin/{uaef-verify,verify_*,common_*}.c";
if (@source && system("gcc -std=gnu99 -O1 -g -fsanitize=address,undefined -o $dir/checked @source -lcrypto -pthread 2>/dev/null") == 0)
{
	$program = "$dir/checked";
}
($said, $code) = run_it("python3 $oracle/corpus.py --verify $program --fuzz 5");
ok($code == 0, 'no input crashes it') or diag($said);
note($said);

done_testing();
