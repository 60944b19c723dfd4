/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who calls, and how our code becomes the owner of its tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
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
 * A table of the extension, which is gone when the extension is.
 */
static Oid
find_table(void)
{
	Oid			schema = get_namespace_oid("uaef", true);

	return OidIsValid(schema) ? get_relname_relid("task_ready", schema) :
		InvalidOid;
}

/*
 * Finding the extension takes scans of a catalog, so it is remembered together
 * with a table, which a cache of the catalogs knows: if that is still the one
 * under the lock, so is the extension.
 */
bool
uaef_lock_extension(void)
{
	static Oid	extension = InvalidOid;
	static Oid	table = InvalidOid;
	Oid			found;

	if (OidIsValid(table))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		if (find_table() == table)
			return true;
	}
	table = InvalidOid;
	found = get_extension_oid("uaef", true);
	if (!OidIsValid(found))
		return false;
	LockDatabaseObject(ExtensionRelationId, found, 0, AccessShareLock);
	if (get_extension_oid("uaef", true) != found)
		return false;
	extension = found;
	table = find_table();
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
