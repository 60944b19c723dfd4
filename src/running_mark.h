/*-------------------------------------------------------------------------
 *
 * running_mark.h
 *	  Which SQL task each executor is at, as it is known after a crash.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RUNNING_MARK_H
#define UAEF_RUNNING_MARK_H

#include "task_ref.h"

/* This process is the executor with this slot; without it, marks do nothing. */
extern void uaef_running_attach(int slot);

/* The task that begins to run; NULL: none runs. */
extern void uaef_running_mark(const UaefTaskRef *ref);

/* The task that this process is at; false: none. */
extern bool uaef_running_current(UaefTaskRef *ref);

/*
 * The task that a slot of this database was at when its process went without
 * taking leave; false: none.  Only for slots whose process is gone.
 */
extern bool uaef_running_left(int slot, UaefTaskRef *ref);

/* Forget it. */
extern void uaef_running_forget(int slot);

#endif							/* UAEF_RUNNING_MARK_H */
