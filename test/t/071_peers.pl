# The benches beside peers, of scale and of soaking come out, with all their parts,
# and what was done in them is right.  Their speed says nothing here.  No peer is
# there, as none is without a network.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

# They wait most of the time, so they run beside each other.
my %pipe;
for my $command ('peers --peers none', 'scale', 'soak')
{
	open $pipe{$command}, '-|', "'$^X' '$FindBin::Bin/../bench/'$command --small --json" or die $!;
}

sub bench
{
	my ($command) = @_;
	my $output = do { local $/; readline $pipe{$command} };

	ok(close $pipe{$command}, "$command runs");
	return decode_json($output);
}

my %result = map { $_->{workload} => $_ } @{ bench('peers --peers none')->{results} };
for my $workload (qw(chain diamond fanout pure worker http))
{
	cmp_ok($result{$workload}{value}, '>', 0, "$workload has a rate");
	cmp_ok($result{$workload}{wal_bytes}, '>', 100, "and bytes of WAL");
	ok(defined $result{$workload}{cpu_us}, "and processor time");
}
cmp_ok($result{p50}{value}, '>', 0, 'latency has a median');
cmp_ok($result{p99}{value}, '>=', $result{p50}{value}, 'and a 99th percentile');
is($result{idle}{value}, 0, 'an idle system does nothing');
like($result{start}{value}, qr/^-?[\d.]+/, 'a start in a transaction has a cost');
is($result{$_}{system}, 'uaef', "$_ is ours") for sort keys %result;

my %figure = map { $_->{name} => $_ } @{ bench('scale') };
for my $name (qw(start_ratio claim_ratio complete_ratio chain_ratio growth_ratio held_ratio item_ratio))
{
	cmp_ok($figure{$name}{value}, '>', 0, "$name is a number");
	like($figure{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
}
cmp_ok($figure{$_}{value}, '>', 0, "$_ is a number")
  for qw(define_ms start_one_ms start_many_ms ready_s worker_mb launcher_mb start_ms);
is($figure{$_}{value}, 0, "$_: none") for qw(problems unvacuumed idle_tx);

%figure = map { $_->{name} => $_ } @{ bench('soak') };
cmp_ok($figure{$_}{value}, '>', 0, "$_ is a number") for qw(per_s worker_mb queue_mb);
is($figure{$_}{value}, 0, "$_: none") for qw(stuck failed unpaid problems);
done_testing();
