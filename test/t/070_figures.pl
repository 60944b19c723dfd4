# The figures of test/bench/figures come out, with all their parts.  Their size
# says nothing here: the runs are far too short, and other tests run beside.
use strict;
use warnings;

use FindBin;
use File::Temp;
use JSON::PP;
use Test::More;

my $json = File::Temp->new;
my $table = `'$^X' '$FindBin::Bin/../bench/figures' --small --json '$json'`;

is($?, 0, 'the benchmark runs');
my $figures = decode_json(do { local (@ARGV, $/) = "$json"; <> });
for my $name (qw(ledger_ratio ledger_vs_lock sql_tasks_per_s pure_tasks_per_s
	idle_transactions latency_p50_ms latency_p99_ms))
{
	like($figures->{$name}{value}, qr/^[\d.]+$/, "$name is a number");
	like($table, qr/\Q$figures->{$name}{what}\E/, "$name stands in the table");
}
is($figures->{ledger_problems}{value}, 0, 'the ledger verifies afterwards');
done_testing();
