/*-------------------------------------------------------------------------
 *
 * receive_act.h
 *	  What becomes of the messages of a queue: a start or a signal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_ACT_H
#define UAEF_RECEIVE_ACT_H

#include "connector_type.h"

/*
 * Start or signal what a message asks for, as role; raises what is wrong.
 * Returns the execution's id.
 */
extern pg_uuid_t uaef_receive_act(const UaefConnector *connector, Oid role,
								  const UaefMessage *message);

#endif							/* UAEF_RECEIVE_ACT_H */
