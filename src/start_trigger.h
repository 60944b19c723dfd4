/*-------------------------------------------------------------------------
 *
 * start_trigger.h
 *	  Starting executions from rows of an app's tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_START_TRIGGER_H
#define UAEF_START_TRIGGER_H

#include "commands/trigger.h"

/*
 * Start the workflow that the trigger's first argument names, with the row as
 * input.  The second argument, where given and not empty, names the column
 * whose value is the idempotency key.
 */
extern void uaef_start_from_row(TriggerData *trigger);

#endif							/* UAEF_START_TRIGGER_H */
