/*-------------------------------------------------------------------------
 *
 * receive_store.h
 *	  Messages of queues in their table: each is taken once.
 *
 * Every function works in the caller's transaction.  Locking: the row of a
 * message, then what its action locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_STORE_H
#define UAEF_RECEIVE_STORE_H

#include "connector_type.h"

/* Connectors that receive and are not paused, as a list of names. */
extern List *uaef_receive_connectors(void);

/*
 * Take a message: it starts or signals something, or it is parked with the
 * reason, or it was taken before.  False when it is to come again.  An error
 * that passes raises.
 */
extern bool uaef_receive_take(const UaefConnector *connector,
							  const UaefMessage *message);

/* Forget messages that no queue can send again; returns how many. */
extern int	uaef_receive_forget(void);

/* Try a parked message again; raises what is wrong, and UA427 for none. */
extern void uaef_receive_replay(const char *connector, const char *message_id);

#endif							/* UAEF_RECEIVE_STORE_H */
