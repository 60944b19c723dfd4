# Every committed event is sealed exactly once, whatever is killed: the short form
# of test/bench/ledger_torture.
use strict;
use warnings;

use FindBin;
use Test::More;

plan skip_all => 'pgbench tries again since 15' if `pgbench --help` !~ /--max-tries/;
exec $^X, "$FindBin::Bin/../bench/ledger_torture", '--small'
  or die "could not run test/bench/ledger_torture: $!\n";
