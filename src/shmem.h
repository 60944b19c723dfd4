/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What the processes of uaef share: who works, who is idle, who waits.
 *
 * One struct of fixed size.  When the library is preloaded it is asked for in
 * advance; otherwise the first user takes it from the slack that the server
 * keeps for such cases, so that start_worker() needs no restart.
 *
 * Locking: slots are claimed and freed, and their plain fields read and
 * written, under the lock.  The atomic fields are read without it by
 * committing transactions (wake.c); what they may see of a slot that changes
 * hands at that moment is another process's latch, and a latch that is set
 * for nothing does no harm.  A process is named by the number of its PGPROC
 * plus one, 0 being none: there are no pointers of a process in here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SHMEM_H
#define UAEF_SHMEM_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

#include "task_ref.h"

#define UAEF_MAX_WORKERS	128 /* databases */
#define UAEF_MAX_EXECUTORS	128
#define UAEF_MAX_WAITERS	128
#define UAEF_MAX_CLAIMERS	256
#define UAEF_MAX_CLAIM_KEYS 32

/* What a database's worker does. */
typedef enum UaefWorkerState
{
	UAEF_WORKER_NONE,			/* none runs */
	UAEF_WORKER_STARTING,		/* it has not found the extension yet */
	UAEF_WORKER_IDLE,
	UAEF_WORKER_BUSY
} UaefWorkerState;

/* What a person should know about a worker besides its state. */
typedef enum UaefWorkerNote
{
	UAEF_NOTE_NONE,
	UAEF_NOTE_ENDED,			/* died; the launcher will start it again */
	UAEF_NOTE_NO_SLOT,			/* no free background worker for it */
	UAEF_NOTE_EXECUTOR_NO_SLOT, /* nor for an executor */
	UAEF_NOTE_EXECUTOR_FAILED,	/* an executor of note_role died */
	UAEF_NOTE_NOLOGIN			/* note_role cannot have an executor */
} UaefWorkerNote;

/* The worker of one database; the slot outlives the process. */
typedef struct UaefWorkerSlot
{
	pg_atomic_uint32 database;	/* InvalidOid: the slot is free */
	pg_atomic_uint32 reasons;	/* UAEF_WAKE_* not yet looked at */
	pg_atomic_uint32 proc;
	pg_atomic_uint32 wanting;	/* it wants to know of idle executors */
	pg_atomic_uint64 timer_news;	/* the first timer set since it looked */
	pid_t		pid;
	UaefWorkerState state;
	UaefWorkerNote note;
	Oid			note_role;
	bool		stopped;		/* by stop_worker(): keep it ended */
	bool		connected;		/* the last start reached the database */
	int			held;			/* commands that want the database alone */
	int			failures;		/* starts in a row that came to nothing */
	TimestampTz since;			/* of state and note */
} UaefWorkerSlot;

/* What an executor does; only IDLE and BUSY ones take work. */
typedef enum UaefExecutorState
{
	UAEF_EXECUTOR_FREE,			/* no executor: the slot is free */
	UAEF_EXECUTOR_STARTING,		/* reserved by a worker */
	UAEF_EXECUTOR_IDLE,
	UAEF_EXECUTOR_BUSY,
	UAEF_EXECUTOR_FAILED		/* died; for the worker to see and free */
} UaefExecutorState;

typedef struct UaefExecutorSlot
{
	pg_atomic_uint32 state;
	pg_atomic_uint32 database;
	pg_atomic_uint32 role;
	pg_atomic_uint32 proc;
	pg_atomic_uint32 end;		/* it was asked to end */
	pg_atomic_uint32 announced; /* somebody is about to commit a task */
	pg_atomic_uint64 news;		/* see ready_news.c */
	pg_atomic_uint64 left_at;
	pid_t		pid;
	TimestampTz started;
	TimestampTz since;			/* of state; written by the executor alone */
	bool		lost;			/* it died while at a task, for the worker */
	UaefTaskRef lost_task;
	TimestampTz count_from;		/* when the worker may count that */
} UaefExecutorSlot;

/* A session in wait_for_workflow(). */
typedef struct UaefWaiterSlot
{
	pg_atomic_uint32 proc;		/* 0: free */
	pg_uuid_t	execution_id;
} UaefWaiterSlot;

/* A session in claim_tasks() that waits for tasks. */
typedef struct UaefClaimerSlot
{
	pg_atomic_uint32 proc;		/* 0: free */
	pg_atomic_uint32 waiting;	/* 1: nobody has woken it yet */
	pg_atomic_uint32 database;
	int			n_keys;			/* 0: too many to be kept, any will do */
	uint32		keys[UAEF_MAX_CLAIM_KEYS];	/* hashes of queues */
} UaefClaimerSlot;

typedef struct UaefShared
{
	LWLock		lock;
	ConditionVariable changed;	/* a worker or an executor came or went */
	pg_atomic_uint32 launcher;	/* its process */
	pid_t		launcher_pid;
	TimestampTz launcher_since;
	pg_atomic_uint32 n_waiters;
	UaefWorkerSlot workers[UAEF_MAX_WORKERS];
	UaefExecutorSlot executors[UAEF_MAX_EXECUTORS];
	UaefWaiterSlot waiters[UAEF_MAX_WAITERS];
	pg_atomic_uint32 n_claimers;
	UaefClaimerSlot claimers[UAEF_MAX_CLAIMERS];
} UaefShared;

/* NULL until this process has attached. */
extern UaefShared *uaef_shared;

/* From _PG_init: ask for the memory if the library is being preloaded. */
extern void uaef_shmem_init(void);

/* Attach, once per process.  Raises if the memory cannot be had. */
extern void uaef_shmem_attach(void);

/* This process, as the slots name it. */
extern uint32 uaef_shmem_me(void);

/* Set the latch of a process of a slot; 0 is nobody. */
extern void uaef_shmem_set_latch(uint32 proc);

/* Let a number be at most this: of ranks and times, which have a sign. */
extern void uaef_shmem_lower(pg_atomic_uint64 *number, int64 to);

/* The slot of a database; NULL if it has none.  Needs no lock. */
extern UaefWorkerSlot *uaef_shmem_worker(Oid database);

/* The same, claimed if need be; NULL if all are taken.  Needs the lock. */
extern UaefWorkerSlot *uaef_shmem_claim_worker(Oid database);

/* Free a slot that nobody has a use for any more.  Needs the lock. */
extern void uaef_shmem_free_worker(UaefWorkerSlot *slot);

/* Note something about a worker, and when.  Needs the lock. */
extern void uaef_shmem_note(UaefWorkerSlot *slot, UaefWorkerNote note,
							Oid role);

#endif							/* UAEF_SHMEM_H */
