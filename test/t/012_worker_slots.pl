# Workers where the server gives them little: no preloading, no free slot.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

# Without preloading, start_worker() is all it takes.
my $node = new_node('bare',
	"shared_preload_libraries = ''\nrestart_after_crash = on\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION uaef CASCADE');
wait_for_no_worker($node, 'one', 'no worker without preloading');
is( $node->safe_psql(
		'one',
		"SELECT kind || ': ' || detail FROM uaef.worker_status ORDER BY 1"),
	"launcher: uaef is not in shared_preload_libraries\n"
	  . 'worker: SELECT uaef.start_worker() starts it',
	'worker_status says what to do');
my $pid = $node->safe_psql('one', 'SELECT uaef.start_worker()');
is(wait_for_worker($node, 'one', 'start_worker() starts one'),
	$pid, 'and returns its pid');
is($node->safe_psql('one', 'SELECT uaef.start_worker()'),
	$pid, 'a second call finds it');

$node->kill_process($pid);
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE state IS NOT NULL"
		  . " AND backend_type = 'uaef worker' AND pid <> $pid"),
	'it comes back after a crash');
is($node->safe_psql('one', 'SELECT uaef.stop_worker()'),
	't', 'stop_worker() ends it');
wait_for_no_worker($node, 'one', 'and it stays ended');
isnt($node->safe_psql('one', 'SELECT uaef.start_worker()'),
	'', 'start_worker() starts it again');

# A transaction that has not committed its extension has nothing to work on.
$node->safe_psql('postgres', 'CREATE DATABASE two');
my ($rc, $out, $err) = $node->psql('two',
	'BEGIN; CREATE EXTENSION uaef CASCADE; SELECT uaef.start_worker()');
like($err, qr/the worker has not started.*Commit CREATE EXTENSION first/s,
	'start_worker() before the commit is an error');

# A database that is dropped by a session that knows nothing of workers.
$node->safe_psql('two', 'CREATE EXTENSION uaef CASCADE');
$node->safe_psql('postgres', 'CREATE DATABASE gone TEMPLATE two');
$node->safe_psql('gone', 'SELECT uaef.stop_worker()');
$node->safe_psql('postgres', 'DROP DATABASE gone');
$node->safe_psql('two', 'SELECT uaef.start_worker()');
is($node->safe_psql('two', q{SELECT string_agg(coalesce(database, 'gone'), ',' ORDER BY database)
	FROM uaef.worker_status WHERE kind = 'worker'}),
	'one,two', 'start_worker() lets the place of one that is gone go');
is(count_log($node, qr/TRAP|PANIC/), 0, 'nothing broke');
$node->stop;

# One slot is for the launcher, none for a worker: said once, then retried.
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'uaef'\nmax_worker_processes = 1\n"
	  . "max_logical_replication_workers = 0\n");
$node->start;
ok( $node->poll_query_until(
		'one',
		"SELECT count(*) = 1 FROM uaef.worker_status WHERE kind = 'worker'"
		  . " AND state = 'no free slot' AND detail LIKE '%max_worker_processes'"
	),
	'worker_status says that no slot is free');
($rc, $out, $err) = $node->psql('one',
	"\\set VERBOSITY verbose\nSELECT uaef.start_worker()");
like($err, qr/UA501.*no background worker slot is free.*max_worker_processes/s,
	'start_worker() is an error that says what to do');
$node->safe_psql('one', 'SELECT uaef._announce_worker(), pg_sleep(0.6)')
  for 1 .. 3;
is(count_log($node, qr/WARNING.*no background worker slot is free/),
	1, 'the log says it once');

# A worker that was stopped leaves nothing behind in a database that is dropped.
is($node->safe_psql('one', 'SELECT uaef.stop_worker()'),
	't', 'stop_worker() where there is none');
$node->safe_psql('postgres', 'DROP DATABASE one');
ok($node->poll_query_until('two',
		"SELECT count(*) = 0 FROM uaef.worker_status WHERE kind = 'worker' AND database IS NULL"),
	'a database that is gone has no place');
$node->stop;

done_testing();
