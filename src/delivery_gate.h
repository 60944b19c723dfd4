/*-------------------------------------------------------------------------
 *
 * delivery_gate.h
 *	  How many deliveries may be under way to one connector, and to one host.
 *
 * Every connector has a gate, and so has every host.  A gate has a number of
 * places, perhaps a token bucket, and a circuit breaker: after several failures
 * in a row it is shut for a while, then one delivery is let through, and what
 * becomes of that opens it or shuts it again.
 *
 * Gates live in the memory of the process that sends.  A worker that starts
 * anew takes the shut ones from uaef.delivery_gate (delivery_lane.h), and full
 * buckets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_GATE_H
#define UAEF_DELIVERY_GATE_H

#include "datatype/timestamp.h"

#include "connector_type.h"

#define UAEF_GATE_NAME 280

typedef enum UaefBreaker
{
	UAEF_BREAKER_CLOSED,		/* requests go through */
	UAEF_BREAKER_OPEN,			/* none does, until a time */
	UAEF_BREAKER_HALF_OPEN		/* one does, and decides */
} UaefBreaker;

typedef struct UaefGate
{
	char		name[UAEF_GATE_NAME];	/* hash key */
	UaefGateLimits limits;
	char		version[32];	/* of what the limits were read from */
	int			in_flight;
	int			reserved;		/* claimed, but not committed */
	double		tokens;
	TimestampTz filled_at;		/* tokens are as of then; 0: full */
	TimestampTz held_until;		/* the other side asked to wait; 0: not */
	UaefBreaker breaker;
	TimestampTz opens_at;		/* of an open breaker: half open from then */
	int			failures;		/* in a row */
	int			shuttings;		/* of the breaker, in a row */
	bool		changed;		/* the breaker has, since it was stored */
} UaefGate;

/* What an attempt tells a gate. */
typedef enum UaefGateNews
{
	UAEF_GATE_GOOD,				/* it answers */
	UAEF_GATE_BAD,				/* it does not, or is in trouble */
	UAEF_GATE_NOTHING			/* nothing about its health */
} UaefGateNews;

/* A gate by its name; made when there is none. */
extern UaefGate *uaef_gate(const char *name);

/*
 * How many may pass at now, at most wanted.  When none may because of time,
 * *next is when to ask again; when all places are taken it is left alone.
 */
extern int	uaef_gate_room(UaefGate *gate, int wanted, TimestampTz now,
						   TimestampTz *next);

/* One passes, at now; and one is through. */
extern void uaef_gate_enter(UaefGate *gate, TimestampTz now);
extern void uaef_gate_leave(UaefGate *gate, UaefGateNews news,
							TimestampTz now, int64 hold_ms);

/* Forget its failures. */
extern void uaef_gate_reset(UaefGate *gate);

/*
 * When there are many gates, forget those that a new one would be like; nobody
 * may hold a gate that no delivery has entered.
 */
extern void uaef_gates_trim(TimestampTz now);

/* All gates: a walk, and forgetting them. */
extern void uaef_gates_walk(void (*visit) (UaefGate *gate, void *arg),
							void *arg);
extern void uaef_gates_forget(void);

extern const char *uaef_breaker_name(UaefBreaker breaker);

#endif							/* UAEF_DELIVERY_GATE_H */
