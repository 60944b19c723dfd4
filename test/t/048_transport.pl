# By what ways requests go: private authorities, certificates of clients, which
# requests share connections, proxies, and limits of headers.
use strict;
use warnings FATAL => 'all';

use FindBin;
use HttpServer;
use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

plan skip_all => 'no openssl' if system('openssl version > /dev/null 2>&1') != 0;

my $dir = PostgreSQL::Test::Utils::tempdir;
sub openssl
{
	my ($quiet, $errors);
	IPC::Run::run([ 'openssl', @_ ], '>', \$quiet, '2>', \$errors) or die "openssl @_: $errors";
	return;
}

# Two authorities; a server of the first; two clients of the second.
sub make_ca
{
	my ($name) = @_;
	openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
		'-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem");
	return;
}

sub make_cert
{
	my ($name, $ca, $alt) = @_;
	append_to_file("$dir/$name.ext", $alt ? "subjectAltName=$alt\n" : "keyUsage=digitalSignature\n");
	openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$ca.pem", '-CAkey', "$dir/$ca.key", '-CAcreateserial', '-days', '30',
		'-extfile', "$dir/$name.ext", '-out', "$dir/$name.pem");
	return;
}
make_ca($_) foreach qw(ours theirs);
make_cert('server', 'ours', 'IP:127.0.0.1');
make_cert($_, 'theirs') foreach qw(alice bob);

my ($in, $out) = ('', '');
my $tls = IPC::Run::start([ 'python3', "$FindBin::Bin/../servers/tls_server.py", map { "$dir/$_" } qw(server.pem server.key theirs.pem) ], '<', \$in, '>', \$out,
	IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
$tls->pump until $out =~ /^port (\d+)\n/;
my $url = "https://127.0.0.1:$1/";

my $node = new_node('main', "log_statement = none\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION uaef CASCADE');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql("SELECT uaef.allow_egress('127.0.0.1', NULL, s, '127.0.0.1/32') FROM unnest('{http,https}'::text[]) s");

# A connector of these parts; texts come from files of this process.
sub connector
{
	my ($name, $config, $key) = @_;
	my $secret = $key ? "jsonb_build_object('tls_key', \$pem\$" . slurp_file("$dir/$key.key") . '$pem$)' : 'NULL';
	sql("SELECT uaef.create_connector('$name', 'webhook', jsonb_build_object('url', '$url', 'idempotent', true, 'retry', '{\"max_attempts\":1}'::jsonb) || $config, $secret)");
	return;
}

sub pem { my ($name) = @_; return '$pem$' . slurp_file("$dir/$name.pem") . '$pem$'; }

# What came of a delivery: the answer, or the code of its failure.
sub said
{
	my ($name) = @_;
	my $id = sql("SELECT uaef.send('$name', '{}')");
	$node->poll_query_until('postgres', "SELECT finished_at IS NOT NULL FROM uaef.delivery WHERE delivery_id = $id") or die 'not finished';
	return sql("SELECT coalesce(error ->> 'code', response_body ->> 'client', 'nobody') FROM uaef.delivery WHERE delivery_id = $id");
}
sub connection { return sql('SELECT response_body ->> \'connection\' FROM uaef.delivery ORDER BY delivery_id DESC LIMIT 1'); }

my $trust = sub { return "jsonb_build_object('tls', jsonb_build_object('ca', " . pem('ours') . (@_ ? ", 'cert', " . pem($_[0]) : '') . '))' };
connector('system', "'{}'");
connector('private', $trust->());
connector('wrong', "jsonb_build_object('tls', jsonb_build_object('ca', " . pem('theirs') . '))');
connector('file', "jsonb_build_object('tls', jsonb_build_object('ca_file', '$dir/ours.pem'))");
connector($_, $trust->($_), $_) foreach qw(alice bob);
connector('files', "jsonb_build_object('tls', jsonb_build_object('ca_file', '$dir/ours.pem', 'cert_file', '$dir/alice.pem', 'key_file', '$dir/alice.key'))");
connector('mixed', $trust->('alice'), 'bob');
connector('no_key', $trust->('alice'));
connector('no_file', "'{\"tls\":{\"ca_file\":\"/nowhere.pem\"}}'");

is(said('system'), 'http_tls', 'the system does not trust a private authority');
is(said('wrong'), 'http_tls', 'nor is another one trusted');
is(said('private'), 'nobody', 'one that the connector trusts');
is(said('file'), 'nobody', 'out of a file');
is(said('no_file'), 'http_tls', 'a file that is not there');
is(said('alice'), 'alice', 'a certificate, with its key in the secret');
is(said('files'), 'alice', 'out of files');
is(said('mixed'), 'http_tls', 'a key of another certificate');
is(said('no_key'), 'http_tls', 'a certificate without a key');

# Connections are used again by the same identity, and by no other.
said('alice');
my $of_alice = connection();
is(said('bob') . ' ' . said('alice') . ' ' . said('private') . ' ' . said('bob'), 'bob alice nobody bob', 'each as itself');
said('alice');
is(connection(), $of_alice, 'over the connection it had');
is(said('system'), 'http_tls', 'a connection that stands open is no trust');

# The key is nowhere.
my $key = (split /\n/, slurp_file("$dir/alice.key"))[1];
is(sql("SELECT count(*) FROM uaef.connector c WHERE c::text LIKE '%$key%'"), '0', 'the key is in no table');
unlike(slurp_file($node->logfile), qr/\Q$key\E/, 'nor in the log');

# A proxy that the connector names, or the server's settings; what it is asked.
my $proxy = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1',
	Timeout => $PostgreSQL::Test::Utils::timeout_default) or die "cannot listen: $!";
my $proxy_url = 'http://127.0.0.1:' . $proxy->sockport;
sub asked
{
	my ($name) = @_;
	my $id = sql("SELECT uaef.send('$name', '{}')");
	my $peer = $proxy->accept or die 'nobody asks';
	my $line = <$peer>;
	close $peer;
	$node->poll_query_until('postgres', "SELECT finished_at IS NOT NULL FROM uaef.delivery WHERE delivery_id = $id") or die 'not finished';
	return $line =~ s/\s+$//r;
}
connector('proxied', "'{\"proxy\":\"$proxy_url\"}'");
is(asked('proxied'), 'CONNECT ' . ($url =~ s{https://(.*)/}{$1}r) . ' HTTP/1.1', 'a proxy is asked for a tunnel');
is(sql(q(SELECT phase FROM uaef.delivery_attempt ORDER BY delivery_id DESC LIMIT 1)), 'not_sent', 'what the tunnel would have carried was not sent');
my $plain = HttpServer->start;
connector('plain', "jsonb_build_object('url', '" . $plain->url . "/echo/x')");
connector('straight', "jsonb_build_object('proxy', 'none', 'url', '" . $plain->url . "/echo/y')");
$node->append_conf('postgresql.conf', "uaef.http_proxy = '$proxy_url'");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('uaef.http_proxy') = '$proxy_url'");
is(asked('plain'), 'POST ' . $plain->url . '/echo/x HTTP/1.1', 'the proxy of the server');
is(said('straight'), 'nobody', 'but not for who wants none');

# So many headers, and no more.
connector("h$_", "jsonb_build_object('proxy', 'none', 'url', '" . $plain->url . "/headers/$_')") foreach (70);
is(said('h70'), 'response_too_large', 'too much head');
isnt((($node->psql('postgres', "ALTER SYSTEM SET uaef.http_proxy = 'socks5://a'"))[0]), 0, 'a proxy of another kind is refused');

$node->stop;
$in = '';
$tls->kill_kill;
done_testing();
