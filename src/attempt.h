/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  Running code that may raise, in a subtransaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ATTEMPT_H
#define UAEF_ATTEMPT_H

/*
 * Call run(arg) in the current memory context.  Returns NULL, or the error
 * that rolled it back; one that is not the data's fault (error_class.h) is
 * raised.
 */
extern ErrorData *uaef_attempt(void (*run) (void *arg), void *arg);

#endif							/* UAEF_ATTEMPT_H */
