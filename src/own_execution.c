/*-------------------------------------------------------------------------
 *
 * own_execution.c
 *	  What every request of a caller is checked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "errcodes.h"
#include "identity.h"
#include "own_execution.h"
#include "uuid7.h"

UaefExecution *
uaef_lock_execution(UaefStep *step, const pg_uuid_t *id)
{
	UaefExecution *execution;

	uaef_step_lock(step, id, 1);
	execution = uaef_step_execution(step, id);
	if (execution == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist", uaef_uuid_text(id))));
	return execution;
}

UaefExecution *
uaef_lock_own_execution(UaefStep *step, const pg_uuid_t *id, Oid caller)
{
	UaefExecution *execution = uaef_lock_execution(step, id);

	if (!has_privs_of_role(caller, execution->initiated_by))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for execution %s",
						uaef_uuid_text(id)),
				 errdetail("It was started by role \"%s\".",
						   uaef_role_name(execution->initiated_by)),
				 errhint("Members of that role can control it.")));
	return execution;
}
