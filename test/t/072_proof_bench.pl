# The figures of test/bench/proof come out.  Their size says nothing here: the
# ledger is far too small.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

my $output = `'$^X' '$FindBin::Bin/../bench/proof' --small --json`;
is($?, 0, 'the benchmark runs');
my $result = decode_json($output);
cmp_ok($result->{events}, '>=', 3_000, 'all events are sealed');
for my $name (qw(inclusion consistency))
{
	cmp_ok($result->{$name}[0], '>', 0, "$name: p50");
	cmp_ok($result->{$name}[1], '>=', $result->{$name}[0], "$name: p99");
}
done_testing();
