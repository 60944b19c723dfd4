/*-------------------------------------------------------------------------
 *
 * start_once.h
 *	  Starts of which only one execution may come: singletons, debounce.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_START_ONCE_H
#define UAEF_START_ONCE_H

#include "execution.h"

/* Raise 22023 for keys that do not go together. */
extern void uaef_start_once_check(const UaefStart *start);

/*
 * Whether the start's key has an execution already that stands for it; *id is
 * its id.  One that debounces is locked, and has the start's input and a later
 * time afterwards; the caller writes the step.  When there is none, *id is the
 * execution that had the key before, or zeros.
 */
extern bool uaef_start_once_find(UaefStep *step, const UaefStart *start,
								 Oid caller, pg_uuid_t *id);

/*
 * Take the key for a new execution, from the one that had it before; false when
 * somebody else was faster.  Waits for whoever is just taking it.
 */
extern bool uaef_start_once_take(UaefExecution *execution,
								 const UaefStart *start,
								 const pg_uuid_t *before);

/*
 * Take the singleton key of an execution that is retried; raises UA305 while
 * another one that is open has it.
 */
extern void uaef_start_once_again(UaefExecution *execution);

/* The timer "debounce": begin, or wait for the time that it was put off to. */
extern void uaef_start_once_fire(UaefExecution *execution);

#endif							/* UAEF_START_ONCE_H */
