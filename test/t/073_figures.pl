# The figures of test/bench/external, engine, books and connectors come out, with
# all their parts; those of the others are in 070_figures.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use BenchTest;

my %figure = figures_of('external', 'the benchmark of outside workers runs');
like($figure{$_}{value}, qr/^[\d.e-]+$/, "$_ is a number") for qw(one_per_s batch_per_s batch_ratio);
are_none(\%figure, qw(idle problems));

%figure = figures_of('engine', 'the benchmark of the engine runs');
have_goals(\%figure, qw(map_many_per_s map_ratio map_bounded_ratio complete_ratio
	  claim_ratio held_ratio idle_transactions));
are_none(\%figure, 'problems');

%figure = figures_of('books', 'the benchmark of accounts runs');
have_goals(\%figure, qw(batch_per_s single_per_s));
are_none(\%figure, qw(money_problems ledger_problems));

%figure = figures_of('connectors', 'the benchmark of connectors runs');
have_goals(\%figure, qw(posts_per_s hosts_ratio hosts_cpu_ratio hosts_files start_p99_ms memory_mb shutdown_s));
are_none(\%figure, qw(snapshots problems));

done_testing();
