/*-------------------------------------------------------------------------
 *
 * verify_work.c
 *	  Work in pieces: read in order, done by several threads, taken in order.
 *
 * Locking: one mutex guards all of Pool and is held by get(), which reads the
 * input.  take() runs without it, but in one thread at a time.  A ring has
 * room for a few pieces a thread: who would be farther ahead waits.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <string.h>

#include "verify_util.h"
#include "verify_work.h"

#define AHEAD 4
#define MOST_JOBS 64

typedef struct Pool
{
	const Work *work;
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	long		ring_size;
	long		given;			/* pieces that get() gave */
	long		taken;
	bool		taking;
	bool		at_end;
	void	   *ring[AHEAD * MOST_JOBS];	/* done, but not taken */
} Pool;

/*
 * Take what is next in order, unless another thread does.
 */
static void
take_done(Pool *pool)
{
	while (!pool->taking && pool->ring[pool->taken % pool->ring_size] != NULL)
	{
		void	   *piece = pool->ring[pool->taken % pool->ring_size];

		pool->taking = true;
		pthread_mutex_unlock(&pool->mutex);
		pool->work->take(pool->work->reader, piece);
		pthread_mutex_lock(&pool->mutex);
		pool->ring[pool->taken % pool->ring_size] = NULL;
		pool->taken++;
		pool->taking = false;
		pthread_cond_broadcast(&pool->moved);
	}
}

static void *
run(void *argument)
{
	Pool	   *pool = argument;

	pthread_mutex_lock(&pool->mutex);
	while (!pool->at_end)
	{
		void	   *piece;
		long		number;

		if (pool->given - pool->taken >= pool->ring_size)
		{
			pthread_cond_wait(&pool->moved, &pool->mutex);
			continue;
		}
		piece = pool->work->get(pool->work->reader);
		if (piece == NULL)
		{
			pool->at_end = true;
			break;
		}
		number = pool->given++;
		pthread_mutex_unlock(&pool->mutex);
		pool->work->process(pool->work->reader, piece);
		pthread_mutex_lock(&pool->mutex);
		pool->ring[number % pool->ring_size] = piece;
		take_done(pool);
	}
	pthread_cond_broadcast(&pool->moved);
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

static void
run_alone(const Work *work)
{
	void	   *piece;

	while ((piece = work->get(work->reader)) != NULL)
	{
		work->process(work->reader, piece);
		work->take(work->reader, piece);
	}
}

void
work_run(const Work *work, int jobs)
{
	Pool		pool = {.work = work};
	pthread_t	threads[MOST_JOBS];
	int			started = 0;

	if (jobs <= 1)
	{
		run_alone(work);
		return;
	}
	jobs = Min(jobs, MOST_JOBS);
	pool.ring_size = AHEAD * jobs;
	pthread_mutex_init(&pool.mutex, NULL);
	pthread_cond_init(&pool.moved, NULL);
	while (started < jobs - 1 &&
		   pthread_create(&threads[started], NULL, run, &pool) == 0)
		started++;
	run(&pool);
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&pool.moved);
	pthread_mutex_destroy(&pool.mutex);
}
