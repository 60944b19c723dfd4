# Loans and DAGs of real life: the short form of test/bench/real.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/real", '--small'
  or die "could not run test/bench/real: $!\n";
