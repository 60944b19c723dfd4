/*-------------------------------------------------------------------------
 *
 * settlement_terms.h
 *	  Times of a settlement rule: when it is paid, how long approvals may take.
 *
 * "schedule": {"delay": "2 days", "business_days": 3, "calendar": "target",
 * "timezone": "Europe/Paris"}; "approval": {"expires": "72h",
 * "on_expiry": "expire"}.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_TERMS_H
#define UAEF_SETTLEMENT_TERMS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct UaefSettlementTerms
{
	int64		delay_ms;
	int			business_days;	/* after the delay */
	char	   *calendar;		/* of days without work; NULL: every day */
	char	   *timezone;		/* in which days begin; NULL: UTC */
	int64		expires_ms;		/* 0: approvals may take for ever */
	bool		reject_expired; /* else it is expired */
} UaefSettlementTerms;

/*
 * Read "schedule" and the times of "approval" of a definition; raises UA300
 * and 22023.
 */
extern void uaef_settlement_terms_read(UaefSettlementTerms *terms,
									   Jsonb *definition);

/*
 * When what was owed at a time is to be paid.  Raises UA350 for a calendar
 * that does not exist, 22023 for one that leaves no day.  The identity must be
 * the owner (uaef_spi_begin()).
 */
extern TimestampTz uaef_settlement_due(const UaefSettlementTerms *terms,
									   TimestampTz from);

#endif							/* UAEF_SETTLEMENT_TERMS_H */
