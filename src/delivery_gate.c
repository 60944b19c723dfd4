/*-------------------------------------------------------------------------
 *
 * delivery_gate.c
 *	  How many deliveries may be under way to one connector, and to one host.
 *
 * Memory: the table of gates is the process's own, in a context below
 * TopMemoryContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery_gate.h"
#include "guc.h"

/* A breaker that shuts again stays shut twice as long, up to this factor. */
#define MAX_SHUT_FACTOR 16

static const UaefGateLimits defaults = UAEF_GATE_DEFAULTS;

/* From how many gates on those of which nothing is known are forgotten. */
#define MANY_GATES 1000

static HTAB *gates;
static long trim_at = MANY_GATES;

static void refill(UaefGate *gate, TimestampTz now);
static bool is_as_new(UaefGate *gate, TimestampTz now);
static void shut(UaefGate *gate, TimestampTz now);

UaefGate *
uaef_gate(const char *name)
{
	char		key[UAEF_GATE_NAME] = {0};
	UaefGate   *gate;
	bool		found;

	if (gates == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(key),.entrysize = sizeof(UaefGate)};

		gates = hash_create("uaef gates", 64, &info, HASH_ELEM | HASH_STRINGS);
	}
	strlcpy(key, name, sizeof(key));
	gate = hash_search(gates, key, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) gate + sizeof(key), 0,
			   sizeof(UaefGate) - sizeof(key));
		gate->limits = defaults;
	}
	return gate;
}

/*
 * What has trickled into the bucket since it was looked at.
 */
static void
refill(UaefGate *gate, TimestampTz now)
{
	const UaefGateLimits *limits = &gate->limits;

	if (limits->rate_us == 0)
		return;
	if (gate->filled_at == 0)
		gate->tokens = limits->burst;
	else if (now > gate->filled_at)
		gate->tokens += (double) (now - gate->filled_at) / limits->rate_us;
	gate->tokens = Min(gate->tokens, limits->burst);
	gate->filled_at = now;
}

int
uaef_gate_room(UaefGate *gate, int wanted, TimestampTz now, TimestampTz *next)
{
	int			places = gate->limits.max_concurrent ?
		gate->limits.max_concurrent : uaef_http_max_per_gate;
	double		tokens;
	int			room = Min(wanted, Max(places - gate->in_flight - gate->reserved, 0));

	if (gate->held_until > now)
	{
		*next = gate->held_until;
		return 0;
	}
	if (gate->breaker == UAEF_BREAKER_OPEN)
	{
		if (gate->opens_at > now)
		{
			*next = gate->opens_at;
			return 0;
		}
		gate->breaker = UAEF_BREAKER_HALF_OPEN;
		gate->changed = true;
	}
	if (gate->breaker == UAEF_BREAKER_HALF_OPEN)
		room = Min(room, gate->in_flight + gate->reserved > 0 ? 0 : 1);
	if (gate->limits.rate_us > 0 && room > 0)
	{
		refill(gate, now);
		tokens = gate->tokens - gate->reserved;
		if (tokens < 1)
			*next = now + (int64) ((1 - tokens) * gate->limits.rate_us) + 1;
		room = Min(room, Max((int) tokens, 0));
	}
	return room;
}

void
uaef_gate_enter(UaefGate *gate, TimestampTz now)
{
	gate->in_flight++;
	if (gate->limits.rate_us > 0)
	{
		refill(gate, now);
		gate->tokens -= 1;
	}
}

static void
shut(UaefGate *gate, TimestampTz now)
{
	int			factor = Min(1 << Min(gate->shuttings, 10), MAX_SHUT_FACTOR);

	gate->breaker = UAEF_BREAKER_OPEN;
	gate->opens_at = TimestampTzPlusMilliseconds(now,
												 gate->limits.open_ms * factor);
	gate->shuttings++;
	gate->changed = true;
}

void
uaef_gate_leave(UaefGate *gate, UaefGateNews news, TimestampTz now,
				int64 hold_ms)
{
	gate->in_flight = Max(gate->in_flight - 1, 0);
	if (hold_ms > 0)
		gate->held_until = Max(gate->held_until,
							   TimestampTzPlusMilliseconds(now, hold_ms));
	if (news == UAEF_GATE_GOOD)
		uaef_gate_reset(gate);
	if (news != UAEF_GATE_BAD || gate->limits.failures == 0)
		return;
	gate->failures++;
	if (gate->breaker == UAEF_BREAKER_HALF_OPEN ||
		(gate->breaker == UAEF_BREAKER_CLOSED &&
		 gate->failures >= gate->limits.failures))
		shut(gate, now);
}

void
uaef_gate_reset(UaefGate *gate)
{
	gate->failures = 0;
	gate->shuttings = 0;
	if (gate->breaker != UAEF_BREAKER_CLOSED)
	{
		gate->breaker = UAEF_BREAKER_CLOSED;
		gate->changed = true;
	}
}

void
uaef_gates_walk(void (*visit) (UaefGate *gate, void *arg), void *arg)
{
	HASH_SEQ_STATUS scan;
	UaefGate   *gate;

	if (gates == NULL)
		return;
	hash_seq_init(&scan, gates);
	while ((gate = hash_seq_search(&scan)) != NULL)
		visit(gate, arg);
}

/*
 * Whether a gate that is made anew would be the same.
 */
static bool
is_as_new(UaefGate *gate, TimestampTz now)
{
	refill(gate, now);
	return gate->in_flight == 0 && gate->reserved == 0 &&
		gate->breaker == UAEF_BREAKER_CLOSED && !gate->changed &&
		gate->failures == 0 && gate->shuttings == 0 &&
		gate->held_until <= now &&
		(gate->limits.rate_us == 0 || gate->tokens >= gate->limits.burst);
}

void
uaef_gates_trim(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	UaefGate   *gate;

	if (gates == NULL || hash_get_num_entries(gates) < trim_at)
		return;
	hash_seq_init(&scan, gates);
	while ((gate = hash_seq_search(&scan)) != NULL)
	{
		if (is_as_new(gate, now))
			(void) hash_search(gates, gate->name, HASH_REMOVE, NULL);
	}
	trim_at = MANY_GATES + 2 * hash_get_num_entries(gates);
}

void
uaef_gates_forget(void)
{
	if (gates != NULL)
		hash_destroy(gates);
	gates = NULL;
	trim_at = MANY_GATES;
}

const char *
uaef_breaker_name(UaefBreaker breaker)
{
	static const char *const names[] = {
		[UAEF_BREAKER_CLOSED] = "closed",
		[UAEF_BREAKER_OPEN] = "open",
		[UAEF_BREAKER_HALF_OPEN] = "half_open"
	};

	return names[breaker];
}
