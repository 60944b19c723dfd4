/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between PostgreSQL 14 and 18, in one place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COMPAT_H
#define UAEF_COMPAT_H

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * 18 has only this mark, which stands before the whole declaration; older
 * ones have only pg_attribute_noreturn(), whose place is free.
 */
#ifndef pg_noreturn
#define pg_noreturn				pg_attribute_noreturn()
#endif

/* The number that a backend's slot has in shared memory, from 0. */
#if PG_VERSION_NUM >= 170000
#define uaef_backend_slot()		((int) MyProcNumber)
#else
#define uaef_backend_slot()		((int) MyProc->pgprocno)
#endif

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix)	EmitWarningsOnPlaceholders(prefix)
#endif

/* What a check hook hands on is malloc'd before 16, guc_malloc'd since. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size)		malloc(size)
#endif

/* Send the counters that have gathered; 14 has no way to force it. */
#if PG_VERSION_NUM >= 150000
#define uaef_report_stat() ((void) pgstat_report_stat(true))
#else
#define uaef_report_stat() pgstat_report_stat(false)
#endif

/* Shared memory is asked for in a hook of its own since 15. */
#if PG_VERSION_NUM >= 150000
#define UAEF_HAVE_SHMEM_REQUEST_HOOK
#endif

/* A background worker may connect as a role without LOGIN since 17. */
#if PG_VERSION_NUM >= 170000
#define UAEF_HAVE_NOLOGIN_WORKERS
#define UAEF_EXECUTOR_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define UAEF_EXECUTOR_CONNECT_FLAGS 0
#endif

/* The timeline that WAL is written on; 14 learns it when it asks for recovery. */
#if PG_VERSION_NUM >= 150000
#define uaef_wal_timeline()		GetWALInsertionTimeLine()
#else
#define uaef_wal_timeline()		(RecoveryInProgress() ? 0 : ThisTimeLineID)
#endif

/* What an index keeps for the next row has to be given up since 17. */
#if PG_VERSION_NUM >= 170000
#define uaef_index_insert_cleanup(index, info) \
	index_insert_cleanup(index, info)
#else
#define uaef_index_insert_cleanup(index, info) ((void) 0)
#endif

/* A scan of an index takes a place for statistics since 18. */
#if PG_VERSION_NUM >= 180000
#define uaef_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define uaef_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, nkeys, 0)
#endif

/* Whether a role owns a database. */
#if PG_VERSION_NUM >= 160000
#define uaef_owns_database(database, role) \
	object_ownercheck(DatabaseRelationId, database, role)
#else
#define uaef_owns_database(database, role) \
	pg_database_ownercheck(database, role)
#endif

/* Whether a role owns a table. */
#if PG_VERSION_NUM >= 160000
#define uaef_owns_table(relation, role) \
	object_ownercheck(RelationRelationId, relation, role)
#else
#define uaef_owns_table(relation, role) \
	pg_class_ownercheck(relation, role)
#endif

/* A minimal tuple may have bytes of others before it since 18. */
#if PG_VERSION_NUM >= 180000
#define uaef_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls, 0)
#else
#define uaef_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls)
#endif

/* What a statement does to a table stands apart from its range table since 16. */
#if PG_VERSION_NUM >= 160000
typedef RTEPermissionInfo UaefPermInfo;
#define uaef_perm_infos(stmt)		((stmt)->permInfos)
#define uaef_is_perm_info(info)		true
#else
typedef RangeTblEntry UaefPermInfo;
#define uaef_perm_infos(stmt)		((stmt)->rtable)
#define uaef_is_perm_info(info)		((info)->rtekind == RTE_RELATION)
#endif

/* The executor is no longer told whether a plan runs once only since 18. */
#if PG_VERSION_NUM >= 180000
#define UAEF_EXECUTE_ONCE_PARAM
#define UAEF_EXECUTE_ONCE_ARG
#else
#define UAEF_EXECUTE_ONCE_PARAM	, bool execute_once
#define UAEF_EXECUTE_ONCE_ARG	, execute_once
#endif

/* Extensions may name what they wait for since 17. */
#if PG_VERSION_NUM >= 170000
#define uaef_new_wait_event(name)	WaitEventExtensionNew(name)
#else
#define uaef_new_wait_event(name)	((void) (name), PG_WAIT_EXTENSION)
#endif

/* From which transaction on the server knows how they ended. */
#if PG_VERSION_NUM >= 170000
#define uaef_oldest_clog_xid()	(TransamVariables->oldestClogXid)
#else
#define uaef_oldest_clog_xid()	(ShmemVariableCache->oldestClogXid)
#endif

/* The mark of a database whose DROP DATABASE was cut off (minor releases). */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB (-2)
#endif

#endif							/* UAEF_COMPAT_H */
