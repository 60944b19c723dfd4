# This project, as test/bench/peers drives it: what UaefPeer is for the others.
package UaefOurs;

use strict;
use warnings;

use IO::Handle;
use IPC::Open2 qw(open2);
use Time::HiRes qw(time);
use UaefMeter;

# Sessions of the outside worker.
my $workers = 2;

my $noop = '"type": "sql", "config": {"sql": "SELECT 1"}';

sub open
{
	my ($class, $cluster) = @_;
	my $self = bless { cluster => $cluster }, $class;

	$cluster->query('CREATE EXTENSION uaef CASCADE');
	$self->{pid} = open2($self->{out}, $self->{in}, $cluster->psql('-qAt'));
	$self->{in}->autoflush(1);
	$cluster->query('CREATE TABLE latency (started timestamptz, ran timestamptz)');
	$self->_define('chain', [ map { qq({"id": "t$_", $noop}) } 1 .. 5 ], map { [ "t$_", 't' . ($_ + 1) ] } 1 .. 4);
	$self->_define('diamond', [ map { qq({"id": "$_", $noop}) } qw(a b c d e) ],
		(map { [ 'a', $_ ] } qw(b c d)), map { [ $_, 'e' ] } qw(b c d));
	$self->_define('fanout', [ qq({"id": "items", "type": "map", "config": {"over": "{{in.items}}", "task": {$noop}}}),
		qq({"id": "join", $noop}) ], [ 'items', 'join' ]);
	$self->_define('job', ['{"id": "x", "type": "external", "queue": "bench"}']);
	$self->_define('timed', ['{"id": "t", "type": "sql", "config": {"sql": "INSERT INTO public.latency VALUES (($1->>\'at\')::timestamptz, clock_timestamp())"}}']);
	$self->_define_pure;
	$cluster->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'uaef worker' AND datname = current_database() AND state = 'idle'", 1, 30)
	  or die "there is no worker\n";
	return $self;
}

# What the session answers that stays connected, as those of the peers do.
sub _ask
{
	my ($self, $sql) = @_;
	my $answer = '';

	print { $self->{in} } "$sql\n\\echo .\n";
	while (my $line = readline $self->{out})
	{
		return $answer if $line eq ".\n";
		$answer .= $line;
	}
	die "the session has ended\n";
}

# A workflow of tasks, and of edges from one to another, maybe with more to say.
sub _define
{
	my ($self, $name, $tasks, @edges) = @_;
	my $edges = join ', ', map { my ($from, $to, $more) = @$_; qq({"from": "$from", "to": "$to") . ($more // '') . '}' } @edges;

	$self->{cluster}->query("SELECT uaef.create_workflow('$name', \$json\${\"tasks\": ["
		  . join(', ', @$tasks) . "], \"edges\": [$edges]}\$json\$)");
	return;
}

# A decision, two conditions, a fork and their join: five tasks that all end.
sub _define_pure
{
	my ($self) = @_;
	my $when = '{"in.key": {"$gte": 0}}';

	$self->_define('pure',
		[ qq({"id": "choose", "type": "decision", "config": {"cases": [{"label": "yes", "when": $when}], "default": "no"}}),
			(map { qq({"id": "$_", "type": "condition", "config": {"when": $when}}) } qw(left right)),
			'{"id": "fork", "type": "parallel"}',
			qq({"id": "join", "type": "condition", "config": {"when": $when}}) ],
		(map { [ 'choose', $_, ', "on": "yes"' ] } qw(left right fork)),
		[ 'left', 'join', ', "on": "true"' ], [ 'right', 'join', ', "on": "true"' ], [ 'fork', 'join' ]);
	return;
}

sub version
{
	my ($self) = @_;
	return $self->{cluster}->query("SELECT extversion FROM pg_extension WHERE extname = 'uaef'");
}

sub can_do { return 1; }

# Tasks that completed; a map is none beside its items.
sub _done
{
	my ($self) = @_;
	return $self->{cluster}->query("SELECT count(*) FROM uaef.task_execution WHERE status = 'completed' AND items_total IS NULL");
}

sub prepare
{
	my ($self, $workload, $n) = @_;

	if ($workload eq 'worker')
	{
		$self->{cluster}->query("SELECT count(uaef.start_workflow('job')) FROM generate_series(1, $n + 100 * $workers)");
	}
	if ($workload eq 'http')
	{
		my $url = "http://127.0.0.1:$self->{port}/";
		$self->{cluster}->query("SELECT uaef.allow_egress('127.0.0.1', $self->{port}, 'http', '127.0.0.1/32')");
		$self->{cluster}->query(qq(SELECT uaef.create_connector('echo', 'webhook', '{"url":"$url","idempotent":true,"max_concurrent":100}')));
	}
	# Leases of tasks that were completed are cleared away when they would end;
	# after that there are events to seal once more.
	if ($workload eq 'idle')
	{
		$self->{cluster}->poll('SELECT count(*) FROM uaef.task_timer', 0, 300) or die "timers were not cleared away\n";
		$self->{cluster}->poll("SELECT count(*) FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'", 0, 300)
		  or die "the events were not sealed\n";
	}
	$self->{before} = $self->_done;
	return;
}

# Where requests of the workload "http" go.
sub set_port { my ($self, $port) = @_; $self->{port} = $port; return; }

sub run
{
	my ($self, $workload, $n) = @_;
	my $method = "_run_$workload";
	my $began = time;
	my $used = $self->_client_seconds;
	my $result = $self->$method($n);
	my $took = time - $began;

	return { seconds => $took, client_us => 1e6 * ($self->_client_seconds - $used), ref $result ? %$result : () };
}

# Clients are the session, and children of ours that have ended: pgbench.
sub _client_seconds
{
	my ($self) = @_;
	my @used = times;

	return $used[2] + $used[3] + UaefMeter::process_seconds($self->{pid});
}

# Start many, and look each 10 ms whether they have ended, as the peers' clients
# do.  A statement that waits for all of them would keep its snapshot.
sub _flow
{
	my ($self, $start) = @_;

	$self->_ask(<<"END");
$start;
DO \$\$
BEGIN
	WHILE EXISTS (SELECT FROM uaef.workflow_execution WHERE status = 'running') LOOP
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END \$\$;
END
	return;
}

sub _run_chain { my ($self, $n) = @_; return $self->_flow("SELECT count(uaef.start_workflow('chain')) FROM generate_series(1, $n)"); }

sub _run_diamond { my ($self, $n) = @_; return $self->_flow("SELECT count(uaef.start_workflow('diamond')) FROM generate_series(1, $n)"); }

sub _run_fanout
{
	my ($self, $n) = @_;

	$self->_ask(<<"END");
SELECT uaef.start_workflow('fanout', jsonb_build_object('items', (SELECT jsonb_agg(i) FROM generate_series(1, $n) i))) AS id \\gset
SELECT uaef.wait_for_workflow(:'id', '10 minutes');
END
	return;
}

# One client, a hundred executions a commit; they are finished when it returns.
sub _run_pure
{
	my ($self, $n) = @_;
	my $rate = $self->{cluster}->pgbench(
		"SELECT cardinality(uaef.start_workflows('pure', ARRAY(SELECT jsonb_build_object('key', i) FROM generate_series(1, 100) i)));\n",
		'-c', 1, '-t', int $n / 100);

	return { seconds => $n / 100 / $rate };
}

# Each commit gives the results of a hundred tasks and takes the next hundred.
sub _run_worker
{
	my ($self, $n) = @_;
	my $commits = $n / 100 / $workers + 1;
	my $rate = $self->{cluster}->pgbench(<<'END', '-c', $workers, '-j', $workers, '-t', $commits, map { ('-D', "$_={}") } qw(ids outputs tokens));
SELECT coalesce(array_agg(task_id), '{}') AS ids, coalesce(array_agg('{"done": true}'::jsonb), '{}') AS outputs, coalesce(array_agg(lease_token), '{}') AS tokens
FROM uaef.complete_and_claim('w', :ids, :outputs, :tokens, 'bench', 100) WHERE code IS NULL \gset
END
	return { seconds => $commits * $workers / $rate };
}

# From just before a start to the task's first statement, the system being idle
# before each.
sub _run_latency
{
	my ($self, $n) = @_;
	my $script = "SELECT uaef.start_workflow('timed', jsonb_build_object('at', clock_timestamp())) \\g /dev/null\nSELECT pg_sleep(0.02) \\g /dev/null\n";

	$self->{cluster}->query($script x 5);
	$self->{cluster}->poll('SELECT count(*) FROM latency', 5) or die "tasks did not run\n";
	$self->{cluster}->query("TRUNCATE latency;\n" . $script x $n);
	$self->{cluster}->poll('SELECT count(*) FROM latency', $n) or die "tasks did not run\n";
	return { ms => [ split /\n/, $self->{cluster}->query('SELECT extract(epoch FROM ran - started) * 1000 FROM latency') ] };
}

sub _run_http
{
	my ($self, $n) = @_;

	$self->{cluster}->query("SELECT count(uaef.send('echo', '{\"n\":1}')) FROM generate_series(1, $n)");
	$self->{cluster}->poll("SELECT count(*) FROM uaef.delivery WHERE status <> 'succeeded'", 0, 600) or die "not all were sent\n";
	return;
}

sub tasks
{
	my ($self, $workload) = @_;

	return $self->{cluster}->query("SELECT count(*) FROM uaef.delivery WHERE status = 'succeeded'") if $workload eq 'http';

	# What the outside worker took at last is no part of its work.
	$self->_ask("SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow = 'job' AND status = 'running';")
	  if $workload eq 'worker';
	return $self->_done - $self->{before};
}

sub start_sql { return "SELECT uaef.start_workflow('chain');"; }

# Wait until all has ended; how much is wrong with the ledger and the money.
sub problems
{
	my ($self) = @_;

	$self->{cluster}->poll("SELECT count(*) FROM uaef.workflow_execution WHERE status = 'running'", 0, 600)
	  or die "executions are stuck\n";
	return $self->{cluster}->problems;
}

sub end
{
	my ($self) = @_;

	return if !$self->{pid};
	local $SIG{PIPE} = 'IGNORE';
	close $self->{in};
	close $self->{out};
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY { local ($?, $@, $!); $_[0]->end; return; }

1;
