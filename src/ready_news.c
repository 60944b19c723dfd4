/*-------------------------------------------------------------------------
 *
 * ready_news.c
 *	  From which rank on an executor may find tasks.
 *
 * An executor that has emptied the ready set of its role need not look again at
 * what it has passed over, which may be much while an old snapshot keeps rows
 * that are gone: whoever queues a task tells it the task's rank.  Nobody tells
 * of tasks that are there again because a transaction that had taken them has
 * failed elsewhere, so it looks at everything from time to time all the same.
 *
 * Locking: none.  Who queues a task writes the rank after its commit, and before
 * it looks whether the executor sleeps; the executor takes the rank before
 * it takes its snapshot, and sleeps only when it has found nothing.  The rank at
 * which its rest begins is lowered before the news are taken off, so that a worker
 * that looks meanwhile sees one of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ready_news.h"

/* The slot of this process, if it is an executor. */
static UaefExecutorSlot *my_slot = NULL;

static int64
get(pg_atomic_uint64 *rank)
{
	return (int64) pg_atomic_read_u64(rank);
}

void
uaef_ready_news_reset(UaefExecutorSlot *slot)
{
	pg_atomic_write_u64(&slot->news, (uint64) UAEF_NO_RANK);
	pg_atomic_write_u64(&slot->left_at, (uint64) PG_INT64_MIN);
}

void
uaef_ready_news_attach(UaefExecutorSlot *slot)
{
	my_slot = slot;
}

bool
uaef_ready_news_is_told(void)
{
	return my_slot != NULL;
}

void
uaef_ready_news_tell(UaefExecutorSlot *slot, int64 rank)
{
	uaef_shmem_lower(&slot->news, Min(rank, UAEF_NO_RANK - 1));
}

bool
uaef_ready_news_hear(int64 *rank)
{
	if (my_slot == NULL)
		return false;
	uaef_shmem_lower(&my_slot->left_at, get(&my_slot->news));
	*rank = (int64) pg_atomic_exchange_u64(&my_slot->news,
										   (uint64) UAEF_NO_RANK);
	return true;
}

void
uaef_ready_news_left_at(int64 rank)
{
	if (my_slot != NULL)
		pg_atomic_write_u64(&my_slot->left_at, (uint64) rank);
}

int64
uaef_ready_news_rest(void)
{
	return my_slot == NULL ? UAEF_NO_RANK : uaef_ready_news_left(my_slot);
}

int64
uaef_ready_news_left(UaefExecutorSlot *slot)
{
	int64		news = get(&slot->news);

	pg_read_barrier();
	return Min(news, get(&slot->left_at));
}
