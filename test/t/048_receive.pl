# Messages of queues start workflows: each once, and what cannot is parked.
use strict;
use warnings;

use PeerCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = PeerCluster->start('receive');
my $url = $peer->server->url;
$peer->server->put('lock', '1');
my $node = $peer->node;

$peer->sql(q(SELECT uaef.create_workflow('take', '{"tasks":[{"id":"c","type":"condition","config":
	{"when":{"in.n":{"$gte":1}}}}],"output":{"n":"{{in.n}}"},
	"input_schema":{"type":"object","required":["n"]}}')));
$peer->sql(q(SELECT uaef.create_workflow('hear', '{"tasks":[{"id":"s","type":"signal",
	"config":{"name":"said"}}],"output":{"heard":"{{task.s}}"}}')));

sub eventually
{
	my ($query, $what) = @_;

	ok($node->poll_query_until('postgres', $query), $what)
	  or diag($peer->sql('SELECT to_jsonb(q) FROM uaef.queue_inbox q'));
	return;
}

sub started { return "(SELECT count(*) FROM uaef.workflow_execution e
	JOIN uaef.workflow_definition d USING (definition_id) WHERE d.name = '$_[0]')"; }

foreach my $type ('sqs', 'servicebus')
{
	my %place = (
		sqs => sub { return "$url/123/$_[0]"; },
		servicebus => sub { return "$url/sb/$_[0]"; });
	my $to = sub { return { url => $place{$type}->($_[0]) }; };
	my $from = sub {
		my ($queue, %receive) = @_;
		return { url => $place{$type}->($queue),
			receive => { wait => 2, visibility => 1, max_receives => 2,
				on => [ { start => { workflow => 'take', input => '{{body}}' } } ], %receive } };
	};
	my $before = $peer->sql('SELECT ' . started('take'));
	my $writer = $peer->connector($type, $to->('in'));

	# What is there, and what comes while the worker waits.
	$peer->sql(qq(SELECT uaef.send('$writer', jsonb_build_object('n', n)) FROM generate_series(1, 12) n));
	my $reader = $peer->connector($type, $from->('in'));
	eventually('SELECT ' . started('take') . " = $before + 12", "$type: 12 messages, 12 executions");
	$peer->send($writer, { n => 13 });
	eventually('SELECT ' . started('take') . " = $before + 13", "$type: one that comes later");
	is($peer->sql("SELECT string_agg(DISTINCT status, ' ') FROM uaef.workflow_execution
		WHERE input ? 'n'"), 'completed', "$type: they ran");

	# A queue that does not forget.
	$peer->server->put('keep', 'yes');
	$peer->send($writer, { n => 14 });
	eventually("SELECT count(*) = 1 FROM uaef.queue_inbox q JOIN uaef.workflow_execution e
		USING (execution_id) WHERE q.connector = '$reader' AND e.input ->> 'n' = '14'",
		"$type: a message is taken");
	if ($type eq 'sqs')
	{
		my $deletes = sub {
			return scalar grep { ($_->{headers}{'x-amz-target'} // '') =~ /Delete/ && $_->{body} }
			  $peer->requests;
		};
		my $seen = $deletes->();
		my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
		Time::HiRes::usleep(50_000) until $deletes->() > $seen + 1 || time > $limit;
		cmp_ok($deletes->(), '>', $seen + 1, "$type: it is to be forgotten again and again");
		is($peer->sql('SELECT ' . started('take')), $before + 14, "$type: and not again when it comes again");
	}
	$peer->server->put('keep');

	# What cannot be handled.
	$peer->send($writer, { no => 1 });
	eventually("SELECT count(*) = 1 FROM uaef.parked_message
		WHERE connector = '$reader' AND error_code = 'UA231' AND body = '{\"no\": 1}'",
		"$type: a message that fits no workflow is parked");
	my (undef, undef, $error) = $node->psql('postgres',
		"SELECT uaef.replay_message(connector, message_id) FROM uaef.parked_message
		WHERE connector = '$reader'");
	like($error, qr/JSON Schema/i, "$type: and does not fit later either");
	$peer->sql("UPDATE uaef.queue_inbox SET body = '{\"n\": 99}' WHERE status = 'parked'");
	$peer->sql("SELECT uaef.replay_message(connector, message_id) FROM uaef.parked_message");
	is($peer->sql("SELECT count(*) FROM uaef.workflow_execution WHERE input = '{\"n\": 99}'"),
		$type eq 'sqs' ? 1 : 2, "$type: until it does");
	is($peer->sql('SELECT count(*) FROM uaef.parked_message'), 0, "$type: then it is not parked");
	(undef, undef, $error) = $node->psql('postgres', "SELECT uaef.replay_message('$reader', 'none')");
	like($error, qr/no parked message/, "$type: a message that is not there");

	# Pausing.
	$peer->sql("SELECT uaef.pause_connector('$reader')");
	my $now = $peer->sql('SELECT ' . started('take'));
	$peer->ended($peer->send($writer, { n => 20 }), 'status');
	$peer->sql("SELECT uaef.receive('$reader')");
	is($peer->sql('SELECT ' . started('take')), $now, "$type: nothing while it is paused");
	$peer->sql("SELECT uaef.resume_connector('$reader')");
	eventually('SELECT ' . started('take') . " = $now + 1", "$type: and then what came meanwhile");

	# Signals.
	my $execution = $peer->sql(q(SELECT uaef.start_workflow('hear', '{}')));
	$peer->connector($type, { url => $place{$type}->('signals'), receive => { wait => 2,
		on => [ { signal => { execution => '{{body.to}}', signal => 'said', payload => '{{body.what}}' } } ] } });
	$peer->send($peer->connector($type, $to->('signals')), { to => $execution, what => { a => $type } });
	eventually("SELECT status = 'completed' AND output #>> '{heard,payload,a}' = '$type'
		FROM uaef.workflow_execution WHERE execution_id = '$execution'", "$type: a signal");

	# Several rules: the first that fits acts, one ignores, and what fits none is
	# parked until there is one.
	my $mixed = $peer->connector($type, { url => $place{$type}->('mixed'), receive => { wait => 2, on => [
		{ when => { 'body.kind' => 'order' }, start => { workflow => 'take', idempotency_key => 'order {{body.n}}' } },
		{ when => { 'body.kind' => 'noise' }, ignore => {} },
		{ when => { 'attributes.nothing' => 1 }, start => { workflow => 'hear' } } ] } });
	my $mixer = $peer->connector($type, $to->('mixed'));
	my $taken = $peer->sql('SELECT ' . started('take'));
	$peer->send($mixer, { kind => $_, n => $type eq 'sqs' ? 101 : 102 }) foreach qw(order noise order other);
	eventually("SELECT count(*) = 4 FROM uaef.queue_inbox WHERE connector = '$mixed'", "$type: four messages by rules");
	is($peer->sql('SELECT ' . started('take')), $taken + 1, "$type: two of them are one start, by their key");
	is($peer->sql("SELECT error_code, body ->> 'kind' FROM uaef.parked_message WHERE connector = '$mixed'"),
		'UA443|other', "$type: one that fits no rule is parked");
	is($peer->sql("SELECT count(*) FROM uaef.queue_inbox WHERE connector = '$mixed' AND status = 'accepted' AND execution_id IS NULL"),
		1, "$type: one is ignored");
	$peer->sql("SELECT uaef.alter_connector('$mixed', jsonb_set(config, '{receive,on}', '[{\"ignore\": {}}]')) FROM uaef.connector WHERE name = '$mixed'");
	$peer->sql("SELECT uaef.replay_message(connector, message_id) FROM uaef.parked_message WHERE connector = '$mixed'");
	is($peer->sql("SELECT count(*) FROM uaef.parked_message WHERE connector = '$mixed'"), 0, "$type: until a rule fits it");

	# A queue that is not there; then somebody asks by hand.
	my $broken = $peer->connector($type, $from->('missing'));
	my (undef, undef, $none) = $node->psql('postgres', "SELECT uaef.receive('$writer')");
	like($none, qr/does not receive/, "$type: one that does not receive");
	$peer->sql("SELECT uaef.receive('$broken')");
	eventually('SELECT ' . started('take') . " = $taken + 1", "$type: others go on");
}
my $log = slurp_file($node->logfile);
like($log, qr/could not receive from connector "sqs-\d+": sqs_queue_does_not_exist/, 'what fails is told');
unlike($log, qr/canary|Y2FuYXJ5/, 'without a secret');

$node->stop;
done_testing();
