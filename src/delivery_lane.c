/*-------------------------------------------------------------------------
 *
 * delivery_lane.c
 *	  Which deliveries are due, and claiming those that the gates let through.
 *
 * Of several lanes that are due each gets its share of the room first, and what
 * is left over goes to those that have more.  A lane that gave all that it was
 * asked for goes to the end of the board, one that gave less goes off it.
 *
 * What is claimed is reserved at its gates while claiming goes on; it enters them
 * when the claim has committed.
 *
 * Locking: rows of deliveries that others hold are passed over.  Only the
 * worker writes uaef.delivery_gate.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "column.h"
#include "delivery_board.h"
#include "delivery_lane.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"

#define WAITS "d.status IN ('pending', 'retry')"

static UaefQuery claim_due = {
	"WITH due AS (SELECT d.place, w.number"
	"  FROM unnest($1, $2) WITH ORDINALITY AS w(lane, room, number)"
	"  CROSS JOIN LATERAL"
	"  (SELECT d.ctid AS place FROM uaef.delivery d WHERE " WAITS
	"   AND d.lane = w.lane AND d.rank = $3 AND d.next_attempt_at <= $4"
	"   ORDER BY d.next_attempt_at LIMIT w.room"
	"   FOR UPDATE SKIP LOCKED) d),"
	" sending AS (UPDATE uaef.delivery d"
	"  SET status = 'sending', attempt = d.attempt + 1"
	"  FROM due WHERE d.ctid = due.place RETURNING d.*, due.number),"
	" begun AS (INSERT INTO uaef.delivery_attempt"
	"  (delivery_id, attempt, worker_pid, started_at)"
	"  SELECT delivery_id, attempt, $5, $4 FROM sending)"
	" SELECT" UAEF_DELIVERY_COLUMNS ", number::integer"
	"  FROM sending ORDER BY next_attempt_at",
	5, {TEXTARRAYOID, INT4ARRAYOID, INT2OID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery store_gate = {
	"INSERT INTO uaef.delivery_gate AS g"
	" (name, breaker, failures, opens_at, changed_at)"
	" VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (name) DO UPDATE SET breaker = EXCLUDED.breaker,"
	"  failures = EXCLUDED.failures, opens_at = EXCLUDED.opens_at,"
	"  changed_at = EXCLUDED.changed_at",
	5, {TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery select_shut = {
	"SELECT name, failures, opens_at FROM uaef.delivery_gate"
	" WHERE breaker <> 'closed'",
	0
};

/* The column after those of a delivery: which lane it is of, from 1. */
#define LANE_NUMBER	(UAEF_DELIVERY_N_COLUMNS + 1)

/* Of how many lanes the limits are read at once. */
#define LIMITS_BATCH	200

/* A claim that is going on. */
typedef struct Claim
{
	uint64		number;
	TimestampTz now;
	UaefClaimed *claimed;
	List	   *gates;			/* that have something reserved */
} Claim;

static int	lane_room(const UaefLane *lane, int wanted, Claim *claim);
static void reserve(UaefGate *gate, int n, Claim *claim);
static void reserve_both(UaefLane *lane, int n, Claim *claim);
static int	read_limits(UaefRank *rank, int wanted, Claim *claim);
static int	gather(UaefRank *rank, int wanted, UaefLane **ask, Claim *claim);
static int	claim_lanes(UaefLane **lanes, int n, Claim *claim);
static int	claim_rank(UaefRank *rank, int room, Claim *claim);
static void look_ahead(UaefBoard *board, Claim *claim);
static void store_if_changed(UaefGate *gate, void *arg);

/*
 * How many of a lane both its gates let through; notes when to ask again.
 */
static int
lane_room(const UaefLane *lane, int wanted, Claim *claim)
{
	UaefGate   *gates[2] = {lane->passage.connector, lane->passage.host};
	UaefClaimed *claimed = claim->claimed;
	int			room = wanted;

	for (int i = 0; i < lengthof(gates); i++)
	{
		TimestampTz next = DT_NOEND;

		if (gates[i] == NULL)
			continue;
		room = Min(room, uaef_gate_room(gates[i], wanted, claim->now, &next));
		claimed->next = Min(claimed->next, next);
		if (room == 0 && next == DT_NOEND)
			claimed->more = true;
	}
	return room;
}

static void
reserve(UaefGate *gate, int n, Claim *claim)
{
	if (gate == NULL)
		return;
	if (gate->reserved == 0)
		claim->gates = lappend(claim->gates, gate);
	gate->reserved += n;
}

static void
reserve_both(UaefLane *lane, int n, Claim *claim)
{
	reserve(lane->passage.connector, n, claim);
	reserve(lane->passage.host, n, claim);
}

/*
 * Read the limits of lanes for this claim that would be asked as far as is
 * known; returns how many.  Those that are shut keep what was read of them, as
 * who changes a limit outdates the board.
 */
static int
read_limits(UaefRank *rank, int wanted, Claim *claim)
{
	UaefLane   *lanes[LIMITS_BATCH];
	int			n = 0;
	int			n_open = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &rank->lanes)
	{
		UaefLane   *lane = dlist_container(UaefLane, node, iter.cur);
		bool		known = lane->passage.host != NULL;

		if (known && lane_room(lane, 1, claim) == 0)
			continue;
		if (n_open++ >= wanted && (known || n == 0))
			break;
		if (lane->limits_of != claim->number)
			lanes[n++] = lane;
		if (n == LIMITS_BATCH)
			break;
	}
	if (n > 0)
		uaef_lanes_read_limits(lanes, n, claim->number);
	for (int i = 0; i < n; i++)
	{
		if (lanes[i]->paused)
			uaef_board_drop(lanes[i]);
	}
	return n;
}

/*
 * The lanes whose turn it is, at most as many as are wanted, with what each
 * may give; returns how many.
 */
static int
gather(UaefRank *rank, int wanted, UaefLane **ask, Claim *claim)
{
	int			n_open = 0;
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &rank->lanes)
	{
		UaefLane   *lane = dlist_container(UaefLane, node, iter.cur);

		if (n_open == wanted)
			break;
		if (lane_room(lane, 1, claim) > 0)
			ask[n_open++] = lane;
	}
	for (int i = 0; i < n_open; i++)
	{
		UaefLane   *lane = ask[i];

		lane->room = lane_room(lane, wanted / n_open, claim);
		if (lane->room == 0)
			continue;
		reserve_both(lane, lane->room, claim);
		ask[n++] = lane;
	}
	return n;
}

/*
 * Claim of these lanes as many as each has room for; returns how many.
 */
static int
claim_lanes(UaefLane **lanes, int n, Claim *claim)
{
	UaefClaimed *claimed = claim->claimed;
	UaefColumn *names = uaef_column(TEXTOID, n);
	UaefColumn *rooms = uaef_column(INT4OID, n);
	Datum		args[5];
	int			got;

	for (int i = 0; i < n; i++)
	{
		uaef_column_text(names, lanes[i]->name);
		uaef_column_put(rooms, Int32GetDatum(lanes[i]->room), false);
		lanes[i]->got = 0;
	}
	args[0] = uaef_column_array(names);
	args[1] = uaef_column_array(rooms);
	args[2] = Int16GetDatum(lanes[0]->rank);
	args[3] = TimestampTzGetDatum(claim->now);
	args[4] = Int32GetDatum(MyProcPid);
	got = (int) uaef_spi_run(&claim_due, args, NULL);
	for (int i = 0; i < got; i++)
	{
		uaef_delivery_read(i, &claimed->deliveries[claimed->n++]);
		lanes[uaef_spi_int32(i, LANE_NUMBER) - 1]->got++;
	}
	return got;
}

/*
 * Claim of the lanes of one rank, at most room; returns how many.
 */
static int
claim_rank(UaefRank *rank, int room, Claim *claim)
{
	UaefLane  **ask = palloc(room * sizeof(UaefLane *));
	int			total = 0;

	while (total < room)
	{
		int			n;

		while (read_limits(rank, room - total, claim) > 0)
			;
		n = gather(rank, room - total, ask, claim);
		if (n == 0)
			break;
		total += claim_lanes(ask, n, claim);

		/* Who had as many as asked for may have more. */
		for (int i = 0; i < n; i++)
		{
			reserve_both(ask[i], ask[i]->got - ask[i]->room, claim);
			if (ask[i]->got < ask[i]->room)
				uaef_board_drop(ask[i]);
			else
			{
				dlist_delete(&ask[i]->node);
				dlist_push_tail(&rank->lanes, &ask[i]->node);
			}
		}
	}
	return total;
}

/*
 * A lane that is still due after all were asked has rows that somebody holds,
 * and is looked at again at once, unless its gates are shut.
 */
static void
look_ahead(UaefBoard *board, Claim *claim)
{
	for (int i = 0; i < board->n_ranks; i++)
	{
		dlist_iter	iter;

		while (read_limits(&board->ranks[i], INT_MAX, claim) > 0)
			;
		dlist_foreach(iter, &board->ranks[i].lanes)
		{
			if (lane_room(dlist_container(UaefLane, node, iter.cur), 1,
						  claim) > 0)
				claim->claimed->next = claim->now;
		}
	}
}

/*
 * When a lane was emptied, the board is read anew only once there is room for
 * more than it has: only then does it matter what the lane has for later.
 */
void
uaef_delivery_claim(int room, UaefClaimed *claimed)
{
	static uint64 claims = 0;
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	Claim		claim = {++claims, uaef_clock_now(), claimed, NIL};
	UaefBoard  *board = uaef_board(claim.now);
	int			left = room;
	ListCell   *cell;

	memset(claimed, 0, sizeof(*claimed));
	claimed->next = DT_NOEND;
	claimed->deliveries = MemoryContextAlloc(context,
											 (room + 1) * sizeof(UaefDelivery));
	for (int i = 0; i < board->n_ranks && left > 0; i++)
		left -= claim_rank(&board->ranks[i], left, &claim);
	claimed->more |= left == 0;
	if (left > 0 && board->emptied && uaef_board_read(claim.now))
		look_ahead(board, &claim);
	claimed->next = Min(claimed->next, board->later);
	claimed->again = board->again;
	foreach(cell, claim.gates)
		((UaefGate *) lfirst(cell))->reserved = 0;
	uaef_delivery_record_sent(claimed->deliveries, claimed->n);
	uaef_spi_end(caller);
}

static void
store_if_changed(UaefGate *gate, void *arg)
{
	Datum		args[5];
	char		nulls[6] = "     ";

	if (!gate->changed)
		return;
	args[0] = CStringGetTextDatum(gate->name);
	args[1] = CStringGetTextDatum(uaef_breaker_name(gate->breaker));
	args[2] = Int32GetDatum(gate->failures);
	args[3] = TimestampTzGetDatum(gate->opens_at);
	nulls[3] = gate->breaker == UAEF_BREAKER_CLOSED ? 'n' : ' ';
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&store_gate, args, nulls);
	if (gate->breaker != UAEF_BREAKER_HALF_OPEN)
	{
		UaefJson	json;
		UaefEvent	event = {
			.type = gate->breaker == UAEF_BREAKER_OPEN ? "breaker_opened"
			: "breaker_closed",
			.actor_type = "worker",
			.actor_id = "uaef"
		};

		uaef_json_begin(&json);
		uaef_json_text(&json, "gate", gate->name);
		uaef_json_int(&json, "failures", gate->failures);
		event.payload = uaef_json_end(&json);
		(void) uaef_ledger_append(&event, 1);
	}
	gate->changed = false;
}

void
uaef_gates_store(void)
{
	UaefCaller	caller = uaef_spi_begin();

	uaef_gates_walk(store_if_changed, NULL);
	uaef_spi_end(caller);
}

void
uaef_gates_load(void)
{
	UaefCaller	caller = uaef_spi_begin();
	uint64		n = uaef_spi_run(&select_shut, NULL, NULL);
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
	{
		UaefGate   *gate = uaef_gate(uaef_spi_text(i, 1));

		gate->breaker = UAEF_BREAKER_OPEN;
		gate->failures = uaef_spi_int32(i, 2);
		gate->opens_at = DatumGetTimestampTz(uaef_spi_value(i, 3, &isnull));
	}
	uaef_spi_end(caller);
}
