/*-------------------------------------------------------------------------
 *
 * inbound_rule.c
 *	  What a webhook source does with what comes: conditions and actions.
 *
 * All that a delivery does is done as the role that owns the source, with the
 * rights that it has at that time, whoever hands the delivery in.  Nothing of
 * a user runs here: a start only fills in templates and evaluates conditions.
 *
 * Locking: what a start, a signal or a completion locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "access.h"
#include "claim.h"
#include "engine.h"
#include "errcodes.h"
#include "failure.h"
#include "inbound_rule.h"
#include "json_util.h"
#include "spi_util.h"
#include "workflow_signal.h"

/* How the keys begin by which a delivery starts or signals only once. */
#define KEY_PREFIX "webhook/"

/* Rules of one source. */
#define MAX_RULES 100

static UaefQuery find_started = {
	"SELECT execution_id FROM uaef.workflow_start_key"
	" WHERE workflow = $1 AND idempotency_key = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery find_task = {
	"SELECT task_id FROM uaef.task_execution"
	" WHERE execution_id = $1 AND task = $2 AND item = $3",
	3, {UUIDOID, TEXTOID, INT4OID}
};

static const char *const start_keys[] = {
	"workflow", "version", "input", "idempotency_key", "name", "priority",
	NULL
};

static const char *const signal_keys[] = {
	"execution", "workflow", "key", "signal", "payload", NULL
};

static const char *const complete_keys[] = {
	"task_id", "execution", "workflow", "key", "task", "item", "output", NULL
};

static const char *const fail_keys[] = {
	"task_id", "execution", "workflow", "key", "task", "item", "error",
	"code", "retryable", NULL
};

static const struct
{
	const char *name;
	const char *const *keys;
}			actions[] = {
	[UAEF_INBOUND_START] = {"start", start_keys},
	[UAEF_INBOUND_SIGNAL] = {"signal", signal_keys},
	[UAEF_INBOUND_COMPLETE] = {"complete", complete_keys},
	[UAEF_INBOUND_FAIL] = {"fail", fail_keys}
};

/*----------
 * Reading
 * ----------
 */

static bool
has_key(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	return uaef_read_value(object, key, &value);
}

/*
 * Raise unless an action says what it must; what templates give is seen later.
 */
static void
check_action(const UaefObject *what, UaefInboundAction action)
{
	bool		by_execution = has_key(what, "execution");
	bool		by_key = has_key(what, "workflow") && has_key(what, "key");
	bool		by_task = action >= UAEF_INBOUND_COMPLETE &&
		has_key(what, "task_id");

	if (action == UAEF_INBOUND_START)
	{
		(void) uaef_read_text(what, "workflow", true);
		return;
	}
	if (by_execution + by_key + by_task != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must name one execution%s", what->where,
						action == UAEF_INBOUND_SIGNAL ? "" : " or task"),
				 errhint("Use \"execution\"; or \"workflow\" and \"key\", the idempotency key of its start%s.",
						 action == UAEF_INBOUND_SIGNAL ? "" :
						 "; or \"task_id\"")));
	if (action == UAEF_INBOUND_SIGNAL)
		(void) uaef_read_text(what, "signal", true);
	else if (!by_task)
		(void) uaef_read_text(what, "task", true);
}

static UaefTemplate *
compile_what(const UaefObject *what, JsonbValue *value)
{
	MemoryContext context = CurrentMemoryContext;
	UaefTemplate *volatile compiled = NULL;

	PG_TRY();
	{
		compiled = uaef_template_compile_any_root(uaef_json_from_value(value));
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, what->where, NULL);
	}
	PG_END_TRY();
	return compiled;
}

static void
check_root(const UaefPath *path, void *arg)
{
	static const char *const roots[] = {
		"body", "headers", "source", "delivery_id"
	};

	for (int i = 0; i < lengthof(roots); i++)
		if (strcmp(uaef_path_root(path), roots[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
			 errmsg("path \"%s\" leads nowhere", uaef_path_text(path)),
			 errhint("Paths of webhooks begin with body, headers, source or delivery_id.")));
}

static UaefCondition *
compile_when(const UaefObject *rule)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCondition *volatile compiled = NULL;
	JsonbValue	value;

	if (!uaef_read_value(rule, "when", &value))
		return NULL;
	PG_TRY();
	{
		compiled = uaef_condition_compile(uaef_json_from_value(&value), true,
										  NULL);
		uaef_condition_paths(compiled, check_root, NULL);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, psprintf("\"when\" in %s", rule->where),
						  NULL);
	}
	PG_END_TRY();
	return compiled;
}

static void
read_rule(const UaefObject *config, JsonbValue *value, int no,
		  UaefInboundRule *rule)
{
	static const char *const keys[] = {
		"when", "start", "signal", "complete", "fail", NULL
	};
	UaefObject	object = uaef_read_object(config->builder, value, keys,
										  psprintf("rule %d of \"on\"", no));
	int			found = 0;

	rule->when = compile_when(&object);
	for (int i = 0; i < lengthof(actions); i++)
	{
		JsonbValue	member;
		UaefObject	what;

		if (!uaef_read_value(&object, actions[i].name, &member))
			continue;
		what = uaef_read_object(config->builder, &member, actions[i].keys,
								psprintf("\"%s\" of rule %d", actions[i].name,
										 no));
		check_action(&what, i);
		rule->action = i;
		rule->what = compile_what(&what, &member);
		found++;
	}
	if (found != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("rule %d of \"on\" must say what to do, once", no),
				 errhint("Give it one of \"start\", \"signal\", \"complete\" and \"fail\".")));
}

void
uaef_inbound_rules_read(const UaefObject *config, UaefInboundSource *source)
{
	JsonbContainer *list = uaef_read_array(config, "on", false,
										   &source->n_rules);

	if (source->n_rules > MAX_RULES)
		uaef_read_wrong(config, "on",
						psprintf("an array of at most %d rules", MAX_RULES));
	source->rules = palloc0(sizeof(UaefInboundRule) * Max(source->n_rules, 1));
	for (int i = 0; i < source->n_rules; i++)
	{
		JsonbValue	value = uaef_read_element(list, i);

		read_rule(config, &value, i + 1, &source->rules[i]);
	}
}

/*----------
 * Acting
 * ----------
 */

Jsonb *
uaef_inbound_data(const UaefInboundSource *source, const char *delivery_id,
				  Jsonb *headers, Jsonb *body)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "source", source->name);
	uaef_json_text(&json, "delivery_id", delivery_id);
	uaef_json_jsonb(&json, "headers", headers);
	uaef_json_jsonb(&json, "body", body);
	return uaef_json_end(&json);
}

/*
 * The text of a member that a template gave: a string, or a number.
 */
static char *
text_of(const UaefObject *what, const char *key, bool required)
{
	JsonbValue	value;

	if (uaef_read_value(what, key, &value) && value.type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value.val.numeric)));
	return uaef_read_text(what, key, required);
}

static int64
bigint_of(const UaefObject *what, const char *key)
{
	char	   *text = text_of(what, key, true);

	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
}

/*
 * The value of a member of any type, as a document; NULL when it is missing.
 */
static Jsonb *
document_of(const UaefObject *what, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(what, key, &value))
		return NULL;
	return uaef_json_from_value(&value);
}

static Jsonb *
body_of(Jsonb *data)
{
	JsonbValue	value;

	return uaef_json_get(data, "body", &value) ? uaef_json_from_value(&value) :
		uaef_json_empty();
}

/*
 * What a delivery stands for in keys of its own: the same one never starts or
 * signals twice, even where the inbox has forgotten it.
 */
static char *
own_key(Jsonb *data)
{
	char	   *id = uaef_json_get_text(data, "delivery_id");

	return psprintf(KEY_PREFIX "%s/%s", uaef_json_get_text(data, "source"),
					id);
}

static void
act_start(const UaefObject *what, Jsonb *data, Oid owner,
		  UaefInboundOutcome *outcome)
{
	UaefStart	start = {
		.workflow = uaef_read_text(what, "workflow", true),
		.version = uaef_read_int(what, "version", 0, 1, PG_INT32_MAX),
		.idempotency_key = text_of(what, "idempotency_key", false),
		.name = text_of(what, "name", false),
		.priority = uaef_read_int(what, "priority", 0, PG_INT32_MIN,
								  PG_INT32_MAX),
		.input = document_of(what, "input"),
		.session_role = owner
	};

	if (start.input == NULL)
		start.input = body_of(data);
	if (!JB_ROOT_IS_OBJECT(start.input))
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_jsonb(&json, "body", start.input);
		start.input = uaef_json_end(&json);
	}
	if (start.idempotency_key == NULL)
		start.idempotency_key = own_key(data);
	outcome->execution_id = uaef_engine_start(&start);
	outcome->has_execution = true;
}

/*
 * The execution that an action is about.
 */
static pg_uuid_t
find_execution(const UaefObject *what)
{
	char	   *execution = uaef_read_text(what, "execution", false);
	UaefCaller	back;
	Datum		args[2];
	pg_uuid_t	id;

	if (execution != NULL)
		return *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
												  CStringGetDatum(execution)));
	args[0] = CStringGetTextDatum(uaef_read_text(what, "workflow", true));
	args[1] = CStringGetTextDatum(text_of(what, "key", true));
	back = uaef_spi_begin();
	if (uaef_spi_run(&find_started, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("no execution of workflow \"%s\" was started with idempotency key \"%s\"",
						TextDatumGetCString(args[0]),
						TextDatumGetCString(args[1]))));
	id = uaef_spi_uuid(0, 1);
	uaef_spi_end(back);
	return id;
}

static void
act_signal(const UaefObject *what, Jsonb *data, UaefInboundOutcome *outcome)
{
	Jsonb	   *payload = document_of(what, "payload");

	outcome->execution_id = find_execution(what);
	outcome->has_execution = true;
	(void) uaef_signal_send(&outcome->execution_id,
							uaef_read_text(what, "signal", true),
							payload == NULL ? body_of(data) : payload,
							own_key(data));
}

/*
 * The external task that an action is about.
 */
static int64
find_task_id(const UaefObject *what, UaefInboundOutcome *outcome)
{
	JsonbValue	value;
	UaefCaller	back;
	Datum		args[3];
	int64		task_id;
	char	   *task;

	if (uaef_read_value(what, "task_id", &value))
		return bigint_of(what, "task_id");
	outcome->execution_id = find_execution(what);
	outcome->has_execution = true;
	task = uaef_read_text(what, "task", true);
	args[0] = UUIDPGetDatum(&outcome->execution_id);
	args[1] = CStringGetTextDatum(task);
	args[2] = Int32GetDatum(uaef_read_int(what, "item", UAEF_NO_ITEM, 0,
										  PG_INT32_MAX));
	back = uaef_spi_begin();
	if (uaef_spi_run(&find_task, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task \"%s\" of the execution has not begun", task)));
	task_id = uaef_spi_int64(0, 1);
	uaef_spi_end(back);
	return task_id;
}

static void
act_complete(const UaefObject *what, Jsonb *data, UaefInboundOutcome *outcome)
{
	Jsonb	   *output = document_of(what, "output");

	outcome->task_id = find_task_id(what, outcome);
	uaef_claim_complete(outcome->task_id, output == NULL ? body_of(data) :
						output, NULL);
}

static void
act_fail(const UaefObject *what, UaefInboundOutcome *outcome)
{
	char	   *message = text_of(what, "error", false);
	char	   *code = text_of(what, "code", false);
	UaefFailure failure = {
		.code = code == NULL ? "task_error" : uaef_clip(code),
		.message = message == NULL ? "the webhook says that it failed" :
		uaef_clip(message),
		.transient = uaef_read_bool(what, "retryable", false)
	};

	failure.final = !failure.transient;
	outcome->task_id = find_task_id(what, outcome);
	(void) uaef_claim_fail(outcome->task_id, &failure, NULL);
}

/*
 * Whether a rule fits.
 */
static bool
fits(const UaefInboundRule *rule, UaefScope *scope)
{
	UaefEvalError error = {0};
	bool		result = true;

	if (rule->when == NULL ||
		uaef_condition_eval(rule->when, scope, &result, &error))
		return result;
	if (error.sqlstate != ERRCODE_UAEF_MISSING_PATH)
		uaef_eval_raise(&error);
	return false;
}

static void
require_rights(const UaefInboundSource *source, UaefInboundAction action)
{
	static const char *const needed[] = {
		[UAEF_INBOUND_START] = "start_workflow",
		[UAEF_INBOUND_SIGNAL] = "signal_workflow",
		[UAEF_INBOUND_COMPLETE] = "complete_task",
		[UAEF_INBOUND_FAIL] = "fail_task"
	};

	uaef_access_require(source->owner, needed[action],
						psprintf("webhook source \"%s\"", source->name));
}

static void
act(const UaefInboundSource *source, const UaefInboundRule *rule, Jsonb *data,
	Jsonb *filled, UaefInboundOutcome *outcome)
{
	UaefBuilder builder = {0};
	JsonbValue	value;
	UaefObject	what;

	uaef_document_value(filled, &value);
	what = uaef_read_object(&builder, &value, actions[rule->action].keys,
							psprintf("\"%s\" of rule %d",
									 actions[rule->action].name,
									 outcome->rule));
	switch (rule->action)
	{
		case UAEF_INBOUND_START:
			act_start(&what, data, source->owner, outcome);
			break;
		case UAEF_INBOUND_SIGNAL:
			act_signal(&what, data, outcome);
			break;
		case UAEF_INBOUND_COMPLETE:
			act_complete(&what, data, outcome);
			break;
		case UAEF_INBOUND_FAIL:
			act_fail(&what, outcome);
			break;
	}
}

void
uaef_inbound_act(const UaefInboundSource *source, Jsonb *data,
				 UaefInboundOutcome *outcome)
{
	UaefScope	scope = {.document = data};
	UaefEvalError error = {0};
	const UaefInboundRule *rule = NULL;
	UaefCaller	back;
	Jsonb	   *filled;

	memset(outcome, 0, sizeof(*outcome));
	for (int i = 0; i < source->n_rules && rule == NULL; i++)
	{
		if (!fits(&source->rules[i], &scope))
			continue;
		rule = &source->rules[i];
		outcome->rule = i + 1;
		outcome->action = actions[rule->action].name;
	}
	if (rule == NULL)
		return;
	filled = uaef_template_fill(rule->what, &scope, &error);
	if (filled == NULL)
		uaef_eval_raise(&error);
	require_rights(source, rule->action);
	GetUserIdAndSecContext(&back.user, &back.sec_context);
	SetUserIdAndSecContext(source->owner, back.sec_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	act(source, rule, data, filled, outcome);
	uaef_become_caller(back);
}
