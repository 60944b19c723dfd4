# What time does to approvals: reminders that somebody gets, escalation, expiry
# that denies; and decisions that race with time.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../lib";

use HttpServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $node = new_node('main', "shared_preload_libraries = 'uaef'\n");
$node->start;
my $server = HttpServer->start;
my $port = $server->port;
my $url = $server->url;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION uaef CASCADE;
	CREATE ROLE boss LOGIN;
	CREATE ROLE head LOGIN;
	CREATE ROLE chief LOGIN;
	SELECT uaef.grant_access(r, 'approver') FROM unnest('{boss,head,chief}'::regrole[]) r;
	SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32');
	SELECT uaef.create_connector('chat', 'webhook', '{"url":"$url/echo/chat"}');
	SELECT uaef.create_connector('closed', 'webhook', '{"url":"http://127.0.0.3:9/"}');
});
wait_for_worker($node, 'postgres', 'the worker runs');

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

my $made = 0;

# Start a workflow of one approval with this config; returns its id.
sub ask
{
	my ($config, $more) = @_;
	my $name = 'w' . ++$made;

	$more //= '';
	sql(qq(SELECT uaef.create_workflow('$name', '{"tasks":[
		{"id":"ask","type":"human_approval","config":$config}$more}')));
	return sql("SELECT uaef.start_workflow('$name', '{\"n\":7}')");
}

sub ending
{
	my ($id) = @_;
	return sql("SELECT uaef.wait_for_workflow('$id', '1min')");
}

sub events
{
	my ($id) = @_;
	return sql("SELECT string_agg(event_type, ' ' ORDER BY stream_seq) FROM uaef.ledger_event
		WHERE stream = '$id' AND event_type LIKE 'approval%'");
}

sub poll
{
	my ($condition, $what) = @_;
	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# Silence denies, by an edge or by failing.
my $plain = ask('{"approvers":"boss","expires":"200ms"}', ']');
is(ending($plain), 'failed', 'no answer in time');
is(sql("SELECT error->>'message' FROM uaef.workflow_run WHERE execution_id = '$plain'"),
	'approval was expired', 'and it says so');
my $edge = ask('{"approvers":"boss","expires":"200ms"}', ',
	{"id":"late","type":"parallel"},{"id":"yes","type":"parallel"}],
	"edges":[{"from":"ask","to":"late","on":"expired"},{"from":"ask","to":"yes","on":"approved"}]');
is(ending($edge), 'completed', 'an edge for no answer');
is(sql("SELECT string_agg(task || ' ' || status, ', ' ORDER BY task) FROM uaef.task_run
		WHERE execution_id = '$edge'"),
	'ask completed, late completed, yes skipped', 'is the one that is taken');

# A reminder goes out, again and again, with what the template says.
my $nagging = ask('{"approvers":["boss"],"remind":"1s","description":"Pay {{in.n}}?","notify":
	{"connector":"chat","body":{"text":"{{sys.approval.description}} {{sys.approval.about}}",
	"who":"{{sys.approval.approvers}}","of":"{{sys.workflow}}"}}}', ']');
poll("reminded >= 2 FROM uaef.human_approval WHERE execution_id = '$nagging'", 'two reminders');
poll(q(count(*) >= 3 FROM uaef.delivery WHERE connector = 'chat' AND status = 'succeeded'),
	'are sent, and the question');
is( sql(q(SELECT string_agg(DISTINCT body ->> 'text', ', ') || ' ' || string_agg(DISTINCT body ->> 'who', ',')
		FROM uaef.delivery WHERE connector = 'chat')),
	'Pay 7? reminder, Pay 7? requested ["boss"]', 'with what the definition says');
cmp_ok(scalar($server->keys_of('/echo/chat')), '>=', 3, 'somebody gets them');
sql("SET SESSION AUTHORIZATION boss; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
	WHERE execution_id = '$nagging'");
is(ending($nagging), 'completed', 'it is decided');
my $reminded = sql("SELECT reminded FROM uaef.human_approval WHERE execution_id = '$nagging'");
poll("NOT EXISTS (SELECT FROM uaef.task_timer WHERE execution_id = '$nagging')", 'the last timer fires');
is(sql("SELECT reminded FROM uaef.human_approval WHERE execution_id = '$nagging'"), $reminded,
	'and reminds of nothing');

# What cannot be sent is noted, and the question stands; so does the default body.
my $deaf = ask('{"approvers":["boss"],"notify":{"connector":"closed"}}', ']');
is( sql("SELECT payload #>> '{error,code}' FROM uaef.ledger_event
		WHERE stream = '$deaf' AND event_type = 'approval_notified'"),
	'UA401', 'a message that may not be sent');
is(sql("SELECT status FROM uaef.workflow_run WHERE execution_id = '$deaf'"), 'waiting_approval',
	'leaves the question as it is');
my $bad = ask('{"approvers":["boss"],"notify":{"connector":"chat","body":{"x":"{{in.nothing}}"}}}', ']');
is( sql("SELECT payload #>> '{error,code}' FROM uaef.ledger_event
		WHERE stream = '$bad' AND event_type = 'approval_notified'"),
	'UA202', 'nor does one that cannot be filled in take the question back');

# Escalation asks others too, one after the other.
my $up = ask('{"approvers":["boss"],"escalate":[{"after":"200ms","to":["head"]},
	{"after":"500ms","to":"{{in.who}}"}]}', ']');
is(ending($up), 'failed', 'roles of escalations are looked up at once');
$up = ask('{"approvers":["boss"],"notify":{"connector":"chat"},
	"escalate":[{"after":"200ms","to":["head","boss"]},{"after":"500ms","to":"chief"}]}', ']');
poll("escalated = 2 FROM uaef.human_approval WHERE execution_id = '$up'", 'two escalations');
is(sql("SELECT approvers FROM uaef.human_approval WHERE execution_id = '$up'"),
	'{boss,head,chief}', 'ask others too');
is(events($up),
	'approval_requested approval_notified approval_escalated approval_notified approval_escalated approval_notified',
	'and tell them');
is( sql("SET SESSION AUTHORIZATION chief; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
	WHERE execution_id = '$up'"), 'approved', 'who may then decide');
is(ending($up), 'completed', 'on it');

# When time is up it is escalated as long as somebody is left; then it is denied.
my $last = ask('{"approvers":["boss"],"expires":"300ms","on_expiry":"escalate","escalate":[{"to":"head"}]}', ']');
is(ending($last), 'failed', 'no answer from anybody');
is(events($last), 'approval_requested approval_escalated approval_expired', 'after an escalation');

# The timers of a stage begin with it.
my $stages = ask('{"stages":[{"approvers":["boss"]},{"approvers":["head"]}],
	"escalate":[{"after":"300ms","to":"chief"}]}', ']');
poll("escalated = 1 FROM uaef.human_approval WHERE execution_id = '$stages'", 'the first stage escalates');
sql("SET SESSION AUTHORIZATION boss; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
	WHERE execution_id = '$stages'");
is(sql("SELECT stage, escalated, approvers FROM uaef.human_approval WHERE execution_id = '$stages'"),
	'2|0|{head}', 'the second begins anew');
poll("escalated = 1 FROM uaef.human_approval WHERE execution_id = '$stages'", 'and escalates too');

# A timer of the stage before does nothing in the next.
$stages = ask('{"stages":[{"approvers":["boss"]},{"approvers":["head"]}],"remind":"1s",
	"notify":{"connector":"chat"},"escalate":[{"after":"1s","to":"chief"}]}', ']');
sql("SET SESSION AUTHORIZATION boss; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
	WHERE execution_id = '$stages'");
my $before = sql("SELECT reminded FROM uaef.human_approval WHERE execution_id = '$stages'");
poll("reminded > $before AND escalated = 1 FROM uaef.human_approval WHERE execution_id = '$stages'",
	'the second stage has its own time');
is( sql("SELECT min(recorded_at) >= max(stage_at) + interval '1s', count(DISTINCT event_type)
		FROM uaef.ledger_event JOIN uaef.human_approval ON execution_id = stream
		WHERE stream = '$stages' AND recorded_at > stage_at
			AND event_type IN ('approval_reminded', 'approval_escalated')"),
	't|2', 'which begins with it');

# Who is asked beside groups counts for any of them.
my $groups = ask('{"groups":[{"approvers":["boss"]},{"approvers":["head"]}],
	"escalate":[{"after":"200ms","to":"chief"}]}', ']');
poll("escalated = 1 FROM uaef.human_approval WHERE execution_id = '$groups'", 'groups are escalated');
is( sql("SET SESSION AUTHORIZATION chief; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
		WHERE execution_id = '$groups'"), 'pending', 'to who counts for one of them');
is( sql("SET SESSION AUTHORIZATION head; SELECT uaef.approve(approval_id) FROM uaef.pending_approval
		WHERE execution_id = '$groups'"), 'approved', 'whichever is left');

# A decision that comes before the end of time, and commits after it, holds.
my $voter = $node->background_psql('postgres', on_error_stop => 1);
my $race = ask('{"approvers":"boss","expires":"3s"}', ']');
$voter->query_safe("BEGIN; SET SESSION AUTHORIZATION boss");
$voter->query_safe("SELECT uaef.approve(approval_id) FROM uaef.pending_approval WHERE execution_id = '$race'");
poll("clock_timestamp() > expires_at + interval '300ms' FROM uaef.human_approval
	WHERE execution_id = '$race'", 'time is up while somebody decides');
$voter->query_safe("COMMIT");
is(ending($race), 'completed', 'the decision holds');
is(events($race), 'approval_requested approval_granted', 'and nothing expired');

# One that is rolled back leaves the end to time; one that comes later is late.
$race = ask('{"approvers":"boss","expires":"3s"}', ']');
my $id = sql("SELECT approval_id FROM uaef.human_approval WHERE execution_id = '$race'");
$voter->query_safe("RESET SESSION AUTHORIZATION; BEGIN; SET SESSION AUTHORIZATION boss");
$voter->query_safe("SELECT uaef.approve($id)");
poll("clock_timestamp() > expires_at + interval '300ms' FROM uaef.human_approval
	WHERE execution_id = '$race'", 'time is up while somebody decides');
$voter->query_safe("ROLLBACK");
is(ending($race), 'failed', 'silence after all');
$voter->quit;
my ($status, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT uaef.approve($id)");
like($error, qr/UA305/, 'and too late');

is(sql(q(SELECT count(*) FROM uaef.verify_ledger() WHERE severity <> 'info')), 0, 'the ledger verifies');
$node->stop;
done_testing();
