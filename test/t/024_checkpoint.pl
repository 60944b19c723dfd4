# Checkpoints of the ledger, signed with a key in a file: what is signed, what
# never is, and what an independent verifier says of it.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $oracle = "$ENV{TESTDIR}/test/oracle/ed25519.py";
my $node = new_node('main', <<'CONF', allows_streaming => 1);
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# psql's standard output and standard error.
sub ask
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err);
	return ($out, $err);
}

sub grow { sql("SELECT uaef.record_event('grown')"); return sql('SELECT uaef.seal_ledger()'); }

# Change a setting; the postmaster reads it in its own time.
sub set
{
	my ($name, $value) = @_;
	$node->append_conf('postgresql.conf', "$name = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'") or die;
	return;
}


# What the verifier in Python says of a note.
sub oracle
{
	my ($note, @keys) = @_;
	open(my $handle, '>', "$dir/note") or die;
	print $handle $note;
	close $handle;
	return scalar `python3 "$oracle" @keys < "$dir/note" 2>&1`;
}

# The size of the tree that a checkpoint covers.
sub size_of { return (split /\n/, $_[0])[1]; }

# A new key: its file and its public text.
sub keygen
{
	my ($name, $file) = @_;
	my ($out, $err) = run_command([ 'uaef-signer', 'keygen', $name, "$dir/$file" ]);
	return ("$dir/$file", $out);
}

# Without a key: the text, and how to get one.
my ($out, $err) = ask('SELECT uaef.ledger_checkpoint()');
my $origin = 'uaef/' . sql('SELECT ledger_id FROM uaef.ledger');
like($out, qr{^\Q$origin\E\n0\n47DEQpj8HBSa\+/TImW\+5JCeuQeRkm5NMpJWZG3hSuFU=$},
	'an empty ledger has the root of nothing');
like($err, qr/NOTICE: .* not signed: there is no key/, 'it is not signed');
like($err, qr{uaef-signer keygen '\Q$origin\E' FILE}, 'the hint says how');

# Only what is sealed is signed.
my ($key, $vkey) = keygen($origin, 'key');
like($vkey, qr{^\Q$origin\E\+[0-9a-f]{8}\+A[A-Za-z0-9+/]{43}$}, 'keygen prints the public key');
is((stat $key)[2] & 07777, 0600, 'only its owner may read the key');
set('uaef.ledger_key_file', $key);
($out, $err) = ask('SELECT uaef.ledger_checkpoint()');
like($err, qr/nothing has been sealed/, 'nothing is sealed yet');
ok(!-e "$key.state", 'and nothing is signed');

grow();
append_to_file("$dir/precious", 'kept');
symlink "$dir/precious", "$key.state.new" or die;
my $first = sql('SELECT uaef.ledger_checkpoint()');
is(slurp_file("$dir/precious"), 'kept', 'the state is not written through a link');
like($first, qr{^\Q$origin\E\n1\n[^\n]{44}\n\n— \Q$origin\E [^\n]+$}, 'a signed checkpoint');
is(oracle($first, $vkey), "$origin\n", 'the other verifier agrees');
like(oracle($first =~ s/\n1\n/\n2\n/r, $vkey), qr/bad signature/, 'and sees an edit');
is(sql('SELECT uaef.ledger_checkpoint()'), $first, 'the same tree, the same note');
is(slurp_file("$key.state"), $first, 'the state is the last note');
is((stat "$key.state")[2] & 07777, 0600, 'it is nobody else\'s');
is( sql(q[SELECT tree_size, root::text = encode(decode(split_part(note, E'\n', 3), 'base64'), 'hex') FROM uaef.ledger_checkpoint]),
	'1|t', 'and the table has it');
is( sql("SELECT tree_size, signatures->0->>'name', sealed_at <= signed_at FROM uaef.signed_checkpoint"),
	"1|$origin|t", 'with its signatures');
is( sql("SELECT uaef.read_note(note, ARRAY['$vkey'])->'signatures'->0->>'verified' FROM uaef.ledger_checkpoint"),
	'true', 'which read_note() verifies');
($out, $err) = ask('DELETE FROM uaef.ledger_checkpoint');
like($err, qr/append-only/, 'checkpoints are append-only');

# What is not committed is not signed; what is rolled back is signed again.
sql("SELECT uaef.record_event('open')");
($out, $err) = ask('BEGIN; SELECT uaef.seal_ledger(); SELECT uaef.ledger_checkpoint(); ROLLBACK');
like($err, qr/cannot sign a block that this transaction has sealed/, 'no block that may be rolled back');
is(slurp_file("$key.state"), $first, 'the key has not been used');
sql('SELECT uaef.seal_ledger()');
my $lost = $node->safe_psql('postgres', 'BEGIN; SELECT uaef.ledger_checkpoint(); ROLLBACK');
is(sql('SELECT count(*) FROM uaef.ledger_checkpoint'), '1', 'a note that was signed, but not stored');
is(slurp_file("$key.state"), $lost, 'is in the state');
is(sql('SELECT uaef.ledger_checkpoint()'), $lost, 'and is made again, the same');

# A reader of the table in an old snapshot; one session signs, others wait.
grow();
my $second = sql('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT uaef.ledger_checkpoint(); SELECT uaef.ledger_checkpoint(); COMMIT');
is(substr($second, 0, (length($second) - 1) / 2), substr($second, (length($second) + 1) / 2), 'twice in one transaction');
grow();
($out, $err) = ask('BEGIN READ ONLY; SELECT uaef.ledger_checkpoint(); COMMIT');
like($err, qr/cannot execute ledger_checkpoint\(\) in a read-only transaction/, 'nothing is signed in a read-only transaction');

# Keys that are none.
sub refuses
{
	my ($file, $pattern, $name) = @_;
	my ($out, $err) = ask("SET uaef.ledger_key_file = '$file'; SELECT uaef.ledger_checkpoint()");
	like($err, $pattern, $name);
	unlike($err, qr/PRIVATE\+KEY\+\w|AYEKFALVFGyN/, 'and shows no part of it');
	is($out, '', 'and there is no checkpoint');
	return;
}
my $peter = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
sub file
{
	my ($name, $text, $mode) = @_;
	append_to_file("$dir/$name", $text);
	chmod $mode, "$dir/$name";
	return "$dir/$name";
}
refuses("$dir/none", qr/could not open key file ".*none": No such file/, 'a key that is not there');
refuses($dir, qr/is no usable key.*\n.*it is not a file/, 'a directory');
refuses(file('open', "$peter\n", 0640), qr/is no usable key.*\n.*others than its owner.*\n.*chmod 0600/, 'a key that others may read');
refuses(file('empty', '', 0600), qr/is no usable key.*\n.*does not open with PRIVATE/, 'an empty file');
refuses(file('cut', substr($peter, 0, 60), 0600), qr/is no usable key.*\n.*is not base64|bytes instead of/, 'a key that was cut');
refuses(file('other', $peter =~ s/Peter/Petra/r, 0600), qr/is no usable key.*\n.*its hash is not/, 'a key of another name');
refuses(file('long', 'PRIVATE+KEY+' . 'x' x 5000, 0600), qr/is no usable key/, 'a long file');
my $data = $node->data_dir;
append_to_file("$data/key", "$peter\n");
chmod 0600, "$data/key";
refuses("$data/key", qr/is no usable key.*\n.*data directory/, 'a key in the data directory');
symlink $data, "$dir/link" or die;
refuses("$dir/link/key", qr/is no usable key.*\n.*data directory/, 'or in it by a link');
ok(!-e "$data/key.state", 'and it has signed nothing');
unlink "$data/key", "$dir/link";
system_or_bail('mkfifo', '-m', '600', "$dir/pipe");
refuses("$dir/pipe", qr/is no usable key.*\n.*it is not a file/, 'a pipe');
if ($> != 0)
{
	refuses(file('closed', $peter, 0000), qr/could not open key file.*Permission denied/, 'a key that we may not read');
}
($out, $err) = ask("SET uaef.ledger_key_file = 'key'");
like($err, qr/path must be absolute/, 'a relative path');
($out, $err) = ask("SET uaef.ledger_signer_socket = '/" . 'x' x 200 . "'");
like($err, qr/at most \d+ bytes/, 'a socket with a long path');
($out, $err) = ask(q[SET uaef.ledger_origin = E'a\nb'; SELECT uaef.ledger_checkpoint()]);
like($err, qr/cannot be the origin.*\n.*more than one line/, 'an origin of two lines');

# A state that is damaged, edited or gone.
my $state = slurp_file("$key.state");
grow();
sub with_state
{
	my ($text, $pattern, $name) = @_;
	unlink "$key.state";
	append_to_file("$key.state", $text) if defined $text;
	my ($out, $err) = ask('SELECT uaef.ledger_checkpoint()');
	like($err, $pattern, $name);
	is($out, '', 'and there is no checkpoint');
	return;
}
with_state(substr($state, 0, 60), qr/is damaged at note 1/, 'a state that was cut');
with_state($state =~ s/\n\d+\n/\n2\n/r, qr/is damaged at note 1.*\n.*did not make it/, 'a state that was edited');
with_state('', qr/state of the signer.* is damaged\n.*empty/, 'a state that is empty');
with_state("\0" x 300, qr/state of the signer.* is damaged\n.*zero byte/, 'a state of zero bytes');
with_state("$state\0$state", qr/state of the signer.* is damaged\n.*zero byte/, 'a state with a zero byte');
with_state("$state$state", qr/is damaged at note 2.*\n.*another note/, 'a state with two notes of one origin');
with_state(undef, qr/the state of the signer, ".*", is gone/, 'no state, but checkpoints');
append_to_file("$key.state", $state);

# Another key: an event.
my $before = sql('SELECT uaef.ledger_checkpoint()');
my ($key2, $vkey2) = keygen($origin, 'key2');
set('uaef.ledger_key_file', $key2);
is(sql('SELECT uaef.ledger_checkpoint()'), $before, 'no new tree, no new note');
grow();
my $after = sql('SELECT uaef.ledger_checkpoint()');
is(oracle($after, $vkey, $vkey2), "$origin\n", 'the new key signs');
is( sql(q[SELECT payload->>'new_key', payload->>'old_key' FROM uaef.ledger_event WHERE event_type = 'ledger_key_changed']),
	"$vkey2|" . ($vkey =~ s/(.*\+[0-9a-f]{8})\+.*/$1/r), 'that is an event');
grow();
sql('SELECT uaef.ledger_checkpoint()');
is(sql("SELECT count(*) FROM uaef.ledger_event WHERE event_type = 'ledger_key_changed'"), '1', 'once');

# One key for two ledgers: each has its own history.
($out, $err) = ask("SET uaef.ledger_origin = 'example.com/another'; SELECT uaef.ledger_checkpoint()");
like($err, qr{WARNING: .*is not the ledger's.*keygen 'example\.com/another' FILE}s, 'a key of another name signs under a warning');
grow();
sql('SELECT uaef.ledger_checkpoint()');
sql("SET uaef.ledger_origin = 'example.com/another'; SELECT uaef.ledger_checkpoint()");
is(sql('SELECT origin, count(*) FROM uaef.ledger_checkpoint GROUP BY 1 ORDER BY 1'),
	"example.com/another|2\n$origin|7", 'two origins');
is(() = slurp_file("$key2.state") =~ /^— /mg, 2, 'in one state');

# A signer behind a socket may answer anything.
my $short = PostgreSQL::Test::Utils::tempdir_short;
my $listener = IO::Socket::UNIX->new(Local => "$short/s", Listen => 5) or die;

# Ask for a checkpoint, and answer its requests so; returns the error.
sub answer_with
{
	my (@answers) = @_;
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'),
			'-c', "SET uaef.ledger_signer_socket = '$short/s'", '-c', 'SELECT uaef.ledger_checkpoint()' ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	IO::Select->new($listener)->can_read(30) or die 'nobody asks';
	my $peer = $listener->accept;
	for my $answer (@answers)
	{
		sysread($peer, my $request, 65536);
		syswrite($peer, $answer);
	}
	close $peer;
	IPC::Run::finish($psql);
	return $out ne '' ? "checkpoint: $out" : $err;
}

grow();
my $is_key = '200 ' . (1 + length $vkey2) . "\n$vkey2\n";
for my $case (
	[ 'nothing', qr/has ended the conversation/, '' ],
	[ 'no header', qr/does not open with "CODE LENGTH"/, "garbage\n" ],
	[ 'a header without end', qr/does not open with "CODE LENGTH"/, '2' x 100 ],
	[ 'a header that promises too much', qr/does not open with "CODE LENGTH"/, "200 999999\n" ],
	[ 'more than it promises', qr/longer than it says/, "200 3\nabcdef" ],
	[ 'a zero byte', qr/zero byte/, "200 3\na\0b" ],
	[ 'less than it promises', qr/has ended the conversation/, "200 30\na" ],
	[ 'no key', qr/does not name a public key/, "200 4\nkey\n" ],
	[ 'no such verb', qr/refuses to sign.*\n.*400: what\?\?\?/, "400 8\nwhat\x01\xe2\x80\n" ],
	[ 'no signature', qr/signature is not that of its key/, $is_key, "200 2\nx\n" ],
	[ 'the signature of another text', qr/signature is not that of its key/, $is_key,
		'200 ' . length((split /\n\n/, $after)[1]) . "\n" . (split /\n\n/, $after)[1] ],
	[ 'a larger tree', qr/contradicts.*\n.*According to the signer.*with 999999 leaves/, $is_key, "409 7\n999999\n" ],
	[ 'a size that is none', qr/does not name the size/, $is_key, "409 3\n-1\n" ],
	[ 'always another size', qr/another old size each time/, $is_key, ("409 2\n1\n", "409 2\n2\n", "409 2\n1\n") ],
	[ 'that the proof is bad', qr/contradicts.*\n.*According to the signer/, $is_key, "422 1\n\n" ],
	[ 'a code that is none', qr/refuses to sign.*\n.*503/, $is_key, "503 1\n\n" ])
{
	my ($name, $pattern, @answers) = @$case;
	like(answer_with(@answers), $pattern, "a signer that answers $name");
}
close $listener;
($out, $err) = ask("SET uaef.ledger_signer_socket = '$short/s'; SELECT uaef.ledger_checkpoint()");
like($err, qr/could not connect to the signer at/, 'nobody listens');

# Many sessions at once: every checkpoint is of the one tree.
append_to_file("$dir/script", <<'SQL');
SELECT uaef.record_event('many');
SELECT uaef.seal_ledger();
SELECT uaef.ledger_checkpoint();
SQL
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-t', '15', '-f', "$dir/script", $node->connstr('postgres') ],
	'eight clients record, seal and sign');
my $wrong = sql(<<'SQL');
SELECT count(*) FROM uaef.ledger_checkpoint
WHERE uaef.consistency_proof(tree_size)->>'old_root' <> root::text
OR note NOT LIKE origin || E'\n' || tree_size || E'\n%'
SQL
is($wrong, '0', 'all of them have the root of their size');
my @notes = split /\n\n(?=\Q$origin\E\n)/, sql("SELECT note FROM uaef.ledger_checkpoint WHERE origin = '$origin' ORDER BY tree_size");
cmp_ok(scalar @notes, '>', 10, 'there are many');
is(scalar(grep { oracle("$_\n" =~ s/\n\n\z/\n/r, $vkey, $vkey2) eq "$origin\n" } @notes), scalar @notes,
	'the other verifier agrees with each');

# Checkpoints are dumped and restored with the rest.
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_dump', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump", '-d', $node->connstr('copy') ], 'restore');
is($node->safe_psql('copy', 'SELECT count(*), max(tree_size) FROM uaef.ledger_checkpoint'),
	sql('SELECT count(*), max(tree_size) FROM uaef.ledger_checkpoint'), 'all checkpoints came over');
$node->safe_psql('copy', "SELECT uaef.record_event('copied')");
$node->safe_psql('copy', 'SELECT uaef.seal_ledger()');
like($node->safe_psql('copy', 'SELECT uaef.ledger_checkpoint()'), qr/^\Q$origin\E\n/, 'the copy goes on under the name');
grow();
grow();
($out, $err) = ask('SELECT uaef.ledger_checkpoint()');
like($err, qr/contradicts a checkpoint.*\n.*According to the signer/, 'the original then cannot');
$origin = 'example.com/original';
set('uaef.ledger_origin', $origin);
sql('SELECT uaef.ledger_checkpoint()');

# A ledger that was changed is not signed: neither against the table, nor
# against the state alone.
$node->backup('before');
grow();
$after = sql('SELECT uaef.ledger_checkpoint()');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'before');
$restored->start;
my ($rout, $rerr) = ('', '');
$restored->psql('postgres', 'SELECT uaef.ledger_checkpoint()', stdout => \$rout, stderr => \$rerr);
is(size_of($rout), size_of($after) - 2, 'a restored server has the older checkpoint');
for my $more (1 .. 2)
{
	$restored->safe_psql('postgres', "SELECT uaef.record_event('other_history')");
	$restored->safe_psql('postgres', 'SELECT uaef.seal_ledger()');
	($rout, $rerr) = ('', '');
	$restored->psql('postgres', '\set VERBOSITY verbose
SELECT uaef.ledger_checkpoint()', stdout => \$rout, stderr => \$rerr);
	is($rout, '', "$more event(s) further it gets no signature");
	like($rerr, qr/UA120: .*contradicts a checkpoint/, 'and hears why');
	like($rerr, qr/docs\/checkpoints.md/, 'and where to read on');
}
is($restored->safe_psql('postgres', "SET uaef.ledger_origin = 'example.com/restored'; SELECT split_part(uaef.ledger_checkpoint(), E'\\n', 1)"),
	'example.com/restored', 'as another ledger it goes on');
$restored->stop;

sql(<<'SQL');
ALTER TABLE uaef.ledger_checkpoint DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_checkpoint SET root = repeat('00', 32)::uaef.hash256
WHERE tree_size = (SELECT max(tree_size) FROM uaef.ledger_checkpoint);
SQL
grow();
($out, $err) = ask('SELECT uaef.ledger_checkpoint()');
like($err, qr/contradicts a checkpoint.*\n.*According to uaef\.ledger_checkpoint/, 'nor does a table that contradicts the tree');

done_testing();
