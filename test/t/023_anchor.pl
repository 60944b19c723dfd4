# Checkpoints at witnesses, time-stamp authorities, webhooks and in files, that
# answer well, badly, or not at all.
use strict;
use warnings;

use FaultServer;
use HttpServer;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use UaefNode;

my $node = UaefNode->new('anchor');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
uaef.seal_interval = '20ms'
uaef.ledger_quorum = 2
uaef.checkpoint_interval = 0
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

my $origin = 'uaef/' . sql('SELECT ledger_id FROM uaef.ledger');
my $oracle = "$ENV{TESTDIR}/test/oracle";
my $key_file = PostgreSQL::Test::Utils::tempdir . '/key';
my ($private_key, $log_key) = split /\n/, python(<<"PY");
import ed25519, hashlib, base64
seed = bytes(range(32))
public = b'\\x01' + ed25519.public_key(seed)
id = hashlib.sha256(b'$origin\\n' + public).hexdigest()[:8]
print('PRIVATE+KEY+$origin+' + id + '+' + base64.b64encode(b'\\x01' + seed).decode())
print('$origin+' + id + '+' + base64.b64encode(public).decode())
PY
append_to_file($key_file, "$private_key\n");
chmod 0600, $key_file;
$node->append_conf('postgresql.conf', "uaef.ledger_key_file = '$key_file'");
$node->reload;

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub python
{
	my ($code) = @_;
	my ($output, $errors);

	local $ENV{PYTHONPATH} = $oracle;
	IPC::Run::run([ 'python3', '-' ], '<', \$code, '>', \$output, '2>', \$errors)
	  or die $errors;
	chomp $output;
	return $output;
}

sub wait_until
{
	my ($condition) = @_;

	$node->poll_query_until('postgres', "SELECT $condition")
	  or die "waited too long for: $condition\n" . sql('SELECT * FROM uaef.anchor_status');
	return;
}

# Events, sealed and signed; returns the size of the tree.
sub checkpoint
{
	my ($events) = @_;
	my $last = sql("SELECT max(uaef.record_event('something', '{}'))
		FROM generate_series(1, " . ($events // 3) . ')');

	wait_until("(SELECT max(last_event_id) >= $last FROM uaef.ledger_block)");
	sql('SELECT uaef.ledger_checkpoint()');
	return sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint');
}

# A connector to a server, and an anchor that uses it.
sub anchor
{
	my ($name, $kind, $url, $config) = @_;
	my ($port) = $url =~ /:(\d+)/;

	sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32');
		SELECT uaef.create_connector('$name', 'webhook', '{\"url\":\"$url\",\"timeout\":\"3s\"}');
		SELECT uaef.create_anchor('$name', '$kind', '$name', '{\"interval\":\"100ms\"}'::jsonb || \$\${$config}\$\$)");
	return;
}

sub witness
{
	my ($name) = @_;
	my $server = FaultServer->start('witness_server', "$name.example/w");

	$server->put('log_key', $log_key);
	anchor($name, 'witness', $server->url, '"vkey":"' . $server->said('vkey') . '"');
	return $server;
}

sub column
{
	my ($anchor, $expression) = @_;

	return sql("SELECT $expression FROM uaef.anchor_status WHERE anchor = '$anchor'");
}

sub wait_for_size
{
	my ($anchor, $size) = @_;

	return wait_until("(SELECT tree_size >= $size FROM uaef.anchor_status WHERE anchor = '$anchor')");
}

# Make a server fail at a new checkpoint; see what is said of it; then let it
# work, and see the checkpoint anchored.
sub trouble
{
	my ($anchor, $server, $fault, $state, $error) = @_;

	$server->put('fault', $fault);
	my $size = checkpoint();
	wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = '$anchor')");
	is(column($anchor, 'state'), $state, "$anchor, $fault: state");
	like(column($anchor, 'error'), $error, "$anchor, $fault: error");
	is(sql("SELECT status <> 'anchored' FROM uaef.ledger_anchoring WHERE anchor = '$anchor' AND tree_size = $size"),
		't', "$anchor, $fault: nothing is taken for anchored");
	$server->put('fault');
	wait_for_size($anchor, $size);
	is(column($anchor, 'state || failures || coalesce(error, contradicted_at::text, \'-\')'),
		'anchored0-', "$anchor, $fault: it recovers");
	return;
}

# Whether the newest anchored note carries cosignatures of these witnesses.
sub signed_by
{
	my (@servers) = @_;
	my $note = sql('SELECT uaef.anchored_checkpoint()');
	my ($names, $errors);

	IPC::Run::run([ 'python3', "$oracle/ed25519.py", $log_key, map { $_->said('vkey') } @servers ],
		'<', \$note, '>', \$names, '2>', \$errors) or return "bad: $errors$note";
	return join ' ', sort split /\n/, $names;
}

# Nothing is sealed yet, or nobody is there.
is(sql('SELECT uaef.max_unanchored_age()'), '00:00:00', 'an empty ledger is covered');
my $size = checkpoint();
is(sql("SELECT uaef.max_unanchored_age() > '0'"), 't', 'without anchors nothing is covered');
is(sql('SELECT uaef.anchored_checkpoint() IS NULL'), 't', 'and no checkpoint is anchored');

# Two of three witnesses.
my $a = witness('a');
wait_for_size('a', $size);
is(sql("SELECT uaef.max_unanchored_age() > '0'"), 't', 'one witness is no quorum of two');
my $b = witness('b');
my $c = witness('c');
$c->put('fault', 'hang');
$size = checkpoint();
wait_for_size($_, $size) for qw(a b);
is(sql('SELECT uaef.max_unanchored_age()'), '00:00:00', 'two witnesses are');
is(signed_by($a, $b, $c), join(' ', sort $origin, 'a.example/w', 'b.example/w'),
	'the note has two cosignatures, which an independent program verifies');
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 'c')");
like(column('c', 'error'), qr/time/i, 'the third one does not answer');
$c->put('fault');
wait_for_size('c', $size);
for my $events (1, 2, 5, 255, 256, 400)
{
	$size = checkpoint($events);
	wait_for_size($_, $size) for qw(a b c);
}
is(signed_by($a, $b, $c), join(' ', sort $origin, map { "$_.example/w" } qw(a b c)),
	'three cosignatures, after growth by many sizes');
is(sql("SELECT count(*) FROM uaef.ledger_cosignature s
	LEFT JOIN uaef.ledger_anchoring r ON r.tree_size = s.tree_size
		AND convert_from(r.receipt, 'UTF8') = s.line AND r.status = 'anchored'
	WHERE r.anchor IS NULL OR at NOT BETWEEN now() - interval '1h' AND now() + interval '1 s'"),
	'0', 'each cosignature is a receipt');

# Each trouble of a witness.
trouble('a', $a, @$_) for (
	[ 'hang', 'failing', qr/no answer within|timeout|timed out/i ],
	[ 'close', 'failing', qr/\(http_/ ],
	[ 'garbage', 'failing', qr/malformed cosignature/ ],
	[ 'forged', 'failing', qr/cosignature of "a\.example\/w" does not verify/ ],
	[ 'stranger', 'failing', qr/without a cosignature by its key "a\.example\/w"/ ],
	[ 'replay', 'failing', qr/does not verify for this checkpoint: it is of another one/ ],
	[ 'huge', 'failing', qr/response_too_large/ ],
	[ 'status 403', 'failing', qr/status 403: as you like it \(http_403\)/ ],
	[ 'status 404', 'failing', qr/status 404/ ],
	[ 'status 500', 'failing', qr/status 500/ ],
	[ 'status 422', 'contradicted', qr/refuses the proof .* the ledger was rewritten/ ],
	[ 'size 3', 'failing', qr/again and again with status 409/ ],
	[ 'size 1000000', 'contradicted', qr/checkpoint of size 1000000, and the newest of this ledger has size \d+: events are missing here/ ]);
is(sql("SELECT count(*) FROM uaef.ledger_event WHERE event_type = 'anchor_contradicted'"),
	'2', 'each contradiction is one event');
like(slurp_file($node->logfile), qr/anchor "a" contradicts the ledger/, 'and in the log');

# A witness that has really seen something else.
my $seen = $a->get('seen');
$a->put('seen', join ' ', (split / /, $seen)[0], '00' x 32);
checkpoint();
wait_until("(SELECT state = 'contradicted' FROM uaef.anchor_status WHERE anchor = 'a')");
like(column('a', 'error'), qr/refuses the proof/, 'another root of an old size: 422');
$a->put('seen', $seen);
$size = checkpoint();
wait_for_size('a', $size);

# One that has lost its memory is told all from the start.
$a->put('seen');
$size = checkpoint();
wait_for_size('a', $size);
is(column('a', 'failures'), '0', 'a witness that forgot gets the right proof');
is(sql("SELECT resent, old_size FROM uaef.ledger_anchoring WHERE anchor = 'a' AND tree_size = $size"),
	'1|0', 'in the same anchoring');

# Killed between cosigning and answering, and started again.
$a->put('fault', 'die');
$size = checkpoint();
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 'a')");
like(column('a', 'error'), qr/\(http_/, 'a witness that was killed');
$a->stop;
$a->put('fault');
$a->run;
wait_for_size('a', $size);
like($a->get('requests'), qr/^$size $size 200$/m, 'it is asked anew, and its state is found');

# The worker is killed between sending and storing.
$a->put('fault', 'slow');
$size = checkpoint();
wait_until("EXISTS (SELECT FROM uaef.delivery WHERE anchor = 'a' AND status = 'sending')");
my $worker = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'uaef worker'");
$node->kill_process($worker);
$a->put('go', '');
$node->poll_query_until('postgres', "SELECT pid <> $worker FROM pg_stat_activity WHERE backend_type = 'uaef worker'");
$a->put('fault');
wait_for_size('a', $size);
is(sql("SELECT count(*) FROM uaef.ledger_cosignature WHERE tree_size = $size AND witness LIKE 'a.%'"),
	'1', 'after kill -9 the cosignature is there, once');

# Time stamps.
my $tsa = FaultServer->start('tsa_server');
my $ca = $tsa->get('ca.pem') =~ s/\n/\\n/gr;
anchor('t', 'timestamp', $tsa->url, qq("ca":"$ca"));
wait_for_size('t', $size);
is(sql("SELECT e.payload ->> 'token_hash' = encode(sha256(r.receipt), 'hex')
		AND (e.payload ->> 'time')::timestamptz = r.stamped_at
		AND r.stamped_at BETWEEN now() - interval '1h' AND now() + interval '1s'
	FROM uaef.ledger_anchoring r JOIN uaef.ledger_event e
		ON e.payload @> jsonb_build_object('anchor', r.anchor, 'tree_size', r.tree_size)
	WHERE e.event_type = 'ledger_timestamped'"), 't', 'a time stamp is an event');
my $folder = $tsa->folder;
append_to_file("$folder/token", pack 'H*',
	sql("SELECT encode(receipt, 'hex') FROM uaef.ledger_anchoring WHERE anchor = 't'"));
append_to_file("$folder/note", sql("SELECT note FROM uaef.ledger_checkpoint WHERE tree_size = $size"));
command_ok([ 'openssl', 'ts', '-verify', '-in', "$folder/token", '-token_in',
		'-data', "$folder/note", '-CAfile', "$folder/ca.pem" ], 'openssl verifies the token');
trouble('t', $tsa, @$_) for (
	[ 'garbage', 'failing', qr/no time-stamp response/ ],
	[ 'huge', 'failing', qr/response_too_large/ ],
	[ 'replay', 'failing', qr/refused: .*(imprint|nonce)/ ],
	[ 'imprint', 'failing', qr/refused: .*imprint/ ],
	[ 'reject', 'failing', qr/refused: .*rejec/i ],
	[ 'untrusted', 'failing', qr/refused: .*certificate verify error/ ],
	[ 'hang', 'failing', qr/time/ ],
	[ 'status 503', 'failing', qr/status 503/ ]);

# A webhook gets the note as it was signed.
my $http = HttpServer->start;
anchor('hook', 'webhook', $http->url . '/echo', '');
wait_for_size('hook', sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint'));
is(sql("SELECT convert_from(r.receipt, 'UTF8')::jsonb ->> 'method',
		convert_from(r.receipt, 'UTF8')::jsonb #>> '{headers,content-type}',
		convert_from(r.receipt, 'UTF8')::jsonb ->> 'body' = c.note
	FROM uaef.ledger_anchoring r JOIN uaef.ledger_checkpoint c USING (origin, tree_size)
	WHERE anchor = 'hook'"),
	'POST|text/plain; charset=utf-8|t', 'a webhook');
sql("SELECT uaef.drop_anchor('hook')");
anchor('bad', 'webhook', $http->url . '/status/418', '');
checkpoint();
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 'bad')");
like(column('bad', 'error'), qr/status 418: status 418 \(http_418\)/, 'a webhook that refuses');
sql("SELECT uaef.drop_anchor('bad')");

# What tells how it went does not grow without bound; what was given is kept.
$size = checkpoint();
wait_for_size('t', $size);
sql("SELECT uaef.pause_anchor('t')");
my $counts = q(SELECT (SELECT count(*) FROM uaef.delivery WHERE anchor = 't'),
	(SELECT count(*) FROM uaef.delivery_attempt a JOIN uaef.delivery d USING (delivery_id) WHERE d.anchor = 't'),
	(SELECT count(*) FROM uaef.delivery_attempt a WHERE NOT EXISTS
		(SELECT FROM uaef.delivery d WHERE d.delivery_id = a.delivery_id)),
	(SELECT count(*) FROM uaef.ledger_anchoring WHERE anchor = 't' AND status = 'failed'));
my $receipts = "SELECT count(receipt) FROM uaef.ledger_anchoring WHERE anchor = 't' AND tree_size <= $size";
my $kept = sql($receipts);
sql(q(INSERT INTO uaef.ledger_anchoring (anchor, origin, tree_size, status, requested_at, error)
		SELECT 't', 'before', n, 'failed', now(), 'x' FROM generate_series(1, 500) n;
	WITH past AS (INSERT INTO uaef.delivery OVERRIDING SYSTEM VALUE
		SELECT (jsonb_populate_record(d, jsonb_build_object('delivery_id', -n, 'idempotency_key', n))).*
		FROM uaef.delivery d, generate_series(1, 500) n
		WHERE d.delivery_id = (SELECT max(delivery_id) FROM uaef.delivery WHERE anchor = 't' AND status = 'succeeded')
		RETURNING delivery_id)
	INSERT INTO uaef.delivery_attempt (delivery_id, attempt, worker_pid, started_at) SELECT delivery_id, 1, 0, now() FROM past));
sql("SELECT uaef.resume_anchor('t')");
$size = checkpoint();
wait_for_size('t', $size);
is(sql($counts), '100|100|0|100', 'finished deliveries and old failures are forgotten');
is(sql($receipts), $kept, 'receipts are not');

# A config that cannot be read any more is a failure of its anchor, not of the
# worker.
sql("SELECT uaef.pause_anchor('t'); UPDATE uaef.ledger_anchor SET config = config - 'ca' WHERE anchor = 't'");
$size = checkpoint();
sql("SELECT uaef.resume_anchor('t')");
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 't')");
like(column('t', 'error'), qr/"ca"/, 'a config that is broken');
sql(qq(UPDATE uaef.ledger_anchor SET config = config || '{"ca": "$ca"}' WHERE anchor = 't'));
wait_for_size('t', $size);

# A file holds every note, and is only appended to.
my $notes = PostgreSQL::Test::Utils::tempdir . '/notes';
sql("SELECT uaef.create_anchor('file', 'file', '$notes', '{\"interval\":\"100ms\"}')");
wait_for_size('file', sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint'));
$size = checkpoint();
wait_for_size('file', $size);
my $expected = sql(q(SELECT string_agg(note, E'\n' ORDER BY tree_size) FROM
	(SELECT c.note, tree_size FROM uaef.ledger_anchoring r JOIN uaef.ledger_checkpoint c USING (origin, tree_size) WHERE anchor = 'file') n));
is(slurp_file($notes), "$expected\n", 'a file');
unlink $notes;
mkdir $notes;
checkpoint();
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 'file')");
like(column('file', 'error'), qr/is not a regular file/, 'a file that is none');

# After very many failures of a long interval the next try is ahead, not behind.
my $yearly = PostgreSQL::Test::Utils::tempdir . '/yearly';
sql("SELECT uaef.pause_anchor('yearly') FROM uaef.create_anchor('yearly', 'file', '$yearly', '{\"interval\":\"365 days\"}')");
unlink $yearly;
mkdir $yearly;
sql("SELECT uaef.resume_anchor('yearly')");
wait_until("(SELECT failures = 1 FROM uaef.anchor_status WHERE anchor = 'yearly')");
sql("UPDATE uaef.ledger_anchor SET failures = 30 WHERE anchor = 'yearly'; SELECT uaef.resume_anchor('yearly')");
wait_until("(SELECT failures > 30 FROM uaef.anchor_status WHERE anchor = 'yearly')");
is(column('yearly', 'next_at BETWEEN now() AND now() + interval \'731 days\''), 't', 'a year, 31 times');
sql("SELECT uaef.drop_anchor('yearly')");
rmdir $notes;
wait_for_size('file', sql('SELECT max(tree_size) FROM uaef.ledger_checkpoint'));

# Egress rules hold for anchors as for all.
sql("SELECT uaef.deny_egress(rule_id) FROM uaef.egress_rule WHERE port = " . $b->port);
checkpoint();
wait_until("(SELECT failures > 0 FROM uaef.anchor_status WHERE anchor = 'b')");
like(column('b', 'error'), qr/egress|not allow|no rule/i, 'egress is refused');

# A paused anchor is left alone.
sql("SELECT uaef.pause_anchor('b')");
checkpoint();
is(column('b', 'state'), 'paused', 'a paused anchor');
sql("SELECT uaef.allow_egress('127.0.0.1', " . $b->port . ", 'http', '127.0.0.1/32');
	SELECT uaef.resume_anchor('b')");
$size = checkpoint();
wait_for_size($_, $size) for qw(a b c t file);
is(sql('SELECT uaef.max_unanchored_age()'), '00:00:00', 'all is covered at last');

# The worker signs by itself, all is anchored, and then it sleeps: what
# anchoring leaves in the ledger asks for no further checkpoint.
$node->append_conf('postgresql.conf', "uaef.checkpoint_interval = '100ms'");
$node->reload;
sql(q(SELECT uaef.record_event('something')));
wait_until("max_unanchored_age = '0' AND unsealed = 0 AND (SELECT bool_and(state = 'anchored' AND unanchored_age = '0')
	FROM uaef.anchor_status) FROM uaef.ledger_status");
my $count = 'SELECT (SELECT max(block_no) FROM uaef.ledger_block), (SELECT count(*) FROM uaef.delivery)';
my $before = sql($count);
wait_until("(SELECT state_change < clock_timestamp() - interval '2s' FROM pg_stat_activity WHERE backend_type = 'uaef worker')");
is(sql($count), $before, 'an idle system seals nothing, sends nothing, and its worker sleeps');
is(sql("SELECT count(*) FROM uaef.ledger_event WHERE event_type LIKE 'delivery%'"),
	'0', 'anchoring makes no events of deliveries');
is(signed_by($a, $b, $c), join(' ', sort $origin, map { "$_.example/w" } qw(a b c)),
	'the newest checkpoint is cosigned by all');

# A dump takes anchors, receipts and cosignatures with it.
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
sql(q(CREATE ROLE leaving; GRANT pg_write_server_files TO leaving; SELECT uaef.grant_access('leaving', 'admin')));
sql("SET ROLE leaving; SELECT uaef.create_anchor('orphan', 'file', '$notes.2')");
sql('DROP OWNED BY leaving; DROP ROLE leaving');
$node->append_conf('postgresql.conf', 'uaef.start_workers = off');
$node->reload;
wait_until("NOT current_setting('uaef.start_workers')::bool");
sql('SELECT uaef.stop_worker()');
wait_until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'uaef worker')");
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');
sql('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('copy') ], 'restore');
my $evidence = 'SELECT (SELECT md5(string_agg(c::text, $$ $$ ORDER BY c::text)) FROM uaef.ledger_cosignature c),
	(SELECT md5(string_agg(r::text, $$ $$ ORDER BY r::text)) FROM uaef.ledger_anchoring r),
	(SELECT md5(string_agg(a::text, $$ $$ ORDER BY a::text)) FROM uaef.ledger_anchor a WHERE anchor <> $$orphan$$)';
is($node->safe_psql('copy', $evidence), sql($evidence), 'the copy has the same');
is($node->safe_psql('copy', q(SELECT count(*) FROM uaef.ledger_anchor WHERE anchor = 'orphan')), '0',
	'but no right to write files as a role that is gone');
is($node->safe_psql('copy', 'SELECT uaef.anchored_checkpoint()'),
	sql('SELECT uaef.anchored_checkpoint()'), 'and the same checkpoint is anchored');
is(sql('SELECT count(*) FROM uaef.verify_ledger()'), '0', 'and the ledger is sound');

$node->stop;
done_testing();
