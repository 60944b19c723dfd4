# The figures of test/bench/figures, ledger and verify come out, with all their
# parts; those of the others are in 073_figures.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use BenchTest;

my %figure = figures_of('figures', 'the benchmark runs');
have_goals(\%figure, qw(ledger_ratio ledger_vs_lock sql_tasks_per_s pure_tasks_per_s
	  idle_transactions latency_p50_ms latency_p99_ms));
are_none(\%figure, 'problems');

%figure = figures_of('ledger', 'the benchmark of the ledger runs');
have_goals(\%figure, qw(durable_record_ratio durable_insert_ratio cpu_record_ratio
	  cpu_insert_ratio seal_p99_ms seal_per_s));
are_none(\%figure, qw(problems unsealed));

%figure = figures_of('verify', 'the benchmark of verification runs');
have_goals(\%figure, qw(one_per_s two_ratio tail_s));
are_none(\%figure, 'problems');

done_testing();
