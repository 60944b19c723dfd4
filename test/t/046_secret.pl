# The keys of secrets, from files and commands; their rotation while others
# write; a dump; and a canary in every kind of secret, which is found nowhere.
use strict;
use warnings FATAL => 'all';

use File::Find ();
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $dir = PostgreSQL::Test::Utils::tempdir_short;
my $file = "$dir/keys";
my ($quiet, $errors, $out, $err);
my $node = new_node('main', <<"CONF");
uaef.secret_key_command = ''
uaef.secret_key_file = '$file'
log_min_messages = debug5
log_statement = none
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What psql says of a statement that fails; empty if it does not.
sub complaint
{
	my ($statement) = @_;
	my (undef, undef, $said) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	return $said;
}

sub write_keys
{
	my ($text, $mode) = @_;

	unlink "$file.new";
	append_to_file("$file.new", $text);
	chmod $mode // 0600, "$file.new";
	rename "$file.new", $file or die "cannot rename: $!";
	return;
}

# Settings of the file, seen by new sessions.
sub set_conf
{
	my (%setting) = @_;

	$node->append_conf('postgresql.conf', "$_ = '$setting{$_}'\n") foreach keys %setting;
	$node->reload;
	$node->poll_query_until('postgres',
		'SELECT ' . join(' AND ', map { "current_setting('$_') = '$setting{$_}'" } keys %setting))
	  or die 'settings are not loaded';
	return;
}

my @hex = map { join '', map { sprintf '%02x', ($_ * 7 + 3) & 255 } $_ * 32 .. $_ * 32 + 31 } 1 .. 4;
my $set = q(SELECT uaef.set_secret('webhook_source', 'a', '{"token":"t"}'));

# Keys that are refused, each with its reason, and without what is in the file.
my $same = 'ab' x 32;
foreach my $case (
	[ 'no file', undef, qr/could not be opened/ ],
	[ 'open to others', $hex[0], qr/Others than the owner/, 0644 ],
	[ 'writable by the group', $hex[0], qr/Others than the owner/, 0660 ],
	[ 'empty', '', qr/there is no key/ ],
	[ 'comments only', "# key\n\n", qr/there is no key/ ],
	[ 'short', substr($hex[0], 2), qr/line 1: it is not an id and 64/ ],
	[ 'long', $hex[0] . '00', qr/line 1: it is not an id and 64/ ],
	[ 'not hexadecimal', 'g' . substr($hex[0], 1), qr/line 1: it is not an id and 64/ ],
	[ 'three words', "id more $hex[0]", qr/line 1: it is not an id and 64/ ],
	[ '16 bytes in hexadecimal', substr($hex[0], 0, 32), qr/half of a key/ ],
	[ 'not random', $same, qr/the key is not random/ ],
	[ 'the same id twice', "a $hex[0]\na $hex[1]\n", qr/line 2: another key has the same id/ ],
	[ 'the same key twice', "$hex[0]\n$hex[0]\n", qr/line 2: another key has the same id/ ],
	[ 'a bad id', "a/b $hex[0]\n", qr/line 1: the id of the key has other characters/ ],
	[ 'a long id', ('a' x 65) . " $hex[0]\n", qr/line 1: the id of the key is too long/ ],
	[ 'too many', join('', map { sprintf "k%d %s\n", $_, sprintf('%02x', $_) . substr($hex[0], 2) } 1 .. 33), qr/line 33: there are too many/ ],
	[ 'too long', "# x\n" x 3000, qr/it is too long/ ],
	[ 'a zero byte', "\0$hex[0]", qr/there is no key/ ],)
{
	my ($what, $text, $reason, $mode) = @$case;

	write_keys($text, $mode) if defined $text;
	my $said = complaint($set);
	ok($said =~ /ERROR:  UA410: / && $said =~ $reason && $said !~ /$hex[0]|$same|0a11/, "a key file: $what") or diag $said;
}
is(sql('SELECT count(*) FROM uaef.secret'), '0', 'and nothing is stored');
like(complaint(q(SELECT uaef.create_connector('c', 'webhook', '{"url":"https://example.com/"}', '{"headers":{"a":"b"}}'))), qr/UA410/, 'a connector with a secret needs a key');
is(sql('SELECT count(*) FROM uaef.connector'), '0', 'and is not made without');

my $inside = $node->data_dir . '/keys';
append_to_file($inside, $hex[0]);
chmod 0600, $inside;
unlink $file;
symlink $inside, $file;
like(complaint($set), qr/UA410.*in the data directory/s, 'a key in the data directory, by a link');
unlink $file, $inside;
mkdir $file;
like(complaint($set), qr/UA410.*not a regular file/s, 'a directory');
rmdir $file;

# Keys that are taken, in each form: bytes, digits, and lines.
write_keys(pack('H*', $hex[0]));
sql($set);
my $own_id = sql('SELECT key_id FROM uaef.secret');
like($own_id, qr/^[0-9a-f]{16}$/, 'a key without an id has one of its own');
write_keys("\n  $hex[0]  \r\n", 0640) if $> != 0;
is(sql("SELECT uaef.rotate_secrets()"), '0', 'the same key in hexadecimal');
write_keys("# the newest\nsecond $hex[1]\n\n$hex[0]\n", 0400);
is(sql("SELECT uaef.rotate_secrets()"), '1', 'rotation to a newer key');
is(sql("SELECT uaef.rotate_secrets()"), '0', 'and no more');
write_keys("third\t$hex[2]\nsecond $hex[1]");
is(sql(q(SELECT uaef.rotate_secrets(); SELECT key_id, version, rotated_at IS NOT NULL FROM uaef.secret_status)), "1\nthird|1|t", 'the first key is not needed any more');

# What is sealed, opened by another program with the same key.
my $node_js = system('node --version > /dev/null 2>&1') == 0;
sub opened_by_node
{
	my ($key, $sealed, @beside) = @_;
	IPC::Run::run([ 'node', "$FindBin::Bin/../oracle/open_sealed.js", $key, $sealed, @beside ], '>', \my $out) or die 'node failed';
	chomp $out;
	return $out;
}
SKIP:
{
	skip 'no node', 3 if !$node_js;
	my $sealed = sql(q(SELECT encode(sealed, 'hex') FROM uaef.secret));
	like(opened_by_node($hex[2], $sealed, 'uaef secret', 'webhook_source', 'a', 'third', '#1'),
		qr/^0106000001000020.*746f6b656e74$/, 'a secret opens with what docs/secrets.md says');
	is(opened_by_node($hex[2], $sealed, 'uaef secret', 'webhook_source', 'b', 'third', '#1'), 'refused', 'and not under another name');
	my $value = sql(q(SELECT encode(uaef.encrypt_value('Straße', 'row'), 'hex')));
	is(opened_by_node($hex[2], substr($value, 2 + 2 * length('third')), 'uaef value', 'row', 'third'),
		unpack('H*', "Stra\xc3\x9fe"), 'a value too');
}

# A key that is gone, one that is another under the same id, and rows that were
# put in the place of others.
write_keys("fourth $hex[3]\n");
my $said = complaint('SELECT uaef.rotate_secrets()');
like($said, qr/UA411.*webhook_source "a".*key "third".*Add that key/s, 'a key that is gone is named');
write_keys("fourth $hex[3]\nthird $hex[0]\n");
like(complaint('SELECT uaef.rotate_secrets()'), qr/UA412.*webhook_source "a" cannot be opened/s, 'another key of the same id');
write_keys("third $hex[2]\n");
sql(q(SELECT uaef.set_secret('agent', 'b', '{"token":"u"}')));
write_keys("fourth $hex[3]\nthird $hex[2]\n");
foreach my $change (q(sealed = (SELECT sealed FROM uaef.secret WHERE kind = 'agent')),
	q(name = 'c'), q(kind = 'token_key'), 'version = 2',
	q(sealed = set_bit(sealed, 300, 1 - get_bit(sealed, 300))), q(sealed = substr(sealed, 1, 30)), q(sealed = ''))
{
	like( complaint("BEGIN; UPDATE uaef.secret SET $change WHERE kind = 'webhook_source'; SELECT uaef.rotate_secrets()"),
		qr/UA412/, "a row with $change does not open");
}

# Keys from a command; its failure is told.
set_conf('uaef.secret_key_file' => '', 'uaef.secret_key_command' => "cat $file");
is(sql('SELECT uaef.rotate_secrets()'), '2', 'keys from a command');
set_conf('uaef.secret_key_command' => "cat $file; exit 3");
like(complaint($set), qr/UA410.*failed: child process exited with exit code 3/s, 'a command that fails');
set_conf('uaef.secret_key_file' => $file);
like(complaint($set), qr/UA410.*Both/s, 'file and command');
set_conf('uaef.secret_key_command' => '');

# Sessions and rotations at the same time: nobody fails, nobody is left behind.
my $script = "$dir/set.sql";
append_to_file($script, <<'END');
\set no random(1, 300)
SELECT uaef.set_secret('load', 's' || :no::text, jsonb_build_object('token', :no::text));
END
my @bench = ('pgbench', '-n', '-M', 'prepared', '-c', '4', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres');
IPC::Run::run([ @bench, '-t', '100' ], '>', \$quiet, '2>', \$errors) or die $errors;
my $load = IPC::Run::start([ @bench, '-t', '200' ], '>', \$out, '2>', \$err);
foreach my $round (1 .. 6)
{
	write_keys("round$round " . substr(sprintf('%02x', $round) . $hex[3], 0, 64) . "\n" . slurp_file($file));
	$node->reload;
	is(complaint('SELECT uaef.rotate_secrets()'), '', "rotation $round");
}
$load->finish;
is($load->result(0), 0, 'every session went on') or diag $err;
unlike($err, qr/ERROR|aborted/, 'without an error');
$node->reload;
sql('SELECT uaef.rotate_secrets()');
is(sql('SELECT count(DISTINCT key_id) FROM uaef.secret'), '1', 'and one key is left');

# A canary in every kind, as parameters of statements.
my $canary = 'cAnary/5ecret+value=&?';
my $url_form = join '', map { /[A-Za-z0-9]/ ? $_ : sprintf '%%%02X', ord } split //, $canary;
append_to_file("$dir/canary.sql", join '', map { "SELECT uaef.set_secret('$_', 'canary', jsonb_build_object('token', :token::text));\n" }
	  qw(webhook_source token_key agent));
append_to_file("$dir/canary.sql", <<'END');
SELECT uaef.create_connector('bird', 'webhook', jsonb_build_object('url', :url::text), '{"headers":{}}');
SELECT uaef.set_connector_secret('bird', jsonb_build_object('headers', jsonb_build_object('authorization', 'Bearer ' || :token::text)));
SELECT uaef.decrypt_value(uaef.encrypt_value(:token::text)) = :token::text;
END
my $receiver = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
my $url = 'http://127.0.0.1:' . $receiver->sockport;
IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-t', '1', '-D', "token=$canary", '-D', "url=$url/", '-f', "$dir/canary.sql",
		'-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$quiet, '2>', \$errors) or die $errors;
append_to_file("$dir/canary.json", qq({"token":"$canary"}\n));
sql("SELECT uaef.set_secret_from_file('agent', 'from file', '$dir/canary.json')");
sql("SELECT uaef.create_connector('fly', 'webhook', '{\"url\":\"$url/\"}')");
append_to_file("$dir/fly.json", qq({"headers":{"X-Key":"$canary"}}\n));
sql("SELECT uaef.set_secret_from_file('connector', 'fly', '$dir/fly.json')");
append_to_file("$dir/canary.bad", qq({"token":"$canary"\n));
my @failed = (complaint("SELECT uaef.set_secret_from_file('agent', 'bad file', '$dir/canary.bad')"));
like($failed[0], qr/22023.*holds no JSON/s, 'a file without JSON');
is(sql(q(SELECT count(*) FROM uaef.secret WHERE kind <> 'load')), '8', 'the canaries are there');

# They are sent, to who shall have them, and to nobody else.
sub received
{
	my ($connector) = @_;
	my $id = sql("SELECT uaef.send('$connector', '{}')");
	my $request = '';
	$receiver->timeout($PostgreSQL::Test::Utils::timeout_default);
	my $peer = $receiver->accept or die 'nothing is sent';
	sysread $peer, $request, 4096, length $request while $request !~ /\{\}$/;
	syswrite $peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	close $peer;
	$node->poll_query_until('postgres', "SELECT status = 'succeeded' FROM uaef.delivery WHERE delivery_id = $id") or die 'not recorded';
	return $request;
}
sql("SELECT uaef.allow_egress('127.0.0.1', NULL, 'http', '127.0.0.1/32')");
like(received('bird'), qr/^Authorization: Bearer \Q$canary\E\r$/mi, 'a header of a secret is sent');
like(received('fly'), qr/^X-Key: \Q$canary\E\r$/mi, 'of a secret from a file too');
sql("SELECT uaef.create_connector('plain', 'webhook', '{\"url\":\"$url/\"}')");
unlike(received('plain'), qr/\Q$canary\E/, 'and not to others');

# In the text of a statement it is hidden as well as can be: a failure in the
# function logs neither statement nor context, and the activity shows others.
my $literal = qq('{"token":"$canary"}');
my $unknown = qq('{"of no use":"$canary"}');
push @failed, complaint("SELECT uaef.set_secret('agent', '', $literal)"),
  complaint("SELECT uaef.set_connector_secret('bird', $unknown)"),
  complaint("SELECT uaef.set_connector_secret('nothing', $literal)"),
  complaint(qq(SELECT uaef.create_connector('bird', 'webhook', '{"url":"https://example.com/"}', $literal))),
  complaint("SELECT uaef.create_connector('bird', 'webhook', NULL, $literal)"),
  complaint("SELECT uaef.create_webhook_source('bird', 'github', NULL, $literal)"),
  complaint("SELECT uaef.verify_token('$canary', NULL)"),
  complaint("DO \$\$BEGIN PERFORM uaef.set_secret('Bad kind', 'x', $literal); END\$\$") =~ s/^CONTEXT:.*//smr,
  complaint("SELECT uaef.set_secret('agent', 'b', $literal), 1 / (SELECT count(*) - 1 FROM generate_series(1, 1))");
is(scalar(grep { /ERROR/ } @failed), 10, 'failures with a canary');
my $warned = complaint(q(DO $$BEGIN PERFORM uaef.create_connector('queue', 'sqs',
	'{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"on":[{"start":{"workflow":"none"}}]}}',
	jsonb_build_object('access_key_id', 'a', 'secret_access_key', ') . $canary . q(')); END$$));
like($warned, qr/WARNING:.*"none" does not exist/, 'and a warning');
my ($in, $seen) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', $node->connstr('postgres') ], '<', \$in, '>', \$seen);
$in = "SELECT pg_backend_pid();\nSELECT uaef.set_secret('agent', 'c', $literal);\n\\echo done\n";
$session->pump until $seen =~ /done/;
my ($pid) = $seen =~ /(\d+)/;
is(sql("SELECT query FROM pg_stat_activity WHERE pid = $pid"), 'SELECT uaef.set_secret(...)', 'the activity shows another text');
my $activity = sql('SELECT string_agg(query, chr(10)) FROM pg_stat_activity');
$in = "\\q\n";
$session->finish;

# Keys change once more, the log and the files are complete.
sql('SELECT uaef.rotate_secrets(); CHECKPOINT');
my $dump = "$dir/dump.sql";
$node->command_ok([ 'pg_dumpall', '-h', $node->host, '-p', $node->port, '-f', $dump ], 'a dump of all');
my $export = sql('SELECT uaef.seal_ledger(); SELECT uaef.export_ledger()');
$node->stop;

# At the level of debugging the server tells, with the context, how it looks for
# the library, before anything of ours is called.
my $log = slurp_file($node->logfile) =~ s/ DEBUG:  find_in_path: .*\n.* CONTEXT:  .*//gr;
my %form = (plain => $canary, hex => unpack('H*', $canary), 'hex in capitals' => uc unpack('H*', $canary), url => $url_form, key => substr($hex[3], 0, 60), 'key in bytes' => pack('H*', substr($hex[3], 0, 60)),
	map { ("base64 at $_" => substr(encode_base64(('x' x $_) . $canary, ''), 4, 20)) } 0 .. 2);
my %place = (activity => $activity, errors => join("\n", @failed), ledger => $export, dump => slurp_file($dump),
	log => $log);
File::Find::find({ no_chdir => 1, wanted => sub { $place{$_} = slurp_file($_) if -f && -r } }, $node->data_dir);
foreach my $form (sort keys %form)
{
	my @found = grep { index($place{$_}, $form{$form}) >= 0 } sort keys %place;
	is("@found", '', "nowhere: canary or key, $form");
}
cmp_ok(scalar(keys %place), '>', 900, 'in many places');
ok((grep { index($place{$_}, 'from file') >= 0 && /wal|base/ } keys %place), 'where other things are found');

# The dump holds the secrets, and they open where the key is.
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE again');
my @copy = ('-h', $node->host, '-p', $node->port);
$node->command_ok([ 'bash', '-c', "pg_dump @copy postgres | psql -qX -v ON_ERROR_STOP=1 @copy again > $dir/restore.log" ], 'restored elsewhere');
my ($newest) = slurp_file($file) =~ /(.*)\n/;
write_keys("last $hex[1]\n$newest\n");
is($node->safe_psql('again', 'SELECT uaef.rotate_secrets() = count(*) FROM uaef.secret'), 't', 'they all open there');
$node->stop;
done_testing();
