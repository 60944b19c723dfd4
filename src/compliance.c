/*-------------------------------------------------------------------------
 *
 * compliance.c
 *	  Compliance checkpoints: what data must be like to pass.
 *
 * A checkpoint is one check, or a list of them that must all pass.  Whatever
 * cannot be judged fails: a field that is missing, a threshold for what is no
 * number, a condition that meets a wrong type.
 *
 * Pure.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compliance.h"
#include "definition_read.h"
#include "errcodes.h"
#include "json_util.h"
#include "numeric_util.h"

/* Most checks of a checkpoint, and fields of a check. */
#define MAX_CHECKS	100
#define MAX_FIELDS	1000

typedef enum CheckKind
{
	CHECK_REQUIRED_FIELDS,
	CHECK_THRESHOLD,
	CHECK_CONDITION
} CheckKind;

typedef struct Check
{
	CheckKind	kind;
	int			n_fields;		/* of a threshold: 1 */
	UaefPath  **fields;
	bool		non_empty;
	Numeric		min;			/* or NULL */
	Numeric		max;			/* or NULL */
	UaefCondition *when;
} Check;

struct UaefCheckpoint
{
	int			n;
	Check	   *checks;
};

/* An evaluation. */
typedef struct Run
{
	const Check *check;			/* NULL: of none */
	int			number;			/* of the check, from 1 on */
	JsonbParseState *failures;
	UaefCheckpointResult *result;
} Run;

static void read_required_fields(const UaefObject *object, Check *check);
static void read_threshold(const UaefObject *object, Check *check);
static void read_condition(const UaefObject *object, Check *check);
static void require_fields(Run *run, UaefScope *scope);
static void compare_number(Run *run, UaefScope *scope);
static void test_condition(Run *run, UaefScope *scope);

/* The kinds of checks, by CheckKind. */
static const struct
{
	const char *name;
	const char *keys[5];
	void		(*read) (const UaefObject *object, Check *check);
	void		(*run) (Run *run, UaefScope *scope);
}			kinds[] = {
	[CHECK_REQUIRED_FIELDS] = {"required_fields", {"type", "fields", "non_empty"},
	read_required_fields, require_fields},
	[CHECK_THRESHOLD] = {"threshold", {"type", "field", "min", "max"},
	read_threshold, compare_number},
	[CHECK_CONDITION] = {"condition", {"type", "when"},
	read_condition, test_condition}
};

/*----------
 * Compiling
 * ----------
 */

static UaefPath *
read_path(const UaefObject *object, const char *key, const char *text)
{
	const char *problem;
	UaefPath   *path = uaef_path_parse(text, strlen(text), true, &problem);

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s has the invalid path \"%s\"", key,
						object->where, uaef_eval_clip(text, strlen(text))),
				 errdetail_internal("%s", problem)));
	return path;
}

static void
read_required_fields(const UaefObject *object, Check *check)
{
	char	  **texts;
	int			n = uaef_read_texts(object, "fields", &texts);

	if (n < 1 || n > MAX_FIELDS)
		uaef_read_wrong(object, "fields",
						psprintf("an array of 1 to %d paths", MAX_FIELDS));
	check->n_fields = n;
	check->fields = palloc(sizeof(UaefPath *) * n);
	for (int i = 0; i < n; i++)
		check->fields[i] = read_path(object, "fields", texts[i]);
	check->non_empty = uaef_read_bool(object, "non_empty", true);
}

static Numeric
read_number(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return NULL;
	if (value.type != jbvNumeric)
		uaef_read_wrong(object, key, "a number");
	return DatumGetNumericCopy(NumericGetDatum(value.val.numeric));
}

static void
read_threshold(const UaefObject *object, Check *check)
{
	check->n_fields = 1;
	check->fields = palloc(sizeof(UaefPath *));
	check->fields[0] = read_path(object, "field",
								 uaef_read_text(object, "field", true));
	check->min = read_number(object, "min");
	check->max = read_number(object, "max");
	if (check->min == NULL && check->max == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must have \"min\" or \"max\", or both",
						object->where)));
	if (check->min != NULL && check->max != NULL &&
		uaef_numeric_compare(check->min, check->max) > 0)
		uaef_read_wrong(object, "max", "at least \"min\"");
}

static void
read_condition(const UaefObject *object, Check *check)
{
	MemoryContext context = CurrentMemoryContext;
	JsonbValue	value;

	if (!uaef_read_value(object, "when", &value))
		uaef_read_missing(object, "when");
	PG_TRY();
	{
		check->when = uaef_condition_compile(uaef_json_from_value(&value),
											 true, NULL);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, psprintf("\"when\" in %s", object->where),
						  NULL);
	}
	PG_END_TRY();
}

static void
read_check(JsonbValue *value, const char *where, Check *check)
{
	static const char *const names[] =
	{"required_fields", "threshold", "condition", NULL};
	static const char *const any_keys[] =
	{"type", "fields", "non_empty", "field", "min", "max", "when", NULL};
	UaefObject	object = uaef_read_object(NULL, value, any_keys, where);
	int			kind;

	pfree(uaef_read_text(&object, "type", true));
	kind = uaef_read_choice(&object, "type", names, 0);
	object = uaef_read_object(NULL, value, kinds[kind].keys,
							  psprintf("%s (%s)", where, names[kind]));
	check->kind = (CheckKind) kind;
	kinds[kind].read(&object, check);
}

/*
 * {"checks": [...]}, or one check by itself.
 */
UaefCheckpoint *
uaef_checkpoint_compile(Jsonb *document)
{
	static const char *const keys[] = {"checks", NULL};
	UaefCheckpoint *checkpoint = palloc0(sizeof(UaefCheckpoint));
	JsonbValue	value;
	JsonbValue	checks;
	UaefObject	object;
	JsonbContainer *array;

	uaef_document_value(document, &value);
	if (!uaef_json_get(document, "checks", &checks))
	{
		checkpoint->n = 1;
		checkpoint->checks = palloc0(sizeof(Check));
		read_check(&value, "the checkpoint", checkpoint->checks);
		return checkpoint;
	}
	object = uaef_read_object(NULL, &value, keys, "the checkpoint");
	array = uaef_read_array(&object, "checks", true, &checkpoint->n);
	if (checkpoint->n < 1 || checkpoint->n > MAX_CHECKS)
		uaef_read_wrong(&object, "checks",
						psprintf("an array of 1 to %d checks", MAX_CHECKS));
	checkpoint->checks = palloc0(sizeof(Check) * checkpoint->n);
	for (int i = 0; i < checkpoint->n; i++)
	{
		value = uaef_read_element(array, i);
		read_check(&value, psprintf("check %d", i + 1),
				   &checkpoint->checks[i]);
	}
	return checkpoint;
}

/*----------
 * Evaluating
 * ----------
 */

static void
fail(Run *run, const char *path, const char *code, char *message)
{
	UaefJson	json = {run->failures};

	(void) pushJsonbValue(&json.state, WJB_BEGIN_OBJECT, NULL);
	if (run->check != NULL)
	{
		uaef_json_int(&json, "check", run->number);
		uaef_json_text(&json, "type", kinds[run->check->kind].name);
	}
	uaef_json_text(&json, "path", path);
	uaef_json_text(&json, "code", code);
	uaef_json_text(&json, "message", message);
	(void) pushJsonbValue(&json.state, WJB_END_OBJECT, NULL);
	run->failures = json.state;

	if (run->result->n_failures++ == 0)
		run->result->first_failure = message;
}

/*
 * Whether a value says nothing: "", " ", [] and {}.
 */
static bool
is_empty(const JsonbValue *value)
{
	if (value->type == jbvBinary)
		return JsonContainerSize(value->val.binary.data) == 0;
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < value->val.string.len; i++)
		if (strchr(" \t\n\r\f\v", value->val.string.val[i]) == NULL)
			return false;
	return true;
}

static void
require_fields(Run *run, UaefScope *scope)
{
	for (int i = 0; i < run->check->n_fields; i++)
	{
		const char *text = uaef_path_text(run->check->fields[i]);
		JsonbValue	value;

		if (!uaef_path_get(run->check->fields[i], scope, &value))
			fail(run, text, "missing", psprintf("\"%s\" is missing", text));
		else if (value.type == jbvNull)
			fail(run, text, "null", psprintf("\"%s\" is null", text));
		else if (run->check->non_empty && is_empty(&value))
			fail(run, text, "empty", psprintf("\"%s\" is empty", text));
	}
}

static void
compare_number(Run *run, UaefScope *scope)
{
	const Check *check = run->check;
	const char *text = uaef_path_text(check->fields[0]);
	JsonbValue	value;

	if (!uaef_path_get(check->fields[0], scope, &value))
		fail(run, text, "missing", psprintf("\"%s\" is missing", text));
	else if (value.type != jbvNumeric)
		fail(run, text, "not_a_number",
			 psprintf("\"%s\" is not a number but %s", text,
					  uaef_value_type(&value)));
	else if (check->min != NULL &&
			 uaef_numeric_compare(value.val.numeric, check->min) < 0)
		fail(run, text, "below_min",
			 psprintf("\"%s\" is less than %s", text,
					  uaef_numeric_text(check->min)));
	else if (check->max != NULL &&
			 uaef_numeric_compare(value.val.numeric, check->max) > 0)
		fail(run, text, "above_max",
			 psprintf("\"%s\" is greater than %s", text,
					  uaef_numeric_text(check->max)));
}

static void
test_condition(Run *run, UaefScope *scope)
{
	UaefEvalError error = {0};
	bool		met;

	if (!uaef_condition_eval(run->check->when, scope, &met, &error))
		fail(run, error.path, unpack_sql_state(error.sqlstate), error.message);
	else if (!met)
		fail(run, NULL, "not_met", "the condition does not hold");
}

static void
begin_run(Run *run, UaefCheckpointResult *result)
{
	memset(run, 0, sizeof(*run));
	memset(result, 0, sizeof(*result));
	run->result = result;
	(void) pushJsonbValue(&run->failures, WJB_BEGIN_ARRAY, NULL);
}

static void
end_run(Run *run)
{
	JsonbValue *array = pushJsonbValue(&run->failures, WJB_END_ARRAY, NULL);

	run->result->failures = JsonbValueToJsonb(array);
	run->result->passed = run->result->n_failures == 0;
}

void
uaef_checkpoint_evaluate(const UaefCheckpoint *checkpoint, UaefScope *scope,
						 UaefCheckpointResult *result)
{
	Run			run;

	begin_run(&run, result);
	for (int i = 0; i < checkpoint->n; i++)
	{
		run.check = &checkpoint->checks[i];
		run.number = i + 1;
		kinds[run.check->kind].run(&run, scope);
	}
	end_run(&run);
}

void
uaef_checkpoint_no_data(const UaefEvalError *error,
						UaefCheckpointResult *result)
{
	Run			run;

	begin_run(&run, result);
	fail(&run, error->path, unpack_sql_state(error->sqlstate), error->message);
	end_run(&run);
}

Jsonb *
uaef_checkpoint_result_json(const UaefStoredCheckpoint *stored,
							const UaefCheckpointResult *result)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "checkpoint", stored->name);
	uaef_json_int(&json, "version", stored->version);
	uaef_json_bool(&json, "passed", result->passed);
	uaef_json_jsonb(&json, "failures", result->failures);
	return uaef_json_end(&json);
}
