# Agents that are lost: a lease that runs out gives the task to another agent
# and counts against the first; keys are in no log and in no dump; and what the
# registry holds outlives a restart.
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
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub register
{
	return sql("SELECT api_key FROM uaef.register_agent('$_[0]', 'custom', capabilities => '{work}')");
}

my %key = map { $_ => register($_) } qw(first second);
sql(q{SELECT uaef.create_workflow('job', '{"tasks": [
	{"id": "do", "type": "agent", "config": {"capability": "work"}}]}')});
my $id = sql(q{SELECT uaef.start_workflow('job', '{}')});

my $lost = sql("SELECT task_id, lease_token FROM uaef.claim_agent_tasks('$key{first}', 1, '200ms')");
my ($task, $token) = split /\|/, $lost;
ok( $node->poll_query_until('postgres',
		"SELECT status = 'queued' FROM uaef.task_run WHERE task_id = $task"),
	'a task whose agent is lost is queued again');
is(sql(q{SELECT running, lost, score FROM uaef.agent_reputation WHERE name = 'first'}),
	'0|1|0.3333', 'and that counts against the agent');
is(sql(q{SELECT name FROM uaef.agent_registry WHERE agent_id = uaef.find_available_agent('work')}),
	'second', 'another one is chosen before it');

$node->restart;
my $attempt = sql(qq{
	SELECT c.attempt, uaef.complete_agent_task(c.task_id, '{"by": 2}', NULL, c.lease_token)
	FROM uaef.claim_agent_tasks('$key{second}') c});
is($attempt, '2|', 'another agent does it after a restart');
my ($rc, $out, $err) = $node->psql('postgres',
	"SELECT uaef.complete_agent_task($task, '{}', NULL, '$token')",
	on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/UA306/, 'the result of the lost agent is refused');
is(sql("SELECT output FROM uaef.workflow_run WHERE execution_id = '$id'"),
	'{"do": {"by": 2}}', 'the result of the other one counts');

my $wrong = substr($key{first}, 0, -1) . ($key{first} =~ /0$/ ? '1' : '0');
$node->psql('postgres', "SELECT uaef.claim_agent_tasks('$wrong')");
$node->psql('postgres', "SELECT uaef.deactivate_agent('first')");
$node->psql('postgres', "SELECT uaef.claim_agent_tasks('$key{first}')");
my $log = slurp_file($node->logfile);
like($log, qr/the key is not that of an agent/, 'a wrong key is in the log as an error');
$node->run_log([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$node->{_basedir}/dump.sql" ]);
my $dump = slurp_file("$node->{_basedir}/dump.sql");
like($dump, qr/\tfirst\tcustom\t/, 'a dump has the registry');
foreach my $name (qw(first second))
{
	my $secret = substr($key{$name}, -64, 60);
	unlike($dump, qr/$secret/, "it has not the key of $name");
}
unlike($log, qr/STATEMENT:.*\Q@{[substr($key{first}, -64, 60)]}\E/,
	'no error brings a key into the log');

done_testing();
