# Payouts with a provider that loses and repeats, and a server that is killed:
# the short form of test/bench/payouts.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/payouts", '--small', '--seed', 7
  or die "could not run test/bench/payouts: $!\n";
