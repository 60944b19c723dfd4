/*-------------------------------------------------------------------------
 *
 * definition_build.h
 *	  Workflow definitions out of SQL calls, and out of chains: a -> b -> c
 *
 * What is built here is checked no further than is needed to build it:
 * create_workflow() does that, for every document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DEFINITION_BUILD_H
#define UAEF_DEFINITION_BUILD_H

#include "utils/jsonb.h"

/* What a task may have; NULL, or 0, is left out. */
typedef struct UaefTaskParts
{
	const char *id;
	const char *type;
	Jsonb	   *config;			/* an object; its nulls are left out */
	const char *timeout;
	int			attempts;
	Jsonb	   *retry;			/* an object */
	const char *on_failure;
	const char *queue;
	int			priority;
	const char *join;			/* "2" becomes a number */
	const char *description;
	Jsonb	   *output_schema;
} UaefTaskParts;

extern Jsonb *uaef_build_task(const UaefTaskParts *parts);

/*
 * A definition of tasks, joined by the edges that a chain draws and by those
 * among the parts.  Raises UA300 for a chain that cannot be read, with the
 * line, or that names a task that is not there.
 */
extern Jsonb *uaef_build_workflow(const char *chain, Jsonb **parts, int n);

#endif							/* UAEF_DEFINITION_BUILD_H */
