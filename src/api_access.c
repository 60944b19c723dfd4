/*-------------------------------------------------------------------------
 *
 * api_access.c
 *	  SQL entry points of access: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "access.h"
#include "arguments.h"
#include "set_result.h"

PG_FUNCTION_INFO_V1(uaef_grant_access);
PG_FUNCTION_INFO_V1(uaef_revoke_access);
PG_FUNCTION_INFO_V1(uaef_list_access);

/* uaef.grant_access(role regrole, access text) returns void */
Datum
uaef_grant_access(PG_FUNCTION_ARGS)
{
	uaef_access_grant(uaef_arg_oid(fcinfo, 0, "role"),
					  uaef_arg_text(fcinfo, 1, "access"));
	PG_RETURN_VOID();
}

/* uaef.revoke_access(role regrole, access text) returns void */
Datum
uaef_revoke_access(PG_FUNCTION_ARGS)
{
	uaef_access_revoke(uaef_arg_oid(fcinfo, 0, "role"),
					   uaef_arg_text(fcinfo, 1, "access"));
	PG_RETURN_VOID();
}

/* uaef.list_access() returns table (access text, privilege text, object text) */
Datum
uaef_list_access(PG_FUNCTION_ARGS)
{
	int			n;
	UaefAccessRight *rights = uaef_access_rights(&n);

	uaef_begin_set(fcinfo);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[3] = {false};
		Datum		values[3] = {
			CStringGetTextDatum(rights[i].access),
			CStringGetTextDatum(rights[i].privilege),
			CStringGetTextDatum(rights[i].object)
		};

		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
