# JSON Schemas against another implementation: random schemas and values must
# get the same verdict.  It is ajv, from NODE_PATH or the registry of packages
# of node; without it, or without node, the test is skipped.
#
# ORACLE_SCHEMAS and ORACLE_SEED choose how many and which; each schema meets
# eight values.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Test::More;
use UaefCluster;

my $schemas = $ENV{ORACLE_SCHEMAS} // 80;
my $seed = $ENV{ORACLE_SEED} // 20261123;

plan skip_all => 'no node' if system('node --version > /dev/null 2>&1') != 0;

my $found = sub { system(q{node -e "require('ajv/dist/2020')" > /dev/null 2>&1}) == 0 };
my $modules = tempdir(CLEANUP => 1);
if (!$found->())
{
	system("cd $modules && timeout 60 npm install --no-audit --no-fund ajv\@8 > /dev/null 2>&1");
	$ENV{NODE_PATH} = "$modules/node_modules";
	plan skip_all => 'no ajv' if !$found->();
}

my $rows = `node $FindBin::Bin/../oracle/json_schema.js $schemas $seed`;
is($?, 0, 'schemas and values are made');

my $cluster = UaefCluster->new(conf => "fsync = off\n");
my $made = () = $rows =~ /\n/g;
my ($n, $yes, $differ, $untold, $example) = split /\|/, $cluster->query(<<"SQL");
SET client_min_messages = warning;
CREATE TABLE oracle (no int, schema jsonb, value jsonb, verdict boolean);
COPY oracle FROM stdin;
$rows\\.
SELECT count(*), count(*) FILTER (WHERE verdict),
  count(*) FILTER (WHERE uaef.json_matches(schema, value) <> verdict),
  count(*) FILTER (WHERE verdict = EXISTS (SELECT FROM uaef.validate_json(schema, value))),
  max(format('%s with %s is %s', schema, value, verdict)) FILTER (WHERE uaef.json_matches(schema, value) <> verdict)
FROM oracle
SQL
cmp_ok($made, '>=', $schemas * 7, "$made cases");
is($n, $made, 'all of them are looked at');
cmp_ok($yes, '>', $made / 4, 'many fit');
cmp_ok($yes, '<', $made * 3 / 4, 'and many do not');
is($differ, 0, 'the verdicts are the same') or diag($example);
is($untold, 0, 'and what does not fit is told of');

done_testing();
