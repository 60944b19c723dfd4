/*-------------------------------------------------------------------------
 *
 * wake_claimers.h
 *	  Waking sessions that wait for tasks of a queue.
 *
 * A task that a commit puts into a queue wakes one of the sessions that wait
 * for that queue, and no other.  A session that was woken and does not look
 * again wakes the next one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAKE_CLAIMERS_H
#define UAEF_WAKE_CLAIMERS_H

/* At commit, wake one session that waits for tasks of this queue. */
extern void uaef_wake_claimer_on_commit(const char *queue);

/* The same when the transaction is rolled back, which gives a task back. */
extern void uaef_wake_claimer_on_abort(const char *queue);

/* At commit, wake all that wait in this database. */
extern void uaef_wake_claimers_on_commit(void);

/*
 * Begin to wait for tasks of these queues, or go on.  Register, look, then
 * wait, so that no task is missed; the end of the transaction unregisters.
 */
extern void uaef_claimer_register(char *const *queues, int n);
extern void uaef_claimer_wait(long timeout_ms);
extern void uaef_claimer_unregister(void);

/* For wake.c: the end of the transaction, or of a part of it. */
extern void uaef_claimers_at_commit(void);
extern void uaef_claimers_at_abort(void);
extern void uaef_claimers_at_subabort(void);
extern void uaef_claimers_forget(void);

#endif							/* UAEF_WAKE_CLAIMERS_H */
