/*-------------------------------------------------------------------------
 *
 * bulk.h
 *	  Control of many executions at once, by the worker, in batches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BULK_H
#define UAEF_BULK_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* What is to be done with which executions. */
typedef struct UaefBulk
{
	const char *operation;		/* "cancel", "pause", "resume", "retry" */
	const char *workflow;		/* NULL: of every workflow */
	Jsonb	   *filter;
	int			limit;			/* 0: all */
	double		rate;			/* a second; 0: as fast as it goes */
	const char *reason;			/* or NULL */
} UaefBulk;

/*
 * Leave it to the worker, as the current user, of whose executions it is.
 * Returns the number of the operation.  Raises 22023 for a bad filter.
 */
extern int64 uaef_bulk_request(const UaefBulk *bulk);

/* End an operation that runs; false when none of this number does. */
extern bool uaef_bulk_cancel(int64 bulk_id);

/*
 * Do one batch of the operation that is due first, in the current transaction.
 * Returns when the next one is due; DT_NOEND: there is none.
 */
extern TimestampTz uaef_bulk_work(void);

#endif							/* UAEF_BULK_H */
