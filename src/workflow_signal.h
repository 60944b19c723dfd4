/*-------------------------------------------------------------------------
 *
 * workflow_signal.h
 *	  Sending signals to executions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_SIGNAL_H
#define UAEF_WORKFLOW_SIGNAL_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * Send a signal to an execution, as the current user; key may be NULL.
 * Returns "consumed" or "kept".
 */
extern const char *uaef_signal_send(const pg_uuid_t *id, const char *name,
									Jsonb *payload, const char *key);

#endif							/* UAEF_WORKFLOW_SIGNAL_H */
