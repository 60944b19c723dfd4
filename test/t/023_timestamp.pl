# Answers of a time-stamp authority with something changed: what nobody has
# signed (the status, copies of certificates that are not needed) may differ,
# but no change makes another time stamp of a good one.

use strict;
use warnings;

use FaultServer;
use PostgreSQL::Test::Utils;
use Test::More;
use UaefTest;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $dir = PostgreSQL::Test::Utils::tempdir;
my $source = "$ENV{TESTDIR}/src";
chomp(my $include = `$pg_config --includedir-server`);

# The reader as a function of SQL: what it says is wrong, or the time, and all
# that the authority states in the token.
append_to_file("$dir/reader.c", <<'C');
#include "postgres.h"
#include <openssl/ts.h>
#include "fmgr.h"
#include "utils/timestamp.h"
#include "utils/builtins.h"
#include "compat.h"
#include "ledger_timestamp.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(stamp_request);
PG_FUNCTION_INFO_V1(stamp_read);

static UaefStampRequest request = {{1, 2, 3}, 4711};

static char *
statement(bytea *token)
{
	const unsigned char *at = (unsigned char *) VARDATA_ANY(token);
	PKCS7	   *read = d2i_PKCS7(NULL, &at, VARSIZE_ANY_EXHDR(token));
	TS_TST_INFO *info = PKCS7_to_TS_TST_INFO(read);
	unsigned char *der = NULL;
	int			len = i2d_TS_TST_INFO(info, &der);
	char	   *hex = palloc0(2 * len + 1);

	for (int i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", der[i]);
	OPENSSL_free(der);
	TS_TST_INFO_free(info);
	PKCS7_free(read);
	return hex;
}

Datum
stamp_request(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(uaef_stamp_request(&request));
}

Datum
stamp_read(PG_FUNCTION_ARGS)
{
	bytea	   *answer = PG_GETARG_BYTEA_PP(0);
	UaefStamp	stamp = {0};
	char	   *problem = uaef_stamp_read(&request, VARDATA_ANY(answer),
										  VARSIZE_ANY_EXHDR(answer),
										  text_to_cstring(PG_GETARG_TEXT_PP(1)),
										  &stamp);

	if (problem != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("refused: %s", problem)));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %s", timestamptz_to_str(stamp.at),
											  statement(stamp.token))));
}
C
plan skip_all => 'no compiler' if system('cc --version >/dev/null 2>&1') != 0;
system_or_bail('sh', '-c', "cc -shared -fPIC -I'$include' -I'$source' -o '$dir/reader.so' '$dir/reader.c' '$source/ledger_timestamp.c' -lcrypto");

my $node = new_node('main', "timezone = 'UTC'\n");
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql("CREATE FUNCTION stamp_request() RETURNS bytea LANGUAGE C AS '$dir/reader';
	CREATE FUNCTION stamp_read(bytea, text) RETURNS text LANGUAGE C AS '$dir/reader';
	CREATE TABLE good (answer bytea, ca text)");

my $tsa = FaultServer->start('tsa_server');
my $folder = $tsa->folder;
append_to_file("$folder/q", pack 'H*', sql("SELECT encode(stamp_request(), 'hex')"));
system_or_bail('openssl', 'ts', '-reply', '-config', "$folder/sha256.conf", '-queryfile', "$folder/q", '-out', "$folder/r");
sql("INSERT INTO good VALUES (pg_read_binary_file('$folder/r'), pg_read_file('$folder/ca.pem'))");
like(sql('SELECT stamp_read(answer, ca) FROM good'), qr/^\d{4}-.* [0-9a-f]{100}/, 'a good answer');

# What is changed, as queries of (name, answer).
my %changes = (
	'one byte' => "SELECT i || ' # ' || m, set_byte(answer, i, get_byte(answer, i) # m)
		FROM generate_series(0, length(answer) - 1) i, unnest(ARRAY[1, 128, 255]) m",
	'a cut end' => "SELECT i::text, substr(answer, 1, i) FROM generate_series(0, length(answer) - 1) i",
	'a cut beginning' => "SELECT i::text, substr(answer, i) FROM generate_series(2, 200) i",
	'a byte less' => "SELECT i::text, substr(answer, 1, i) || substr(answer, i + 2) FROM generate_series(0, length(answer) - 1) i",
	'a byte more' => "SELECT i::text, substr(answer, 1, i) || '\\x00' || substr(answer, i + 1) FROM generate_series(0, length(answer)) i");
for my $change (sort keys %changes)
{
	my $table = "SELECT c.name, stamp_read(c.answer, ca) AS said, stamp_read(good.answer, ca) AS good
		FROM good, LATERAL ($changes{$change}) AS c (name, answer)";
	is(sql("SELECT string_agg(name || ': ' || said, E'\\n') FROM ($table) t WHERE said NOT LIKE 'refused: %' AND said <> good"),
		'', "$change: never another stamp");
}

$node->stop;
done_testing();
