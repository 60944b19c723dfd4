# The external signer, the worker that signs by itself, and what may die
# between a signature and its row.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64);
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use UaefTest;

my $dir = PostgreSQL::Test::Utils::tempdir_short;
my $oracle = "$ENV{TESTDIR}/test/oracle/ed25519.py";
my ($key, $state, $socket) = ("$dir/key", "$dir/state", "$dir/socket");
my $origin = 'example.com/ledger';
my $signer;

# The signer, as a child; it is ready when its socket answers.
sub start_signer
{
	my (@more) = @_;
	my $pid = fork() // die;
	if ($pid == 0)
	{
		open(STDERR, '>>', "$dir/signer.log");
		open(STDOUT, '>&', \*STDERR);
		exec('uaef-signer', 'serve', '--socket', $socket, '--key', $key,
			'--state', $state, @more) or die;
	}
	$signer = $pid;
	for (1 .. 500)
	{
		my $answer = talk("vkey 0\n");
		return 1 if defined $answer && $answer =~ /^200 /;
		return 0 if waitpid($pid, WNOHANG) == $pid;
		usleep(20000);
	}
	return 0;
}

sub end_signer
{
	my ($signal) = @_;
	kill $signal, $signer;
	waitpid($signer, 0);
	return $?;
}

sub output_of { my ($out) = run_command(@_); return $out; }

# Send bytes to the signer, and return what it answers at once.
sub talk
{
	my ($bytes) = @_;
	my $peer = IO::Socket::UNIX->new(Peer => $socket) or return;
	my $answer = '';
	local $SIG{PIPE} = 'IGNORE';
	syswrite($peer, $bytes);
	while (IO::Select->new($peer)->can_read(3))
	{
		sysread($peer, $answer, 4096, length $answer) or last;
		last if $answer =~ /^\d+ (\d+)\n(.*)/s && length $2 >= $1;
	}
	return $answer;
}

sub add_checkpoint
{
	my ($body) = @_;
	return talk('add-checkpoint ' . length($body) . "\n$body");
}

END { kill 'KILL', $signer if $signer && kill 0, $signer; }

# The program by itself.
my $vkey = output_of([ 'uaef-signer', 'keygen', $origin, $key ]);
like($vkey, qr{^example\.com/ledger\+[0-9a-f]{8}\+}, 'keygen prints the public key');
is(output_of([ 'uaef-signer', 'vkey', $key ]), $vkey, 'and vkey prints it again');
command_fails_like([ 'uaef-signer', 'keygen', $origin, $key ], qr/there is already a file/, 'no key is written over');
is(output_of([ 'uaef-signer', 'vkey', $key ]), $vkey, 'it is as it was');
command_fails_like([ 'uaef-signer', 'keygen', 'a b', "$dir/x" ], qr/has a space/, 'a name with a space');
command_fails_like([ 'uaef-signer', 'keygen', 'a+b', "$dir/x" ], qr/plus sign/, 'or a plus sign');
ok(!-e "$dir/x", 'makes no key');
command_fails_like([ 'uaef-signer', 'keygen', 'a', "$dir/no/x" ], qr/could not create/, 'nor does a directory that is not there');
program_help_ok('uaef-signer');
for my $args ([], ['x'], ['keygen'], ['vkey'], [ 'serve', '--socket', 'x' ], [ 'serve', '--what' ],
	[ 'serve', '--socket', 'x', '--key', 'x', '--state', 'x', '--socket-mode', '9' ])
{
	command_exit_is([ 'uaef-signer', @$args ], 2, "wrong arguments: @$args");
}
append_to_file("$dir/open", slurp_file($key));
chmod 0644, "$dir/open";
command_fails_like([ 'uaef-signer', 'vkey', "$dir/open" ], qr/others than its owner/, 'a key that others may read');
append_to_file("$dir/peter", 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz');
chmod 0600, "$dir/peter";
is(output_of([ 'uaef-signer', 'vkey', "$dir/peter" ]),
	'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'the published key');

command_fails_like([ 'uaef-signer', 'serve', '--socket', $socket, '--key', $key, '--state', $state ],
	qr/there is no state/, 'no state is made by accident');
append_to_file($state, '');
command_fails_like([ 'timeout', '10', 'uaef-signer', 'serve', '--socket', $socket, '--key', $key, '--state', $state, '--init' ],
	qr/state ".*" is empty/, 'an empty state is a lost one');
unlink $state;
ok(start_signer('--init'), 'the signer serves');
is((stat $socket)[2] & 07777, 0600, 'its socket is its own');
command_fails_like([ 'uaef-signer', 'serve', '--socket', "$dir/s2", '--key', $key, '--state', $state, '--init' ],
	qr/another process signs with/, 'a second one does not');

# Its protocol, with a tree of three leaves and the tree of four that it
# begins.
my $tree = <<'PYTHON';
import base64, hashlib
h = lambda *p: hashlib.sha256(b''.join(p)).digest()
b = lambda x: base64.b64encode(x).decode()
l = [h(b'\0', bytes([i])) for i in range(4)]
n = lambda x, y: h(b'\1', x, y)
three, four = n(n(l[0], l[1]), l[2]), n(n(l[0], l[1]), n(l[2], l[3]))
print(b(three), b(four), b(l[2]), b(l[3]), b(n(l[0], l[1])))
PYTHON
my ($three, $four, @proof) = split ' ', output_of([ 'python3', '-c', $tree ]);
my $body3 = "other\n3\n$three\n";
my $body4 = "other\n4\n$four\n";
my $good = join '', map { "$_\n" } @proof;
like(add_checkpoint("old 0\n\n$body3"), qr{^200 \d+\n— \Q$origin\E \S{92}\n$}, 'it signs a first checkpoint');
like(slurp_file($state), qr/^\Q$body3\E\n— /, 'and has it on disk');
for my $case (
	[ "old 0\n\n$body4", '409 2', 'from nothing again: the size that it has' ],
	[ "old 3\n\n$body4", '422', 'no proof' ],
	[ "old 3\n" . ($good =~ s/^./$& eq 'A' ? 'B' : 'A'/er) . "\n$body4", '422', 'a wrong proof' ],
	[ "old 3\n$good$proof[0]\n\n$body4", '422', 'a proof that is too long' ],
	[ "old 3\n\nother\n3\n$four\n", '422', 'another root of the same size' ],
	[ "old 3\n\nother\n2\n$three\n", '400', 'a smaller tree' ],
	[ "old 3\n$good\n$body4" . "more\n", '400', 'a line more' ],
	[ "old 3\n$good\nother\n4\n", '400', 'a line less' ],
	[ "old 03\n$good\n$body4", '400', 'an old size with a zero' ],
	[ "old 3\n$good$body4", '400', 'no empty line' ],
	[ "old 3\n" . "$proof[0]\n" x 64 . "\n$body4", '400', 'too many hashes' ],
	[ "old 3\nxx\n\n$body4", '400', 'a hash that is none' ],
	[ "old 3\n\nother\0\n4\n$four\n", '400', 'a zero byte' ],
	[ "old 3\n\n\xff\n4\n$four\n", '400', 'an origin that is not UTF-8' ],
	[ "old 0\n\nnew\n0\n$four\n", '400', 'an empty tree' ],
	[ '', '400', 'nothing' ])
{
	my ($body, $code, $name) = @$case;
	like(add_checkpoint($body), qr/^$code/, "not signed: $name");
}
like(slurp_file($state), qr/^\Q$body3\E\n— [^\n]*\n$/, 'the state is as it was');
like(add_checkpoint("old 3\n$good\n$body4"), qr/^200 /, 'a proof that holds is signed');
like(slurp_file($state), qr/^\Q$body4\E\n— [^\n]*\n$/, 'in place of the other');
like(add_checkpoint("old 3\n\n$body3"), qr/^409 2\n4\n$/, 'there is no way back');

# Garbage, and a client that never ends its request, keep nobody waiting.
for my $garbage ("\0\1\2" x 100, "x\n", "add-checkpoint\n", "add-checkpoint -1\n", "add-checkpoint 99999999999999999999\n",
	"add-checkpoint 1000000\n", 'x' x 20000, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "vkey 5\n")
{
	my $peer = IO::Socket::UNIX->new(Peer => $socket);
	local $SIG{PIPE} = 'IGNORE';
	syswrite($peer, $garbage);
}
my @slow = map { IO::Socket::UNIX->new(Peer => $socket) } 1 .. 20;
syswrite($_, "add-checkpoint 10\nold") for @slow;
like(talk("vkey 0\nvkey 0\n"), qr/^200 \d+\n\Q$vkey\E\n/, 'it still answers');
is(end_signer('TERM'), 0, 'it ends in peace');
ok(!-e $socket, 'and takes its socket with it');
@slow = ();

# A server whose worker signs through it.
ok(start_signer('--origin', $origin), 'it serves one origin');
like(add_checkpoint("old 4\n\n$body4"), qr/^403 /, 'and no other');
my $node = new_node('main', <<"CONF", allows_streaming => 1);
shared_preload_libraries = 'uaef'
uaef.ledger_origin = '$origin'
uaef.ledger_signer_socket = '$socket'
uaef.checkpoint_interval = '100ms'
uaef.seal_interval = '20ms'
log_statement = none
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');
wait_for_worker($node, 'postgres', 'there is a worker');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub record { return sql("SELECT uaef.record_event('$_[0]')"); }

# What is sealed, seal events aside, is signed by the worker.
my $signed = q[SELECT (SELECT max(tree_size) FROM uaef.ledger_checkpoint) = (SELECT max(tree_size) FROM uaef.ledger_block)
AND (SELECT count(*) FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed') = 0];
sub is_signed { return $node->poll_query_until('postgres', $signed); }

record('first');
ok(is_signed(), 'the worker signs');
my $note = sql('SELECT uaef.ledger_checkpoint()');
append_to_file("$dir/note", $note);
is(output_of([ 'sh', '-c', "python3 $oracle '$vkey' < $dir/note" ]), $origin, 'the other verifier agrees');
is(slurp_file($state) =~ s/^other.*?\n\n.*?\n//sr, $note, 'the signer remembers it');

# Idle: no transaction of ours; counted from another database, which the
# worker does not belong to.
my $commits = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = 'postgres'";
my $worker = worker_pid($node, 'postgres');
ok($node->poll_query_until('template1',
		"SELECT state = 'idle' AND state_change < clock_timestamp() - interval '2.5 s' FROM pg_stat_activity WHERE pid = $worker"),
	'the worker has done it all, and said so');
my $before = $node->safe_psql('template1', $commits);
usleep(1_500_000);
is($node->safe_psql('template1', $commits), $before, 'an idle system has no transactions');

# The signer is away: the worker goes on, says so once, and catches up.
my $log = -s $node->logfile;
end_signer('KILL');
record('alone');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'"), 'events are sealed without a signer');
$node->wait_for_log(qr/could not connect to the signer/, $log);
my ($out, $said) = ('', '');
$node->psql('postgres', 'SELECT uaef.ledger_checkpoint()', stdout => \$out, stderr => \$said);
like($said, qr/could not connect to the signer at ".*socket"/, 'a session hears that there is no signer');
unlink $socket;
my $false = IO::Socket::UNIX->new(Local => $socket, Listen => 5) or die;
my $tries = 0;
while ($tries < 3 && IO::Select->new($false)->can_read(60))
{
	my $peer = $false->accept;
	sysread($peer, my $request, 100);
	$tries++;
}
is($tries, 3, 'the worker asks again and again');
close $false;
is(() = slurp_file($node->logfile) =~ /ERROR: .*the signer at .* cannot be used/g, 1, 'and says once that it had no answer');
ok(start_signer('--origin', $origin), 'a signer that was killed starts again');
ok(is_signed(), 'and the worker catches up');
is(worker_pid($node, 'postgres'), $worker, 'it is the same worker');

# A signer that hangs is not waited for long, and can be interrupted.
kill 'STOP', $signer;
$node->safe_psql('postgres', 'ALTER SYSTEM SET uaef.checkpoint_interval = 0; SELECT pg_reload_conf()');
record('hanging');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'");
$said = '';
cmp_ok(seconds_of(sub { $node->psql('postgres', "SET statement_timeout = '300ms'; SELECT uaef.ledger_checkpoint()", stderr => \$said) }),
	'<', 4, 'a wait for the signer ends with the statement');
like($said, qr/canceling statement due to statement timeout/, 'when it is cancelled');
$said = '';
$node->psql('postgres', "SELECT uaef.ledger_checkpoint()", stderr => \$said);
like($said, qr/cannot be used.*\n.*does not answer within/, 'or when the time is up');
kill 'CONT', $signer;
$node->safe_psql('postgres', 'ALTER SYSTEM RESET uaef.checkpoint_interval; SELECT pg_reload_conf()');
ok(is_signed(), 'then it is signed');

# Killed between the signature and its row: the row's insertion waits for a
# lock, and the worker dies there.
my $in = '';
my ($bout, $berr) = ('', '');
my $timer = IPC::Run::timeout(60);
my $handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$bout, '2>', \$berr, $timer);
$in = "BEGIN; LOCK TABLE uaef.ledger_checkpoint IN SHARE MODE; SELECT 'locked';\n";
IPC::Run::pump($handle) until $bout =~ /locked/;
my $size = sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint');
record('killed');
my $waited = 0;
for (1 .. 1000)
{
	$waited = (slurp_file($state) =~ /\Q$origin\E\n(\d+)\n/ && $1 > $size);
	last if $waited;
	usleep(10000);
}
ok($waited, 'the signer has signed');
is(sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint'), $size, 'what the table does not have');
is($node->kill_process($worker), 1, 'the worker is killed, and the server comes back');
$in .= "ROLLBACK;\n\\q\n";
eval { IPC::Run::finish($handle) };
record('after');
ok(is_signed(), 'and goes on signing');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), '0', 'the ledger is sound');

# Standbys: what they have not flushed is not signed.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->append_conf('postgresql.conf', "uaef.checkpoint_standbys = 1");
$node->reload;
record('with_standby');
ok(is_signed(), 'signed when the standby has it');
$node->wait_for_catchup($standby);
$note = sql('SELECT uaef.ledger_checkpoint()');
is($standby->safe_psql('postgres', 'SELECT uaef.ledger_checkpoint()'), $note, 'a standby returns what is stored');
$standby->stop;
$log = -s $node->logfile;
record('without_standby');
$node->wait_for_log(qr/no checkpoint is signed: 1 of 1 standbys have not flushed/, $log);
($out, $said) = ('', '');
$node->psql('postgres', 'SELECT uaef.ledger_checkpoint()', stdout => \$out, stderr => \$said);
is($out, $note, 'without the standby the last one that was signed is returned');
like($said, qr/NOTICE: .*1 of 1 standbys have not flushed it/, 'with the reason');
is(slurp_file($state) =~ s/^other.*?\n\n.*?\n//sr, $note, 'and the signer was not asked');
$standby->start;
ok(is_signed(), 'signed when it is back');

# The standby is promoted while the old primary had more signed than it has:
# it gets no signature.
$node->append_conf('postgresql.conf', "uaef.checkpoint_standbys = 0");
$node->reload;
$standby->stop;
record('lost');
ok(is_signed(), 'signed without the standby');
$node->stop('immediate');
$standby->start;
$standby->promote;
$standby->append_conf('postgresql.conf', "uaef.checkpoint_standbys = 0");
$standby->reload;
$standby->safe_psql('postgres', "SELECT uaef.record_event('other_history')");
$standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed'");
($out, $said) = ('', '');
$standby->psql('postgres', 'SELECT uaef.ledger_checkpoint()', stdout => \$out, stderr => \$said);
like($said, qr/contradicts a checkpoint.*\n.*According to the signer/, 'a primary that lost what was signed gets no signature');
$standby->stop;
is(end_signer('TERM'), 0, 'the signer ends');

done_testing();
