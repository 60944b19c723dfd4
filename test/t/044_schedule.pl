# The worker starts what is scheduled: every tick once, through a stop, through
# kill -9 and into a restored copy; and an idle schedule costs nothing.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main',
	"shared_preload_libraries = 'uaef'\nrestart_after_crash = on\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', q{
	CREATE EXTENSION uaef CASCADE;
	SELECT uaef.create_workflow('tick', '{"tasks": [{"id": "p", "type": "parallel"}]}');
	SELECT uaef.create_workflow('open', '{"tasks": [{"id": "x", "type": "external", "queue": "q"}]}');
	CREATE VIEW tick AS SELECT r.name, e.tick_at, r.status, r.execution_id
		FROM uaef.workflow_run r JOIN uaef.workflow_execution e USING (execution_id);
});
wait_for_worker($node, 'app', 'the worker runs');

sub ask { my ($sql) = @_; return $node->safe_psql('app', $sql) }
sub becomes { my ($sql, $message) = @_; return ok($node->poll_query_until('app', $sql), $message) }

# Transactions of the database, asked from another one.
sub transactions
{
	return $node->safe_psql('postgres',
		"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'app'");
}

# One that is not due soon: the worker looks at it once, then sleeps.
ask(q{SELECT uaef.create_schedule('later', 'tick', '0 0 1 1 *')});
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'uaef worker'"
	  . " AND state = 'idle' AND state_change < clock_timestamp() - interval '2 seconds'");
my $before = transactions();
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'uaef worker'"
	  . " AND state_change < clock_timestamp() - interval '8 seconds'");
is(transactions() - $before, 0, 'a schedule that is not due costs no transaction');

# Each second, each once.
my $whole = q{SELECT count(*) = count(DISTINCT tick_at)
	AND count(*) = extract(epoch FROM max(tick_at) - min(tick_at)) + 1 FROM tick WHERE name = };
ask(q{SELECT uaef.create_schedule('second', 'tick', '* * * * * *', missed => 'all')});
becomes(q{SELECT count(*) >= 3 FROM tick WHERE name = 'second'}, 'it is started at each tick');
is(ask("$whole 'second'"), 't', 'once, and at every one');

# A pause is heard of, and so is its end.
ask(q{SELECT uaef.pause_schedule('second')});
my $n = ask(q{SELECT count(*) FROM tick WHERE name = 'second'});
ask(q{SELECT uaef.create_schedule('one', 'tick', '* * * * * *')});
becomes(q{SELECT count(*) >= 3 FROM tick WHERE name = 'one'}, 'another one goes on');
is(ask(q{SELECT count(*) FROM tick WHERE name = 'second'}), $n, 'what is paused starts nothing');
ask(q{SELECT uaef.drop_schedule('second'); SELECT uaef.drop_schedule('one')});

# Ticks that come while there is no worker.
ask(q{SELECT uaef.create_schedule('m_' || m, 'tick', '* * * * * *', missed => m) FROM unnest('{one,all}'::text[]) m});
becomes(q{SELECT count(DISTINCT name) = 2 FROM tick WHERE name LIKE 'm%'}, 'both run');
ask('SELECT uaef.stop_worker()');
becomes(q{SELECT max(tick_at) < now() - interval '3.5 seconds' FROM tick WHERE name LIKE 'm%'}, 'time goes by');
ask('SELECT uaef.start_worker()');
becomes(q{SELECT bool_and(last_tick > now() - interval '1.5 seconds') FROM uaef.schedule_status WHERE name LIKE 'm%'},
	'they go on');
ask(q{SELECT uaef.pause_schedule(name) FROM uaef.schedule_status WHERE name LIKE 'm%'});
is(ask("$whole 'm_all'"), 't', 'all: each missed tick is made up for');
is( ask(q{SELECT missed_ticks > 0 AND missed_ticks + started =
		extract(epoch FROM last_tick - (SELECT min(tick_at) FROM tick WHERE name = 'm_one')) + 1
		FROM uaef.schedule_status WHERE name = 'm_one'}),
	't', 'one: the others are counted');

# What waits for the end of an execution starts at its end.
ask(q{SELECT uaef.create_schedule('queue', 'open', '* * * * * *', overlap => 'queue', missed => 'all')});
becomes(q{SELECT status = 'waiting' FROM uaef.schedule_status WHERE name = 'queue'}, 'a tick waits');
is(ask(q{SELECT count(*) FROM tick WHERE name = 'queue'}), 1, 'while one execution is open');
for my $round (2 .. 4)
{
	ask(q{SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'q')});
	becomes("SELECT count(*) = $round FROM tick WHERE name = 'queue'", "its end starts number $round");
}
is(ask("$whole 'queue'"), 't', 'in the order of the ticks');
ask(q{SELECT uaef.drop_schedule('queue')});

# kill -9 of the worker takes the server through a crash.
ask(q{SELECT uaef.create_schedule('crash', 'tick', '* * * * * *', missed => 'all')});
for my $round (1 .. 3)
{
	becomes(q{SELECT count(*) >= 2 FROM tick WHERE name = 'crash' AND tick_at > now() - interval '10 seconds'},
		"ticks, round $round");
	$node->kill_process(worker_pid($node, 'app'));
	wait_for_worker($node, 'app', 'the worker comes back');
	becomes(q{SELECT last_tick > now() - interval '1.5 seconds' FROM uaef.schedule_status WHERE name = 'crash'},
		'and has caught up');
}
ask(q{SELECT uaef.pause_schedule('crash')});
is(ask("$whole 'crash'"), 't', 'every tick once through kill -9');

# Nothing may run in a copy before all of it is there.
sub start_workers
{
	my ($value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET uaef.start_workers = $value");
	$node->reload;
	return $node->poll_query_until('postgres', "SELECT current_setting('uaef.start_workers') = '$value'");
}

# A copy by pg_dump has schedules and triggers that work.
ask(q{
	CREATE TABLE item (id int);
	SELECT uaef.attach_workflow('item', 'tick', key => '{{row.id}}!', input => '{"item": "{{row.id}}"}');
	SELECT uaef.create_schedule('copied', 'tick', '* * * * * *');
});
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('app') ], 'a dump');
ask(q{SELECT uaef.drop_schedule('copied')});
$node->safe_psql('postgres', 'CREATE DATABASE copy');
start_workers('off');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ],
	'is restored');
start_workers('on');
my $known = $node->safe_psql('copy', q{SELECT count(*) FROM tick WHERE name = 'copied'});
ok( $node->poll_query_until('copy', "SELECT count(*) > $known FROM tick WHERE name = 'copied'"),
	'the schedule goes on in it');
is( $node->safe_psql('copy', q{INSERT INTO item VALUES (7);
		SELECT input FROM uaef.workflow_run WHERE input ? 'item'}),
	'{"item": 7}', 'so does the trigger');
is($node->safe_psql('copy', 'SELECT trigger, key FROM uaef.attached_workflow'),
	'uaef_start_tick|{{row.id}}!', 'and the view shows it');

is(ask('SELECT count(*) FROM uaef.verify_ledger()'), 0, 'the ledger verifies');
$node->stop;
done_testing();
