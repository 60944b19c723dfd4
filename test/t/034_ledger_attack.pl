# Attacks on the ledger: the short form of test/bench/attack.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/attack", '--small'
  or die "could not run test/bench/attack: $!\n";
