# Conditions, amounts, tiers and splits against an oracle in another language:
# thousands of random cases must give the same values and the same errors.
#
# ORACLE_CASES and ORACLE_SEED choose how many and which.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use UaefCluster;

my $python = (grep { -x "$_/python3" } split /:/, $ENV{PATH})[0];
plan skip_all => 'no python3' if !defined $python;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);
my $cluster = UaefCluster->new(conf => "fsync = off\n");
my $cases = $ENV{ORACLE_CASES} // 6000;
my $seed = $ENV{ORACLE_SEED} // 20261122;

# Run the oracle; returns its exit status and what it said.
sub oracle
{
	my (@options) = @_;

	local $ENV{PGHOST} = $cluster->dir;
	local $ENV{PGPORT} = $cluster->{port};
	local $ENV{PGDATABASE} = $cluster->database;
	local $ENV{PGUSER} = 'postgres';
	open(my $run, '-|', "$python/python3", "$FindBin::Bin/../oracle/rules_oracle.py",
		'--psql', "$bindir/psql", @options)
	  or die "could not run the oracle: $!";
	my @said = <$run>;
	close $run;
	return ($? >> 8, join('', @said));
}

my ($status, $said) = oracle('--cases', $cases, '--seed', $seed);
is($status, 0, 'the server and the oracle agree') or diag($said);
like($said, qr/\b$cases cases, 0 differ/, "on all $cases cases");

# Errors are among them, or the test would say little.
like($said, qr/^$_/m, "cases of $_")
  for 'amount +UA201', 'amount +UA202', 'amount +UA203', 'amount +UA204',
  'amount +UA207', 'condition +UA202', 'condition +UA203', 'condition +UA220',
  'tiers +UA205', 'allocate +UA209';

done_testing();
