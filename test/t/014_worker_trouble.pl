# A worker in trouble: a step that fails, a request that hangs, a cancel.
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION uaef CASCADE;
	SELECT uaef.create_workflow('sql', '{"tasks":[{"id":"t","type":"sql",
		"config":{"sql":"SELECT 1 AS one"}}]}');
	SELECT uaef.create_workflow('wait', '{"tasks":[{"id":"t","type":"wait",
		"config":{"for":"10ms"}}]}');
});
my $worker = wait_for_worker($node, 'postgres', 'the worker runs');

sub run_workflow
{
	my ($name, $input, $timeout) = @_;
	my $id = $node->safe_psql('postgres',
		"SELECT uaef.start_workflow('$name', '$input')");
	return $node->safe_psql('postgres',
		"SELECT uaef.wait_for_workflow('$id', '$timeout')");
}

# Timers are broken: the step fails, slower and slower, and all else goes on.
is(run_workflow('wait', '{}', '10s'), 'completed', 'a timer fires');
my $id = $node->safe_psql('postgres', "SELECT uaef.start_workflow('wait', '{}')");
$node->safe_psql('postgres', 'ALTER TABLE uaef.task_timer RENAME TO broken');
$node->reload;
ok( $node->poll_query_until(
		'postgres',
		"SELECT pg_read_file('" . $node->logfile . "')"
		  . " ~ 'ERROR:  relation \"uaef.task_timer\" does not exist'"),
	'a step fails');
is(run_workflow('sql', '{}', '10s'), 'completed', 'another step works');
$node->safe_psql('postgres', 'SELECT pg_sleep(2)');
my $errors = count_log($node, qr/ERROR:  relation "uaef.task_timer"/);
ok($errors >= 1 && $errors <= 6, "$errors tries in two seconds and some");
$node->safe_psql('postgres', 'ALTER TABLE uaef.broken RENAME TO task_timer');
is(run_workflow('wait', '{}', '60s'), 'completed', 'the step works again');
is($node->safe_psql('postgres', "SELECT uaef.wait_for_workflow('$id', '60s')"),
	'completed', 'and what it had to do is done');
is(worker_pid($node, 'postgres'), $worker, 'in the same process');

# A cancel of an idle worker cancels nothing.
$node->safe_psql('postgres', "SELECT pg_cancel_backend($worker)");
is(run_workflow('wait', '{}', '10s'), 'completed', 'the worker goes on after a cancel');
is(worker_pid($node, 'postgres'), $worker, 'and has not restarted');

# A server that accepts and never answers is not waited for by a shutdown.
my $server = IO::Socket::INET->new(
	Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die $!;
my $url = 'http://127.0.0.1:' . $server->sockport . '/';
$node->safe_psql('postgres',
	"SELECT uaef.allow_egress('127.0.0.1', " . $server->sockport
	  . ", network => '127.0.0.1/32', scheme => 'http')");
$node->safe_psql('postgres', qq{
	SELECT uaef.create_workflow('call', '{"tasks":[{"id":"t","type":"http",
		"config":{"url":"$url","method":"GET"}}]}')});
$node->safe_psql('postgres', "SELECT uaef.start_workflow('call', '{}')");
my $connection = $server->accept;
ok($connection, 'a request is in flight');
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $worker"
		  . " AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)"),
	'and no transaction stays open');
my $took = seconds_of(sub { $node->stop('fast'); });
ok($took < 15, sprintf 'fast shutdown takes %.1f s', $took);

done_testing();
