# SIGKILL of worker, executor and postmaster: the short form of test/bench/crash.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/crash", '--small'
  or die "could not run test/bench/crash: $!\n";
