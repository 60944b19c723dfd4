/*-------------------------------------------------------------------------
 *
 * delivery_board.c
 *	  The lanes that have something to send, as the worker remembers them.
 *
 * The lanes are read by skipping through the index of what is due, an index
 * descent for each lane, however many deliveries it holds.  When that takes
 * long it is put off, so that it takes at most a share of the worker's time.
 *
 * Memory: the board is the process's own, in a context that each reading
 * resets.  It points at gates, so gates are forgotten only while it is empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "column.h"
#include "connector_config.h"
#include "delivery_board.h"
#include "spi_util.h"

/* A reading that takes less is never put off. */
#define CHEAP_US	1000

/* The pause after one that takes longer, as a multiple of what it took. */
#define PAUSE		2

/* How long emptied lanes may stay unread while there is no room. */
#define EMPTIED_US	1000000

#define WAITS "d.status IN ('pending', 'retry')"

static UaefQuery select_lanes = {
	"WITH RECURSIVE lane AS ("
	" (SELECT d.lane, d.rank, d.next_attempt_at FROM uaef.delivery d"
	"  WHERE " WAITS " ORDER BY d.lane, d.rank, d.next_attempt_at LIMIT 1)"
	" UNION ALL"
	" SELECT n.lane, n.rank, n.next_attempt_at"
	"  FROM lane l CROSS JOIN LATERAL"
	"  (SELECT d.lane, d.rank, d.next_attempt_at FROM uaef.delivery d"
	"   WHERE " WAITS " AND (d.lane, d.rank) > (l.lane, l.rank)"
	"   ORDER BY d.lane, d.rank, d.next_attempt_at LIMIT 1) n)"
	" SELECT lane, rank, next_attempt_at FROM lane",
	0
};

static UaefQuery select_limits = {
	"SELECT coalesce(c.paused, false), c.xmin::text, h.xmin::text"
	" FROM unnest($1, $2) WITH ORDINALITY AS w(connector, host, number)"
	" LEFT JOIN uaef.connector c ON c.name = w.connector"
	" LEFT JOIN uaef.host_limit h ON h.host = w.host ORDER BY w.number",
	2, {TEXTARRAYOID, TEXTARRAYOID}
};

static UaefQuery select_host_limit = {
	"SELECT max_concurrent, rate_us, burst FROM uaef.host_limit"
	" WHERE host = $1",
	1, {TEXTOID}
};

/* This process's board. */
static struct
{
	UaefBoard	board;
	MemoryContext context;		/* NULL: it was never read */
	bool		sure;			/* what was claimed by it is committed */
	bool		outdated;
	TimestampTz read_at;		/* by the wall clock */
	int64		read_us;		/* what reading it took */
}			state;

static void refresh_connector(UaefGate *gate, const char *connector,
							  const char *version);
static void refresh_host(UaefGate *gate, const char *host,
						 const char *version);
static int64 pause_us(void);
static void forget_reserved(UaefGate *gate, void *arg);
static int	compare_lanes(const void *a, const void *b);
static int	read_lanes(UaefLane **lanes, TimestampTz now);
static void put_up(UaefLane *lanes, int n);
static void read_board(TimestampTz now);

UaefPassage
uaef_delivery_passage(const char *lane)
{
	const char *at = strrchr(lane, '@');
	UaefPassage passage = {0};

	Assert(at != NULL);
	if (at > lane)
		passage.connector = uaef_gate(psprintf("connector %.*s",
											   (int) (at - lane), lane));
	passage.host = uaef_gate(psprintf("host %s", at + 1));
	return passage;
}

/*
 * A connector that was changed, or resumed, begins anew.
 */
static void
refresh_connector(UaefGate *gate, const char *connector, const char *version)
{
	UaefConnector loaded;

	if (version == NULL || strcmp(gate->version, version) == 0)
		return;
	if (!uaef_connector_find(connector, &loaded))
		return;
	gate->limits = loaded.config.limits;
	if (gate->version[0] != '\0')
		uaef_gate_reset(gate);
	strlcpy(gate->version, version, sizeof(gate->version));
}

static void
refresh_host(UaefGate *gate, const char *host, const char *version)
{
	static const UaefGateLimits defaults = UAEF_GATE_DEFAULTS;
	Datum		args[1];

	if (strcmp(gate->version, version ? version : "") == 0)
		return;
	gate->limits = defaults;
	strlcpy(gate->version, version ? version : "", sizeof(gate->version));
	args[0] = CStringGetTextDatum(host);
	if (uaef_spi_run(&select_host_limit, args, NULL) == 0)
		return;
	gate->limits.max_concurrent = uaef_spi_int32(0, 1);
	gate->limits.rate_us = uaef_spi_int64(0, 2);
	gate->limits.burst = uaef_spi_int32(0, 3);
}

void
uaef_lanes_read_limits(UaefLane **lanes, int n, uint64 claim)
{
	UaefColumn *connectors = uaef_column(TEXTOID, n);
	UaefColumn *hosts = uaef_column(TEXTOID, n);
	char	  **names = palloc(n * sizeof(char *));
	char	  **versions = palloc(n * 2 * sizeof(char *));
	Datum		args[2];

	for (int i = 0; i < n; i++)
	{
		char	   *at = strrchr(lanes[i]->name, '@');

		names[i] = at == lanes[i]->name ? NULL
			: pnstrdup(lanes[i]->name, at - lanes[i]->name);
		uaef_column_text(connectors, names[i]);
		uaef_column_text(hosts, at + 1);
	}
	args[0] = uaef_column_array(connectors);
	args[1] = uaef_column_array(hosts);
	(void) uaef_spi_run(&select_limits, args, NULL);
	for (int i = 0; i < n; i++)
	{
		lanes[i]->paused = uaef_spi_bool(i, 1);
		versions[2 * i] = uaef_spi_text(i, 2);
		versions[2 * i + 1] = uaef_spi_text(i, 3);
	}
	for (int i = 0; i < n; i++)
	{
		UaefLane   *lane = lanes[i];

		lane->passage = uaef_delivery_passage(lane->name);
		if (lane->passage.connector != NULL)
			refresh_connector(lane->passage.connector, names[i],
							  versions[2 * i]);
		refresh_host(lane->passage.host, strrchr(lane->name, '@') + 1,
					 versions[2 * i + 1]);
		lane->limits_of = claim;
	}
}

/*
 * Where there are more lanes than room, who waited longest is first.
 */
static int
compare_lanes(const void *a, const void *b)
{
	const UaefLane *left = a;
	const UaefLane *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return strcmp(left->name, right->name);
}

/*
 * Those that are due; returns how many.
 */
static int
read_lanes(UaefLane **lanes, TimestampTz now)
{
	int			n = (int) uaef_spi_run(&select_lanes, NULL, NULL);
	int			n_due = 0;
	bool		isnull;

	*lanes = MemoryContextAllocHuge(state.context,
									(n + 1) * sizeof(UaefLane));
	for (int i = 0; i < n; i++)
	{
		UaefLane   *lane = &(*lanes)[n_due];
		TimestampTz first = DatumGetTimestampTz(uaef_spi_value(i, 3, &isnull));

		if (first > now)
		{
			state.board.later = Min(state.board.later, first);
			continue;
		}
		memset(lane, 0, sizeof(UaefLane));
		lane->name = MemoryContextStrdup(state.context, uaef_spi_text(i, 1));
		lane->rank = DatumGetInt16(uaef_spi_value(i, 2, &isnull));
		lane->first = first;
		n_due++;
	}
	return n_due;
}

/*
 * Onto the board, in their order.
 */
static void
put_up(UaefLane *lanes, int n)
{
	UaefRank   *rank = NULL;

	qsort(lanes, n, sizeof(UaefLane), compare_lanes);
	for (int i = 0; i < n; i++)
		state.board.n_ranks += i == 0 || lanes[i].rank != lanes[i - 1].rank;
	state.board.ranks = MemoryContextAlloc(state.context,
										   (state.board.n_ranks + 1) *
										   sizeof(UaefRank));
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || lanes[i].rank != lanes[i - 1].rank)
		{
			rank = rank == NULL ? state.board.ranks : rank + 1;
			rank->rank = lanes[i].rank;
			dlist_init(&rank->lanes);
		}
		dlist_push_tail(&rank->lanes, &lanes[i].node);
	}
}

static void
read_board(TimestampTz now)
{
	TimestampTz begin = GetCurrentTimestamp();
	UaefLane   *lanes;
	int			n;

	uaef_board_forget();
	uaef_gates_trim(now);
	if (state.context == NULL)
		state.context = AllocSetContextCreate(TopMemoryContext,
											  "uaef lanes",
											  ALLOCSET_DEFAULT_SIZES);
	n = read_lanes(&lanes, now);
	put_up(lanes, n);
	state.read_at = GetCurrentTimestamp();
	state.read_us = Max(state.read_at - begin, 0);
	state.outdated = false;
}

/*
 * How long it is until the board may be read, which is not more often than its
 * reading is worth.
 */
static int64
pause_us(void)
{
	int64		since = GetCurrentTimestamp() - state.read_at;

	if (state.read_us < CHEAP_US || since < 0)
		return 0;
	return Max(state.read_us * PAUSE - since, 0);
}

bool
uaef_board_read(TimestampTz now)
{
	int64		pause = pause_us();

	state.outdated = true;
	if (pause > 0)
	{
		state.board.again = now + pause;
		return false;
	}
	read_board(now);
	return true;
}

static void
forget_reserved(UaefGate *gate, void *arg)
{
	gate->reserved = 0;
}

UaefBoard *
uaef_board(TimestampTz now)
{
	if (!state.sure)
	{
		uaef_gates_walk(forget_reserved, NULL);
		read_board(now);
	}
	else if (state.outdated ||
			 (state.board.emptied &&
			  GetCurrentTimestamp() - state.read_at > EMPTIED_US))
		(void) uaef_board_read(now);
	state.sure = false;
	return &state.board;
}

void
uaef_board_claimed(void)
{
	state.sure = true;
}

void
uaef_board_outdate(void)
{
	state.outdated = true;
}

void
uaef_board_drop(UaefLane *lane)
{
	dlist_delete(&lane->node);
	state.board.emptied |= !lane->paused;
}

void
uaef_board_forget(void)
{
	memset(&state.board, 0, sizeof(state.board));
	state.board.later = state.board.again = DT_NOEND;
	state.sure = false;
	if (state.context != NULL)
		MemoryContextReset(state.context);
}
