# The short form of test/bench/ssrf: addresses and URLs that must lead nowhere,
# tried with loopback addresses only.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/ssrf", 'short' or die "cannot run test/bench/ssrf: $!\n";
