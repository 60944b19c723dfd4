# Signatures of webhooks, and tokens, against the senders' own libraries: what
# they sign is believed, what they refuse is refused, and so is every message in
# which one bit is another.  They are stripe, octokit, standardwebhooks and bolt,
# and jose, from NODE_PATH or the registry of packages of node; without them, or
# without node, the test is skipped.
#
# ORACLE_MESSAGES and ORACLE_SEED choose how many and which.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Test::More;
use UaefCluster;

my $messages = $ENV{ORACLE_MESSAGES} // 25;
my $seed = $ENV{ORACLE_SEED} // 20261123;
my $oracle = "$FindBin::Bin/../oracle";
my $packages = 'stripe @octokit/webhooks-methods standardwebhooks @slack/bolt jose@5';

plan skip_all => 'no node' if system('node --version > /dev/null 2>&1') != 0;

my $found = sub { system(q{node -e "require('stripe'), require('standardwebhooks'), require('@slack/bolt/dist/receivers/verify-request'), require('jose')" > /dev/null 2>&1}) == 0 };
my $folder = tempdir(CLEANUP => 1);
if (!$found->())
{
	system("cd $folder && timeout 120 npm install --no-audit --no-fund $packages > /dev/null 2>&1");
	$ENV{NODE_PATH} = "$folder/node_modules";
	plan skip_all => "node's packages $packages cannot be had" if !$found->();
}

my $cluster = UaefCluster->new(conf => "fsync = off\nuaef.test_now = '2026-11-23 12:00:00+00'\n");
my $quiet = "SET client_min_messages = warning;\n";

my $rows = `node $oracle/signatures.js $messages $seed $folder`;
is($?, 0, 'messages are signed and judged');
my $made = () = $rows =~ /\n/g;
my $keys = do { local (@ARGV, $/) = "$folder/keys.json"; <> };
$cluster->query($quiet . <<"SQL");
CREATE TABLE keys (k jsonb);
INSERT INTO keys VALUES (\$k\$$keys\$k\$);
SELECT uaef.create_webhook_source(key, COALESCE(type, key), COALESCE(config::jsonb, '{}'), jsonb_build_object('keys', value))
FROM keys CROSS JOIN jsonb_each(k) LEFT JOIN (VALUES
	('standard_pair', 'standard_webhooks', '{}'),
	('hmac_body', 'hmac', '{"header": "X-Signature", "algorithm": "sha512", "encoding": "upper_hex", "prefix": "sha512=", "id": "body.id"}'),
	('hmac_timed', 'hmac', '{"header": "X-Signature", "algorithm": "sha1", "encoding": "base64", "timestamp_header": "X-Time", "signed": "{timestamp}:{body}", "id": "body.id"}'),
	('hmac_parts', 'hmac', '{"header": "X-Signature", "encoding": "base64url", "key_encoding": "hex", "prefix": "v2=", "timestamp_header": "X-Time", "timestamp_unit": "milliseconds", "id_header": "X-Id", "signed": "{id}.{timestamp}.{header:X-Shop}.{body}"}')
	) t (name, type, config) ON name = key;
CREATE TABLE said (no bigint GENERATED ALWAYS AS IDENTITY, scheme text, variant text, headers jsonb, body text, theirs boolean, ours boolean);
CREATE TABLE told (no bigint, answer jsonb);
COPY said (scheme, variant, headers, body, theirs, ours) FROM stdin;
$rows\\.
SQL
is($cluster->query('SELECT count(*) FROM said'), $made, "$made requests");
$cluster->query($quiet . <<'SQL');
DO $$ DECLARE r said; BEGIN
	FOR r IN SELECT * FROM said ORDER BY no LOOP
		INSERT INTO told VALUES (r.no, uaef.receive_webhook(r.scheme, r.headers, decode(r.body, 'hex')));
		IF r.no % 20 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$
SQL
for my $line (split /\n/, $cluster->query(<<'SQL'))
SELECT scheme, variant, count(*), count(*) FILTER (WHERE theirs), count(*) FILTER (WHERE answer->>'status' = '200'),
	count(*) FILTER (WHERE (answer->>'status' = '200') <> ours), max(headers || answer::text) FILTER (WHERE (answer->>'status' = '200') <> ours)
FROM (SELECT scheme, variant, theirs, ours, answer, headers::text || body AS headers FROM said JOIN told USING (no)) s
GROUP BY 1, 2 ORDER BY 1, 2
SQL
{
	my ($scheme, $variant, $n, $theirs, $ours, $differ, $example) = split /\|/, $line, 7;
	is($differ, 0, "$scheme, $variant: $n, of which the library takes $theirs and we take $ours") or diag($example);
}
is($cluster->query(q{SELECT count(*) FROM said JOIN told USING (no) WHERE variant = 'signed' AND answer->>'outcome' <> 'ignored'}), 0,
	'what is signed is taken in once, and is not taken for another');
is($cluster->query(q{SELECT count(*) FROM said JOIN told USING (no) WHERE variant = 'every bit' AND answer->>'outcome' <> 'refused'}), 0,
	'no changed bit gets through');

# Tokens, both ways.
my $kid = $cluster->query($quiet . 'SELECT uaef.rotate_token_key()');
my $key = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';
$cluster->query($quiet . "SELECT uaef.set_secret('token_key', '$kid', '{\"key\": \"$key\"}')");
my $n = $messages * 2;
my $tokens = `node $oracle/tokens.js make $n $kid $key`;
is($?, 0, 'tokens are made');
my ($all, $right, $wrong, $sample) = split /\|/, $cluster->query($quiet . <<"SQL");
CREATE TABLE token (right_one boolean, token text, verdict text);
COPY token (right_one, token) FROM stdin;
$tokens\\.
CREATE FUNCTION verdict(token text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM uaef.verify_token(token, 'uaef');
	RETURN 't';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END \$\$;
UPDATE token SET verdict = verdict(token);
SELECT count(*), count(*) FILTER (WHERE right_one), count(*) FILTER (WHERE (verdict = 't') <> right_one OR verdict !~ '^(t|UA45[0-3])\$'),
	max(verdict || ' ' || token) FILTER (WHERE (verdict = 't') <> right_one OR verdict !~ '^(t|UA45[0-3])\$') FROM token
SQL
is($wrong, 0, "of $all tokens of the other implementation we believe the $right that are right, and no other") or diag($sample);

my $ours = $cluster->query("SELECT uaef.create_token('s' || n || 'é', 'uaef', '1 h', jsonb_build_object('n', n * 1.5, 'x', repeat('y', n % 500))) FROM generate_series(1, $n) n");
open my $file, '>', "$folder/tokens" or die "could not write $folder/tokens: $!\n";
print $file "$ours\n";
close $file or die "could not write $folder/tokens: $!\n";
my $read = `node $oracle/tokens.js read $key < $folder/tokens`;
is(($read =~ tr/t//), $n, "the other implementation believes $n tokens of ours");

done_testing();
