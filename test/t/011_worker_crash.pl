# Workers after a crash, on a standby, and after its promotion.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node(
	'primary', "shared_preload_libraries = 'uaef'\nrestart_after_crash = on\n",
	allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION uaef CASCADE');
my $worker = wait_for_worker($node, 'one', 'the worker runs');

# The server restarts everything when one of its processes is killed.
for my $kind ('uaef worker', 'uaef launcher')
{
	my $victim = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$kind'");
	$node->kill_process($victim);
	ok( $node->poll_query_until(
			'postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity"
			  . " WHERE backend_type = 'uaef worker' AND pid <> $worker"
			  . " AND state IS NOT NULL"),
		"$kind killed: a worker comes back");
	$worker = wait_for_worker($node, 'one', 'it is the only one');
}

# A standby has none until it is promoted.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is( $standby->safe_psql(
		'postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'uaef%'"),
	0, 'a standby has no process of uaef');
my ($rc, $out, $err) = $standby->psql('one', 'SELECT uaef.start_worker()');
like($err, qr/cannot start a worker during recovery/,
	'nor can one be started');
is( $standby->safe_psql(
		'one',
		"SELECT detail FROM uaef.worker_status WHERE kind = 'launcher'"),
	'the server is in recovery', 'worker_status says why');
$standby->promote;
wait_for_worker($standby, 'one', 'promotion starts it');

$standby->stop;
$node->stop;
done_testing();
