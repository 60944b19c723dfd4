/*-------------------------------------------------------------------------
 *
 * task_ref.h
 *	  How a task of an execution is named, by all floors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TASK_REF_H
#define UAEF_TASK_REF_H

#include "utils/uuid.h"

/* Item number of a task that is no item of a map. */
#define UAEF_NO_ITEM (-1)

/* One task of one execution. */
typedef struct UaefTaskRef
{
	pg_uuid_t	execution_id;
	int16		task_no;
	int32		item;
	int			attempt;		/* 0: whichever is current */
} UaefTaskRef;

#endif							/* UAEF_TASK_REF_H */
