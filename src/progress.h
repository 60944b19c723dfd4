/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  How far an execution has come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PROGRESS_H
#define UAEF_PROGRESS_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* Tasks, where a map that has its list counts as its items. */
typedef struct UaefProgress
{
	int64		done;
	int64		total;
	int64		running;		/* or about to */
	int64		waiting;		/* for people, signals, or a time */
	TimestampTz started_at;		/* times: 0 is null */
	TimestampTz estimated_end;	/* of one that has ended: its end */
} UaefProgress;

/*
 * Raises UA303 when there is no such execution, 42501 unless the current user
 * is a member of the role that started it.
 */
extern void uaef_progress_get(const pg_uuid_t *execution_id,
							  UaefProgress *progress);

#endif							/* UAEF_PROGRESS_H */
