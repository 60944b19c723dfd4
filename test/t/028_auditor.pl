# What an auditor does, by the words of docs/verify.md: notes, proofs and exports
# as psql writes them into files, and a check while the ledger grows.

use strict;
use warnings;

use IPC::Run;
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = new_node('main', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# psql -XAt -c SQL > FILE
sub keep
{
	my ($file, $sql) = @_;
	IPC::Run::run([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', $sql ],
		'>', "$dir/$file")
	  or die;
	return;
}

sub verify
{
	my $out = '';
	IPC::Run::run([ 'uaef-verify', '--policy', "$dir/policy", @_ ], '>&', \$out);
	return $out;
}

my $origin = sql("SELECT 'uaef/' || ledger_id FROM uaef.ledger");
my $key = '';
IPC::Run::run([ 'uaef-signer', 'keygen', $origin, "$dir/ledger.key" ], '>', \$key) or die;
append_to_file("$dir/policy", "log ${key}quorum none\n");
sql("ALTER DATABASE postgres SET uaef.ledger_key_file = '$dir/ledger.key'");

# Files that psql has written end in a newline more than the value.
my $event = sql("SELECT uaef.record_event('paid', '{\"no\": 7}')");
sql('SELECT uaef.seal_ledger()');
keep('kept-note', 'SELECT uaef.ledger_checkpoint()');
keep('ledger.jsonl', 'SELECT uaef.export_ledger()');
keep('event.tlog-proof', "SELECT uaef.tlog_proof($event)");
like(slurp_file("$dir/kept-note"), qr/\n\n\z/, 'psql writes a newline after a note');
like(verify('--checkpoint', "$dir/kept-note", "$dir/ledger.jsonl"),
	qr/^consistent with checkpoint of size 1, signed by \Q$origin\E$/m, 'a note that psql wrote');
like(verify('--proof', "$dir/event.tlog-proof"),
	qr/event $event \(paid\) is leaf 0 of the tree of size 1, signed by/, 'a proof that psql wrote');
is(sql(<<SQL), 'consistent with the checkpoint of 1 events signed by ' . $origin, 'and the note in the database');
SELECT verdict FROM uaef.ledger_verdict(checkpoints => ARRAY[pg_read_file('$dir/kept-note')], keys => ARRAY[trim(E'\\n' from '$key')])
SQL

# What is sealed and signed while a check runs is none of its business.
my $grow = <<'SQL';
DO $$ BEGIN
	FOR i IN 1 .. 20000 LOOP
		EXIT WHEN i > 400 AND EXISTS (SELECT FROM enough);
		PERFORM uaef.record_event('grown');
		COMMIT;
		PERFORM uaef.seal_ledger();
		COMMIT;
		PERFORM uaef.ledger_checkpoint();
		COMMIT;
	END LOOP;
END $$;
SQL
sql('CREATE TABLE enough ()');
sql("SELECT count(uaef.record_event('many')) FROM generate_series(1, 20000)");
sql('SELECT uaef.seal_ledger()');
my $writer = fork // die;
exec('psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $grow) if $writer == 0;
my ($checks, $problems) = (0, '');
while (waitpid($writer, WNOHANG) == 0)
{
	$problems .= sql("SELECT code, detail FROM uaef.verify_ledger() WHERE severity = 'error'");
	sql('INSERT INTO enough DEFAULT VALUES') if ++$checks == 2;
}
is($?, 0, 'the ledger grew');
is($problems, '', "a ledger that grows has no problems in $checks checks");
cmp_ok($checks, '>', 1, 'they ran beside it');

done_testing();
