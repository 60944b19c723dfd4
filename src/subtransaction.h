/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Work that may fail without the transaction around it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SUBTRANSACTION_H
#define UAEF_SUBTRANSACTION_H

/*
 * Do work in a subtransaction.  Returns NULL, or the error that undid it, in
 * the current context; whoever calls says what errors it lets pass.
 */
extern ErrorData *uaef_try(void (*work) (void *arg), void *arg);

/*
 * The same, but an error that is not the data's fault (error_class.h) is raised.
 */
extern ErrorData *uaef_attempt(void (*work) (void *arg), void *arg);

#endif							/* UAEF_SUBTRANSACTION_H */
