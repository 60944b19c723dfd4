/*-------------------------------------------------------------------------
 *
 * payout_statement.c
 *	  Statements of banks: reading them, and matching their lines.
 *
 * A line fits a payout of its channel that has its end-to-end id or, where the
 * line has none, its reference, and exactly its amount and currency, and that no
 * line fits already.  Nothing is matched by its amount alone.
 *
 * Locking: a payout's row, then those of the executions of its signals.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "payout.h"
#include "spi_util.h"

#define N_CSV_COLUMNS	6
#define MAX_LINES		1000000

static const char *const csv_header[N_CSV_COLUMNS] = {
	"booked_on", "amount", "currency", "end_to_end_id", "reference", "text"
};

/*
 * Entries with one transaction, and the transactions of those with several.
 * Names are compared without their namespace, which every version changes.
 */
static UaefQuery read_camt = {
	"SELECT x.booked_on, CASE WHEN x.side = 'DBIT' THEN '-' ELSE '' END"
	" || x.amount, x.currency, x.end_to_end_id, x.reference, x.text"
	" FROM XMLTABLE('//*[local-name()=\"Ntry\" and"
	"   count(.//*[local-name()=\"TxDtls\"]) < 2]"
	"  | //*[local-name()=\"Ntry\" and"
	"   count(.//*[local-name()=\"TxDtls\"]) > 1]//*[local-name()=\"TxDtls\"]'"
	"  PASSING (xmlparse(document $1)) COLUMNS place FOR ORDINALITY,"
	"  booked_on text PATH 'substring((ancestor-or-self::*[local-name()=\"Ntry\"]"
	"/*[local-name()=\"BookgDt\"]/*)[1], 1, 10)',"
	"  amount text PATH '(.//*[local-name()=\"Amt\"])[1]',"
	"  currency text PATH '(.//*[local-name()=\"Amt\"])[1]/@Ccy',"
	"  side text PATH '(ancestor-or-self::*[local-name()=\"Ntry\"]"
	"/*[local-name()=\"CdtDbtInd\"])[1]',"
	"  end_to_end_id text PATH '(.//*[local-name()=\"EndToEndId\"])[1]',"
	"  reference text PATH '(.//*[local-name()=\"AcctSvcrRef\"])[1]',"
	"  text text PATH '(.//*[local-name()=\"Ustrd\"])[1]') x"
	" ORDER BY x.place",
	1, {TEXTOID}
};

static UaefQuery insert_statement = {
	"INSERT INTO uaef.bank_statement (channel, format, digest, lines,"
	" imported_by, imported_at) VALUES ($1, $2, $3, $4, $5, $6)"
	" ON CONFLICT (channel, digest) DO NOTHING RETURNING statement_id",
	6, {TEXTOID, TEXTOID, BYTEAOID, INT4OID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery find_statement = {
	"SELECT statement_id FROM uaef.bank_statement"
	" WHERE channel = $1 AND digest = $2",
	2, {TEXTOID, BYTEAOID}
};

static UaefQuery find_statement_id = {
	"SELECT FROM uaef.bank_statement WHERE statement_id = $1",
	1, {INT8OID}
};

static UaefQuery insert_lines = {
	"INSERT INTO uaef.bank_statement_line (statement_id, line_no, booked_on,"
	" amount_minor, currency, end_to_end_id, reference, text)"
	" SELECT $1, n.line_no, n.booked_on, n.amount, n.currency,"
	" nullif(nullif(n.e2e, ''), 'NOTPROVIDED'), nullif(n.reference, ''),"
	" nullif(n.text, '')"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8)"
	"  AS n (line_no, booked_on, amount, currency, e2e, reference, text)",
	8, {INT8OID, INT4ARRAYOID, DATEARRAYOID, NUMERICARRAYOID, TEXTARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
};

static UaefQuery find_open = {
	"SELECT l.statement_id, l.line_no, s.channel, l.amount_minor < 0,"
	" abs(l.amount_minor), l.currency, l.end_to_end_id, l.reference"
	" FROM uaef.bank_statement_line l"
	" JOIN uaef.bank_statement s USING (statement_id)"
	" WHERE l.payout_id IS NULL AND ($1 IS NULL OR l.statement_id = $1)"
	" ORDER BY l.statement_id, l.line_no",
	1, {INT8OID}
};

static UaefQuery find_payout = {
	"SELECT p.payout_id FROM uaef.payout p WHERE p.channel = $1"
	" AND p.currency = $2 AND p.amount_minor = $3"
	" AND (p.end_to_end_id = $4 OR $4 IS NULL AND p.external_ref = $5)"
	" AND p.fence > 0 AND ($6 OR p.status IN ('accepted', 'in_transit',"
	"  'settled', 'returned'))"
	" AND NOT EXISTS (SELECT FROM uaef.bank_statement_line l"
	"  WHERE l.payout_id = p.payout_id AND (l.amount_minor < 0) = $6)"
	" LIMIT 2",
	6, {TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID, BOOLOID}
};

static UaefQuery match_line = {
	"UPDATE uaef.bank_statement_line SET payout_id = $3, matched_by = $4,"
	" matched_at = $5 WHERE statement_id = $1 AND line_no = $2",
	5, {INT8OID, INT4OID, UUIDOID, TEXTOID, TIMESTAMPTZOID}
};

/* A line as it was read. */
typedef struct Line
{
	char	   *fields[N_CSV_COLUMNS];
} Line;

typedef struct Lines
{
	int			n;
	int			first;			/* where the first one stands in the file */
	int			size;
	Line	   *lines;
} Lines;

/* A line without a payout. */
typedef struct OpenLine
{
	int64		statement_id;
	int			line_no;
	char	   *channel;
	bool		out;
	Numeric		minor;
	char	   *currency;
	char	   *end_to_end_id;	/* or NULL */
	char	   *reference;		/* or NULL */
} OpenLine;

pg_noreturn static void
refuse(int line_no, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_STATEMENT),
			 errmsg("line %d of the statement %s", line_no, what)));
}

static Line *
add_line(Lines *lines)
{
	if (lines->n == MAX_LINES)
		refuse(lines->n + 1, "is one too many");
	if (lines->n == lines->size)
	{
		lines->size = Max(lines->size * 2, 64);
		lines->lines = lines->lines == NULL
			? palloc(lines->size * sizeof(Line))
			: repalloc_huge(lines->lines, lines->size * sizeof(Line));
	}
	memset(&lines->lines[lines->n], 0, sizeof(Line));
	return &lines->lines[lines->n++];
}

/*----------
 * CSV (RFC 4180)
 * ----------
 */

/*
 * One field; *end is set behind it, to its comma, line feed or end.
 */
static char *
csv_field(const char *from, const char **end, int line_no)
{
	StringInfoData field;

	initStringInfo(&field);
	if (*from != '"')
	{
		while (*from != '\0' && *from != ',' && *from != '\n')
			appendStringInfoChar(&field, *from++);
		while (field.len > 0 && field.data[field.len - 1] == '\r')
			field.data[--field.len] = '\0';
		*end = from;
		return field.data;
	}
	for (from++; *from != '"' || from[1] == '"'; from++)
	{
		if (*from == '\0')
			refuse(line_no, "has a quote that is not closed");
		appendStringInfoChar(&field, *from);
		if (*from == '"')
			from++;
	}
	from++;
	if (*from == '\r')
		from++;
	if (*from != '\0' && *from != ',' && *from != '\n')
		refuse(line_no, "has something behind a quote");
	*end = from;
	return field.data;
}

static const char *
csv_line(const char *from, Line *line, int line_no)
{
	for (int i = 0; i < N_CSV_COLUMNS; i++)
	{
		line->fields[i] = csv_field(from, &from, line_no);
		if (i < N_CSV_COLUMNS - 1 && *from++ != ',')
			refuse(line_no, "has not the six fields booked_on, amount, currency, end_to_end_id, reference, text");
	}
	if (*from != '\0' && *from++ != '\n')
		refuse(line_no, "has not the six fields booked_on, amount, currency, end_to_end_id, reference, text");
	return from;
}

static void
read_csv(const char *content, Lines *lines)
{
	Line		header;
	int			line_no = 1;

	content = csv_line(content, &header, line_no);
	for (int i = 0; i < N_CSV_COLUMNS; i++)
		if (strcmp(header.fields[i], csv_header[i]) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_STATEMENT),
					 errmsg("the header of the statement has \"%s\" where \"%s\" is expected",
							header.fields[i], csv_header[i])));
	lines->first = line_no + 1;
	while (*content != '\0')
		content = csv_line(content, add_line(lines), ++line_no);
}

static void
read_xml(const char *content, Lines *lines)
{
	Datum		arg = CStringGetTextDatum(content);
	uint64		n = uaef_spi_run(&read_camt, &arg, NULL);

	lines->first = 1;
	for (uint64 row = 0; row < n; row++)
	{
		Line	   *line = add_line(lines);

		for (int i = 0; i < N_CSV_COLUMNS; i++)
		{
			char	   *text = uaef_spi_text(row, i + 1);

			line->fields[i] = text ? text : pstrdup("");
		}
	}
}

/*----------
 * Storing
 * ----------
 */

static void
date_context(void *arg)
{
	errcontext("line %d of the statement", *(int *) arg);
}

static Datum
date_of(const Line *line, int line_no)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = date_context,
		.arg = &line_no
	};
	Datum		date;

	if (*line->fields[0] == '\0')
		refuse(line_no, "has no date");
	error_context_stack = &context;
	date = DirectFunctionCall1(date_in, CStringGetDatum(line->fields[0]));
	error_context_stack = context.previous;
	return date;
}

/*
 * The amount in minor units: a sign perhaps, digits and a point.
 */
static Datum
minor_of(const Line *line, int line_no)
{
	UaefEvalError error = {0};
	const char *text = line->fields[1];
	const char *digits = text + (*text == '-' || *text == '+');
	Numeric		minor;

	if (strspn(digits, "0123456789.") != strlen(digits) ||
		strlen(digits) > 40 || strpbrk(digits, "0123456789") == NULL ||
		strchr(digits, '.') != strrchr(digits, '.'))
		refuse(line_no, "has no amount");
	if (uaef_currency_exponent(line->fields[2]) < 0)
		refuse(line_no, "has no known currency");
	if (!uaef_money_exact_minor(uaef_numeric_from_text(text + (*text == '+')),
								line->fields[2], &minor, &error))
		refuse(line_no, psprintf("has a wrong amount: %s", error.message));
	if (uaef_numeric_sign(minor) == 0)
		refuse(line_no, "has an amount of nothing");
	return NumericGetDatum(minor);
}

static void
store_lines(int64 statement_id, const Lines *lines)
{
	static const Oid types[] = {
		INT4OID, DATEOID, NUMERICOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID
	};
	Datum	   *columns[lengthof(types)];
	Datum		args[lengthof(types) + 1];

	for (int c = 0; c < lengthof(types); c++)
		columns[c] = palloc(Max(lines->n, 1) * sizeof(Datum));
	for (int i = 0; i < lines->n; i++)
	{
		const Line *line = &lines->lines[i];

		columns[0][i] = Int32GetDatum(i + 1);
		columns[1][i] = date_of(line, lines->first + i);
		columns[2][i] = minor_of(line, lines->first + i);
		for (int c = 2; c < N_CSV_COLUMNS; c++)
			columns[c + 1][i] = CStringGetTextDatum(line->fields[c]);
	}
	args[0] = Int64GetDatum(statement_id);
	for (int c = 0; c < lengthof(types); c++)
		args[c + 1] = uaef_array(columns[c], NULL, lines->n, types[c]);
	(void) uaef_spi_run(&insert_lines, args, NULL);
}

static void
record_import(int64 statement_id, const char *channel, int lines, Oid actor)
{
	UaefEvent	event = {.type = "statement_imported",.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "statement_id", statement_id);
	uaef_json_text(&json, "channel", channel);
	uaef_json_int(&json, "lines", lines);
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

int64
uaef_statement_import(const char *channel, const char *format,
					  const char *content, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefPayoutChannel found;
	Lines		lines = {0};
	Datum		args[6];
	Datum		digest = DirectFunctionCall1(sha256_bytea,
											 CStringGetTextDatum(content));
	int64		id;

	uaef_payout_channel_get(channel, &found);
	if (strcmp(format, "csv") == 0)
		read_csv(content, &lines);
	else if (strcmp(format, "camt053") == 0)
		read_xml(content, &lines);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no format of a statement", format),
				 errhint("Formats are csv and camt053.")));
	args[0] = CStringGetTextDatum(channel);
	args[1] = CStringGetTextDatum(format);
	args[2] = digest;
	args[3] = Int32GetDatum(lines.n);
	args[4] = ObjectIdGetDatum(actor);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_statement, args, NULL) > 0)
	{
		id = uaef_spi_int64(0, 1);
		store_lines(id, &lines);
		record_import(id, channel, lines.n, actor);
	}
	else
	{
		args[1] = digest;
		(void) uaef_spi_run(&find_statement, args, NULL);
		id = uaef_spi_int64(0, 1);
	}
	uaef_spi_end(caller);
	return id;
}

/*----------
 * Matching
 * ----------
 */

static void
read_open(uint64 row, OpenLine *line)
{
	bool		isnull;

	line->statement_id = uaef_spi_int64(row, 1);
	line->line_no = uaef_spi_int32(row, 2);
	line->channel = uaef_spi_text(row, 3);
	line->out = uaef_spi_bool(row, 4);
	line->minor = DatumGetNumericCopy(uaef_spi_value(row, 5, &isnull));
	line->currency = uaef_spi_text(row, 6);
	line->end_to_end_id = uaef_spi_text(row, 7);
	line->reference = uaef_spi_text(row, 8);
}

static bool
fitting_payout(const OpenLine *line, pg_uuid_t *payout_id)
{
	Datum		args[6];
	char		nulls[] = "      ";

	args[0] = CStringGetTextDatum(line->channel);
	args[1] = CStringGetTextDatum(line->currency);
	args[2] = NumericGetDatum(line->minor);
	args[3] = line->end_to_end_id ? CStringGetTextDatum(line->end_to_end_id)
		: (Datum) 0;
	nulls[3] = line->end_to_end_id ? ' ' : 'n';
	args[4] = line->reference ? CStringGetTextDatum(line->reference)
		: (Datum) 0;
	nulls[4] = line->reference ? ' ' : 'n';
	args[5] = BoolGetDatum(line->out);
	if (uaef_spi_run(&find_payout, args, nulls) != 1)
		return false;
	*payout_id = uaef_spi_uuid(0, 1);
	return true;
}

static void
match(const OpenLine *line, const pg_uuid_t *payout_id, Oid actor)
{
	UaefEvidence evidence = {
		.kind = "statement",
		.says = line->out ? "settled" : "returned",
		.source_key = psprintf("%lld:%d", (long long) line->statement_id,
							   line->line_no),
		.reference = line->reference,
		.actor = actor
	};
	UaefPayout	payout;
	Datum		args[5];

	uaef_payout_lock(payout_id, &payout);
	(void) uaef_payout_take_evidence(&payout, &evidence);
	args[0] = Int64GetDatum(line->statement_id);
	args[1] = Int32GetDatum(line->line_no);
	args[2] = UUIDPGetDatum(payout_id);
	args[3] = CStringGetTextDatum(line->end_to_end_id ? "end_to_end_id"
								  : "reference");
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&match_line, args, NULL);
}

static void
require_statement(int64 statement_id)
{
	Datum		arg = Int64GetDatum(statement_id);

	if (uaef_spi_run(&find_statement_id, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_STATEMENT),
				 errmsg("statement %lld does not exist",
						(long long) statement_id),
				 errhint("uaef.import_statement() returns the number of a statement.")));
}

void
uaef_statement_reconcile(int64 statement_id, Oid actor, int *matched,
						 int *open)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = Int64GetDatum(statement_id);
	OpenLine   *lines;
	int			n;

	if (statement_id != 0)
		require_statement(statement_id);
	n = (int) uaef_spi_run(&find_open, &arg, statement_id == 0 ? "n" : NULL);
	lines = palloc(Max(n, 1) * sizeof(OpenLine));
	for (int i = 0; i < n; i++)
		read_open(i, &lines[i]);
	*matched = 0;
	for (int i = 0; i < n; i++)
	{
		pg_uuid_t	payout_id;

		if (!fitting_payout(&lines[i], &payout_id))
			continue;
		match(&lines[i], &payout_id, actor);
		(*matched)++;
	}
	*open = n - *matched;
	uaef_spi_end(caller);
}
