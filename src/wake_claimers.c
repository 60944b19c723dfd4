/*-------------------------------------------------------------------------
 *
 * wake_claimers.c
 *	  Waking sessions that wait for tasks of a queue.
 *
 * Locking: none.  A session marks its slot as waiting, looks at the queue, and
 * sleeps; who commits a task makes it visible, then takes the mark off one
 * slot and sets its latch (see wake.c for why none is missed).  The mark goes
 * from a slot once, so two tasks wake two sessions.
 *
 * Memory: a fixed-size list of what the current transaction has put into
 * queues.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include "compat.h"
#include "shmem.h"
#include "wait_event.h"
#include "wake_claimers.h"

/* Queues of one transaction; beyond these, all that wait are woken. */
#define MAX_PENDING 16

/* Longest wait of a session that found no slot. */
#define UNREGISTERED_WAIT_MS 1000

typedef struct PendingList
{
	int			n;
	bool		all;
	struct
	{
		uint32		key;
		int			tasks;
	}			queues[MAX_PENDING];
} PendingList;

static PendingList at_commit;
static PendingList at_abort;

/* Our slot, or NULL. */
static UaefClaimerSlot *my_slot = NULL;

static uint32
key_of(const char *queue)
{
	return hash_bytes((const unsigned char *) queue, (int) strlen(queue));
}

static void
add(PendingList *list, const char *queue)
{
	uint32		key = key_of(queue);

	uaef_shmem_attach();
	for (int i = 0; i < list->n; i++)
	{
		if (list->queues[i].key == key)
		{
			list->queues[i].tasks++;
			return;
		}
	}
	if (list->n == MAX_PENDING)
	{
		list->all = true;
		return;
	}
	list->queues[list->n].key = key;
	list->queues[list->n++].tasks = 1;
}

void
uaef_wake_claimer_on_commit(const char *queue)
{
	add(&at_commit, queue);
}

void
uaef_wake_claimer_on_abort(const char *queue)
{
	add(&at_abort, queue);
}

void
uaef_wake_claimers_on_commit(void)
{
	uaef_shmem_attach();
	at_commit.all = true;
}

static bool
waits_for(const UaefClaimerSlot *slot, uint32 key)
{
	if (slot->n_keys == 0)
		return true;
	for (int i = 0; i < Min(slot->n_keys, UAEF_MAX_CLAIM_KEYS); i++)
		if (slot->keys[i] == key)
			return true;
	return false;
}

/*
 * Wake up to n sessions that wait for a queue; all that wait for any when key
 * is NULL.
 */
static void
wake(const uint32 *key, int n)
{
	for (int i = 0; i < UAEF_MAX_CLAIMERS && n > 0; i++)
	{
		UaefClaimerSlot *slot = &uaef_shared->claimers[i];
		uint32		proc = pg_atomic_read_u32(&slot->proc);
		uint32		waiting = 1;

		if (proc == 0 ||
			pg_atomic_read_u32(&slot->database) != MyDatabaseId ||
			(key != NULL && !waits_for(slot, *key)) ||
			!pg_atomic_compare_exchange_u32(&slot->waiting, &waiting, 0))
			continue;
		uaef_shmem_set_latch(proc);
		n--;
	}
}

static void
wake_list(const PendingList *list)
{
	if (list->n == 0 && !list->all)
		return;
	if (pg_atomic_read_u32(&uaef_shared->n_claimers) == 0)
		return;
	if (list->all)
		wake(NULL, UAEF_MAX_CLAIMERS);
	else
		for (int i = 0; i < list->n; i++)
			wake(&list->queues[i].key, list->queues[i].tasks);
}

void
uaef_claimers_at_commit(void)
{
	wake_list(&at_commit);
	uaef_claimers_forget();
}

void
uaef_claimers_at_abort(void)
{
	uaef_claimer_unregister();
	wake_list(&at_abort);
	uaef_claimers_forget();
}

/*
 * What was taken before the subtransaction is still held; who is woken for that
 * finds nothing.
 */
void
uaef_claimers_at_subabort(void)
{
	wake_list(&at_abort);
}

void
uaef_claimers_forget(void)
{
	uaef_claimer_unregister();
	at_commit.n = at_abort.n = 0;
	at_commit.all = at_abort.all = false;
}

static UaefClaimerSlot *
take_slot(void)
{
	for (int i = 0; i < UAEF_MAX_CLAIMERS; i++)
	{
		UaefClaimerSlot *slot = &uaef_shared->claimers[i];
		uint32		none = 0;

		if (pg_atomic_compare_exchange_u32(&slot->proc, &none,
										   uaef_shmem_me()))
			return slot;
	}
	return NULL;
}

void
uaef_claimer_register(char *const *queues, int n)
{
	uaef_shmem_attach();
	if (my_slot == NULL)
	{
		my_slot = take_slot();
		if (my_slot == NULL)
			return;
		pg_atomic_write_u32(&my_slot->waiting, 0);
		my_slot->n_keys = n > UAEF_MAX_CLAIM_KEYS ? 0 : n;
		for (int i = 0; i < my_slot->n_keys; i++)
			my_slot->keys[i] = key_of(queues[i]);
		pg_atomic_write_u32(&my_slot->database, MyDatabaseId);
		pg_atomic_fetch_add_u32(&uaef_shared->n_claimers, 1);
	}
	pg_write_barrier();
	pg_atomic_write_u32(&my_slot->waiting, 1);
	pg_memory_barrier();
}

void
uaef_claimer_wait(long timeout_ms)
{
	if (my_slot == NULL)
		timeout_ms = Min(timeout_ms, UNREGISTERED_WAIT_MS);
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout_ms, uaef_wait_event(UAEF_WAIT_CLAIM));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Who was woken since it marked itself last may have looked before that, and
 * leaves a task, also if it takes others, to somebody else, who may sleep: that
 * one is woken.
 */
void
uaef_claimer_unregister(void)
{
	UaefClaimerSlot *slot = my_slot;
	uint32		keys[UAEF_MAX_CLAIM_KEYS];
	int			n;
	bool		woken;

	if (slot == NULL)
		return;
	my_slot = NULL;
	n = slot->n_keys;
	memcpy(keys, slot->keys, sizeof(keys));
	woken = pg_atomic_exchange_u32(&slot->waiting, 0) == 0;
	pg_atomic_fetch_sub_u32(&uaef_shared->n_claimers, 1);
	pg_atomic_write_u32(&slot->proc, 0);

	if (!woken)
		return;
	for (int i = 0; i < n; i++)
		wake(&keys[i], 1);
	if (n == 0)
		wake(NULL, 1);
}
