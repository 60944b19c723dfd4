# Double entry against an oracle in another language, over a dump and restore,
# and through kill -9 of the server in the middle of postings.
#
# BOOKS_CALLS and BOOKS_SEED choose how many calls, and which.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Time::HiRes qw(sleep);
use UaefCluster;

my $python = (grep { -x "$_/python3" } split /:/, $ENV{PATH})[0];
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);
my $cluster = UaefCluster->new(conf => "synchronous_commit = off\n");
my $clients = 4;

sub psql_args
{
	my ($database) = @_;
	return ('-X', '-q', '-At', '-h', $cluster->dir, '-p', $cluster->{port}, '-U', 'postgres', '-d', $database);
}

SKIP:
{
	skip 'no python3', 3 if !defined $python;
	local $ENV{PGHOST} = $cluster->dir;
	local $ENV{PGPORT} = $cluster->{port};
	local $ENV{PGDATABASE} = $cluster->database;
	local $ENV{PGUSER} = 'postgres';
	open(my $run, '-|', "$python/python3", "$FindBin::Bin/../oracle/books_oracle.py", '--psql', "$bindir/psql",
		'--calls', $ENV{BOOKS_CALLS} // 1500, '--seed', $ENV{BOOKS_SEED} // 20261123)
	  or die "could not run the oracle: $!";
	my $said = join '', <$run>;
	close $run;
	is($? >> 8, 0, 'the server and the oracle agree') or diag($said);
	like($said, qr/ calls, \d+ questions, 0 differ/, 'on all calls');
	like($said, qr/^$_ +[1-9]/m, "calls that end with $_")
	  for qw(ok UA205 UA206 UA207 UA223 UA307 UA510 UA511 UA512 UA513 UA515 UA517 UA518);
}

# A dump and restore keeps the books, and what guards them.
my $sums = 'SELECT md5(string_agg(b::text, chr(10) ORDER BY code)) FROM uaef.account_balance b';
my $dump = $cluster->dir . '/books.dump';
$cluster->query('CREATE DATABASE copy');
is(system("$bindir/pg_dump", '-Fc', '-h', $cluster->dir, '-p', $cluster->{port}, '-U', 'postgres', '-f', $dump, $cluster->database),
	0, 'dump');
is(system("$bindir/pg_restore", '-e', '-j', 2, '-h', $cluster->dir, '-p', $cluster->{port}, '-U', 'postgres', '-d', 'copy', $dump),
	0, 'parallel restore');
is($cluster->query_in('copy', $sums), $cluster->query($sums), 'the same balances');
is($cluster->query_in('copy', 'SELECT count(*) FROM uaef.audit_money()'), 0, 'audit_money finds nothing in the copy');
is( $cluster->query_in('copy', "SELECT uaef.create_account('c.1', 'asset', 'EUR') > 0 AND uaef.create_account('c.2', 'equity', 'EUR') > 0 AND uaef.post('{\"debit\": \"c.1\", \"credit\": \"c.2\", \"amount\": 1}') > 0"),
	't', 'and it can be posted to');

# Several clients post numbered transfers; each says which are committed.
$cluster->query(<<'END');
SELECT uaef.create_account('crash.' || i, 'liability', 'EUR') FROM generate_series(1, 5) i;
SELECT uaef.create_account('crash.hot', 'income', 'EUR', stripes => 4);
END

sub client_script
{
	my ($client, $from, $to) = @_;
	return join "\n", map {
		my $key = "crash $client $_";
		my $debit = 1 + ($_ + $client) % 5;
		my $credit = $_ % 3 ? 1 + ($debit + $_ % 4) % 5 : 'hot';

		$_ % 4
		  ? "SELECT $_ WHERE uaef.post('{\"debit\": \"crash.$debit\", \"credit\": \"crash.$credit\", \"amount\": $_, \"key\": \"$key\"}') > 0;"
		  : "SELECT $_ WHERE uaef.post_batch('[{\"debit\": \"crash.$debit\", \"credit\": \"crash.$credit\", \"amount\": $_, \"key\": \"$key\"},"
		  . "{\"debit\": \"crash.1\", \"credit\": \"crash.hot\", \"amount\": 1, \"key\": \"$key b\"}]') IS NOT NULL;"
	} $from .. $to;
}

sub start_client
{
	my ($client, $to) = @_;
	my $script = $cluster->dir . "/client$client.sql";
	my $output = $cluster->dir . "/client$client.out";

	open my $file, '>', $script or die $!;
	print $file client_script($client, 1, $to);
	close $file or die $!;
	my $pid = fork // die $!;
	if ($pid == 0)
	{
		open STDOUT, '>', $output or die $!;
		open STDERR, '>', '/dev/null' or die $!;
		exec "$bindir/psql", psql_args($cluster->database), '-v', 'ON_ERROR_STOP=1', '-f', $script or die $!;
	}
	return $pid;
}

my $todo = 4_000;
my @pids = map { start_client($_, $todo) } 1 .. $clients;
ok($cluster->poll("SELECT count(*) > 300 FROM uaef.journal WHERE idempotency_key LIKE 'crash%'"), 'clients are posting');
kill 'KILL', $cluster->postmaster_pid;
waitpid $_, 0 for @pids;
$cluster->revive;
is($cluster->query('SELECT count(*) FROM uaef.audit_money()'), 0, 'the books balance after the crash');
my $committed = $cluster->query("SELECT count(*) FROM uaef.journal WHERE idempotency_key LIKE 'crash%'");
cmp_ok($committed, '>', 0, 'some were posted');
cmp_ok($committed, '<', $clients * $todo, 'and not all');

# Sent again from the beginning, each is there once.
my $again = 400;
$cluster->query(client_script($_, 1, $again)) for 1 .. $clients;
$cluster->query(client_script($_, 1, $again)) for 1 .. $clients;
is( $cluster->query("SELECT count(*) FROM uaef.journal WHERE split_part(idempotency_key, ' ', 3)::integer <= $again AND idempotency_key LIKE 'crash%'"),
	$clients * ($again + $again / 4), 'each key is one journal');
is($cluster->query('SELECT count(*) FROM uaef.audit_money()'), 0, 'the books balance in the end');
is($cluster->query("SELECT count(*) FROM uaef.verify_ledger() WHERE severity = 'error'"), 0, 'and so does the ledger verify');

done_testing();
