/*-------------------------------------------------------------------------
 *
 * api_rule_life.c
 *	  SQL entry points of the life of settlement rules.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "errcodes.h"
#include "eval_error.h"
#include "formula.h"
#include "json_util.h"
#include "json_walk.h"
#include "rule_backtest.h"
#include "rule_life.h"
#include "set_result.h"
#include "settlement_rule.h"

PG_FUNCTION_INFO_V1(uaef_create_settlement_rule);
PG_FUNCTION_INFO_V1(uaef_activate_settlement_rule);
PG_FUNCTION_INFO_V1(uaef_deactivate_settlement_rule);
PG_FUNCTION_INFO_V1(uaef_retire_settlement_rule);
PG_FUNCTION_INFO_V1(uaef_settlement_rule_definition);
PG_FUNCTION_INFO_V1(uaef_check_settlement_rule);
PG_FUNCTION_INFO_V1(uaef_add_rule_test);
PG_FUNCTION_INFO_V1(uaef_run_rule_tests);
PG_FUNCTION_INFO_V1(uaef_migrate_formula);
PG_FUNCTION_INFO_V1(uaef_execution_data);
PG_FUNCTION_INFO_V1(uaef_backtest_rule);

/* create_settlement_rule(name text, definition jsonb) -> integer */
Datum
uaef_create_settlement_rule(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_settlement_rule_create(uaef_arg_text(fcinfo, 0, "name"),
												uaef_arg_jsonb(fcinfo, 1, "definition"),
												GetUserId()));
}

/* activate_settlement_rule(name text, version integer) -> void */
Datum
uaef_activate_settlement_rule(PG_FUNCTION_ARGS)
{
	uaef_rule_activate(uaef_arg_text(fcinfo, 0, "name"),
					   uaef_arg_int32(fcinfo, 1, "version"), GetUserId());
	PG_RETURN_VOID();
}

/* deactivate_settlement_rule(name text, version integer) -> void */
Datum
uaef_deactivate_settlement_rule(PG_FUNCTION_ARGS)
{
	uaef_rule_deactivate(uaef_arg_text(fcinfo, 0, "name"),
						 uaef_arg_int32_or(fcinfo, 1, 0), GetUserId());
	PG_RETURN_VOID();
}

/* retire_settlement_rule(name text, version integer) -> void */
Datum
uaef_retire_settlement_rule(PG_FUNCTION_ARGS)
{
	uaef_rule_retire(uaef_arg_text(fcinfo, 0, "name"),
					 uaef_arg_int32_or(fcinfo, 1, 0), GetUserId());
	PG_RETURN_VOID();
}

/* settlement_rule_definition(name text, version integer) -> jsonb */
Datum
uaef_settlement_rule_definition(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_rule_definition(uaef_arg_text(fcinfo, 0, "name"),
										   uaef_arg_int32_or(fcinfo, 1, 0), GetUserId()));
}

/*
 * check_settlement_rule(definition jsonb)
 *	-> setof (severity, path, problem, hint)
 */
Datum
uaef_check_settlement_rule(PG_FUNCTION_ARGS)
{
	List	   *defects = uaef_rule_diagnose(uaef_arg_jsonb(fcinfo, 0, "definition"),
											 GetUserId());
	ListCell   *cell;

	uaef_begin_set(fcinfo);
	foreach(cell, defects)
	{
		const UaefRuleDefect *defect = lfirst(cell);
		Datum		values[] = {
			CStringGetTextDatum(defect->severity),
			CStringGetTextDatum(defect->path),
			CStringGetTextDatum(defect->problem),
			defect->hint == NULL ? (Datum) 0 : CStringGetTextDatum(defect->hint)
		};
		bool		nulls[] = {false, false, false, defect->hint == NULL};

		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * A word that no result has would never be met.
 */
static void
check_expected_result(const JsonbValue *result)
{
	static const char *const known[] = {
		"fired", "not_fired", "error", "not_in_force", NULL
	};

	if (result->type != jbvString ||
		!uaef_is_one_of(known, result->val.string.val,
						result->val.string.len))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
				 errmsg("a test cannot expect that result"),
				 errhint("Results are fired, not_fired, error and not_in_force.")));
}

static void
check_expected(Jsonb *expect)
{
	static const char *const known[] = {
		"result", "amount", "currency", "parts", "code", "path", "detail",
		"message", NULL
	};
	JsonbValue	value;
	UaefMembers members;

	uaef_document_value(expect, &value);
	members = uaef_members(&value);
	for (int i = 0; i < members.n; i++)
	{
		int			k = 0;

		while (known[k] != NULL && !uaef_key_is(&members.keys[i], known[k]))
			k++;
		if (known[k] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
					 errmsg("a test cannot expect \"%s\"",
							uaef_eval_clip(members.keys[i].val.string.val,
										   members.keys[i].val.string.len)),
					 errhint("It can expect result, amount, currency, parts, code, path, message and detail.")));
	}
	if (uaef_json_get(expect, "result", &value))
		check_expected_result(&value);
}

/*
 * add_rule_test(rule text, version integer, test text, data jsonb,
 *	expect jsonb, at timestamptz) -> void
 */
Datum
uaef_add_rule_test(PG_FUNCTION_ARGS)
{
	Jsonb	   *expect = uaef_arg_jsonb(fcinfo, 4, "expect");

	if (!JB_ROOT_IS_OBJECT(expect) || JB_ROOT_COUNT(expect) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
				 errmsg("what a test expects must be an object, and not empty")));
	check_expected(expect);
	uaef_rule_test_add(uaef_arg_text(fcinfo, 0, "rule"),
					   uaef_arg_int32(fcinfo, 1, "version"),
					   uaef_arg_text(fcinfo, 2, "test"),
					   uaef_arg_jsonb(fcinfo, 3, "data"), expect, uaef_arg_time(fcinfo, 5, "at"),
					   GetUserId());
	PG_RETURN_VOID();
}

/*
 * run_rule_tests(rule text, version integer)
 *	-> setof (test, passed, got, expected)
 */
Datum
uaef_run_rule_tests(PG_FUNCTION_ARGS)
{
	List	   *tests =
		uaef_rule_test_run_for(uaef_arg_text(fcinfo, 0, "rule"),
							   uaef_arg_int32_or(fcinfo, 1, 0), GetUserId());
	ListCell   *cell;

	uaef_begin_set(fcinfo);
	foreach(cell, tests)
	{
		const UaefRuleTest *test = lfirst(cell);
		Datum		values[] = {
			CStringGetTextDatum(test->name),
			BoolGetDatum(test->passed),
			JsonbPGetDatum(test->got),
			JsonbPGetDatum(test->expect)
		};
		bool		nulls[4] = {false};

		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* migrate_formula(formula text) -> text */
Datum
uaef_migrate_formula(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(uaef_formula_migrate(uaef_arg_text(fcinfo, 0, "formula"))));
}

/* execution_data(execution_id uuid, task text) -> jsonb */
Datum
uaef_execution_data(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_rule_execution_data(uaef_arg_uuid(fcinfo, 0, "execution_id"),
											   uaef_arg_text_or_null(fcinfo, 1),
											   GetUserId()));
}

/*
 * backtest_rule(rule text, definition jsonb, completed_from timestamptz,
 *	completed_to timestamptz)
 *	-> setof (recipient, currency, executions, was, would_be, difference)
 */
Datum
uaef_backtest_rule(PG_FUNCTION_ARGS)
{
	List	   *payees =
		uaef_rule_backtest(uaef_arg_text(fcinfo, 0, "rule"),
						   uaef_arg_jsonb(fcinfo, 1, "definition"), uaef_arg_time(fcinfo, 2, "completed_from"),
						   uaef_arg_time(fcinfo, 3, "completed_to"), GetUserId());
	ListCell   *cell;

	uaef_begin_set(fcinfo);
	foreach(cell, payees)
	{
		const UaefBacktestPayee *payee = lfirst(cell);
		Datum		values[] = {
			payee->recipient == NULL ? (Datum) 0 :
			CStringGetTextDatum(payee->recipient),
			CStringGetTextDatum(payee->currency),
			Int64GetDatum(payee->executions),
			NumericGetDatum(payee->was),
			NumericGetDatum(payee->would_be),
			NumericGetDatum(payee->difference)
		};
		bool		nulls[6] = {payee->recipient == NULL};

		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
