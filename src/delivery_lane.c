/*-------------------------------------------------------------------------
 *
 * delivery_lane.c
 *	  Which deliveries are due, and claiming those that the gates let through.
 *
 * The lanes that wait are read by skipping through the index of what is due, an
 * index descent for each lane, however many deliveries it holds.  Of several
 * lanes that are due each gets its share of the room first, and what is left
 * over goes to those that have more.
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
#include "connector_config.h"
#include "delivery_lane.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"

#define WAITS "d.status IN ('pending', 'retry')"

static UaefQuery select_lanes = {
	"WITH RECURSIVE lane AS ("
	" (SELECT d.lane, d.rank FROM uaef.delivery d WHERE " WAITS
	"  ORDER BY d.lane, d.rank LIMIT 1)"
	" UNION ALL"
	" SELECT n.lane, n.rank FROM lane l CROSS JOIN LATERAL"
	"  (SELECT d.lane, d.rank FROM uaef.delivery d WHERE " WAITS
	"   AND (d.lane, d.rank) > (l.lane, l.rank)"
	"   ORDER BY d.lane, d.rank LIMIT 1) n)"
	" SELECT l.lane, l.rank, f.next_attempt_at, coalesce(c.paused, false),"
	"  c.xmin::text, h.xmin::text"
	" FROM lane l CROSS JOIN LATERAL"
	"  (SELECT d.next_attempt_at FROM uaef.delivery d WHERE " WAITS
	"   AND d.lane = l.lane AND d.rank = l.rank"
	"   ORDER BY d.next_attempt_at LIMIT 1) f"
	" LEFT JOIN uaef.connector c"
	"  ON c.name = pg_catalog.regexp_replace(l.lane, '@[^@]*$', '')"
	" LEFT JOIN uaef.host_limit h"
	"  ON h.host = pg_catalog.regexp_replace(l.lane, '^.*@', '')",
	0
};

static UaefQuery claim_due = {
	"WITH due AS (SELECT d.place"
	"  FROM unnest($1, $2) AS w(lane, room) CROSS JOIN LATERAL"
	"  (SELECT d.ctid AS place FROM uaef.delivery d WHERE " WAITS
	"   AND d.lane = w.lane AND d.rank = $3 AND d.next_attempt_at <= $4"
	"   ORDER BY d.next_attempt_at LIMIT w.room"
	"   FOR UPDATE SKIP LOCKED) d),"
	" sending AS (UPDATE uaef.delivery d"
	"  SET status = 'sending', attempt = d.attempt + 1"
	"  FROM due WHERE d.ctid = due.place RETURNING d.*),"
	" begun AS (INSERT INTO uaef.delivery_attempt"
	"  (delivery_id, attempt, worker_pid, started_at)"
	"  SELECT delivery_id, attempt, $5, $4 FROM sending)"
	" SELECT" UAEF_DELIVERY_COLUMNS " FROM sending ORDER BY next_attempt_at",
	5, {TEXTARRAYOID, INT4ARRAYOID, INT2OID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery select_host_limit = {
	"SELECT max_concurrent, rate_us, burst FROM uaef.host_limit"
	" WHERE host = $1",
	1, {TEXTOID}
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

/* A lane's deliveries of one rank. */
typedef struct Lane
{
	char	   *name;
	int			rank;			/* lower ones first */
	TimestampTz first;			/* when its first one is due */
	bool		paused;
	UaefPassage passage;
	int			room;			/* how many may be claimed now */
	int			got;
	bool		drained;		/* fewer came than were asked for */
} Lane;

static void refresh_connector(UaefGate *gate, const char *connector,
							  const char *version);
static void refresh_host(UaefGate *gate, const char *host,
						 const char *version);
static int	read_lanes(Lane **lanes);
static int	compare_lanes(const void *a, const void *b);
static int	lane_room(const Lane *lane, int wanted, TimestampTz now,
					  UaefClaimed *claimed);
static void reserve(Lane *lane, int n);
static int	claim_lanes(Lane **lanes, int n, TimestampTz now,
						UaefClaimed *claimed);
static int	claim_rank(Lane *lanes, int n, int room, TimestampTz now,
					   UaefClaimed *claimed);
static void unreserve(Lane *lane);
static bool is_drained(const Lane *lanes, int n);
static void look_ahead(const Lane *lanes, int n, int left, TimestampTz now,
					   UaefClaimed *claimed);
static int	claim_due_lanes(Lane *lanes, int n, int room, TimestampTz now,
							UaefClaimed *claimed);
static void store_if_changed(UaefGate *gate, void *arg);

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

/*
 * The lanes that have something to send, now or later; returns how many.
 */
static int
read_lanes(Lane **lanes)
{
	int			n = (int) uaef_spi_run(&select_lanes, NULL, NULL);
	char	  **versions = palloc((n + 1) * 2 * sizeof(char *));
	bool		isnull;

	*lanes = palloc0((n + 1) * sizeof(Lane));
	for (int i = 0; i < n; i++)
	{
		Lane	   *lane = &(*lanes)[i];

		lane->name = uaef_spi_text(i, 1);
		lane->rank = DatumGetInt16(uaef_spi_value(i, 2, &isnull));
		lane->first = DatumGetTimestampTz(uaef_spi_value(i, 3, &isnull));
		lane->paused = uaef_spi_bool(i, 4);
		versions[2 * i] = uaef_spi_text(i, 5);
		versions[2 * i + 1] = uaef_spi_text(i, 6);
	}
	for (int i = 0; i < n; i++)
	{
		Lane	   *lane = &(*lanes)[i];
		char	   *at = strrchr(lane->name, '@');

		lane->passage = uaef_delivery_passage(lane->name);
		if (lane->passage.connector != NULL)
			refresh_connector(lane->passage.connector,
							  pnstrdup(lane->name, at - lane->name),
							  versions[2 * i]);
		refresh_host(lane->passage.host, at + 1, versions[2 * i + 1]);
	}
	return n;
}

/*
 * Where there are more lanes than room, who waited longest is first.
 */
static int
compare_lanes(const void *a, const void *b)
{
	const Lane *left = a;
	const Lane *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return strcmp(left->name, right->name);
}

/*
 * How many of a lane both its gates let through; notes when to ask again.
 */
static int
lane_room(const Lane *lane, int wanted, TimestampTz now,
		  UaefClaimed *claimed)
{
	UaefGate   *gates[2] = {lane->passage.connector, lane->passage.host};
	int			room = wanted;

	for (int i = 0; i < lengthof(gates); i++)
	{
		TimestampTz next = DT_NOEND;

		if (gates[i] == NULL)
			continue;
		room = Min(room, uaef_gate_room(gates[i], wanted, now, &next));
		claimed->next = Min(claimed->next, next);
		if (room == 0 && next == DT_NOEND)
			claimed->more = true;
	}
	return room;
}

static void
reserve(Lane *lane, int n)
{
	if (lane->passage.connector != NULL)
		lane->passage.connector->reserved += n;
	lane->passage.host->reserved += n;
}

static void
unreserve(Lane *lane)
{
	if (lane->passage.connector != NULL)
		lane->passage.connector->reserved = 0;
	lane->passage.host->reserved = 0;
}

/*
 * Claim of these lanes as many as each has room for; returns how many.
 */
static int
claim_lanes(Lane **lanes, int n, TimestampTz now, UaefClaimed *claimed)
{
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
	args[3] = TimestampTzGetDatum(now);
	args[4] = Int32GetDatum(MyProcPid);
	got = (int) uaef_spi_run(&claim_due, args, NULL);
	for (int i = 0; i < got; i++)
	{
		UaefDelivery *delivery = &claimed->deliveries[claimed->n++];

		uaef_delivery_read(i, delivery);
		for (int l = 0; l < n; l++)
			lanes[l]->got += strcmp(lanes[l]->name, delivery->lane) == 0;
	}
	return got;
}

/*
 * Claim of the lanes of one rank, at most room; returns how many.  Each pass
 * asks no more lanes than there is room for, and the others after them.
 */
static int
claim_rank(Lane *lanes, int n, int room, TimestampTz now,
		   UaefClaimed *claimed)
{
	Lane	  **open = palloc(n * sizeof(Lane *));
	Lane	  **ask = palloc(n * sizeof(Lane *));
	int			n_open = n;
	int			total = 0;

	for (int i = 0; i < n; i++)
		open[i] = &lanes[i];
	while (n_open > 0 && room > total)
	{
		int			n_now = Min(n_open, room - total);
		int			share = (room - total) / n_now;
		int			n_ask = 0;

		for (int i = 0; i < n_now; i++)
		{
			Lane	   *lane = open[i];

			lane->room = lane_room(lane, share, now, claimed);
			if (lane->room > 0)
			{
				reserve(lane, lane->room);
				ask[n_ask++] = lane;
			}
		}
		n_open -= n_now;
		memmove(open, open + n_now, n_open * sizeof(Lane *));
		if (n_ask > 0)
			total += claim_lanes(ask, n_ask, now, claimed);

		/* Who had as many as asked for may have more. */
		for (int i = 0; i < n_ask; i++)
		{
			reserve(ask[i], ask[i]->got - ask[i]->room);
			if (ask[i]->got == ask[i]->room)
				open[n_open++] = ask[i];
			else
				ask[i]->drained = true;
		}
	}
	return total;
}

static bool
is_drained(const Lane *lanes, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (lanes[i].drained)
			return true;
	}
	return false;
}

/*
 * When the next delivery is due that waits for its time alone.  One that could
 * have been claimed is locked by somebody, and due at once.
 */
static void
look_ahead(const Lane *lanes, int n, int left, TimestampTz now,
		   UaefClaimed *claimed)
{
	for (int i = 0; i < n; i++)
	{
		if (lanes[i].paused)
			continue;
		if (lanes[i].first > now)
			claimed->next = Min(claimed->next, lanes[i].first);
		else if (left > 0 && lane_room(&lanes[i], 1, now, claimed) > 0)
			claimed->next = now;
	}
}

/*
 * Claim of lanes that are due, rank by rank; returns how many.
 */
static int
claim_due_lanes(Lane *lanes, int n, int room, TimestampTz now,
				UaefClaimed *claimed)
{
	int			left = room;

	qsort(lanes, n, sizeof(Lane), compare_lanes);
	for (int first = 0, last; first < n && left > 0; first = last)
	{
		for (last = first + 1; last < n; last++)
		{
			if (lanes[last].rank != lanes[first].rank)
				break;
		}
		left -= claim_rank(&lanes[first], last - first, left, now, claimed);
	}
	return room - left;
}

/*
 * What a lane holds next is read anew only where one gave all that it had.  Any
 * other one has more that is due, for which there is no room.
 */
void
uaef_delivery_claim(int room, UaefClaimed *claimed)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	Lane	   *lanes;
	Lane	   *due;
	int			n;
	int			n_due = 0;
	int			left;

	memset(claimed, 0, sizeof(*claimed));
	uaef_gates_trim(now);
	claimed->next = DT_NOEND;
	claimed->deliveries = MemoryContextAlloc(context,
											 (room + 1) * sizeof(UaefDelivery));
	n = read_lanes(&lanes);
	due = palloc((n + 1) * sizeof(Lane));
	for (int i = 0; i < n; i++)
	{
		if (!lanes[i].paused && lanes[i].first <= now)
			due[n_due++] = lanes[i];
	}
	left = room - claim_due_lanes(due, n_due, room, now, claimed);
	claimed->more |= left == 0;
	if (is_drained(due, n_due))
		n = read_lanes(&lanes);
	look_ahead(lanes, n, left, now, claimed);
	for (int i = 0; i < n_due; i++)
		unreserve(&due[i]);
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
