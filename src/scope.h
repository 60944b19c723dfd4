/*-------------------------------------------------------------------------
 *
 * scope.h
 *	  The data that paths read: a few named roots.
 *
 * In a workflow the roots are in, task, item, ctx, sys and, in filters, signal.  The SQL functions
 * that evaluate against one document use its keys as roots.  A root that is a
 * plain value has value set; task is fetched name by name, because a workflow
 * may have thousands of outputs of which a path needs one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SCOPE_H
#define UAEF_SCOPE_H

#include "utils/jsonb.h"

typedef struct UaefScope UaefScope;

struct UaefScope
{
	Jsonb	   *in;				/* roots; NULL: absent */
	Jsonb	   *item;
	Jsonb	   *ctx;
	Jsonb	   *sys;
	Jsonb	   *signal;			/* what was sent, for the filter of a signal
								 * task */

	/* The output of task id, NULL when it has none; may be NULL itself. */
	Jsonb	   *(*task) (UaefScope *scope, const char *id, int len);
	void	   *task_arg;

	/* What in and sys are, asked when one that is NULL is read; or NULL. */
	Jsonb	   *(*fetch_in) (UaefScope *scope);
	Jsonb	   *(*fetch_sys) (UaefScope *scope);

	/* When set, the keys of this document are the only roots. */
	Jsonb	   *document;
};

#endif							/* UAEF_SCOPE_H */
