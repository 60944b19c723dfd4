/*-------------------------------------------------------------------------
 *
 * ready_claim.h
 *	  Taking tasks out of the ready set, in its order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_READY_CLAIM_H
#define UAEF_READY_CLAIM_H

#include "engine.h"

/*
 * Take at most limit tasks of a queue and role, the first ones that nobody else
 * is just taking, and fill in refs; returns how many.  The identity must be the
 * owner.  They come back when the transaction rolls back.
 */
extern int	uaef_ready_claim(const char *queue, Oid run_as, int limit,
							 UaefTaskRef *refs);

#endif							/* UAEF_READY_CLAIM_H */
