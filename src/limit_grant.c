/*-------------------------------------------------------------------------
 *
 * limit_grant.c
 *	  Who may run next, where limits hold many back.
 *
 * One granter at a time looks at the keys at which something has changed
 * (limit_change), or whose rate has a start to give again (wake_at), and lets
 * those run that waited longest, by rank.  So steps never lock anything of each
 * other, and nothing is lost by a crash: who waits, what is held and what has
 * changed are rows that commit with their cause.
 *
 * A waiter that needs several limits stands in the line of one of them.  When
 * another one holds it back, it moves to the line of that.  From a key that has
 * room for n, at most n move at a time: that many stand elsewhere for it, and
 * whatever becomes of them is a change at this key again.
 *
 * Locking: an advisory lock until the transaction ends, which makes the
 * granter the only one; who does not get it comes back soon.  Rows that a step
 * has locked are skipped, and looked at again later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "agent_task.h"
#include "clock.h"
#include "definition.h"
#include "engine.h"
#include "limit.h"
#include "spi_util.h"
#include "wake.h"
#include "wake_claimers.h"

/* Distinguishes our advisory lock from other ones on the same table. */
#define LOCK_CLASS 0x5547

/* How many changes and keys one transaction looks at. */
#define MAX_CHANGES 5000
#define MAX_DUE 1000

/* How many waiters one transaction serves, more or less. */
#define MAX_SERVED 5000

/* Most waiters read at a time. */
#define MAX_FETCH 64

/* When to try again where somebody else is the granter. */
#define BUSY_DELAY_US INT64CONST(100000)

/* When to look again at those who may come back into a line. */
#define LEAVING_DELAY_US INT64CONST(1000000)

/* Bytes of a limit's name and a key together, for the hash table. */
#define MAX_NAMES 1024

static UaefQuery take_changes = {
	"WITH taken AS (DELETE FROM uaef.limit_change WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.limit_change LIMIT $1))"
	" RETURNING limit_name, key, freed)"
	" SELECT limit_name, key, pg_catalog.sum(freed), pg_catalog.count(*)"
	" FROM taken GROUP BY limit_name, key ORDER BY limit_name, key",
	1, {INT4OID}
};

static UaefQuery due_keys = {
	"SELECT limit_name, key FROM uaef.limit_key WHERE wake_at <= $1"
	" ORDER BY wake_at LIMIT $2",
	2, {TIMESTAMPTZOID, INT4OID}
};

static UaefQuery next_due = {
	"SELECT wake_at FROM uaef.limit_key WHERE wake_at IS NOT NULL"
	" ORDER BY wake_at LIMIT 1",
	0
};

static UaefQuery find_key = {
	"SELECT running, next_free, wake_at FROM uaef.limit_key"
	" WHERE limit_name = $1 AND key = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery store_key = {
	"INSERT INTO uaef.limit_key (limit_name, key, running, next_free, wake_at)"
	" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (limit_name, key) DO UPDATE"
	" SET running = EXCLUDED.running, next_free = EXCLUDED.next_free,"
	" wake_at = EXCLUDED.wake_at",
	5, {TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery forget_key = {
	"DELETE FROM uaef.limit_key WHERE limit_name = $1 AND key = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery find_bound = {
	"SELECT coalesce(concurrency, 0), coalesce(interval_us, 0),"
	" coalesce(burst, 1) FROM uaef.workflow_limit WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery fetch_waiters = {
	"SELECT ctid, rank, run_as, on_limit, limits, keys, concurrencies,"
	" intervals_us, bursts, queue FROM uaef.limit_waiter"
	" WHERE limit_name = $1 AND key = $2 AND rank >= $3"
	" ORDER BY limit_name, key, rank, task_id LIMIT $4 FOR UPDATE SKIP LOCKED",
	4, {TEXTOID, TEXTOID, INT8OID, INT4OID}
};

static UaefQuery any_waiter = {
	"SELECT 1 FROM uaef.limit_waiter WHERE limit_name = $1 AND key = $2"
	" LIMIT 1",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery look_again = {
	"INSERT INTO uaef.limit_change (limit_name, key, freed)"
	" VALUES ($1, $2, 0)",
	2, {TEXTOID, TEXTOID}
};

/* The names of the CTEs follow what they do; all see the same waiter. */
static UaefQuery grant_waiter = {
	"WITH granted AS (DELETE FROM uaef.limit_waiter WHERE ctid = $1"
	" RETURNING *),"
	" slots AS (INSERT INTO uaef.limit_slot (execution_id, task_no, item,"
	" limit_name, key, granted_at, leaving)"
	" SELECT execution_id, task_no, item, l, k, $2, false FROM granted,"
	" ROWS FROM (pg_catalog.unnest(limits), pg_catalog.unnest(keys)) AS u (l, k)),"
	" ready AS (INSERT INTO uaef.task_ready (queue, run_as, rank, task_id,"
	" execution_id, task_no, item)"
	" SELECT queue, run_as, rank, task_id, execution_id, task_no, item"
	" FROM granted WHERE queue IS NOT NULL)"
	" INSERT INTO uaef.task_timer (due_at, execution_id, task_no, item,"
	" attempt, kind) SELECT $2, execution_id, task_no, item, attempt, 'granted'"
	" FROM granted WHERE queue IS NULL",
	2, {TIDOID, TIMESTAMPTZOID}
};

static UaefQuery skip_waiter = {
	"WITH skipped AS (DELETE FROM uaef.limit_waiter WHERE ctid = $1"
	" RETURNING execution_id)"
	" INSERT INTO uaef.task_timer (due_at, execution_id, task_no, item,"
	" attempt, kind) SELECT $2, execution_id, -1, -1, 0, 'limit_skip'"
	" FROM skipped",
	2, {TIDOID, TIMESTAMPTZOID}
};

static UaefQuery move_waiter = {
	"UPDATE uaef.limit_waiter SET limit_name = $2, key = $3, on_limit = $4"
	" WHERE ctid = $1",
	4, {TIDOID, TEXTOID, TEXTOID, TEXTOID}
};

static UaefQuery cancel_oldest = {
	"WITH oldest AS (UPDATE uaef.limit_slot SET leaving = true"
	" WHERE ctid = ANY (ARRAY(SELECT ctid FROM uaef.limit_slot"
	" WHERE limit_name = $1 AND key = $2 AND task_no = -1 AND NOT leaving"
	" ORDER BY limit_name, key, granted_at LIMIT 1 FOR UPDATE SKIP LOCKED))"
	" RETURNING execution_id)"
	" INSERT INTO uaef.task_timer (due_at, execution_id, task_no, item,"
	" attempt, kind) SELECT $3, execution_id, -1, -1, 0, 'limit_cancel'"
	" FROM oldest",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* A key of a limit, as this transaction leaves it. */
typedef struct KeyState
{
	char		names[MAX_NAMES];	/* limit and key, the hash key */
	Datum		limit;			/* text */
	Datum		key;
	int			running;
	TimestampTz next_free;		/* 0: long ago */
	TimestampTz wake_at;		/* 0: not needed */
	bool		empty;			/* nobody stands in its line */
	bool		has_bound;		/* of a shared limit, bound was read */
	UaefBound	bound;
} KeyState;

/* Somebody at whom the granter looks. */
typedef struct Waiter
{
	ItemPointerData tid;
	int64		rank;
	Oid			run_as;
	char	   *queue;			/* of the ready set; NULL: by a timer */
	char	   *on_limit;
	int			n;
	KeyState  **states;
	UaefBound  *bounds;
} Waiter;

typedef struct Granter
{
	TimestampTz now;
	HTAB	   *states;
	List	   *changed;		/* KeyState * to look at */
	int			served;
	bool		more;			/* there is more to do at once */
} Granter;

static KeyState *state_of(Granter *granter, Datum limit, Datum key);
static void serve(Granter *granter, KeyState *state);

/*
 * Become the granter, if nobody is.
 */
static bool
become_granter(void)
{
	Oid			table = get_relname_relid("limit_key",
										  get_namespace_oid("uaef", false));
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, table, 0, LOCK_CLASS);
	return LockAcquire(&tag, ExclusiveLock, false, true) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * A value of the last result that outlives it.
 */
static Datum
text_value(uint64 row, int column)
{
	return CStringGetTextDatum(uaef_spi_text(row, column));
}

/*
 * Take what has changed; returns how many rows told so.
 */
static int64
read_changes(Granter *granter)
{
	Datum		arg = Int32GetDatum(MAX_CHANGES);
	uint64		n = uaef_spi_run(&take_changes, &arg, NULL);
	SPITupleTable *result = SPI_tuptable;
	int64		rows = 0;

	for (uint64 i = 0; i < n; i++)
	{
		Datum		limit;
		Datum		key;
		int64		freed;
		KeyState   *state;

		SPI_tuptable = result;
		limit = text_value(i, 1);
		key = text_value(i, 2);
		freed = uaef_spi_int64(i, 3);
		rows += uaef_spi_int64(i, 4);
		state = state_of(granter, limit, key);
		state->running -= freed;
		granter->changed = lappend(granter->changed, state);
	}
	SPI_freetuptable(result);
	return rows;
}

static void
read_due_keys(Granter *granter)
{
	Datum		args[2];
	uint64		n;
	SPITupleTable *result;

	args[0] = TimestampTzGetDatum(granter->now);
	args[1] = Int32GetDatum(MAX_DUE);
	n = uaef_spi_run(&due_keys, args, NULL);
	result = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		KeyState   *state;

		SPI_tuptable = result;
		state = state_of(granter, text_value(i, 1), text_value(i, 2));
		granter->changed = list_append_unique_ptr(granter->changed, state);
	}
	SPI_freetuptable(result);
}

static KeyState *
state_of(Granter *granter, Datum limit, Datum key)
{
	char		names[MAX_NAMES] = {0};
	Datum		args[2];
	KeyState   *state;
	bool		found;

	snprintf(names, sizeof(names), "%s\n%s", TextDatumGetCString(limit),
			 TextDatumGetCString(key));
	state = hash_search(granter->states, names, HASH_ENTER, &found);
	if (found)
		return state;

	memset((char *) state + sizeof(state->names), 0,
		   sizeof(KeyState) - sizeof(state->names));
	args[0] = state->limit = limit;
	args[1] = state->key = key;
	if (uaef_spi_run(&find_key, args, NULL) > 0)
	{
		bool		isnull;
		Datum		next_free = uaef_spi_value(0, 2, &isnull);
		Datum		wake_at;

		state->running = uaef_spi_int32(0, 1);
		state->next_free = isnull ? 0 : DatumGetTimestampTz(next_free);
		wake_at = uaef_spi_value(0, 3, &isnull);
		state->wake_at = isnull ? 0 : DatumGetTimestampTz(wake_at);
	}
	SPI_freetuptable(SPI_tuptable);
	return state;
}

/*
 * The bound of a shared limit; one that was dropped holds nothing back.
 */
static UaefBound
shared_bound(KeyState *state)
{
	if (!state->has_bound)
	{
		state->has_bound = true;
		state->bound.burst = 1;
		if (uaef_spi_run(&find_bound, &state->limit, NULL) > 0)
		{
			state->bound.concurrency = uaef_spi_int32(0, 1);
			state->bound.interval_us = uaef_spi_int64(0, 2);
			state->bound.burst = uaef_spi_int32(0, 3);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	return state->bound;
}

/*
 * How many more a bound lets begin at a key now.
 */
static int64
room(const Granter *granter, const KeyState *state, const UaefBound *bound)
{
	int64		result = PG_INT64_MAX;

	if (bound->concurrency > 0)
		result = Max(bound->concurrency - state->running, 0);
	if (bound->interval_us > 0)
	{
		int64		used = Max(state->next_free - granter->now, 0);
		int64		starts = bound->burst -
			(used + bound->interval_us - 1) / bound->interval_us;

		result = Min(result, Max(starts, 0));
	}
	return result;
}

/*
 * A waiter stands in the line of a key that holds it back: if that is for its
 * rate, note when it has a start to give again.
 */
static void
note_blocked(const Granter *granter, KeyState *state, const UaefBound *bound)
{
	TimestampTz when = state->next_free -
		(bound->burst - 1) * bound->interval_us;

	state->empty = false;
	if (bound->interval_us > 0 && when > granter->now &&
		(state->wake_at == 0 || when < state->wake_at))
		state->wake_at = when;
}

static Datum *
array_of(Datum array, Oid type, int *n)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(DatumGetArrayTypePCopy(array), type, typlen, typbyval,
					  typalign, &values, NULL, n);
	return values;
}

/*
 * Take a waiter from a row of this result.
 */
static Waiter *
read_waiter(Granter *granter, SPITupleTable *result, uint64 row)
{
	Waiter	   *waiter = palloc0(sizeof(Waiter));
	Datum	   *columns[5];
	static const Oid types[] = {TEXTOID, TEXTOID, INT4OID, INT8OID, INT4OID};
	bool		isnull;

	SPI_tuptable = result;
	waiter->tid = *(ItemPointer) DatumGetPointer(uaef_spi_value(row, 1, &isnull));
	waiter->rank = uaef_spi_int64(row, 2);
	waiter->run_as = uaef_spi_oid(row, 3);
	waiter->on_limit = uaef_spi_text(row, 4);
	waiter->queue = uaef_spi_text(row, 10);
	for (int i = 0; i < lengthof(types); i++)
		columns[i] = array_of(uaef_spi_value(row, 5 + i, &isnull), types[i],
							  &waiter->n);

	waiter->states = palloc(sizeof(KeyState *) * waiter->n);
	waiter->bounds = palloc(sizeof(UaefBound) * waiter->n);
	for (int i = 0; i < waiter->n; i++)
	{
		waiter->states[i] = state_of(granter, columns[0][i], columns[1][i]);
		waiter->bounds[i].concurrency = DatumGetInt32(columns[2][i]);
		waiter->bounds[i].interval_us = DatumGetInt64(columns[3][i]);
		waiter->bounds[i].burst = DatumGetInt32(columns[4][i]);
		if (waiter->bounds[i].concurrency < 0)
			waiter->bounds[i] = shared_bound(waiter->states[i]);
	}
	return waiter;
}

/*
 * Let a waiter run: it takes a place and a start of each of its keys, and leaves
 * the line for the ready set or, where it has no queue, for a timer.
 */
static void
grant(Granter *granter, const KeyState *served, Waiter *waiter)
{
	Datum		args[2];

	for (int i = 0; i < waiter->n; i++)
	{
		KeyState   *state = waiter->states[i];

		state->running++;
		if (waiter->bounds[i].interval_us > 0)
			state->next_free = Max(state->next_free, granter->now) +
				waiter->bounds[i].interval_us;

		/*
		 * Nobody looks at those in the line of another key now, and nothing
		 * else may tell when that has a start again.
		 */
		if (state != served)
			note_blocked(granter, state, &waiter->bounds[i]);
	}
	args[0] = PointerGetDatum(&waiter->tid);
	args[1] = TimestampTzGetDatum(granter->now);
	uaef_spi_run(&grant_waiter, args, NULL);
	if (waiter->queue == NULL)
		uaef_wake_timers_on_commit(granter->now);
	else if (OidIsValid(waiter->run_as) && waiter->run_as != UAEF_AGENT_ROLE)
		uaef_wake_executor_on_commit(waiter->run_as, waiter->rank);
	else
		uaef_wake_claimer_on_commit(waiter->queue);
}

static void
skip(Granter *granter, Waiter *waiter)
{
	Datum		args[2];

	args[0] = PointerGetDatum(&waiter->tid);
	args[1] = TimestampTzGetDatum(granter->now);
	uaef_spi_run(&skip_waiter, args, NULL);
	uaef_wake_timers_on_commit(granter->now);
}

/*
 * Put a waiter in the line of the key that holds it back.  One that asks for
 * that has the oldest execution cancelled there, once.
 */
static void
hold_back(Granter *granter, Waiter *waiter, KeyState *state)
{
	const char *on_limit = waiter->on_limit;
	Datum		args[4];

	if (strcmp(on_limit, "cancel_oldest") == 0)
	{
		args[0] = state->limit;
		args[1] = state->key;
		args[2] = TimestampTzGetDatum(granter->now);
		if (uaef_spi_run(&cancel_oldest, args, NULL) > 0)
		{
			on_limit = "cancelled";
			uaef_wake_timers_on_commit(granter->now);
		}
	}
	args[0] = PointerGetDatum(&waiter->tid);
	args[1] = state->limit;
	args[2] = state->key;
	args[3] = CStringGetTextDatum(on_limit);
	uaef_spi_run(&move_waiter, args, NULL);
}

/*
 * Serve one waiter in the line of a key; false when the line has to wait.
 * *moved counts those that were sent to other lines.
 */
static bool
serve_one(Granter *granter, KeyState *state, Waiter *waiter, int64 *moved)
{
	int			blocked = -1;
	int64		here = PG_INT64_MAX;

	for (int i = 0; i < waiter->n; i++)
	{
		int64		left = room(granter, waiter->states[i],
								&waiter->bounds[i]);

		if (waiter->states[i] == state)
			here = Min(here, left);
		if (left == 0 && (blocked < 0 || waiter->states[i] == state))
			blocked = i;
	}
	if (blocked < 0)
		grant(granter, state, waiter);
	else if (strcmp(waiter->on_limit, "skip") == 0)
		skip(granter, waiter);
	else
	{
		KeyState   *by = waiter->states[blocked];

		note_blocked(granter, by, &waiter->bounds[blocked]);
		if (by == state && strcmp(waiter->on_limit, "cancel_oldest") != 0)
			return false;
		if (by != state && *moved >= here)
		{
			state->empty = false;
			return false;
		}
		hold_back(granter, waiter, by);
		if (by == state)
			return false;
		(*moved)++;
	}
	return true;
}

/*
 * Nobody whom we could lock stands in a key's line; somebody may just be
 * leaving it, and come back when that is rolled back, which nobody tells.
 */
static void
end_of_line(Granter *granter, KeyState *state)
{
	Datum		args[2];

	args[0] = state->limit;
	args[1] = state->key;
	state->empty = uaef_spi_run(&any_waiter, args, NULL) == 0;
	if (!state->empty && state->wake_at == 0)
		state->wake_at = granter->now + LEAVING_DELAY_US;
}

/*
 * Let those run that wait at a key, as far as it goes.
 */
static void
serve(Granter *granter, KeyState *state)
{
	int64		rank = PG_INT64_MIN;
	int64		moved = 0;

	state->wake_at = 0;
	for (int fetch = 1;; fetch = Min(fetch * 2, MAX_FETCH))
	{
		Datum		args[4];
		uint64		n;
		SPITupleTable *result;

		args[0] = state->limit;
		args[1] = state->key;
		if (granter->served >= MAX_SERVED)
		{
			uaef_spi_run(&look_again, args, NULL);
			granter->more = true;
			return;
		}
		args[2] = Int64GetDatum(rank);
		args[3] = Int32GetDatum(fetch);
		n = uaef_spi_run(&fetch_waiters, args, NULL);
		result = SPI_tuptable;
		if (n == 0)
		{
			end_of_line(granter, state);
			return;
		}
		for (uint64 i = 0; i < n; i++)
		{
			Waiter	   *waiter = read_waiter(granter, result, i);

			CHECK_FOR_INTERRUPTS();
			granter->served++;
			rank = waiter->rank;
			if (!serve_one(granter, state, waiter, &moved))
				return;
		}
		SPI_freetuptable(result);
	}
}

/*
 * Write a key, or forget one that nobody uses.
 */
static void
store(Granter *granter, KeyState *state)
{
	Datum		args[5];
	char		nulls[5] = "     ";

	args[0] = state->limit;
	args[1] = state->key;
	if (state->empty && state->running <= 0)
	{
		if (state->next_free <= granter->now)
		{
			uaef_spi_run(&forget_key, args, NULL);
			return;
		}
		state->wake_at = state->next_free;
	}
	args[2] = Int32GetDatum(state->running);
	args[3] = TimestampTzGetDatum(state->next_free);
	args[4] = TimestampTzGetDatum(state->wake_at);
	if (state->next_free == 0)
		nulls[3] = 'n';
	if (state->wake_at == 0)
		nulls[4] = 'n';
	uaef_spi_run(&store_key, args, nulls);
}

static void
run(Granter *granter, TimestampTz *next)
{
	int64		n_changes = read_changes(granter);
	HASH_SEQ_STATUS status;
	ListCell   *cell;
	KeyState   *state;

	read_due_keys(granter);
	foreach(cell, granter->changed)
		serve(granter, lfirst(cell));
	hash_seq_init(&status, granter->states);
	while ((state = hash_seq_search(&status)) != NULL)
		store(granter, state);

	if (uaef_spi_run(&next_due, NULL, NULL) > 0)
	{
		bool		isnull;

		*next = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	}
	if (granter->more || n_changes >= MAX_CHANGES)
		*next = granter->now;
}

void
uaef_engine_grant_limits(TimestampTz *next)
{
	UaefCaller	back = uaef_spi_begin();
	Granter		granter = {.now = uaef_clock_now()};
	HASHCTL		control = {
		.keysize = MAX_NAMES,
		.entrysize = sizeof(KeyState),
		.hcxt = CurrentMemoryContext
	};

	*next = DT_NOEND;
	if (become_granter())
	{
		granter.states = hash_create("uaef limits", 64, &control,
									 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		run(&granter, next);
	}
	else
		*next = granter.now + BUSY_DELAY_US;
	uaef_spi_end(back);
}
