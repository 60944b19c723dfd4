/*-------------------------------------------------------------------------
 *
 * settlement_why.c
 *	  Why the rules of an execution decided as they did, or did not fire.
 *
 * What was decided is read as it was stored.  Why a rule did not fire is worked
 * out when somebody asks, from the data of the execution and the condition of
 * that version of the rule, neither of which ever changes: executions of which
 * nobody asks pay nothing for it.  A rule of a settle task has read what that
 * task gave it.
 *
 * Locking: none.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "json_util.h"
#include "rule_backtest.h"
#include "settlement_rule.h"
#include "settlement_why.h"
#include "spi_util.h"

/*
 * All of it is for whoever may see the execution ($2), and else what the rules
 * said whose signals ask the reader to approve.
 */
#define IS_ASKED \
	"EXISTS (SELECT FROM uaef.settlement_signal s" \
	" JOIN pg_roles o ON o.rolname = s.approval->>'of'" \
	" WHERE s.execution_id = $1 AND s.rule_id = v.rule_id" \
	" AND pg_has_role($2, o.oid, 'USAGE'))"

static UaefQuery find_run = {
	"SELECT jsonb_build_object('execution_id', e.execution_id,"
	"  'workflow', d.name, 'completed_at', r.completed_at,"
	"  'outcome', r.outcome), pg_has_role($2, e.initiated_by, 'USAGE'),"
	" e.definition_id"
	" FROM uaef.workflow_execution e"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" LEFT JOIN uaef.settlement_run r USING (execution_id)"
	" WHERE e.execution_id = $1 AND (r.execution_id IS NOT NULL OR EXISTS"
	"  (SELECT FROM uaef.rule_evaluation v WHERE v.execution_id = $1))"
	" AND (pg_has_role($2, e.initiated_by, 'USAGE')"
	"  OR EXISTS (SELECT FROM uaef.rule_evaluation v"
	"   WHERE v.execution_id = $1 AND " IS_ASKED "))",
	2, {UUIDOID, OIDOID}
};

static UaefQuery find_evaluations = {
	"SELECT v.trace, v.result = 'not_fired', r.name, r.definition"
	" FROM uaef.rule_evaluation v JOIN uaef.settlement_rule r USING (rule_id)"
	" WHERE v.execution_id = $1 AND ($3 OR " IS_ASKED ")"
	" ORDER BY v.trace->>'rule', v.run",
	3, {UUIDOID, OIDOID, BOOLOID}
};

/* What one rule said. */
typedef struct Evaluation
{
	Jsonb	   *trace;
	bool		is_silent;		/* it did not fire */
	char	   *rule;
	Jsonb	   *definition;
} Evaluation;

/*
 * The trace, and what would have made the condition true.
 */
static Jsonb *
explain_silence(const Evaluation *evaluation, Jsonb *data,
				int32 definition_id)
{
	UaefSettlementRule *rule =
		uaef_settlement_rule_compile(evaluation->rule, evaluation->definition,
									 NULL);
	UaefScope	scope = {.document = data};
	JsonbValue	change;
	UaefJson	json;

	if (rule->task != NULL)
		scope.document = uaef_rule_task_data(data, definition_id, rule->task);
	uaef_json_begin(&json);
	uaef_json_members(&json, evaluation->trace);
	if (rule->when != NULL && scope.document != NULL &&
		uaef_json_get(uaef_condition_explain(rule->when, &scope), "change",
					  &change))
		uaef_json_jsonb(&json, "would_fire_with", uaef_json_from_value(&change));
	return uaef_json_end(&json);
}

static Jsonb *
list_rules(const Evaluation *evaluations, int n, const pg_uuid_t *execution_id,
		   int32 definition_id, Oid reader)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *data = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *one = evaluations[i].trace;

		if (evaluations[i].is_silent)
		{
			if (data == NULL)
				data = uaef_rule_execution_data(execution_id, NULL, reader);
			one = explain_silence(&evaluations[i], data, definition_id);
		}
		JsonbToJsonbValue(one, &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

Jsonb *
uaef_settlement_explain(const pg_uuid_t *execution_id, Oid reader)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	Evaluation *evaluations;
	UaefJson	json;
	Jsonb	   *run;
	Datum		args[3];
	bool		sees_all;
	int32		definition_id;
	int			n;

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = ObjectIdGetDatum(reader);
	if (uaef_spi_run(&find_run, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
				 errmsg("execution has no settlement"),
				 errdetail("An execution is settled when it completes or comes to a settle task, by the rules that are in force for that.")));
	run = uaef_spi_jsonb(0, 1);
	sees_all = uaef_spi_bool(0, 2);
	definition_id = uaef_spi_int32(0, 3);
	args[2] = BoolGetDatum(sees_all);
	n = (int) uaef_spi_run(&find_evaluations, args, NULL);
	evaluations = MemoryContextAlloc(context, Max(n, 1) * sizeof(Evaluation));
	for (int i = 0; i < n; i++)
	{
		evaluations[i].trace = uaef_spi_jsonb(i, 1);
		evaluations[i].is_silent = sees_all && uaef_spi_bool(i, 2);
		evaluations[i].rule = uaef_spi_text(i, 3);
		evaluations[i].definition = uaef_spi_jsonb(i, 4);
	}
	uaef_spi_end(caller);

	uaef_json_begin(&json);
	uaef_json_members(&json, run);
	uaef_json_jsonb(&json, "rules", list_rules(evaluations, n, execution_id,
											   definition_id, reader));
	return uaef_json_end(&json);
}
