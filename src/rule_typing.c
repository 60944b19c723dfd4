/*-------------------------------------------------------------------------
 *
 * rule_typing.c
 *	  What a workflow says of the data that rules will read.
 *
 * What a task puts out is known when the task says so by a schema; what the
 * context holds can differ in the next version of the workflow, so that only
 * its types are taken for granted.
 *
 * Locking: none.  Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "json_util.h"
#include "rule_typing.h"

static uint32 input_types(const UaefDefinition *definition,
						  const UaefPath *path);
static uint32 task_types(const UaefDefinition *definition,
						 const UaefPath *path);
static uint32 context_types(const UaefDefinition *definition,
							const UaefPath *path);
static uint32 sys_types(const UaefPath *path);
static uint32 path_types(const UaefPath *path, void *arg);

static uint32
input_types(const UaefDefinition *definition, const UaefPath *path)
{
	return definition->input_schema == NULL ? UAEF_TYPE_ANY :
		uaef_schema_path_types(definition->input_schema, path, 1);
}

static uint32
task_types(const UaefDefinition *definition, const UaefPath *path)
{
	const char *task = uaef_path_task(path);
	int			no = task == NULL ? -1 :
		uaef_definition_task_no(definition, task, strlen(task));

	if (no < 0)
		return 0;
	if (definition->tasks[no].output_schema == NULL)
		return UAEF_TYPE_ANY;
	return uaef_schema_path_types(definition->tasks[no].output_schema, path,
								  2);
}

/* The context is there already, and never changes. */
static uint32
context_types(const UaefDefinition *definition, const UaefPath *path)
{
	UaefScope	scope = {0};
	JsonbValue	value;

	scope.ctx = definition->context != NULL ? definition->context :
		uaef_json_empty();
	if (!uaef_path_get(path, &scope, &value))
		return UAEF_TYPE_ANY | UAEF_TYPE_UNDECLARED;
	switch (value.type)
	{
		case jbvNull:
			return UAEF_TYPE_NULL;
		case jbvBool:
			return UAEF_TYPE_BOOLEAN;
		case jbvNumeric:
			return UAEF_TYPE_NUMBER;
		case jbvString:
			return UAEF_TYPE_STRING;
		default:
			return JsonContainerIsArray(value.val.binary.data) ?
				UAEF_TYPE_ARRAY : UAEF_TYPE_OBJECT;
	}
}

static uint32
sys_types(const UaefPath *path)
{
	static const struct
	{
		const char *name;
		uint32		types;
	}			members[] = {
		{"execution_id", UAEF_TYPE_STRING},
		{"workflow", UAEF_TYPE_STRING},
		{"version", UAEF_TYPE_NUMBER},
		{"name", UAEF_TYPE_STRING},
		{"initiated_by", UAEF_TYPE_STRING},
		{"started_at", UAEF_TYPE_STRING},
		{"completed_at", UAEF_TYPE_STRING},
		{"status", UAEF_TYPE_STRING},
		{"agent", UAEF_TYPE_STRING}
	};
	uint32		index;
	int			len;

	if (uaef_path_steps(path) == 1)
		return UAEF_TYPE_OBJECT;
	for (int i = 0; i < lengthof(members); i++)
	{
		const char *name = uaef_path_step(path, 1, &len, &index);

		if (name != NULL && strcmp(name, members[i].name) == 0)
			return uaef_path_steps(path) == 2 ? members[i].types : 0;
	}
	return 0;
}

static uint32
path_types(const UaefPath *path, void *arg)
{
	const UaefDefinition *definition = arg;
	const char *root = uaef_path_root(path);

	if (strcmp(root, "in") == 0)
		return input_types(definition, path);
	if (strcmp(root, "task") == 0)
		return task_types(definition, path);
	if (strcmp(root, "ctx") == 0)
		return context_types(definition, path);
	if (strcmp(root, "sys") == 0)
		return sys_types(path);
	return UAEF_TYPE_ANY;
}

UaefTyping
uaef_rule_typing(const UaefDefinition *definition)
{
	UaefTyping	typing = {path_types, unconstify(UaefDefinition *, definition)};

	return typing;
}
