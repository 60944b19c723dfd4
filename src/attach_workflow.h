/*-------------------------------------------------------------------------
 *
 * attach_workflow.h
 *	  Putting triggers that start workflows on an app's tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ATTACH_WORKFLOW_H
#define UAEF_ATTACH_WORKFLOW_H

#include "utils/jsonb.h"

/* Arguments of uaef.attach_workflow(); what is NULL is absent. */
typedef struct UaefAttach
{
	Oid			table;
	const char *workflow;
	const char *key;			/* column, or template with {{ */
	const char *condition;		/* SQL, of the trigger's WHEN */
	const char *event;			/* "INSERT OR UPDATE OR DELETE" */
	Jsonb	   *input;			/* template */
	int			n_columns;		/* of UPDATE OF; 0: all */
	char	  **columns;
	bool		by_statement;
	const char *name;			/* of the trigger */
} UaefAttach;

/*
 * Make a trigger as the current user, who must own the table; returns its
 * name.  Raises before anything is made.
 */
extern char *uaef_attach_workflow(const UaefAttach *attach);

/* Drop all triggers on a table that start a workflow. */
extern void uaef_detach_workflow(Oid table, const char *workflow);

#endif							/* UAEF_ATTACH_WORKFLOW_H */
