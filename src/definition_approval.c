/*-------------------------------------------------------------------------
 *
 * definition_approval.c
 *	  "config" of a human_approval: who is asked, how often, and what then.
 *
 * Pure.  Memory: the definition's context is current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "definition_read.h"
#include "errcodes.h"
#include "json_schema.h"

/* Most roles of a list, votes that can be needed, stages, escalations. */
#define MAX_ROLES	1000
#define MAX_STAGES	100

/* Nobody can want to be reminded more often. */
#define MIN_REMIND_MS 1000

static void read_stages(const UaefObject *config,
						UaefApprovalConfig *approval);
static void read_stage(const UaefObject *object, UaefApprovalStage *stage);
static void read_groups(const UaefObject *object, UaefApprovalStage *stage);
static void read_times(const UaefObject *config, UaefApprovalConfig *approval);
static void read_escalations(const UaefObject *config,
							 UaefApprovalConfig *approval);
static void read_notify(const UaefObject *config,
						UaefApprovalConfig *approval);
static void read_roles(const UaefObject *object, const char *key,
					   UaefRoleList *list);
static void note_role(const UaefObject *object, const char *key,
					  const JsonbValue *value, UaefRoleList *list);
static bool every_stage_names(const UaefApprovalConfig *approval);

void
uaef_read_approval(const UaefObject *config, UaefApprovalConfig *approval)
{
	approval->description = uaef_read_text_template(config, "description");
	approval->four_eyes = uaef_read_bool(config, "four_eyes", true);
	approval->distinct = uaef_read_bool(config, "distinct", true);
	approval->form = uaef_read_document(config, "form");
	if (approval->form != NULL)
		(void) uaef_schema_compile(approval->form,
								   psprintf("\"form\" in %s", config->where));
	approval->show = uaef_read_template(config, "show");
	read_stages(config, approval);
	read_escalations(config, approval);
	read_times(config, approval);
	read_notify(config, approval);
}

/*
 * One after the other: "stages", or one that stands in the config itself.
 */
static void
read_stages(const UaefObject *config, UaefApprovalConfig *approval)
{
	static const char *const keys[] =
	{"approvers", "need", "reject_need", "groups", "when", NULL};
	int			n;
	JsonbContainer *array = uaef_read_array(config, "stages", false, &n);
	JsonbValue	value;

	if (array == NULL)
	{
		approval->n_stages = 1;
		approval->stages = palloc0(sizeof(UaefApprovalStage));
		read_stage(config, &approval->stages[0]);
		return;
	}
	for (int i = 0; i < 4; i++)
		if (uaef_read_value(config, keys[i], &value))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("%s cannot have both \"stages\" and \"%s\"",
							config->where, keys[i]),
					 errhint("Write it into each of the stages.")));
	if (n == 0 || n > MAX_STAGES)
		uaef_read_wrong(config, "stages",
						psprintf("an array of 1 to %d stages", MAX_STAGES));
	approval->n_stages = n;
	approval->stages = palloc0(sizeof(UaefApprovalStage) * n);
	for (int i = 0; i < n; i++)
	{
		UaefObject	object;

		value = uaef_read_element(array, i);
		object = uaef_read_object(config->builder, &value, keys,
								  psprintf("stage %d in %s", i + 1,
										   config->where));
		read_stage(&object, &approval->stages[i]);
		approval->stages[i].when = uaef_read_condition(&object, "when", false);
	}
}

static void
read_stage(const UaefObject *object, UaefApprovalStage *stage)
{
	read_roles(object, "approvers", &stage->approvers);
	stage->need = uaef_read_int(object, "need", 1, 1, MAX_ROLES);
	stage->reject_need = uaef_read_int(object, "reject_need", 1, 1, MAX_ROLES);
	read_groups(object, stage);
}

/*
 * Groups that decide at the same time, each with a quorum of its own; instead
 * of "approvers" and "need".
 */
static void
read_groups(const UaefObject *object, UaefApprovalStage *stage)
{
	static const char *const keys[] = {"approvers", "need", NULL};
	int			n;
	JsonbContainer *array = uaef_read_array(object, "groups", false, &n);
	JsonbValue	value;

	if (array == NULL)
		return;
	for (int i = 0; i < 2; i++)
		if (uaef_read_value(object, keys[i], &value))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("%s cannot have both \"groups\" and \"%s\"",
							object->where, keys[i]),
					 errhint("Write it into each of the groups.")));
	if (n == 0 || n > MAX_STAGES)
		uaef_read_wrong(object, "groups",
						psprintf("an array of 1 to %d groups", MAX_STAGES));
	stage->groups = palloc0(sizeof(UaefApprovalGroup) * n);
	stage->n_groups = n;
	stage->need = 0;
	for (int i = 0; i < n; i++)
	{
		UaefObject	group;

		value = uaef_read_element(array, i);
		group = uaef_read_object(object->builder, &value, keys,
								 psprintf("group %d in %s", i + 1,
										  object->where));
		read_roles(&group, "approvers", &stage->groups[i].approvers);
		if (stage->groups[i].approvers.roles == NULL)
			uaef_read_missing(&group, "approvers");
		stage->groups[i].need = uaef_read_int(&group, "need", 1, 1, MAX_ROLES);
		stage->need += stage->groups[i].need;
	}
}

static void
read_times(const UaefObject *config, UaefApprovalConfig *approval)
{
	static const char *const words[] = {"deny", "escalate", NULL};

	approval->expires_ms = uaef_read_duration(config, "expires", 0);
	approval->remind_ms = uaef_read_duration(config, "remind", 0);
	approval->expiry_escalates =
		uaef_read_choice(config, "on_expiry", words, 0) == 1;
	if (approval->remind_ms > 0 && approval->remind_ms < MIN_REMIND_MS)
		uaef_read_wrong(config, "remind", "one second or longer");
	if (approval->expiry_escalates &&
		(approval->expires_ms == 0 || approval->n_escalations == 0))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"on_expiry\" in %s needs \"expires\" and \"escalate\"",
						config->where)));
	for (int i = 0; i < approval->n_escalations; i++)
		if (approval->escalations[i].after_ms < 0 &&
			!approval->expiry_escalates)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("missing key \"after\" in escalation %d in %s",
							i + 1, config->where),
					 errhint("Only where \"on_expiry\" is \"escalate\" it can be left out.")));
}

/*
 * Each later than the one before, or made when time is up.
 */
static void
read_escalations(const UaefObject *config, UaefApprovalConfig *approval)
{
	static const char *const keys[] = {"after", "to", NULL};
	int			n;
	JsonbContainer *array = uaef_read_array(config, "escalate", false, &n);
	int64		last_ms = 0;

	if (array == NULL)
		return;
	if (n == 0 || n > MAX_STAGES)
		uaef_read_wrong(config, "escalate",
						psprintf("an array of 1 to %d escalations",
								 MAX_STAGES));
	if (!every_stage_names(approval))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"escalate\" in %s needs \"approvers\"",
						config->where),
				 errdetail("Without them, whoever may approve at all is asked already.")));
	approval->escalations = palloc0(sizeof(UaefEscalation) * n);
	for (int i = 0; i < n; i++)
	{
		UaefEscalation *escalation = &approval->escalations[i];
		JsonbValue	value = uaef_read_element(array, i);
		UaefObject	object =
			uaef_read_object(config->builder, &value, keys,
							 psprintf("escalation %d in %s", i + 1,
									  config->where));

		escalation->after_ms = uaef_read_duration(&object, "after", -1);
		if (escalation->after_ms >= 0 && escalation->after_ms <= last_ms)
			uaef_read_wrong(&object, "after", "longer than the one before");
		last_ms = Max(last_ms, escalation->after_ms);
		read_roles(&object, "to", &escalation->to);
		if (escalation->to.roles == NULL)
			uaef_read_missing(&object, "to");
	}
	approval->n_escalations = n;
}

static bool
every_stage_names(const UaefApprovalConfig *approval)
{
	for (int i = 0; i < approval->n_stages; i++)
		if (approval->stages[i].approvers.roles == NULL &&
			approval->stages[i].n_groups == 0)
			return false;
	return true;
}

/*
 * The body can read sys.approval too.
 */
static void
read_notify(const UaefObject *config, UaefApprovalConfig *approval)
{
	static const char *const keys[] = {"connector", "body", NULL};
	JsonbValue	value;
	UaefObject	object;

	if (!uaef_read_value(config, "notify", &value))
	{
		if (approval->remind_ms > 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("\"remind\" in %s needs \"notify\"", config->where),
					 errdetail("Nobody would get the reminder.")));
		return;
	}
	object = uaef_read_object(config->builder, &value, keys,
							  psprintf("notify in %s", config->where));
	approval->notify.connector = uaef_read_text(&object, "connector", true);
	config->builder->reader.approval = true;
	approval->notify.body = uaef_read_template(&object, "body");
	config->builder->reader.approval = false;
}

/*
 * A role, or an array of them, each written out or a template.
 */
static void
read_roles(const UaefObject *object, const char *key, UaefRoleList *list)
{
	JsonbValue	value;
	JsonbContainer *array;
	int			n;

	if (!uaef_read_value(object, key, &value))
		return;
	if (value.type == jbvString)
	{
		list->fixed = palloc(sizeof(char *));
		note_role(object, key, &value, list);
	}
	else
	{
		if (value.type != jbvBinary ||
			!JsonContainerIsArray(value.val.binary.data))
			uaef_read_wrong(object, key, "a role or an array of roles");
		array = uaef_read_array(object, key, true, &n);
		if (n == 0 || n > MAX_ROLES)
			uaef_read_wrong(object, key,
							psprintf("an array of 1 to %d roles", MAX_ROLES));
		list->fixed = palloc(sizeof(char *) * n);
		for (int i = 0; i < n; i++)
		{
			JsonbValue	element = uaef_read_element(array, i);

			note_role(object, key, &element, list);
		}
	}
	list->roles = uaef_read_template(object, key);
}

static void
note_role(const UaefObject *object, const char *key, const JsonbValue *value,
		  UaefRoleList *list)
{
	char	   *name;

	if (value->type != jbvString || value->val.string.len == 0)
		uaef_read_wrong(object, key, "an array of strings");
	name = pnstrdup(value->val.string.val, value->val.string.len);
	if (strstr(name, "{{") == NULL)
		list->fixed[list->n_fixed++] = name;
}
