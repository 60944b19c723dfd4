# Deadlines of executions, and settings of live tasks that timers heed.
use strict;
use warnings FATAL => 'all';

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
	SELECT uaef.create_workflow('late', '{"timeout":"200ms","tasks":[{"id":"t","type":"external","queue":"late"}]}');
	SELECT uaef.create_workflow('free', '{"tasks":[{"id":"t","type":"external","queue":"free","timeout":"1h"}]}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub start
{
	my ($workflow, $more) = @_;
	return $node->safe_psql('postgres',
		"SELECT uaef.start_workflow('$workflow'" . ($more // '') . ")");
}

sub ending
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT uaef.wait_for_workflow('$id', '20s'), error->>'code'"
		  . " FROM uaef.workflow_run WHERE execution_id = '$id'")
	  . '|'
	  . $node->safe_psql('postgres',
		"SELECT error->>'code' FROM uaef.workflow_run WHERE execution_id = '$id'");
}

my $late = start('late');
like(ending($late), qr/^failed.*\|deadline$/, 'a deadline fails the execution');
is($node->safe_psql('postgres',
		"SELECT status FROM uaef.task_run WHERE execution_id = '$late'"),
	'cancelled', 'and ends its tasks');
$node->safe_psql('postgres', "SELECT uaef.retry_workflow('$late')");
is($node->safe_psql('postgres',
		"SELECT deadline_at > completed_at IS NULL FROM uaef.workflow_run WHERE execution_id = '$late'"),
	't', 'a retry has a deadline of its own');
like(ending($late), qr/^failed.*\|deadline$/, 'that holds too');

like(ending(start('free', ", timeout => '200ms'")), qr/^failed.*\|deadline$/,
	'a start may have one');
my $paused = $node->safe_psql('postgres', q{
	SELECT uaef.start_workflow('free', timeout => '1s') AS id \\gset
	SELECT count(uaef.pause_workflow(:'id')) \\g /dev/null
	\\echo :id}) =~ s/\s+\z//r;
like(ending($paused), qr/^failed.*\|deadline$/, 'the clock of a paused one runs on');
is($node->safe_psql('postgres', "SELECT count(*) FROM uaef.task_timer"), 0,
	'no timer is left');

# A timeout that is shortened for a task that runs.
my $free = start('free');
$node->safe_psql('postgres',
	"SELECT count(*) FROM uaef.claim_tasks('w', 'free', 10, '1 hour')");
$node->safe_psql('postgres',
	"SELECT uaef.alter_task('$free', 't', timeout => '100ms')");
like(ending($free), qr/^failed.*\|UA309$/, 'a shorter timeout ends what runs');

# One that is lengthened: the old timer does not fire.
$node->safe_psql('postgres', q{
	SELECT uaef.create_workflow('short', '{"tasks":[{"id":"t","type":"external","queue":"short","timeout":"300ms"}]}');
	SELECT uaef.create_workflow('second', '{"tasks":[{"id":"t","type":"external","queue":"second","timeout":"1s"}]}')});
my $short = start('short');
$node->safe_psql('postgres',
	"SELECT uaef.alter_task(execution_id, task, timeout => '1h') FROM uaef.claim_tasks('w', 'short', 1, '1 hour')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM uaef.task_timer WHERE kind = 'timeout' AND due_at < now() + interval '1 minute'"),
	'the old timer has fired');
is($node->safe_psql('postgres',
		"SELECT status FROM uaef.task_run WHERE execution_id = '$short'"),
	'running', 'and done nothing');

# A completion that is not committed yet when the time is over: it counts, or
# when it is taken back, the timeout does.
for my $end ('COMMIT', 'ROLLBACK')
{
	my $e = start('second');
	my $session = $node->background_psql('postgres');
	$session->query_safe("SELECT count(*) FROM uaef.claim_tasks('w', 'second', 1, '1 hour')");
	my $due = $session->query_safe(
		"SELECT due_at FROM uaef.task_timer WHERE kind = 'timeout' AND execution_id = '$e'");
	$session->query_safe(
		"BEGIN; SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = '$e'");
	ok($node->poll_query_until('postgres',
			"SELECT due_at > '$due' FROM uaef.task_timer WHERE kind = 'timeout' AND execution_id = '$e'"),
		'the timer waits for who holds the execution');
	$session->query_safe($end);
	$session->quit;
	like(ending($e), $end eq 'COMMIT' ? qr/^completed/ : qr/^failed.*\|UA309$/,
		"after $end");
}
$node->stop;
done_testing();
