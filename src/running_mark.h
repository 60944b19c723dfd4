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

/*
 * This process is the executor with this slot, and is connected; without it,
 * marks do nothing.
 */
extern void uaef_running_attach(int slot);

/* The task that begins to run; NULL: none runs. */
extern void uaef_running_mark(const UaefTaskRef *ref);

/* The task that this process is at; false: none. */
extern bool uaef_running_current(UaefTaskRef *ref);

/*
 * The task that this database's executor in a slot was at when it went without
 * taking leave; false: none.  Only for slots in which it has none now.
 */
extern bool uaef_running_left(int slot, UaefTaskRef *ref);

/* Forget it. */
extern void uaef_running_forget(int slot);

/* A database is gone, and so is what ran there. */
extern void uaef_running_remove(Oid database);

#endif							/* UAEF_RUNNING_MARK_H */
