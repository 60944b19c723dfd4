/*-------------------------------------------------------------------------
 *
 * definition_limit.c
 *	  "limits" of tasks and of executions.
 *
 * Pure.  Memory: the definition's context is current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "definition_read.h"
#include "errcodes.h"

/* Most limits of one task, or of one workflow. */
#define MAX_LIMITS 10

#define MAX_COUNT 1000000

static void read_limit(const UaefObject *object, UaefLimitDef *limit,
					   bool of_executions);
static void read_bound(const UaefObject *object, UaefBound *bound);
static void refuse_task_path(const UaefPath *path, void *arg);

bool
uaef_rate_parse(const char *text, int64 *interval_us)
{
	static const struct
	{
		const char *name;
		int64		us;
	}			units[] = {
		{"s", INT64CONST(1000000)},
		{"sec", INT64CONST(1000000)},
		{"second", INT64CONST(1000000)},
		{"min", INT64CONST(60000000)},
		{"minute", INT64CONST(60000000)},
		{"h", INT64CONST(3600000000)},
		{"hour", INT64CONST(3600000000)},
		{"d", INT64CONST(86400000000)},
		{"day", INT64CONST(86400000000)},
	};
	char	   *rest;
	long		count = strtol(text, &rest, 10);

	if (*text < '1' || *text > '9' || count > MAX_COUNT || *rest != '/')
		return false;
	for (int i = 0; i < lengthof(units); i++)
	{
		if (strcmp(rest + 1, units[i].name) == 0)
		{
			*interval_us = units[i].us / count;
			return true;
		}
	}
	return false;
}

/*
 * A limit of its own has a name that tells where it stands, so that all
 * versions of the workflow count together.
 */
int
uaef_read_limits(const UaefObject *object, const UaefTaskDef *task,
				 UaefLimitDef **limits)
{
	static const char *const keys[] =
	{"limit", "key", "concurrency", "rate", "burst", NULL};
	int			n;
	JsonbContainer *array = uaef_read_array(object, "limits", false, &n);

	if (array == NULL)
		return 0;
	if (n == 0 || n > MAX_LIMITS)
		uaef_read_wrong(object, "limits",
						psprintf("an array of 1 to %d limits", MAX_LIMITS));
	if (task != NULL && (task->type == UAEF_TASK_DECISION ||
						 task->type == UAEF_TASK_CONDITION ||
						 task->type == UAEF_TASK_PARALLEL))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s cannot have limits", object->where),
				 errdetail("It does no work of its own."),
				 task->type == UAEF_TASK_PARALLEL ?
				 errhint("Give them to the task that each item runs.") : 0));

	*limits = palloc0(sizeof(UaefLimitDef) * n);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value = uaef_read_element(array, i);
		UaefObject	entry = uaef_read_object(object->builder, &value, keys,
											 psprintf("limit %d of %s", i + 1,
													  object->where));

		read_limit(&entry, &(*limits)[i], task == NULL);
		if (!(*limits)[i].shared)
			(*limits)[i].name = psprintf("%s/%s/%d",
										 object->builder->def->name,
										 task != NULL ? task->id : "*", i + 1);
	}
	return n;
}

static void
read_limit(const UaefObject *object, UaefLimitDef *limit, bool of_executions)
{
	limit->name = uaef_read_text(object, "limit", false);
	limit->shared = limit->name != NULL;
	limit->key = uaef_read_text_template(object, "key");
	if (of_executions && limit->key != NULL)
		uaef_template_paths(limit->key, refuse_task_path,
							unconstify(UaefObject *, object));
	read_bound(object, &limit->bound);
	if (limit->shared && (limit->bound.concurrency > 0 ||
						  limit->bound.interval_us > 0))
		uaef_read_wrong(object, "limit",
						"without \"concurrency\" and \"rate\", which create_limit() sets");
	if (!limit->shared && limit->bound.concurrency == 0 &&
		limit->bound.interval_us == 0)
		uaef_read_missing(object, "concurrency");
}

static void
read_bound(const UaefObject *object, UaefBound *bound)
{
	char	   *rate = uaef_read_text(object, "rate", false);
	JsonbValue	value;

	bound->concurrency = uaef_read_int(object, "concurrency", 0, 1, MAX_COUNT);
	bound->burst = uaef_read_int(object, "burst", 1, 1, MAX_COUNT);
	if (rate != NULL && !uaef_rate_parse(rate, &bound->interval_us))
		uaef_read_wrong(object, "rate",
						"a number of starts in a unit of time, such as \"100/min\" (s, min, h, d)");
	if (rate == NULL && uaef_read_value(object, "burst", &value))
		uaef_read_missing(object, "rate");
}

/*
 * Nothing has run yet when an execution is to begin.
 */
static void
refuse_task_path(const UaefPath *path, void *arg)
{
	const UaefObject *object = arg;

	if (uaef_path_task(path) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"key\" in %s reads task \"%s\"", object->where,
						uaef_path_task(path)),
				 errdetail("A limit of whole executions holds before any task has run.")));
}
