# The worker deletes executions that have been kept long enough, and an idle
# system without retention never looks for any.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.retention_interval = '1s'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');
wait_for_worker($node, 'postgres', 'the worker runs');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Two batches of one workflow, and one execution of another.
sql(q{
	SELECT uaef.create_workflow('quick', '{"tasks":[{"id":"a","type":"condition","config":{"when":{"in.n":{"$gte":0}}}}]}');
	SELECT uaef.create_workflow('kept', '{"tasks":[{"id":"a","type":"condition","config":{"when":{"in.n":{"$gte":0}}}}]}');
	SELECT uaef.start_workflow('quick', '{"n":1}') FROM generate_series(1, 900);
	SELECT uaef.start_workflow('kept', '{"n":1}');
	SELECT uaef.set_retention('1 year', 'kept');
	SELECT uaef.set_retention('0')});
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.workflow_run WHERE workflow = 'quick'"),
	'all that ended is deleted, batch after batch');
is(sql("SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'kept'"), '1', 'a workflow with a rule of its own is left to it');
is(sql('SELECT purged FROM uaef.retention WHERE workflow IS NULL'), '900', 'the view counts them');
sql(q(SELECT uaef.start_workflow('quick', '{"n":1}')));
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.workflow_run WHERE workflow = 'quick'"),
	'so is what ends later');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), '0', 'the ledger is sound');

$node->stop;
done_testing();
