/*-------------------------------------------------------------------------
 *
 * schedule.h
 *	  Schedules: workflows that start at times of a clock.
 *
 * A schedule is a row of uaef.schedule.  Its next_tick is the first tick that
 * nothing has been made of yet; its due_at is when the worker is to look at
 * it.  A start and the move of next_tick are one commit, under the lock of the
 * row: so a tick starts one execution, whatever crashes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SCHEDULE_H
#define UAEF_SCHEDULE_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "schedule_time.h"

/* What becomes of ticks that came while nothing could be started. */
typedef enum UaefMissed
{
	UAEF_MISSED_SKIP,			/* nothing, but the last if it is fresh */
	UAEF_MISSED_ONE,			/* one run for all of them */
	UAEF_MISSED_ALL				/* one run each */
} UaefMissed;

/* What becomes of a tick while an execution of the schedule is open. */
typedef enum UaefOverlap
{
	UAEF_OVERLAP_ALLOW,			/* another one is started */
	UAEF_OVERLAP_SKIP,			/* nothing */
	UAEF_OVERLAP_QUEUE			/* it waits, and is late then */
} UaefOverlap;

/* A row, and its ticks compiled; in the current memory context. */
typedef struct UaefSchedule
{
	int			id;
	char	   *name;
	char	   *workflow;
	int			version;		/* 0: the newest */
	char	   *timezone;
	Jsonb	   *input;			/* a template */
	UaefMissed	missed;
	UaefOverlap overlap;
	int64		jitter_us;
	int			priority;
	bool		paused;
	Oid			owner;
	TimestampTz next_tick;		/* DT_NOEND: none */
	int			failures;		/* since the last success */
	Datum		running;		/* uuid[]: executions that may be open */
	UaefTicks	ticks;
} UaefSchedule;

/*----------
 * Reading; the identity must be the owner of our tables.
 * ----------
 */

/* Lock a schedule by its name; raises UA350 when there is none. */
extern UaefSchedule *uaef_schedule_lock(const char *name);

/* The same, and raise unless caller is a member of the role that owns it. */
extern UaefSchedule *uaef_schedule_lock_own(const char *name, Oid caller);

/*
 * The number of the one that is due first and that nobody else holds, locked;
 * 0: none, then *next is when to look again (DT_NOEND: never).
 */
extern int	uaef_schedule_lock_due(TimestampTz now, TimestampTz *next);

/* A schedule that is locked already. */
extern UaefSchedule *uaef_schedule_read(int id);

/* Raise unless its workflow and its input can be used. */
extern void uaef_schedule_check(const UaefSchedule *schedule);

/* Its input for a tick; raises UA202 and its kin for a bad path. */
extern Jsonb *uaef_schedule_input(const UaefSchedule *schedule,
								  TimestampTz tick);

/* When a tick is to be looked at: it may come later by its jitter. */
extern TimestampTz uaef_schedule_due(const UaefSchedule *schedule,
									 TimestampTz tick);

/* A calendar of days without work; raises UA350 when there is none. */
extern UaefCalendar *uaef_calendar_load(const char *name);

/* A time zone; raises 22023 for a name that is none. */
extern const pg_tz *uaef_schedule_zone(const char *name);

/* What clocks of a zone show, in ISO 8601 with the offset; palloc'd. */
extern char *uaef_schedule_local(const pg_tz *zone, TimestampTz tick);

/*----------
 * Changing, as the current user.
 * ----------
 */

/* The arguments of uaef.create_schedule(), in the order of the SQL function. */
#define UAEF_SCHEDULE_ARGS 15

extern void uaef_schedule_create(Datum *args, const char *nulls);
extern void uaef_schedule_alter(const char *name, Jsonb *changes);
extern void uaef_schedule_drop(const char *name);
extern void uaef_schedule_pause(const char *name, bool pause);

extern void uaef_calendar_create(const char *name, Datum weekdays);
extern void uaef_calendar_drop(const char *name);
extern void uaef_calendar_exclude(const char *name, Datum first, Datum last,
								  const char *note);
extern void uaef_calendar_include(const char *name, Datum first, Datum last);

/* Record what happened to a schedule or a calendar. */
extern void uaef_schedule_event(const char *type, const char *actor_type,
								const char *actor_id, Jsonb *payload);

/*----------
 * Starting
 * ----------
 */

/*
 * Make of one tick what its schedule says; false when none is due.  *next is
 * when to look again (DT_NOEND: not before somebody changes something).
 */
extern bool uaef_schedule_fire(TimestampTz *next);

/* Start an execution now, beside the ticks; returns its id. */
extern pg_uuid_t uaef_schedule_run_now(const char *name);

#endif							/* UAEF_SCHEDULE_H */
