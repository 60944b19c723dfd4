/*-------------------------------------------------------------------------
 *
 * budget_store.c
 *	  Stored budgets: make and drop them.
 *
 * Locking: the budget's name (versioned_name.c), until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "budget.h"
#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "schedule.h"
#include "spi_util.h"
#include "versioned_name.h"

/* Arguments of uaef.create_budget(), in their order. */
enum
{
	ARG_NAME, ARG_CURRENCY, ARG_CAP, ARG_MAX_COUNT, ARG_PER, ARG_SCOPE,
	ARG_SUBJECT, ARG_TIMEZONE, ARG_ENFORCEMENT
};

static UaefQuery retire_budget = {
	"UPDATE uaef.budget SET active = false WHERE name = $1 AND active",
	1, {TEXTOID}
};

static UaefQuery insert_budget = {
	"INSERT INTO uaef.budget (name, currency, cap_minor, max_count, per, scope,"
	" subject, timezone, enforcement, span, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	12, {TEXTOID, TEXTOID, NUMERICOID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID, INTERVALOID, REGROLEOID, TIMESTAMPTZOID}
};

static const char *const periods[] = {
	"hour", "day", "week", "month", "quarter", "year", "total", NULL
};
static const char *const scopes[] = {
	"global", "workflow", "recipient", "agent", NULL
};
static const char *const enforcements[] = {"strict", "warn", "log", NULL};

static void
require_one_of(const char *const *words, const char *word, const char *what)
{
	if (!uaef_is_one_of(words, word, strlen(word)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no %s of a budget", word, what)));
}

/*
 * What is no word for a part of the calendar is an interval that ends now.
 */
static Datum
span_of(const char *per, bool *isnull)
{
	Datum		span;

	*isnull = uaef_is_one_of(periods, per, strlen(per));
	if (*isnull)
		return (Datum) 0;
	span = DirectFunctionCall3(interval_in, CStringGetDatum(per),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
	(void) uaef_interval_us(DatumGetIntervalP(span), "per", false);
	return span;
}

/*
 * The cap in minor units.
 */
static Datum
minor_cap(Datum cap, const char *currency)
{
	UaefEvalError error = {0};
	Numeric		minor;

	uaef_currency_require(currency);
	if (cap == (Datum) 0)
		return cap;
	if (numeric_is_nan(DatumGetNumeric(cap)) ||
		numeric_is_inf(DatumGetNumeric(cap)) ||
		uaef_numeric_sign(DatumGetNumeric(cap)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the cap of a budget must be a number, not below 0")));
	if (!uaef_money_exact_minor(DatumGetNumeric(cap), currency, &minor,
								&error))
		uaef_eval_raise(&error);
	return NumericGetDatum(minor);
}

static void
check(Datum *args, const char *nulls)
{
	char	   *scope = TextDatumGetCString(args[ARG_SCOPE]);

	require_one_of(scopes, scope, "scope");
	require_one_of(enforcements, TextDatumGetCString(args[ARG_ENFORCEMENT]),
				   "enforcement");
	(void) uaef_schedule_zone(TextDatumGetCString(args[ARG_TIMEZONE]));
	if (nulls[ARG_CAP] == 'n' && nulls[ARG_MAX_COUNT] == 'n')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a budget needs a cap or a max_count, or both")));
	if (nulls[ARG_MAX_COUNT] != 'n' && DatumGetInt64(args[ARG_MAX_COUNT]) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_count of a budget must not be below 0")));
	if (nulls[ARG_SUBJECT] != 'n' && strcmp(scope, "global") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a global budget has no subject")));
}

static void
record(const char *type, const char *name, Datum *args, const char *nulls,
	   Oid actor)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "budget", name);
	if (args != NULL)
	{
		uaef_json_text(&json, "scope", TextDatumGetCString(args[ARG_SCOPE]));
		if (nulls[ARG_SUBJECT] != 'n')
			uaef_json_text(&json, "subject",
						   TextDatumGetCString(args[ARG_SUBJECT]));
		uaef_json_text(&json, "per", TextDatumGetCString(args[ARG_PER]));
		uaef_json_text(&json, "currency",
					   TextDatumGetCString(args[ARG_CURRENCY]));
		if (nulls[ARG_CAP] != 'n')
			uaef_json_numeric(&json, "cap", DatumGetNumeric(args[ARG_CAP]));
		if (nulls[ARG_MAX_COUNT] != 'n')
			uaef_json_int(&json, "max_count",
						  DatumGetInt64(args[ARG_MAX_COUNT]));
		uaef_json_text(&json, "enforcement",
					   TextDatumGetCString(args[ARG_ENFORCEMENT]));
	}
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_budget_create(Datum *args, const char *nulls, Oid actor)
{
	char	   *name = TextDatumGetCString(args[ARG_NAME]);
	UaefCaller	caller;
	Datum		row[UAEF_BUDGET_ARGS + 3];
	char		row_nulls[UAEF_BUDGET_ARGS + 4];
	bool		no_span;

	uaef_check_name("budget", name);
	check(args, nulls);
	caller = uaef_spi_begin();
	uaef_lock_name("budget", name);
	(void) uaef_spi_run(&retire_budget, &args[ARG_NAME], NULL);

	memcpy(row, args, UAEF_BUDGET_ARGS * sizeof(Datum));
	memset(row_nulls, ' ', sizeof(row_nulls));
	memcpy(row_nulls, nulls, UAEF_BUDGET_ARGS);
	row[ARG_CAP] = minor_cap(nulls[ARG_CAP] == 'n' ? (Datum) 0 : args[ARG_CAP],
							 TextDatumGetCString(args[ARG_CURRENCY]));
	row[UAEF_BUDGET_ARGS] =
		span_of(TextDatumGetCString(args[ARG_PER]), &no_span);
	row_nulls[UAEF_BUDGET_ARGS] = no_span ? 'n' : ' ';
	row[UAEF_BUDGET_ARGS + 1] = ObjectIdGetDatum(actor);
	row[UAEF_BUDGET_ARGS + 2] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_budget, row, row_nulls);
	record("budget_created", name, args, nulls, actor);
	uaef_spi_end(caller);
}

void
uaef_budget_drop(const char *name, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = CStringGetTextDatum(name);

	uaef_lock_name("budget", name);
	if (uaef_spi_run(&retire_budget, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_BUDGET),
				 errmsg("budget \"%s\" does not exist", name),
				 errhint("The view uaef.budget_status lists those that are there.")));
	record("budget_dropped", name, NULL, NULL, actor);
	uaef_spi_end(caller);
}
