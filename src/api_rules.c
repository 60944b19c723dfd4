/*-------------------------------------------------------------------------
 *
 * api_rules.c
 *	  SQL entry points of the rules: conditions, templates, schemas, amounts, splits.
 *
 * A compiled program is kept with the call site (fn_extra) and used again as
 * long as its source has the same bytes, so that a query over many rows
 * compiles once.
 *
 * Locking: none.  Memory: programs live in a child of fn_mcxt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "allocate.h"
#include "amount.h"
#include "arguments.h"
#include "condition.h"
#include "errcodes.h"
#include "json_schema.h"
#include "json_util.h"
#include "rule_data.h"
#include "set_result.h"
#include "template.h"

/* Most failures that validate_json() tells. */
#define MAX_FAILURES	1000

/* A program and the bytes that it was compiled from. */
typedef struct ProgramCache
{
	MemoryContext context;		/* of the sources and the program */
	struct varlena *source;
	struct varlena *currency;	/* of tiers, else NULL */
	void	   *program;
	TupleDesc	result;			/* of the function, where it is a row */
} ProgramCache;

typedef void *(*CompileProgram) (struct varlena *source, const char *currency);

static bool same_bytes(const struct varlena *a, const struct varlena *b);
static struct varlena *copy_bytes(const struct varlena *value);
static ProgramCache *program_cache(FunctionCallInfo fcinfo);
static void *cached_program(FunctionCallInfo fcinfo, struct varlena *source,
							struct varlena *currency, CompileProgram compile);
static void *compile_condition(struct varlena *source, const char *currency);
static void *compile_template(struct varlena *source, const char *currency);
static void *compile_schema(struct varlena *source, const char *currency);
static void *compile_amount(struct varlena *source, const char *currency);
static void *compile_tiers(struct varlena *source, const char *currency);
static void *compile_table(struct varlena *source, const char *currency);
static Numeric evaluate(const UaefAmount *amount, UaefScope *scope,
						text * rounding, const char **currency);
static Datum amount_row(FunctionCallInfo fcinfo, UaefScope *scope,
						text * rounding);
static TupleDesc result_row(FunctionCallInfo fcinfo);
static void check_currency(const char *currency);

PG_FUNCTION_INFO_V1(uaef_evaluate_condition);
PG_FUNCTION_INFO_V1(uaef_fill_template);
PG_FUNCTION_INFO_V1(uaef_json_matches);
PG_FUNCTION_INFO_V1(uaef_validate_json);
PG_FUNCTION_INFO_V1(uaef_evaluate_amount);
PG_FUNCTION_INFO_V1(uaef_evaluate_amount_at);
PG_FUNCTION_INFO_V1(uaef_evaluate_tiers);
PG_FUNCTION_INFO_V1(uaef_evaluate_table);
PG_FUNCTION_INFO_V1(uaef_explain_condition);
PG_FUNCTION_INFO_V1(uaef_explain_amount);
PG_FUNCTION_INFO_V1(uaef_allocate_amount);
PG_FUNCTION_INFO_V1(uaef_currency_digits);

static bool
same_bytes(const struct varlena *a, const struct varlena *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static struct varlena *
copy_bytes(const struct varlena *value)
{
	struct varlena *copy;

	if (value == NULL)
		return NULL;
	copy = palloc(VARSIZE(value));
	memcpy(copy, value, VARSIZE(value));
	return copy;
}

/* The cache of this call site, made at its first call. */
static ProgramCache *
program_cache(FunctionCallInfo fcinfo)
{
	ProgramCache *cache = fcinfo->flinfo->fn_extra;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									   sizeof(ProgramCache));
		cache->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											   "uaef rule",
											   ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = cache;
	}
	return cache;
}

/*
 * The program of source, compiled now or by an earlier call of this call
 * site.  The cache is emptied first, so that an error leaves no half of one.
 */
static void *
cached_program(FunctionCallInfo fcinfo, struct varlena *source,
			   struct varlena *currency, CompileProgram compile)
{
	ProgramCache *cache = program_cache(fcinfo);
	MemoryContext caller;

	if (cache->program != NULL && same_bytes(cache->source, source) &&
		same_bytes(cache->currency, currency))
		return cache->program;

	cache->program = NULL;
	MemoryContextReset(cache->context);
	caller = MemoryContextSwitchTo(cache->context);
	cache->source = copy_bytes(source);
	cache->currency = copy_bytes(currency);
	cache->program = compile(cache->source, currency == NULL ? NULL :
							 text_to_cstring((text *) currency));
	MemoryContextSwitchTo(caller);
	return cache->program;
}

static void *
compile_condition(struct varlena *source, const char *currency)
{
	return uaef_condition_compile((Jsonb *) source, true, NULL);
}

static void *
compile_template(struct varlena *source, const char *currency)
{
	return uaef_template_compile_any_root((Jsonb *) source);
}

static void *
compile_schema(struct varlena *source, const char *currency)
{
	return uaef_schema_compile((Jsonb *) source, NULL);
}

static void *
compile_amount(struct varlena *source, const char *currency)
{
	return uaef_amount_compile(text_to_cstring((text *) source), currency,
							   true, NULL);
}

static void *
compile_tiers(struct varlena *source, const char *currency)
{
	return uaef_amount_compile_tiers((Jsonb *) source, currency, true, NULL);
}

static void *
compile_table(struct varlena *source, const char *currency)
{
	return uaef_amount_compile_table((Jsonb *) source, currency, true, NULL);
}

/* An amount in the currency's own digits, or an error. */
static Numeric
evaluate(const UaefAmount *amount, UaefScope *scope, text * rounding,
		 const char **currency)
{
	UaefRounding mode = uaef_rounding_by_name(text_to_cstring(rounding));
	UaefRational exact;
	UaefEvalError error;
	Numeric		minor;

	if (!uaef_amount_eval(amount, scope, &exact, currency, &error) ||
		!uaef_money_to_minor(&exact, *currency, mode, &minor, &error))
		uaef_eval_raise(&error);
	return uaef_money_from_minor(minor, *currency);
}

/* The row type that a call site returns. */
static TupleDesc
result_row(FunctionCallInfo fcinfo)
{
	ProgramCache *cache = program_cache(fcinfo);
	MemoryContext caller;

	if (cache->result == NULL)
	{
		caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		if (get_call_result_type(fcinfo, NULL, &cache->result) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		cache->result = BlessTupleDesc(cache->result);
		MemoryContextSwitchTo(caller);
	}
	return cache->result;
}

static void
check_currency(const char *currency)
{
	uaef_currency_require(currency);
}

/* uaef.evaluate_condition(condition jsonb, data jsonb) RETURNS boolean */
Datum
uaef_evaluate_condition(PG_FUNCTION_ARGS)
{
	UaefCondition *condition =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   NULL, compile_condition);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};
	UaefEvalError error;
	bool		result;

	if (!uaef_condition_eval(condition, &scope, &result, &error))
		uaef_eval_raise(&error);
	PG_RETURN_BOOL(result);
}

/* uaef.fill_template(template jsonb, data jsonb) RETURNS jsonb */
Datum
uaef_fill_template(PG_FUNCTION_ARGS)
{
	UaefTemplate *tmpl =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   NULL, compile_template);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};
	UaefEvalError error;
	Jsonb	   *document = uaef_template_fill(tmpl, &scope, &error);

	if (document == NULL)
		uaef_eval_raise(&error);
	PG_RETURN_JSONB_P(document);
}

/* uaef.json_matches(schema jsonb, value jsonb) RETURNS boolean */
Datum
uaef_json_matches(PG_FUNCTION_ARGS)
{
	UaefSchema *schema =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   NULL, compile_schema);
	UaefEvalError error;
	bool		matches = uaef_schema_valid(schema, PG_GETARG_JSONB_P(1),
											&error);

	if (!matches && error.sqlstate != ERRCODE_UAEF_SCHEMA_MISMATCH)
		uaef_eval_raise(&error);
	PG_RETURN_BOOL(matches);
}

/*
 * uaef.validate_json(schema jsonb, value jsonb)
 * RETURNS TABLE (path text, keyword text, message text)
 */
Datum
uaef_validate_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *document = uaef_arg_jsonb(fcinfo, 0, "schema");
	Jsonb	   *value = uaef_arg_jsonb(fcinfo, 1, "value");
	UaefSchema *schema = uaef_schema_compile(document, NULL);
	UaefEvalError error;
	List	   *failures;
	ListCell   *cell;

	if (!uaef_schema_failures(schema, value, MAX_FAILURES, &failures,
							  &error) &&
		error.sqlstate != ERRCODE_UAEF_SCHEMA_MISMATCH)
		uaef_eval_raise(&error);
	uaef_begin_set(fcinfo);
	foreach(cell, failures)
	{
		const UaefSchemaFailure *failure = lfirst(cell);
		Datum		values[] = {
			CStringGetTextDatum(failure->path),
			CStringGetTextDatum(failure->keyword),
			CStringGetTextDatum(failure->message)
		};
		bool		nulls[3] = {false};

		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* The amount of the expression that is the first argument, as a row. */
static Datum
amount_row(FunctionCallInfo fcinfo, UaefScope *scope, text * rounding)
{
	UaefAmount *amount =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_TEXT_P(0),
					   NULL, compile_amount);
	const char *currency;
	Numeric		result = evaluate(amount, scope, rounding, &currency);
	Datum		values[2] = {NumericGetDatum(result),
	CStringGetTextDatum(currency)};
	bool		nulls[2] = {false, false};

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row(fcinfo),
													  values, nulls)));
}

/*
 * uaef.evaluate_amount(expression text, data jsonb, rounding text,
 *		OUT amount numeric, OUT currency text)
 */
Datum
uaef_evaluate_amount(PG_FUNCTION_ARGS)
{
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};

	return amount_row(fcinfo, &scope, PG_GETARG_TEXT_PP(2));
}

/*
 * uaef.evaluate_amount_at(expression text, data jsonb, at timestamptz,
 *		known_at timestamptz, rounding text, OUT amount numeric,
 *		OUT currency text)
 */
Datum
uaef_evaluate_amount_at(PG_FUNCTION_ARGS)
{
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1),
		.tables = &uaef_rule_tables,
		.at = PG_GETARG_TIMESTAMPTZ(2),
	.known_at = PG_GETARG_TIMESTAMPTZ(3)};

	return amount_row(fcinfo, &scope, PG_GETARG_TEXT_PP(4));
}

/*
 * uaef.evaluate_tiers(tiers jsonb, currency text, data jsonb, rounding text)
 * RETURNS numeric
 */
Datum
uaef_evaluate_tiers(PG_FUNCTION_ARGS)
{
	UaefAmount *amount =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   (struct varlena *) PG_GETARG_TEXT_P(1), compile_tiers);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(2)};
	const char *currency;

	PG_RETURN_NUMERIC(evaluate(amount, &scope, PG_GETARG_TEXT_PP(3),
							   &currency));
}

/*
 * uaef.evaluate_table(decision_table jsonb, currency text, data jsonb,
 *		rounding text) RETURNS numeric
 */
Datum
uaef_evaluate_table(PG_FUNCTION_ARGS)
{
	UaefAmount *amount =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   (struct varlena *) PG_GETARG_TEXT_P(1), compile_table);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(2)};
	const char *currency;

	PG_RETURN_NUMERIC(evaluate(amount, &scope, PG_GETARG_TEXT_PP(3),
							   &currency));
}

/* uaef.explain_condition(condition jsonb, data jsonb) RETURNS jsonb */
Datum
uaef_explain_condition(PG_FUNCTION_ARGS)
{
	UaefCondition *condition =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
					   NULL, compile_condition);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};

	PG_RETURN_JSONB_P(uaef_condition_explain(condition, &scope));
}

/*
 * uaef.explain_amount(expression text, data jsonb, rounding text)
 * RETURNS jsonb
 */
Datum
uaef_explain_amount(PG_FUNCTION_ARGS)
{
	UaefAmount *amount =
		cached_program(fcinfo, (struct varlena *) PG_GETARG_TEXT_P(0),
					   NULL, compile_amount);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};
	char	   *rounding = text_to_cstring(PG_GETARG_TEXT_PP(2));
	UaefRounding mode = uaef_rounding_by_name(rounding);
	UaefRational exact;
	UaefEvalError error = {0};
	UaefJson	json;
	const char *currency;
	Numeric		minor;
	Jsonb	   *steps;
	bool		done = uaef_amount_explain(amount, &scope, &exact, &currency,
										   &steps, &error);

	uaef_json_begin(&json);
	if (done)
	{
		uaef_json_text(&json, "exact", uaef_rational_text(&exact));
		uaef_json_text(&json, "currency", currency);
		uaef_json_text(&json, "round", rounding);
		done = uaef_money_to_minor(&exact, currency, mode, &minor, &error);
	}
	if (done)
		uaef_json_numeric(&json, "amount",
						  uaef_money_from_minor(minor, currency));
	else
	{
		UaefJson	below;

		uaef_json_begin(&below);
		uaef_json_text(&below, "code", unpack_sql_state(error.sqlstate));
		uaef_json_text(&below, "message", error.message);
		uaef_json_text(&below, "path", error.path);
		uaef_json_text(&below, "detail", error.detail);
		uaef_json_jsonb(&json, "error", uaef_json_end(&below));
	}
	uaef_json_jsonb(&json, "steps", steps);
	PG_RETURN_JSONB_P(uaef_json_end(&json));
}

/*
 * uaef.allocate(amount numeric, shares numeric[], currency text,
 *		remainder text) RETURNS numeric[]
 */
Datum
uaef_allocate_amount(PG_FUNCTION_ARGS)
{
	ArrayType  *shares = PG_GETARG_ARRAYTYPE_P(1);
	char	   *currency = text_to_cstring(PG_GETARG_TEXT_PP(2));
	UaefRemainder policy =
		uaef_remainder_by_name(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	UaefEvalError error;
	Numeric		minor;
	Datum	   *weights;
	Datum	   *parts;
	int			n;

	check_currency(currency);
	if (ARR_NDIM(shares) > 1 || array_contains_nulls(shares))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_SPLIT),
				 errmsg("shares must be a list of numbers without nulls")));
	deconstruct_array(shares, NUMERICOID, -1, false, TYPALIGN_INT, &weights,
					  NULL, &n);
	uaef_remainder_set_part(&policy, n);
	parts = palloc(Max(1, n) * sizeof(Datum));
	if (!uaef_money_exact_minor(PG_GETARG_NUMERIC(0), currency, &minor,
								&error) ||
		!uaef_allocate(minor, (Numeric *) weights, n,
					   &policy, (Numeric *) parts, &error))
		uaef_eval_raise(&error);
	for (int i = 0; i < n; i++)
		parts[i] = NumericGetDatum(uaef_money_from_minor(DatumGetNumeric(parts[i]),
														 currency));
	PG_RETURN_ARRAYTYPE_P(construct_array(parts, n, NUMERICOID, -1, false,
										  TYPALIGN_INT));
}

/* uaef.currency_exponent(currency text) RETURNS integer */
Datum
uaef_currency_digits(PG_FUNCTION_ARGS)
{
	char	   *currency = text_to_cstring(PG_GETARG_TEXT_PP(0));

	check_currency(currency);
	PG_RETURN_INT32(uaef_currency_exponent(currency));
}
