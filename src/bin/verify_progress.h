/*-------------------------------------------------------------------------
 *
 * verify_progress.h
 *	  How far a long run is, on a terminal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_PROGRESS_H
#define VERIFY_PROGRESS_H

#include "verify_util.h"

/* Show progress from now on, if stderr is a terminal. */
extern void progress_start(bool quiet);

/* done of total have been read; total 0 if it is not known. */
extern void progress_show(int64_t done, int64_t total, int64_t events);

/* Take the line away. */
extern void progress_clear(void);

#endif							/* VERIFY_PROGRESS_H */
