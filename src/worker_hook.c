/*-------------------------------------------------------------------------
 *
 * worker_hook.c
 *	  Commands of others that concern the worker.
 *
 * Some commands want a database for themselves: DROP DATABASE, ALTER DATABASE
 * RENAME and SET TABLESPACE, and CREATE DATABASE, its template.  Its worker
 * and executors end before such a command, and none starts until the end of
 * the transaction, however it ends.  Who may not run the command does not
 * disturb anybody.
 *
 * DROP EXTENSION wakes the worker at commit, which finds it gone.  COMMIT
 * PREPARED and ROLLBACK PREPARED have every kind of work looked for, since what
 * the transaction asked for is not kept with it.
 *
 * Locking: a hold is a count in the worker's slot, changed under the lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "tcop/utility.h"

#include "compat.h"
#include "shmem.h"
#include "wake.h"
#include "worker_control.h"
#include "worker_hook.h"

/* Databases that one transaction can hold, by ALTER DATABASE RENAME. */
#define MAX_HELD		16

/* As long as the server waits for the sessions of a database. */
#define HOLD_TIMEOUT_MS	5000

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* What the current transaction holds. */
static Oid	held[MAX_HELD];
static int	n_held = 0;

/* A database that it made or opened, for the launcher to look at. */
static Oid	new_database = InvalidOid;

/* One that it dropped. */
static Oid	dropped_database = InvalidOid;

static void on_utility(PlannedStmt *pstmt, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void on_access(ObjectAccessType access, Oid class_id, Oid object_id,
					  int sub_id, void *arg);
static void before_command(Node *command);
static void after_command(Node *command);
static const char *template_of(CreatedbStmt *command);
static bool sets_tablespace(AlterDatabaseStmt *command);
static void hold(const char *name);
static void release(Oid database);
static void at_xact_end(XactEvent event, void *arg);

void
uaef_worker_hook_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_access = object_access_hook;
	object_access_hook = on_access;
	RegisterXactCallback(at_xact_end, NULL);
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility;

	if (next == NULL)
		next = standard_ProcessUtility;
	before_command(pstmt->utilityStmt);
	next(pstmt, query, read_only_tree, context, params, environment, dest,
		 completion);
	after_command(pstmt->utilityStmt);
}

/*
 * Hold the database that the command wants for itself.
 */
static void
before_command(Node *command)
{
	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			hold(((DropdbStmt *) command)->dbname);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				hold(((RenameStmt *) command)->subname);
			break;
		case T_AlterDatabaseStmt:
			if (sets_tablespace((AlterDatabaseStmt *) command))
				hold(((AlterDatabaseStmt *) command)->dbname);
			break;
		case T_CreatedbStmt:
			hold(template_of((CreatedbStmt *) command));
			break;
		default:
			break;
	}
}

/*
 * A new database may have got the extension from its template, and one that
 * has been altered may have been closed before.
 */
static void
after_command(Node *command)
{
	switch (nodeTag(command))
	{
		case T_CreatedbStmt:
			new_database = get_database_oid(((CreatedbStmt *) command)->dbname,
											true);
			break;
		case T_AlterDatabaseStmt:
			new_database = get_database_oid(((AlterDatabaseStmt *) command)->dbname,
											true);
			break;
		case T_TransactionStmt:
			if (((TransactionStmt *) command)->kind == TRANS_STMT_COMMIT_PREPARED ||
				((TransactionStmt *) command)->kind == TRANS_STMT_ROLLBACK_PREPARED)
				uaef_wake_all_on_commit();
			break;
		default:
			break;
	}
}

/*
 * The template that CREATE DATABASE copies.
 */
static const char *
template_of(CreatedbStmt *command)
{
	ListCell   *cell;

	foreach(cell, command->options)
	{
		DefElem    *option = (DefElem *) lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
sets_tablespace(AlterDatabaseStmt *command)
{
	ListCell   *cell;

	foreach(cell, command->options)
	{
		if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/*
 * End what runs in a database and keep it ended until the transaction ends.
 * What does not end in time makes the command fail as any session would.
 */
static void
hold(const char *name)
{
	Oid			database = get_database_oid(name, true);
	UaefWorkerSlot *slot;

	if (!OidIsValid(database) || n_held == MAX_HELD ||
		!uaef_owns_database(database, GetUserId()))
		return;

	uaef_shmem_attach();
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_claim_worker(database);
	if (slot != NULL)
	{
		slot->held++;
		held[n_held++] = database;
	}
	LWLockRelease(&uaef_shared->lock);
	if (slot != NULL)
		(void) uaef_worker_await_end(database, HOLD_TIMEOUT_MS);
}

/*
 * Let a database go; the launcher, where there is one, looks at it again.
 */
static void
release(Oid database)
{
	UaefWorkerSlot *slot;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL && slot->held > 0)
		slot->held--;
	if (slot != NULL && slot->held == 0 && !slot->stopped)
		uaef_shmem_free_worker(slot);
	LWLockRelease(&uaef_shared->lock);

	uaef_wake_worker(database, UAEF_WAKE_CONTROL);
}

/*
 * After a commit the launcher sees what the command did.  DROP DATABASE is a
 * transaction of its own: if that commits, the database is gone.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	while (n_held > 0)
		release(held[--n_held]);
	if (event == XACT_EVENT_COMMIT && OidIsValid(dropped_database))
		uaef_worker_forget(dropped_database);
	if (event == XACT_EVENT_COMMIT && OidIsValid(new_database))
		uaef_wake_worker(new_database, UAEF_WAKE_CONTROL);
	new_database = dropped_database = InvalidOid;
}

static void
on_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
		  void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);

	if (access == OAT_DROP && class_id == DatabaseRelationId)
	{
		uaef_shmem_attach();
		dropped_database = object_id;
	}
	if (access == OAT_DROP && class_id == ExtensionRelationId &&
		object_id == get_extension_oid("uaef", true))
		uaef_wake_worker_on_commit(UAEF_WAKE_CONTROL);
}
