/*-------------------------------------------------------------------------
 *
 * rules_core.c
 *	  How fast the rules are without SQL around them.
 *
 * Made by test/bench/rules out of this file and the rules' own sources; no
 * part of the extension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "allocate.h"
#include "amount.h"
#include "condition.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_condition);
PG_FUNCTION_INFO_V1(bench_settlement);

/* Seconds that this process has had of a core, whatever else runs. */
static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* bench_condition(condition jsonb, documents jsonb[], n integer): a second */
Datum
bench_condition(PG_FUNCTION_ARGS)
{
	UaefCondition *condition = uaef_condition_compile(PG_GETARG_JSONB_P(0),
													  true, NULL);
	Jsonb	   *array = PG_GETARG_JSONB_P(1);
	int			n = PG_GETARG_INT32(2);
	int			count = JB_ROOT_COUNT(array);
	Jsonb	  **documents = palloc(count * sizeof(Jsonb *));
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "bench",
												  ALLOCSET_DEFAULT_SIZES);
	double		begin;
	int64		held = 0;

	for (int i = 0; i < count; i++)
		documents[i] = JsonbValueToJsonb(getIthJsonbValueFromContainer(&array->root, i));
	MemoryContextSwitchTo(context);
	begin = cpu_seconds();
	for (int i = 0; i < n; i++)
	{
		UaefScope	scope = {.document = documents[i % count]};
		UaefEvalError error;
		bool		result;

		if (!uaef_condition_eval(condition, &scope, &result, &error))
			uaef_eval_raise(&error);
		held += result;
		if ((i & 1023) == 0)
			MemoryContextReset(context);
	}
	if (held == 0 || held == n)
		elog(ERROR, "the condition tells nothing apart");
	PG_RETURN_FLOAT8(n / (cpu_seconds() - begin));
}

/*
 * bench_settlement(condition jsonb, amount text, currency text,
 *	weights numeric[], document jsonb, n integer): a second
 */
Datum
bench_settlement(PG_FUNCTION_ARGS)
{
	UaefCondition *condition = uaef_condition_compile(PG_GETARG_JSONB_P(0),
													  true, NULL);
	char	   *currency = text_to_cstring(PG_GETARG_TEXT_PP(2));
	UaefAmount *amount = uaef_amount_compile(text_to_cstring(PG_GETARG_TEXT_PP(1)),
											 currency, true, NULL);
	Numeric		weights[] = {int64_to_numeric(70), int64_to_numeric(20),
	int64_to_numeric(10)};
	UaefRemainder largest = uaef_remainder_by_name("largest");
	Jsonb	   *document = PG_GETARG_JSONB_P_COPY(3);
	int			n = PG_GETARG_INT32(4);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "bench",
												  ALLOCSET_DEFAULT_SIZES);
	double		begin;

	MemoryContextSwitchTo(context);
	begin = cpu_seconds();
	for (int i = 0; i < n; i++)
	{
		UaefScope	scope = {.document = document};
		UaefEvalError error;
		UaefRational exact;
		const char *of;
		Numeric		minor;
		Numeric		parts[3];
		bool		result;

		if (!uaef_condition_eval(condition, &scope, &result, &error) ||
			!uaef_amount_eval(amount, &scope, &exact, &of, &error) ||
			!uaef_money_to_minor(&exact, of, UAEF_ROUND_HALF_EVEN, &minor,
								 &error) ||
			!uaef_allocate(minor, weights, 3, &largest, parts, &error))
			uaef_eval_raise(&error);
		if ((i & 255) == 0)
			MemoryContextReset(context);
	}
	PG_RETURN_FLOAT8(n / (cpu_seconds() - begin));
}
