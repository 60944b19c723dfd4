/*-------------------------------------------------------------------------
 *
 * settlement_why.h
 *	  Why the rules of an execution decided as they did.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_WHY_H
#define UAEF_SETTLEMENT_WHY_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * What each rule read and gave, and for one that did not fire the smallest
 * change of the data by which it would have: as far as the reader may see it.
 * Raises UA320 when there is no run, or nothing of it for the reader.
 */
extern Jsonb *uaef_settlement_explain(const pg_uuid_t *execution_id,
									  Oid reader);

#endif							/* UAEF_SETTLEMENT_WHY_H */
