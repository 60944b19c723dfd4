/*-------------------------------------------------------------------------
 *
 * own_execution.h
 *	  What every request of a caller is checked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_OWN_EXECUTION_H
#define UAEF_OWN_EXECUTION_H

#include "execution.h"

/* Lock and load an execution; raises UA303 when there is none. */
extern UaefExecution *uaef_lock_execution(UaefStep *step, const pg_uuid_t *id);

/* The same, and raise unless caller may control it. */
extern UaefExecution *uaef_lock_own_execution(UaefStep *step,
											  const pg_uuid_t *id, Oid caller);

/* Raise 22023 for a key that is empty or too long; NULL is none. */
extern void uaef_check_idempotency_key(const char *key);

/*
 * Raise UA001 when a document is larger than uaef.max_payload_size, or nested
 * too deep.
 */
extern void uaef_check_payload(const char *what, Jsonb *payload);

/* The same for the input of an execution, which is an object; else 22023. */
extern void uaef_check_input(Jsonb *input);

#endif							/* UAEF_OWN_EXECUTION_H */
