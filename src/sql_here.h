/*-------------------------------------------------------------------------
 *
 * sql_here.h
 *	  Running SQL tasks in the caller's own transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SQL_HERE_H
#define UAEF_SQL_HERE_H

#include "utils/uuid.h"

/*
 * Run the ready SQL tasks of an execution here and now, and what becomes
 * ready by them, as the current user, who must be the role that started it.
 * Returns how many were run.
 */
extern int	uaef_sql_run_here(const pg_uuid_t *execution_id);

#endif							/* UAEF_SQL_HERE_H */
