# Agents that the worker calls for their tasks.
use strict;
use warnings;

use JSON::PP;
use PeerCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = PeerCluster->start('calls', "uaef.http_timeout = '20s'\nrestart_after_crash = on\n");
my $url = $peer->server->url;
my $json = JSON::PP->new->ascii->canonical;

my $claude = $peer->connector('anthropic', { max_tokens => 100 });
my $gpt = $peer->connector('openai', { max_tokens => 100 });
my $dead = $peer->connector('anthropic', {}, { api_key => 'wrong' });
my $lost = $peer->connector('anthropic', { url => "$url/claude/~reset" });

sub agent
{
	my ($name, $platform, $connector, $can, $more) = @_;

	return $peer->sql("SELECT agent_id FROM uaef.register_agent('$name', '$platform',
		capabilities => '{$can}', configuration => '{\"connector\": \"$connector\"}'"
		  . ($more // '') . ')');
}

sub workflow
{
	my ($name, $config, $more) = @_;

	my $definition = $json->encode({ tasks => [ { id => 'ask', type => 'agent', config => $config } ],
		output => '{{task.ask}}', %{ $more // {} } });
	$peer->sql("SELECT uaef.create_workflow('$name', '$definition')");
	return;
}

# Run it; its status, then its output or error.
sub run
{
	my ($name, $input) = @_;
	my $id = $peer->sql("SELECT uaef.start_workflow('$name', '" . $json->encode($input) . "')");

	$peer->node->poll_query_until('postgres', "SELECT status IN ('completed', 'failed')
		FROM uaef.workflow_run WHERE execution_id = '$id'")
	  or die $peer->sql("SELECT t FROM uaef.task_execution t WHERE execution_id = '$id'");
	my ($status, $output, $error) = split /\|/, $peer->sql("SELECT status, output,
		(SELECT concat(error ->> 'code', ' ', error ->> 'message') FROM uaef.task_execution
			WHERE execution_id = '$id' AND error IS NOT NULL LIMIT 1)
		FROM uaef.workflow_run WHERE execution_id = '$id'");
	return $status eq 'completed' ? $json->decode($output) : $error;
}

# Until it has nothing to do.
sub worker_sleeps
{
	ok($peer->node->poll_query_until('postgres', "SELECT state = 'idle'
		FROM pg_stat_activity WHERE backend_type = 'uaef worker'"), 'and has nothing to do');
	return;
}

sub reputation
{
	my ($name, $columns) = @_;

	return $peer->sql("SELECT $columns FROM uaef.agent_reputation WHERE name = '$name'");
}

# One agent, its prompt, what it costs.
agent('ann', 'anthropic', $claude, 'talk', ", max_cost_per_day => 100, currency => 'USD'");
workflow('talk', { capability => 'talk', prompt => 'say {{in.word}}', tools => [ { name => 'add' } ] });
my $out = run('talk', { word => 'hello' });
is("$out->{text} $out->{stop_reason}", 'hello end_turn', 'an answer is the output');
is(reputation('ann', 'running, completed, tokens_in, tokens_out, cost_minor, unknown_calls'),
	'0|1|12|5|0.0111|0', 'its tokens and cost, exactly');
is($peer->sql('SELECT workflow, currency, calls, tokens, cost_minor FROM uaef.workflow_agent_cost'),
	'talk|USD|1|17|0.0111', 'and those of the workflow');
is($peer->sql("SELECT payload -> 'usage' FROM uaef.ledger_event WHERE event_type = 'task_completed'"),
	'{"tokens_in": 12, "cost_minor": 0.0111, "tokens_out": 5}', 'stand in the event');
$out = run('talk', { word => 'x' });
$peer->sql("SELECT uaef.create_workflow('tool', '" . $json->encode({ tasks => [
	{ id => 'ask', type => 'agent', config => { agent => 'ann', prompt => 'tool add', tools => [ { name => 'add' } ] } },
	{ id => 'add', type => 'sql', config => { sql => q(SELECT ($1 ->> 'n')::int + 1 AS n),
			input => '{{task.ask.tool_calls[0].input}}' } },
	{ id => 'more', type => 'agent', config => { agent => 'ann', messages => [
		{ role => 'user', content => 'Add.' }, { role => 'assistant', content => '{{task.ask.content}}' },
		{ role => 'user', content => 'say {{task.add.n}}' } ] } } ],
	edges => [ { from => 'ask', to => 'add' }, { from => 'add', to => 'more' } ] }) =~ s/'/''/gr . "')");
is(run('tool', {})->{more}{text}, '2', 'a tool that it asks for is a task');

# Structured output, one repair.
my $schema = { type => 'object', required => ['summary'] };
workflow('json', { agent => 'ann', prompt => '{{in.ask}}', output_schema => $schema });
is_deeply(run('json', { ask => 'json {"summary": "s"}' }), { summary => 's' }, 'structured output');
is_deeply(run('json', { ask => 'mend this' }), { summary => 'repaired' }, 'is repaired');
is(reputation('ann', "failed, running, (SELECT calls FROM uaef.workflow_agent_cost WHERE workflow = 'json')"),
	'0|0|3', 'by a second call');
like(run('json', { ask => 'never' }), qr/^UA231 the answer is not/, 'once');

# Fallback: a key that is wrong, then the next one; the best comes first.
agent('bad', 'anthropic', $dead, 'think');
workflow('think', { capability => 'think', prompt => 'say {{in.word}}' });
like(run('think', { word => 'a' }), qr/^anthropic_authentication_error/, 'nobody else');
agent('good', 'openai', $gpt, 'think');
is(run('think', { word => 'b' })->{text}, 'b', 'somebody else');
is(reputation('bad', 'failed'), '1', 'who is better is asked first');
$peer->sql("SELECT uaef.deactivate_agent('good')");
like(run('think', { word => 'a' }), qr/^anthropic_authentication_error/, 'and who is not active, never');
$peer->sql("SELECT uaef.activate_agent('good')");
$peer->sql("INSERT INTO uaef.delivery_gate VALUES ('connector $gpt', 'open', 9, now() + interval '5 s', now())");
is(run('think', { word => 'c' })->{text}, 'c', 'who is better waits while its breaker is open');
is(reputation('bad', 'failed'), '3', 'and the other one is asked meanwhile');
$peer->sql('DELETE FROM uaef.delivery_gate');

# In doubt: no other agent, and a cost that nobody knows.
agent('lossy', 'anthropic', $lost, 'lose', ", max_tokens_per_day => 5000");
workflow('lose', { capability => 'lose', prompt => 'say x' });
like(run('lose', {}), qr/^in_doubt /, 'an answer that is lost');
is(reputation('lossy', 'failed, unknown_calls, tokens_today > 1000'), '1|1|t', 'counts as it was estimated');
is($peer->sql("SELECT calls, unknown_calls FROM uaef.workflow_agent_cost WHERE workflow = 'lose'"), '1|1', 'here too');

# Budgets: of the agent, of the workflow.
agent('poor', 'anthropic', $claude, 'pay', ", max_tokens_per_day => 120");
workflow('pay', { capability => 'pay', prompt => 'say x' });
is(run('pay', {})->{text}, 'x', 'within the budget');
like(run('pay', {}), qr/^UA361 the call would be beyond the budget of agent "poor"/, 'beyond it');
is(reputation('poor', 'completed, failed, tokens_today'), '1|0|17', 'nothing was sent');
agent('rich', 'anthropic', $claude, 'pay');
is(run('pay', {})->{text}, 'x', 'another one pays');
workflow('cheap', { capability => 'pay', prompt => 'say x' },
	{ budget => { max_tokens_per_day => 120 } });
is(run('cheap', {})->{text}, 'x', 'within the budget of the workflow');
like(run('cheap', {}), qr/^UA361 .* beyond the budget of workflow "cheap"/, 'beyond it');

# Cancelled while it is called; what is named in a configuration.
agent('slow', 'anthropic', $peer->connector('anthropic', { url => "$url/claude/~hang" }), 'wait');
workflow('wait', { capability => 'wait', prompt => 'say x' });
my $id = $peer->sql("SELECT uaef.start_workflow('wait', '{}')");
ok($peer->node->poll_query_until('postgres', "SELECT count(*) = 1 FROM uaef.delivery WHERE status = 'sending'"),
	'a call that is not answered');
$peer->sql("SELECT uaef.cancel_workflow('$id', 'enough')");
is(reputation('slow', 'running, cancelled'), '0|1', 'cancelled');
foreach my $bad ([ 'anthropic', $gpt, qr/not for agents of platform/ ], [ 'http', 'none', qr/does not exist/ ])
{
	my (undef, undef, $error) = $peer->node->psql('postgres',
		"SELECT uaef.register_agent('x', '$bad->[0]', configuration => '{\"connector\": \"$bad->[1]\"}')");
	like($error, $bad->[2], "no $bad->[0] by $bad->[1]");
}
my (undef, undef, $error) = $peer->node->psql('postgres', "SELECT uaef.drop_connector('$claude')");
like($error, qr/agent "ann" is called through it/, 'a connector that agents need');

# A task that a transaction took, and gives back when it is undone, while the
# worker saw nothing to call an agent for.  Another agent's claim is such a
# transaction too.
my $key = $peer->sql("SELECT api_key FROM uaef.register_agent('own', 'custom', capabilities => '{swap}')");
agent('swap', 'anthropic', $claude, 'swap');
workflow('swap', { capability => 'swap', prompt => 'say x' });
workflow('look', { capability => 'talk', prompt => 'say {{in.word}}' });
foreach my $take ("uaef.cancel_workflow('ID')", "uaef.claim_agent_tasks('$key')")
{
	foreach my $undo ('ROLLBACK', 'ROLLBACK TO before')
	{
		$peer->sql("SELECT uaef.deactivate_agent('swap')");
		$id = $peer->sql("SELECT uaef.start_workflow('swap', '{}')");
		my $session = $peer->node->background_psql('postgres');
		my $taking = $take =~ s/ID/$id/r;
		$session->query_safe("BEGIN; SAVEPOINT before; SELECT count(*) FROM $taking");
		$peer->sql("SELECT uaef.activate_agent('swap')");
		is(run('look', { word => 'y' })->{text}, 'y', 'the worker looks');
		worker_sleeps();
		$session->query_safe($undo);
		is($peer->sql("SELECT uaef.wait_for_workflow('$id', '10s')"), 'completed',
			"the worker hears of $undo");
		$session->quit;
	}
}

# A worker that is killed loses no task and no answer twice.
$peer->sql("SELECT uaef.start_workflow('talk', jsonb_build_object('word', n)) FROM generate_series(1, 20) n");
my $pid = $peer->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef worker'");
$peer->node->kill_process($pid);
ok($peer->node->poll_query_until('postgres',
	"SELECT count(*) = 22 FROM uaef.workflow_run WHERE workflow = 'talk' AND status IN ('completed', 'failed')"),
	'all end');
is($peer->sql("SELECT count(*) FROM uaef.workflow_run r WHERE workflow = 'talk' AND status = 'failed'
	AND NOT EXISTS (SELECT FROM uaef.task_execution t WHERE t.execution_id = r.execution_id
		AND t.error ->> 'code' = 'in_doubt')"), '0', 'and fail only in doubt');
is(reputation('ann', 'running'), '0', 'no place is lost');

$peer->node->stop;
done_testing();
