/*-------------------------------------------------------------------------
 *
 * delivery_response.h
 *	  Answers of servers as jsonb, whatever bytes they hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_RESPONSE_H
#define UAEF_DELIVERY_RESPONSE_H

#include "connector_type.h"

/*
 * Read an answer.  A body that is declared as JSON, and is JSON, becomes its
 * value; any other text a string; what is no text {"base64": "..."}.  Needs a
 * transaction, because it tries the parse in a subtransaction.
 */
extern void uaef_response_read(const UaefHttpResult *result,
							   UaefResponse *response);

/* {"status","headers","body"}: the output of a task. */
extern Jsonb *uaef_response_output(int status, const UaefResponse *response);

#endif							/* UAEF_DELIVERY_RESPONSE_H */
