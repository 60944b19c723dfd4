/*-------------------------------------------------------------------------
 *
 * book_audit_internal.h
 *	  What the parts of the audit of the books share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_AUDIT_INTERNAL_H
#define UAEF_BOOK_AUDIT_INTERNAL_H

#include "set_result.h"

/* Put a row of what is wrong. */
extern void uaef_audit_tell(FunctionCallInfo fcinfo, const char *problem,
							const char *subject, const char *detail);

/*
 * Look at journals after a number, and their lines.  SPI must be connected; the
 * active snapshot reads.
 */
extern void uaef_audit_lines(FunctionCallInfo fcinfo, int64 from);

/* How far an audit has come: what has a greater number is new. */
typedef struct UaefAuditMark
{
	int64		event_id;
	int64		journal_id;
	int64		account_id;
} UaefAuditMark;

/* In place of each number: all is new. */
#define UAEF_AUDIT_WHOLE	PG_INT64_MIN

/* Whether a mark can be made here; nobody else makes one then. */
extern bool uaef_audit_mark_begin(void);

/*
 * The last mark that was made, as the active snapshot has it; raises 55000 when
 * there is none.
 */
extern void uaef_audit_mark_last(UaefAuditMark *mark);

/*
 * A mark of what a snapshot that is taken next sees all of; false when too much
 * is being posted.
 */
extern bool uaef_audit_mark_draw(UaefAuditMark *mark);

/* Keep a mark: what is between the two was audited, and nothing found. */
extern void uaef_audit_mark_put(const UaefAuditMark *from,
								const UaefAuditMark *mark, const char *actor);

#endif							/* UAEF_BOOK_AUDIT_INTERNAL_H */
