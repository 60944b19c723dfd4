# The server and a model of it agree on random workflows: the short form of
# test/bench/model.
use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/../bench/model", '--small'
  or die "could not run test/bench/model: $!\n";
