/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who calls, and how our code becomes the owner of its tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "identity.h"

Oid
uaef_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum("uaef"));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", "uaef"),
				 errhint("Use CREATE EXTENSION uaef.")));
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Which one it was the last time is remembered: finding it takes a scan of a
 * catalog, and it has to be found under the lock in any case.
 */
bool
uaef_lock_extension(void)
{
	static Oid	extension = InvalidOid;
	Oid			found;

	if (OidIsValid(extension))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		if (get_extension_oid("uaef", true) == extension)
			return true;
	}
	extension = InvalidOid;
	found = get_extension_oid("uaef", true);
	if (!OidIsValid(found))
		return false;
	LockDatabaseObject(ExtensionRelationId, found, 0, AccessShareLock);
	if (get_extension_oid("uaef", true) != found)
		return false;
	extension = found;
	return true;
}

UaefCaller
uaef_become_owner(void)
{
	UaefCaller	caller;

	GetUserIdAndSecContext(&caller.user, &caller.sec_context);
	SetUserIdAndSecContext(uaef_owner(),
						   caller.sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	return caller;
}

void
uaef_become_caller(UaefCaller caller)
{
	SetUserIdAndSecContext(caller.user, caller.sec_context);
}

char *
uaef_role_name(Oid role)
{
	char	   *name;

	if (!OidIsValid(role))
		return NULL;
	name = GetUserNameFromId(role, true);
	return name ? name : psprintf("%u", role);
}

void
uaef_require_member(Oid role, const char *what)
{
	uaef_require_membership(GetUserId(), role, what);
}

void
uaef_require_membership(Oid caller, Oid role, const char *what)
{
	if (!has_privs_of_role(caller, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for %s", what),
				 errdetail("It belongs to role \"%s\".",
						   uaef_role_name(role))));
}

int
uaef_pin_search_path(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return level;
}
