# The figures of test/bench/external, engine, books and connectors come out, with
# all their parts; those of the others are in 070_figures.  Their size says
# nothing here: the runs are far too short, and other tests run beside.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

my $output = `'$^X' '$FindBin::Bin/../bench/external' --small --json`;
is($?, 0, 'the benchmark of outside workers runs');
my %figure = map { $_->{name} => $_ } @{ decode_json($output) };
like($figure{$_}{value}, qr/^[\d.e-]+$/, "$_ is a number") for qw(one_per_s batch_per_s batch_ratio);
is($figure{$_}{value}, 0, "$_: none") for qw(idle problems);

$output = `'$^X' '$FindBin::Bin/../bench/engine' --small --json`;
is($?, 0, 'the benchmark of the engine runs');
%figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(map_many_per_s map_ratio map_bounded_ratio complete_ratio
	claim_ratio held_ratio idle_transactions))
{
	like($figure{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{ledger_problems}{value}, 0, 'the ledger verifies afterwards');

$output = `'$^X' '$FindBin::Bin/../bench/books' --small --json`;
is($?, 0, 'the benchmark of accounts runs');
%figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(batch_per_s single_per_s))
{
	like($figure{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{$_}{value}, 0, "$_: none") for qw(money_problems ledger_problems);

$output = `'$^X' '$FindBin::Bin/../bench/connectors' --small --json`;
is($?, 0, 'the benchmark of connectors runs');
%figure = map { $_->{name} => $_ } @{ decode_json($output) };
for my $name (qw(posts_per_s hosts_ratio hosts_cpu_ratio hosts_files start_p99_ms memory_mb shutdown_s))
{
	like($figure{$name}{value}, qr/^-?[\d.e-]+$/, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
is($figure{$_}{value}, 0, "$_: none") for qw(snapshots problems);

done_testing();
