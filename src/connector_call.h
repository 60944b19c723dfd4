/*-------------------------------------------------------------------------
 *
 * connector_call.h
 *	  Calls of connectors: where they go, and the requests that they become.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_CALL_H
#define UAEF_CONNECTOR_CALL_H

#include "connector_type.h"

/*
 * Fill in what the call leaves open of operation, method, url and idempotent:
 * from the connector's config, then from its type.  Raises what is wrong.
 */
extern void uaef_call_address(const UaefConnector *connector, UaefCall *call);

/*
 * Make the call's request, in the current memory context.  connector is NULL
 * for a plain HTTP call.  Raises what the type refuses.
 */
extern void uaef_call_draft(const UaefConnector *connector,
							const UaefCall *call, UaefHttpDraft *draft);

/*
 * What a call would send, as {"type","operation","method","url","headers",
 * "body","allowed","reason"} with the values of headers blacked out that may
 * be secrets.  role is who would send.
 */
extern Jsonb *uaef_call_test(const UaefConnector *connector, UaefCall *call,
							 Oid role);

#endif							/* UAEF_CONNECTOR_CALL_H */
