/*-------------------------------------------------------------------------
 *
 * random_bytes.h
 *	  Random bytes that nobody can guess, drawn many at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RANDOM_BYTES_H
#define UAEF_RANDOM_BYTES_H

/* The most that one call may ask for. */
#define UAEF_MAX_RANDOM 64

/* len random bytes that no other call gets; raises when there are none. */
extern void uaef_random_bytes(void *bytes, int len);

#endif							/* UAEF_RANDOM_BYTES_H */
