/*-------------------------------------------------------------------------
 *
 * rule_test.c
 *	  Running the tests of a settlement rule.
 *
 * A test says for which data a rule must give what: {"result", "amount",
 * "currency", "parts": [{"recipient", "amount"}], "code", "path"}.  What it
 * does not name may be anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "json_util.h"
#include "json_walk.h"
#include "rule_life.h"
#include "settlement_eval.h"
#include "spi_util.h"

/* One test, and the definition that it is put to. */
typedef struct TestRun
{
	Jsonb	   *definition;
	Jsonb	   *data;
	TimestampTz at;
	Jsonb	   *got;
} TestRun;

static bool matches(const JsonbValue *expect, const JsonbValue *got);
static bool object_matches(const JsonbValue *expect, const JsonbValue *got);
static bool array_matches(const JsonbValue *expect, const JsonbValue *got);
static void add_parts(UaefJson *json, const UaefRuleOutcome *outcome);
static void run_one(void *arg);

static bool
object_matches(const JsonbValue *expect, const JsonbValue *got)
{
	UaefMembers members = uaef_members(expect);

	for (int i = 0; i < members.n; i++)
	{
		const JsonbValue *key = &members.keys[i];
		JsonbValue	value;

		if (getKeyJsonValueFromContainer(got->val.binary.data,
										 key->val.string.val,
										 key->val.string.len, &value) == NULL ||
			!matches(&members.values[i], &value))
			return false;
	}
	return true;
}

static bool
array_matches(const JsonbValue *expect, const JsonbValue *got)
{
	UaefMembers wanted = uaef_members(expect);
	UaefMembers found = uaef_members(got);

	if (wanted.n != found.n)
		return false;
	for (int i = 0; i < wanted.n; i++)
	{
		if (!matches(&wanted.values[i], &found.values[i]))
			return false;
	}
	return true;
}

/* Is what was expected there, whatever else is? */
static bool
matches(const JsonbValue *expect, const JsonbValue *got)
{
	JsonbValue	a = *expect;
	JsonbValue	b = *got;

	if (strcmp(uaef_value_type(expect), uaef_value_type(got)) != 0)
		return false;
	if (expect->type != jbvBinary)
		return compareJsonbContainers(&uaef_json_from_value(&a)->root,
									  &uaef_json_from_value(&b)->root) == 0;
	return JsonContainerIsArray(expect->val.binary.data) ?
		array_matches(expect, got) : object_matches(expect, got);
}

static void
add_parts(UaefJson *json, const UaefRuleOutcome *outcome)
{
	const char *currency = outcome->rule->currency;
	JsonbValue	value = {.type = jbvString};

	uaef_json_numeric(json, "amount",
					  uaef_money_from_minor(outcome->minor, currency));
	uaef_json_text(json, "currency", currency);
	value.val.string.val = "parts";
	value.val.string.len = strlen("parts");
	(void) pushJsonbValue(&json->state, WJB_KEY, &value);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < outcome->n_shares; i++)
	{
		UaefJson	part;

		uaef_json_begin(&part);
		uaef_json_text(&part, "part", outcome->rule->parts[i].name);
		uaef_json_text(&part, "recipient", outcome->shares[i].recipient);
		uaef_json_numeric(&part, "amount",
						  uaef_money_from_minor(outcome->shares[i].minor,
												currency));
		uaef_json_text(&part, "status",
					   uaef_signal_status_name(uaef_share_status(outcome, i)));
		JsonbToJsonbValue(uaef_json_end(&part), &value);
		(void) pushJsonbValue(&json->state, WJB_ELEM, &value);
	}
	(void) pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

static void
run_one(void *arg)
{
	TestRun    *run = arg;
	UaefRuleOutcome outcome;
	UaefJson	json;

	uaef_json_begin(&json);
	if (!uaef_settlement_simulate(run->definition, run->data, run->at,
								  &outcome))
		uaef_json_text(&json, "result", "not_in_force");
	else
	{
		uaef_json_text(&json, "result", uaef_rule_result_name(outcome.result));
		if (outcome.result == UAEF_RULE_ERROR)
			uaef_settlement_error_add(&json, &outcome.error);
		if (outcome.result == UAEF_RULE_FIRED)
			add_parts(&json, &outcome);
	}
	run->got = uaef_json_end(&json);
}

/* The current identity need not be the owner. */
List *
uaef_rule_test_run(const char *name, int32 version)
{
	static UaefQuery find = {
		"SELECT t.test, t.data, t.expect, t.at, r.definition"
		" FROM uaef.rule_test t JOIN uaef.settlement_rule r"
		" ON r.name = t.rule AND r.version = t.version"
		" WHERE t.rule = $1 AND t.version = $2 ORDER BY t.test",
		2, {TEXTOID, INT4OID}
	};
	UaefCaller	caller = uaef_spi_begin();
	List	   *tests = NIL;
	TestRun    *runs;
	int			n;
	Datum		args[2];
	bool		isnull;

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(version);
	n = uaef_spi_run(&find, args, NULL);
	runs = SPI_palloc(Max(n, 1) * sizeof(TestRun));
	for (int i = 0; i < n; i++)
	{
		UaefRuleTest *test = SPI_palloc(sizeof(UaefRuleTest));
		TimestampTz at = DatumGetTimestampTz(uaef_spi_value(i, 4, &isnull));

		test->name = uaef_spi_text(i, 1);
		test->expect = uaef_spi_jsonb(i, 3);
		runs[i].data = uaef_spi_jsonb(i, 2);
		runs[i].at = at == DT_NOBEGIN ? uaef_clock_now() : at;
		runs[i].definition = uaef_spi_jsonb(i, 5);
		runs[i].got = (Jsonb *) test;
	}
	uaef_spi_end(caller);

	for (int i = 0; i < n; i++)
	{
		UaefRuleTest *test = (UaefRuleTest *) runs[i].got;
		UaefEvalError error = {0};
		JsonbValue	expect;
		JsonbValue	got;

		if (!uaef_settlement_guard(run_one, &runs[i], &error))
		{
			UaefJson	json;

			uaef_json_begin(&json);
			uaef_json_text(&json, "result", "error");
			uaef_settlement_error_add(&json, &error);
			runs[i].got = uaef_json_end(&json);
		}
		test->got = runs[i].got;
		uaef_document_value(test->expect, &expect);
		uaef_document_value(test->got, &got);
		test->passed = matches(&expect, &got);
		tests = lappend(tests, test);
	}
	return tests;
}
