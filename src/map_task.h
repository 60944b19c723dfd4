/*-------------------------------------------------------------------------
 *
 * map_task.h
 *	  Map tasks: one task for each element of a list, and their join.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MAP_TASK_H
#define UAEF_MAP_TASK_H

#include "advance.h"

/* An item has completed, or failed for good. */
extern void uaef_map_item_ended(UaefTask *item);
extern void uaef_map_item_failed(UaefTask *item, const UaefFailure *failure);

#endif							/* UAEF_MAP_TASK_H */
