# The figures of test/bench/figures, ledger and verify come out, with all their
# parts; those of the others are in 073_figures.  Their size says nothing here:
# the runs are far too short, and other tests run beside.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

my $output = `'$^X' '$FindBin::Bin/../bench/figures' --small --json`;
is($?, 0, 'the benchmark runs');
my %figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(ledger_ratio ledger_vs_lock sql_tasks_per_s pure_tasks_per_s
	idle_transactions latency_p50_ms latency_p99_ms))
{
	like($figure{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{ledger_problems}{value}, 0, 'the ledger verifies afterwards');

$output = `'$^X' '$FindBin::Bin/../bench/ledger' --small --json`;
is($?, 0, 'the benchmark of the ledger runs');
%figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(durable_record_ratio durable_insert_ratio cpu_record_ratio
	cpu_insert_ratio seal_p99_ms seal_per_s))
{
	like($figure{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{$_}{value}, 0, "$_: none") for qw(ledger_problems unsealed);

$output = `'$^X' '$FindBin::Bin/../bench/verify' --small --json`;
is($?, 0, 'the benchmark of verification runs');
%figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(one_per_s two_ratio tail_s))
{
	like($figure{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{problems}{value}, 0, 'no problems');

done_testing();
