/*-------------------------------------------------------------------------
 *
 * delivery_wait.h
 *	  Deliveries that are claimed, and wait before anything is sent.
 *
 * The attempt of one that waits says so.  A worker that ends meanwhile has sent
 * nothing of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_WAIT_H
#define UAEF_DELIVERY_WAIT_H

#include "delivery_store.h"

/* The attempts of a list of UaefDelivery * have sent nothing. */
extern void uaef_delivery_hold(List *deliveries);

/*
 * The attempt begins; commit before the first byte leaves.  False when the
 * delivery is wanted no more.
 */
extern bool uaef_delivery_begin(const UaefDelivery *delivery);

#endif							/* UAEF_DELIVERY_WAIT_H */
