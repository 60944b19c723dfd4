/*-------------------------------------------------------------------------
 *
 * api_policy.c
 *	  SQL entry points of policies: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "human_review.h"
#include "json_util.h"
#include "own_execution.h"
#include "policy.h"
#include "set_result.h"
#include "spi_util.h"

PG_FUNCTION_INFO_V1(uaef_create_policy);
PG_FUNCTION_INFO_V1(uaef_enable_policy);
PG_FUNCTION_INFO_V1(uaef_disable_policy);
PG_FUNCTION_INFO_V1(uaef_drop_policy);
PG_FUNCTION_INFO_V1(uaef_explain_policies);
PG_FUNCTION_INFO_V1(uaef_require_human_review);

/*
 * create_policy(name text, type text, rules jsonb, enforcement text, scope jsonb,
 * description text) RETURNS integer
 */
Datum
uaef_create_policy(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("name, type, rules and enforcement must not be null")));
	PG_RETURN_INT32(uaef_policy_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									   text_to_cstring(PG_GETARG_TEXT_PP(1)),
									   PG_GETARG_JSONB_P(2),
									   text_to_cstring(PG_GETARG_TEXT_PP(3)),
									   PG_ARGISNULL(4) ? uaef_json_empty() :
									   PG_GETARG_JSONB_P(4),
									   PG_ARGISNULL(5) ? NULL :
									   text_to_cstring(PG_GETARG_TEXT_PP(5))));
}

/*
 * require_human_review(execution_id uuid, task text, approvers text[],
 * reason text, need int, four_eyes bool, expires interval) RETURNS void
 */
Datum
uaef_require_human_review(PG_FUNCTION_ARGS)
{
	UaefJson	json;
	Datum	   *roles;
	bool	   *nulls;
	char	  **names;
	int			n;

	for (int i = 0; i < 6; i++)
		if (PG_ARGISNULL(i) && i != 3)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("execution_id, task, approvers, need and four_eyes must not be null")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false,
					  TYPALIGN_INT, &roles, &nulls, &n);
	names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a role to ask cannot be null")));
		names[i] = TextDatumGetCString(roles[i]);
	}
	uaef_json_begin(&json);
	uaef_json_texts(&json, "approvers", names, n);
	uaef_json_int(&json, "need", PG_GETARG_INT32(4));
	uaef_json_bool(&json, "four_eyes", PG_GETARG_BOOL(5));
	if (!PG_ARGISNULL(6))
		uaef_json_text(&json, "expires",
					   psprintf("%lld us",
								(long long) uaef_interval_us(PG_GETARG_INTERVAL_P(6),
															 "expires")));
	uaef_human_review_require(PG_GETARG_UUID_P(0),
							  text_to_cstring(PG_GETARG_TEXT_PP(1)),
							  uaef_json_end(&json),
							  PG_ARGISNULL(3) ? NULL :
							  text_to_cstring(PG_GETARG_TEXT_PP(3)));
	PG_RETURN_VOID();
}

/* enable_policy(name text) RETURNS void */
Datum
uaef_enable_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_set_enabled(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

/* disable_policy(name text) RETURNS void */
Datum
uaef_disable_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_set_enabled(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

/* drop_policy(name text) RETURNS void */
Datum
uaef_drop_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_drop(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/*
 * The rows of one task, or of what the items of a map run.
 */
static void
put_policies(FunctionCallInfo fcinfo, const UaefDefinition *definition,
			 const UaefTaskDef *def)
{
	const UaefPolicies *all = uaef_policies_get();

	for (int i = 0; i < all->n; i++)
	{
		const UaefPolicy *policy = all->policies[i];
		const char *by = uaef_policy_applies(policy, definition, def);
		bool		nulls[7] = {false};
		Datum		values[7];

		if (by == NULL)
			continue;
		values[0] = CStringGetTextDatum(def->id);
		values[1] = CStringGetTextDatum(uaef_task_type_name(def->type));
		values[2] = CStringGetTextDatum(policy->name);
		values[3] = Int32GetDatum(policy->version);
		values[4] = CStringGetTextDatum(uaef_policy_type_name(policy->type));
		values[5] = CStringGetTextDatum(uaef_enforcement_name(policy->enforcement));
		values[6] = CStringGetTextDatum(by);
		uaef_put_row(fcinfo, values, nulls);
	}
}

/*
 * explain_policies(workflow text, task text, version integer) RETURNS TABLE
 * (task text, task_type text, policy text, policy_version integer, type text,
 * enforcement text, applies_by text)
 */
Datum
uaef_explain_policies(PG_FUNCTION_ARGS)
{
	char	   *workflow;
	char	   *task = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		version = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	const UaefDefinition *definition;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("workflow must not be null")));
	workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	definition = uaef_definition_get(uaef_definition_find(workflow, version));
	if (task != NULL &&
		uaef_definition_task_no(definition, task, strlen(task)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("workflow \"%s\" has no task \"%s\"", workflow,
						task)));
	uaef_begin_set(fcinfo);
	for (int i = 0; i < definition->n_tasks; i++)
	{
		const UaefTaskDef *def = &definition->tasks[i];

		if (task != NULL && strcmp(def->id, task) != 0)
			continue;
		put_policies(fcinfo, definition, def);
		if (def->type == UAEF_TASK_PARALLEL && def->config.parallel.task)
			put_policies(fcinfo, definition, def->config.parallel.task);
	}
	return (Datum) 0;
}
