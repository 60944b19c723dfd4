/*-------------------------------------------------------------------------
 *
 * delivery_care.h
 *	  What people do about deliveries that did not go well.
 *
 * Each change is an event.  The caller sees the deliveries of the roles that it
 * may act for; who may manage egress, all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_CARE_H
#define UAEF_DELIVERY_CARE_H

#include "datatype/timestamp.h"
#include "utils/array.h"

typedef struct UaefReplayFilter
{
	const char *connector;		/* NULL: any */
	ArrayType  *status;			/* text[] */
	TimestampTz since;			/* when it ended; DT_NOBEGIN: ever */
	TimestampTz until;			/* DT_NOEND */
	const char *error_code;		/* NULL: any */
	int			max_deliveries;
} UaefReplayFilter;

/* Send one again; raises when it has not ended, or well. */
extern void uaef_delivery_replay(int64 delivery_id);

/* Send all of a kind again that were not for tasks; returns how many. */
extern int64 uaef_delivery_replay_all(const UaefReplayFilter *filter);

/* Say what became of one that is in doubt. */
extern void uaef_delivery_resolve(int64 delivery_id, bool succeeded,
								  const char *reason);

#endif							/* UAEF_DELIVERY_CARE_H */
