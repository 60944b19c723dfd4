# The verifier and pages that are damaged: it goes on, names the place, and the
# server does not crash.  Also: being cancelled, and events that are written
# meanwhile.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('damage');
$node->init;
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

# Change bytes of the file while the server is down; returns what was there.
sub poke
{
	my ($at, $bytes) = @_;
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

unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP:|PANIC:/, 'the server never crashed');
$node->stop;
done_testing();
