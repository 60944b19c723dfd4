/*-------------------------------------------------------------------------
 *
 * verify_work.h
 *	  Work in pieces: read in order, done by several threads, taken in order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_WORK_H
#define VERIFY_WORK_H

typedef struct Work
{
	void	   *reader;

	/* The next piece, or NULL at the end; one thread at a time. */
	void	   *(*get) (void *reader);

	/* Do it; any thread. */
	void		(*process) (void *reader, void *piece);

	/* Take the result and free it; one at a time, in the order of get(). */
	void		(*take) (void *reader, void *piece);
} Work;

extern void work_run(const Work *work, int jobs);

#endif							/* VERIFY_WORK_H */
