# SIGKILL of worker and postmaster while deliveries are under way, and while a
# token or session is fetched: the short form of test/bench/delivery_crash.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/delivery_crash", '--small'
  or die "could not run test/bench/delivery_crash: $!\n";
