/*-------------------------------------------------------------------------
 *
 * scope.h
 *	  The data that paths read: a few named roots.
 *
 * In a workflow the roots are in, task, item, ctx, sys, in loops last and in
 * filters signal.  The SQL functions
 * that evaluate against one document use its keys as roots.  A root that is a
 * plain value has value set; task is fetched name by name, because a workflow
 * may have thousands of outputs of which a path needs one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SCOPE_H
#define UAEF_SCOPE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef struct UaefScope UaefScope;

/*
 * Tables that are kept for rules, as they were valid at the scope's time and
 * known at its other one.  Each answers NULL for what it does not hold.
 */
typedef struct UaefTables
{
	/* Units of the currency quote for one of base. */
	Numeric		(*rate) (UaefScope *scope, const char *source,
						 const char *base, const char *quote, TimestampTz at);

	Jsonb	   *(*look_up) (UaefScope *scope, const char *table,
							char *const *keys, int n, TimestampTz at);

	/* Points of a member; of all together without member. */
	Numeric		(*points) (UaefScope *scope, const char *pool,
						   const char *member, TimestampTz at);
} UaefTables;

struct UaefScope
{
	Jsonb	   *in;				/* roots; NULL: absent */
	Jsonb	   *item;
	Jsonb	   *ctx;
	Jsonb	   *sys;
	Jsonb	   *last;			/* of a repeated workflow: its last output */
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

	const UaefTables *tables;	/* NULL: there are none */
	TimestampTz at;				/* when what tables hold must be valid */
	TimestampTz known_at;		/* and have been recorded; DT_NOEND: now */
};

#endif							/* UAEF_SCOPE_H */
