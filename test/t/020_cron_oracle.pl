# Cron expressions in time zones against an oracle in another language, which
# walks through local times: random expressions, zones and moments, many of them
# about the changes of the clocks, must give the same next runs.
#
# ORACLE_CASES and ORACLE_SEED choose how many and which.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use UaefCluster;

my $python = (grep { -x "$_/python3" } split /:/, $ENV{PATH})[0];
plan skip_all => 'no python3 that knows time zones'
  if !defined $python
  || system("$python/python3", '-c', 'import zoneinfo; zoneinfo.ZoneInfo("Asia/Kathmandu")') != 0;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);
my $cluster = UaefCluster->new(conf => "fsync = off\n");
my $cases = $ENV{ORACLE_CASES} // 600;
my $seed = $ENV{ORACLE_SEED} // 20261122;

local $ENV{PGHOST} = $cluster->dir;
local $ENV{PGPORT} = $cluster->{port};
local $ENV{PGDATABASE} = $cluster->database;
local $ENV{PGUSER} = 'postgres';
open(my $run, '-|', "$python/python3", "$FindBin::Bin/../oracle/cron_oracle.py",
	'--psql', "$bindir/psql", '--cases', $cases, '--seed', $seed)
  or die "could not run the oracle: $!";
my $said = join '', <$run>;
close $run;
is($?, 0, 'the server and the oracle agree') or diag($said);
like($said, qr/\b$cases cases, 0 differ/, "on all $cases cases");
done_testing();
