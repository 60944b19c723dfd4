/*-------------------------------------------------------------------------
 *
 * error_class.h
 *	  What kind of trouble an ERROR tells of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ERROR_CLASS_H
#define UAEF_ERROR_CLASS_H

/*
 * Cancel, shutdown, conflicts, no memory, no disk: not the data's fault, and
 * gone when the transaction is tried again.  Whoever catches errors to make
 * them a result lets these pass.
 */
extern bool uaef_error_is_transient(int sqlstate);

#endif							/* UAEF_ERROR_CLASS_H */
