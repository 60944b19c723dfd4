/*-------------------------------------------------------------------------
 *
 * rule_data.c
 *	  Tables that rules read: rates of exchange, look-ups, points of pools.
 *
 * Nothing is ever changed or deleted: what is recorded later counts instead of
 * what was recorded before, for the time for which it is valid.  So what a
 * rule read at a time can be read again, as it was known then.
 *
 * A source, a table and a pool belong to the role that recorded the first
 * entry of it.
 *
 * Locking: none; two that record the same at a time are both kept.
 * Memory: what is found lives in the context that was current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "rule_data.h"
#include "spi_util.h"

/* Longest name, in bytes; most keys of an entry of a look-up table. */
#define MAX_NAME	200
#define MAX_KEYS	8

/* Largest and finest number that a rule can read. */
#define MAX_INTEGER_DIGITS	38
#define MAX_SCALE			18

static Numeric read_rate(UaefScope *scope, const char *source,
						 const char *base, const char *quote,
						 TimestampTz at);
static Jsonb *read_look_up(UaefScope *scope, const char *table,
						   char *const *keys, int n, TimestampTz at);
static Numeric read_points(UaefScope *scope, const char *pool,
						   const char *member, TimestampTz at);
static Numeric read_number(UaefQuery *query, Datum *args);
static void check_name(const char *what, const char *name);
static void check_number(const char *what, Numeric number, bool may_be_zero);
static void check_validity(UaefValidity validity);
static void check_owner(UaefQuery *find_owner, const char *what,
						const char *name, Oid actor);
static void record(const char *type, UaefJson *payload, UaefValidity validity,
				   Oid actor);

const UaefTables uaef_rule_tables = {
	read_rate,
	read_look_up,
	read_points
};

/* What is known at a time; DT_NOEND, for ever, is all of it. */
static Numeric
read_rate(UaefScope *scope, const char *source, const char *base,
		  const char *quote, TimestampTz at)
{
	static UaefQuery find = {
		"SELECT rate::text FROM uaef.fx_rate WHERE source = $1 AND base = $2"
		" AND quote = $3 AND valid_from <= $4 AND valid_to > $4"
		" AND recorded_at <= $5 ORDER BY rate_id DESC LIMIT 1",
		5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		args[5];

	args[0] = CStringGetTextDatum(source);
	args[1] = CStringGetTextDatum(base);
	args[2] = CStringGetTextDatum(quote);
	args[3] = TimestampTzGetDatum(at);
	args[4] = TimestampTzGetDatum(scope->known_at);
	return read_number(&find, args);
}

static Jsonb *
read_look_up(UaefScope *scope, const char *table, char *const *keys, int n,
			 TimestampTz at)
{
	static UaefQuery find = {
		"SELECT value FROM uaef.rule_lookup WHERE table_name = $1"
		" AND key = $2 AND valid_from <= $3 AND valid_to > $3"
		" AND recorded_at <= $4 ORDER BY entry_id DESC LIMIT 1",
		4, {TEXTOID, TEXTARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Datum	   *texts = palloc(n * sizeof(Datum));
	Datum		args[4];
	Jsonb	   *value = NULL;

	for (int i = 0; i < n; i++)
		texts[i] = CStringGetTextDatum(keys[i]);
	args[0] = CStringGetTextDatum(table);
	args[1] = uaef_array(texts, NULL, n, TEXTOID);
	args[2] = TimestampTzGetDatum(at);
	args[3] = TimestampTzGetDatum(scope->known_at);
	if (uaef_spi_read(&find, args) > 0)
		value = uaef_spi_jsonb(0, 1);
	uaef_spi_end(caller);
	return value;
}

/*
 * Of each member what was recorded last; all that has points together.  No
 * member has an empty name, which stands for all here.
 */
static Numeric
read_points(UaefScope *scope, const char *pool, const char *member,
			TimestampTz at)
{
	static UaefQuery find = {
		"SELECT sum(points)::text FROM ("
		"SELECT DISTINCT ON (member) points FROM uaef.pool_point"
		" WHERE pool = $1 AND (member = $2 OR $2 = '')"
		" AND valid_from <= $3 AND valid_to > $3 AND recorded_at <= $4"
		" ORDER BY member, point_id DESC) p WHERE points > 0",
		4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		args[4];

	args[0] = CStringGetTextDatum(pool);
	args[1] = CStringGetTextDatum(member == NULL ? "" : member);
	args[2] = TimestampTzGetDatum(at);
	args[3] = TimestampTzGetDatum(scope->known_at);
	return read_number(&find, args);
}

/* The number that a query finds as text, or NULL. */
static Numeric
read_number(UaefQuery *query, Datum *args)
{
	UaefCaller	caller = uaef_spi_begin();
	char	   *text = NULL;

	if (uaef_spi_read(query, args) > 0)
		text = uaef_spi_text(0, 1);
	uaef_spi_end(caller);
	return text == NULL ? NULL : uaef_numeric_from_text(text);
}

static void
check_name(const char *what, const char *name)
{
	int			len = strlen(name);

	for (const char *c = name; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			len = 0;
	}
	if (len == 0 || len > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is no name for a %s",
						uaef_eval_clip(name, strlen(name)), what),
				 errdetail("A name has 1 to %d bytes and no control characters.",
						   MAX_NAME)));
}

/* What rules could not read is not recorded. */
static void
check_number(const char *what, Numeric number, bool may_be_zero)
{
	char	   *text;
	char	   *point;
	int			sign;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a number", what)));
	sign = uaef_numeric_sign(number);
	text = uaef_numeric_text(DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale,
																 NumericGetDatum(number))));
	point = strchr(text, '.');
	if (sign < 0 || (sign == 0 && !may_be_zero))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg(may_be_zero ? "%s must not be below 0" :
						"%s must be above 0", what)));
	if ((point == NULL ? strlen(text) : point - text) > MAX_INTEGER_DIGITS ||
		(point != NULL && strlen(point + 1) > MAX_SCALE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has too many digits", what),
				 errdetail("A number has at most %d digits before the point and %d after it.",
						   MAX_INTEGER_DIGITS, MAX_SCALE)));
}

static void
check_validity(UaefValidity validity)
{
	if (validity.from >= validity.to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("valid_from must be before valid_to")));
}

static void
check_owner(UaefQuery *find_owner, const char *what, const char *name,
			Oid actor)
{
	Datum		args[1];
	Oid			owner;

	args[0] = CStringGetTextDatum(name);
	if (uaef_spi_run(find_owner, args, NULL) == 0)
		return;
	owner = uaef_spi_oid(0, 1);
	if (!has_privs_of_role(actor, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for %s \"%s\"", what, name),
				 errdetail("It belongs to role \"%s\".",
						   GetUserNameFromId(owner, true) ?
						   GetUserNameFromId(owner, true) : "unknown")));
}

/* They decide about money, so they are in the ledger too. */
static void
record(const char *type, UaefJson *payload, UaefValidity validity, Oid actor)
{
	UaefEvent	event = {0};

	if (!TIMESTAMP_NOT_FINITE(validity.from))
		uaef_json_time(payload, "valid_from", validity.from);
	if (!TIMESTAMP_NOT_FINITE(validity.to))
		uaef_json_time(payload, "valid_to", validity.to);
	event.type = type;
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(payload);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_rule_data_set_rate(const char *source, const char *base,
						const char *quote, Numeric rate,
						UaefValidity validity, Oid actor)
{
	static UaefQuery find_owner = {
		"SELECT recorded_by::oid FROM uaef.fx_rate WHERE source = $1"
		" ORDER BY rate_id LIMIT 1", 1, {TEXTOID}
	};
	static UaefQuery insert = {
		"INSERT INTO uaef.fx_rate (source, base, quote, rate, valid_from,"
		" valid_to, recorded_at, recorded_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8, {TEXTOID, TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, REGROLEOID}
	};
	const char *currencies[] = {base, quote};
	UaefCaller	caller;
	UaefJson	payload;
	Datum		args[8];

	check_name("source of rates", source);
	for (int i = 0; i < 2; i++)
		uaef_currency_require(currencies[i]);
	if (strcmp(base, quote) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a currency has no rate to itself")));
	check_number("rate", rate, false);
	check_validity(validity);

	caller = uaef_spi_begin();
	check_owner(&find_owner, "source of rates", source, actor);
	args[0] = CStringGetTextDatum(source);
	args[1] = CStringGetTextDatum(base);
	args[2] = CStringGetTextDatum(quote);
	args[3] = NumericGetDatum(rate);
	args[4] = TimestampTzGetDatum(validity.from);
	args[5] = TimestampTzGetDatum(validity.to);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	args[7] = ObjectIdGetDatum(actor);
	(void) uaef_spi_run(&insert, args, NULL);

	uaef_json_begin(&payload);
	uaef_json_text(&payload, "source", source);
	uaef_json_text(&payload, "base", base);
	uaef_json_text(&payload, "quote", quote);
	uaef_json_numeric(&payload, "rate", rate);
	record("fx_rate_set", &payload, validity, actor);
	uaef_spi_end(caller);
}

void
uaef_rule_data_set_look_up(const char *table, ArrayType *key, Jsonb *value,
						   UaefValidity validity, Oid actor)
{
	static UaefQuery find_owner = {
		"SELECT recorded_by::oid FROM uaef.rule_lookup WHERE table_name = $1"
		" ORDER BY entry_id LIMIT 1", 1, {TEXTOID}
	};
	static UaefQuery insert = {
		"INSERT INTO uaef.rule_lookup (table_name, key, value, valid_from,"
		" valid_to, recorded_at, recorded_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7, {TEXTOID, TEXTARRAYOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, REGROLEOID}
	};
	char		nulls[] = {' ', ' ', value == NULL ? 'n' : ' ', ' ', ' ', ' ', ' '};
	UaefCaller	caller;
	UaefJson	payload;
	Datum	   *keys;
	char	  **texts;
	int			n;
	Datum		args[7];

	check_name("look-up table", table);
	check_validity(validity);
	if (ARR_NDIM(key) != 1 || array_contains_nulls(key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must be a list of texts without nulls")));
	deconstruct_array(key, TEXTOID, -1, false, TYPALIGN_INT, &keys, NULL, &n);
	if (n > MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key has more than %d texts", MAX_KEYS)));

	caller = uaef_spi_begin();
	check_owner(&find_owner, "look-up table", table, actor);
	texts = palloc(n * sizeof(char *));
	for (int i = 0; i < n; i++)
		texts[i] = TextDatumGetCString(keys[i]);
	args[0] = CStringGetTextDatum(table);
	args[1] = uaef_array(keys, NULL, n, TEXTOID);
	args[2] = value == NULL ? (Datum) 0 : JsonbPGetDatum(value);
	args[3] = TimestampTzGetDatum(validity.from);
	args[4] = TimestampTzGetDatum(validity.to);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	args[6] = ObjectIdGetDatum(actor);
	(void) uaef_spi_run(&insert, args, nulls);

	uaef_json_begin(&payload);
	uaef_json_text(&payload, "table", table);
	uaef_json_texts(&payload, "key", texts, n);
	uaef_json_jsonb(&payload, "value", value);
	record(value == NULL ? "lookup_removed" : "lookup_set", &payload,
		   validity, actor);
	uaef_spi_end(caller);
}

void
uaef_rule_data_set_points(const char *pool, const char *member,
						  Numeric points, UaefValidity validity, Oid actor)
{
	static UaefQuery find_owner = {
		"SELECT recorded_by::oid FROM uaef.pool_point WHERE pool = $1"
		" ORDER BY point_id LIMIT 1", 1, {TEXTOID}
	};
	static UaefQuery insert = {
		"INSERT INTO uaef.pool_point (pool, member, points, valid_from,"
		" valid_to, recorded_at, recorded_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7, {TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, REGROLEOID}
	};
	UaefCaller	caller;
	UaefJson	payload;
	Datum		args[7];

	check_name("pool", pool);
	check_name("member of a pool", member);
	check_number("points", points, true);
	check_validity(validity);

	caller = uaef_spi_begin();
	check_owner(&find_owner, "pool", pool, actor);
	args[0] = CStringGetTextDatum(pool);
	args[1] = CStringGetTextDatum(member);
	args[2] = NumericGetDatum(points);
	args[3] = TimestampTzGetDatum(validity.from);
	args[4] = TimestampTzGetDatum(validity.to);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	args[6] = ObjectIdGetDatum(actor);
	(void) uaef_spi_run(&insert, args, NULL);

	uaef_json_begin(&payload);
	uaef_json_text(&payload, "pool", pool);
	uaef_json_text(&payload, "member", member);
	uaef_json_numeric(&payload, "points", points);
	record("pool_points_set", &payload, validity, actor);
	uaef_spi_end(caller);
}
