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

/* The queue of the tasks that executors run; no other has such a name. */
#define UAEF_SQL_QUEUE	"#sql"

/*
 * Take at most limit tasks of a queue and role, the first ones that nobody else
 * is just taking, and fill in refs; returns how many.  The identity must be the
 * owner.  They come back when the transaction rolls back.
 *
 * Where a look at all that there was takes long, nothing may be found although
 * there is something; then uaef_ready_again_ms() is in how many milliseconds to
 * look again, even if nobody says that there is something; 0: that holds for no
 * claim since it was asked last.
 */
extern int	uaef_ready_claim(const char *queue, Oid run_as, int limit,
							 UaefTaskRef *refs);
extern int	uaef_ready_again_ms(void);

/* What was claimed last is in the ready set again, all or some of it. */
extern void uaef_ready_given_back(void);

/*
 * Take one task out, if it is there and nobody else is just taking it.  One that
 * is not at this rank is looked for anywhere, if so asked, which takes as long as
 * the queue is; *rank is then where it was.
 */
extern bool uaef_ready_take(const char *queue, Oid run_as, int64 task_id,
							int64 *rank, bool anywhere);

/*
 * The first role after this one, by OID, that has tasks in a queue, besides
 * those in others; InvalidOid: none.
 */
extern Oid	uaef_ready_next_role(const char *queue, Oid after,
								 const Oid *others, int n);

/*
 * Whether a role has tasks of at least this rank in a queue that nobody is just
 * taking.
 */
extern bool uaef_ready_has(const char *queue, Oid run_as, int64 rank);

#endif							/* UAEF_READY_CLAIM_H */
