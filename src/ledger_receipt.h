/*-------------------------------------------------------------------------
 *
 * ledger_receipt.h
 *	  Receipts: an execution's events with all that proves them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_RECEIPT_H
#define UAEF_LEDGER_RECEIPT_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * The receipt of an execution, or of any other stream.  Raises UA303 when
 * there is none of its events, UA103 when one is not sealed, 55000 when some
 * were retired.
 */
extern Jsonb *uaef_receipt(const pg_uuid_t *stream);

#endif							/* UAEF_LEDGER_RECEIPT_H */
