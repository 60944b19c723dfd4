/*-------------------------------------------------------------------------
 *
 * execution.h
 *	  Executions and their tasks in memory, for the length of one step.
 *
 * A step is what one transaction does to some executions: it locks and loads
 * them (uaef_step_lock), lets advance.c change them in memory, and writes all
 * changes at once (uaef_step_write).  Nothing of it survives the step.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXECUTION_H
#define UAEF_EXECUTION_H

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "definition.h"
#include "engine.h"
#include "json_util.h"
#include "ledger.h"
#include "transition.h"

typedef struct UaefStep UaefStep;
typedef struct UaefExecution UaefExecution;
typedef struct UaefTask UaefTask;
typedef struct UaefDryRun UaefDryRun;	/* explain.h */
typedef struct UaefFamily UaefFamily;	/* family.c */

/* A task, or an item of a map task. */
struct UaefTask
{
	UaefExecution *execution;
	const UaefTaskDef *def;		/* of an item: the map's inner task; of a
								 * compensation: it */
	int16		no;
	int32		item;			/* UAEF_NO_ITEM, UAEF_COMPENSATION */
	int64		task_id;

	bool		stored;			/* has a row */
	ItemPointerData tid;		/* where, if so */
	bool		ours;			/* our own transaction wrote it */
	bool		dirty;			/* differs from its row */

	UaefTaskStatus status;
	int			attempt;
	int			edges_resolved;
	int			edges_live;
	int			items_total;	/* -1: no map */
	int			items_started;
	int			items_completed;
	int			items_failed;
	bool		filling;		/* of a map: items are being begun */
	int			fetch_size;		/* of a map: items looked at together */
	Jsonb	   *item_value;
	Jsonb	   *output;
	Jsonb	   *error;
	char	   *worker;
	bool		has_lease;
	pg_uuid_t	lease_token;
	TimestampTz lease_expires_at;	/* times: 0 is null */
	TimestampTz queued_at;
	TimestampTz started_at;
	TimestampTz completed_at;
	char	   *label;			/* what "on" of edges was compared with */
	int			attempts_before;	/* made before the execution was retried */
	int			losses;			/* attempts that took their process along */
	int			items_redo;		/* of a map: items to be begun again */
	Jsonb	   *progress;		/* of an outside worker */
	Jsonb	   *overrides;		/* of alter_task(); in force in def */
	bool		has_child;		/* of a workflow task: it has begun one */
	pg_uuid_t	child_id;		/* the last one */
	int			runs;			/* of a workflow task: in this attempt */
};

/*
 * What befell tasks without an event of their own: it is named in the event
 * that caused it, the last one before it in the step, so that few events tell
 * all that a commit changed, and in its order.
 */
typedef enum UaefNoteKind
{
	UAEF_NOTE_QUEUED,			/* queued, or handed out at once */
	UAEF_NOTE_COMPLETED,		/* by itself: nobody ran it */
	UAEF_NOTE_SKIPPED,
	UAEF_NOTE_CANCELLED
} UaefNoteKind;

#define UAEF_N_NOTES (UAEF_NOTE_CANCELLED + 1)

/* A task, or a run of items of one. */
typedef struct UaefNote
{
	int16		no;
	int32		first_item;
	int32		last_item;
} UaefNote;

struct UaefExecution
{
	UaefStep   *step;
	pg_uuid_t	id;
	const UaefDefinition *def;

	bool		stored;			/* has a row */
	ItemPointerData tid;		/* where, if so */
	bool		ours;			/* our own transaction wrote the row */
	bool		dirty;
	UaefExecutionStatus status;
	char	   *name;
	int			priority;
	int			open_tasks;		/* tasks, not items, that have not ended */
	int			stored_open_tasks;	/* as the row has it */
	Oid			initiated_by;
	Oid			session_role;	/* who was logged in, before any SET ROLE */
	void	   *stored_input;	/* as the row has it */
	Jsonb	   *input;			/* by uaef_execution_input(); NULL: not read */
	Jsonb	   *output;
	Jsonb	   *error;
	TimestampTz created_at;
	TimestampTz started_at;
	TimestampTz completed_at;
	int			schedule_id;	/* that started it; 0: none */
	TimestampTz tick_at;		/* for which tick */
	int64		timeout_ms;		/* until its deadline; 0: none */
	TimestampTz deadline_at;	/* 0: none */
	bool		is_fork;
	pg_uuid_t	forked_from;	/* if so */
	char	   *singleton_key;	/* NULL: none */
	char	   *agent;			/* id of the last that completed a task; NULL */
	bool		has_parent;		/* a task of another one began it */
	pg_uuid_t	parent_id;
	int64		parent_task_id;
	UaefTask   *parent_task;	/* where the step began it, else NULL */
	int			depth;			/* 0: nobody's child */
	pg_uuid_t	root_id;		/* of what somebody started; own, if that */
	int			children;		/* of that: begun by its own tasks */
	bool		lineage_known;	/* is_wanted tells */
	bool		is_wanted;		/* by all that are above it */
	UaefFamily *family;			/* NULL: not looked for yet */
	bool		is_ending;		/* what it did is being compensated */
	UaefExecutionStatus ending; /* what it will be then */
	bool		no_compensation;	/* it is to end without */
	bool		compensate_next;	/* the next compensation may begin */

	UaefTask  **tasks;			/* by number; NULL: not looked at yet */
	bool		rows_known;		/* of which tasks there are rows: rows tells */
	Bitmapset  *rows;
	List	   *items;			/* UaefTask * of items looked at */
	HTAB	   *item_index;		/* the same by number; NULL: none yet */
	List	   *ready;			/* UaefTask * to be begun by advance.c */
	int			last_event;		/* in the step's events, or -1 */
	List	   *notes[UAEF_N_NOTES];	/* UaefNote *, for that event */
	UaefScope	scope;			/* its data, for paths; task_arg is this */
};

/* A row to be written to task_timer. */
typedef struct UaefTimerRow
{
	pg_uuid_t	execution_id;
	TimestampTz due_at;
	int16		task_no;		/* -1: the execution's own */
	int32		item;
	int			attempt;
	const char *kind;
} UaefTimerRow;

struct UaefStep
{
	TimestampTz now;
	MemoryContext context;		/* of all that the step holds */
	Oid			task_sequence;	/* of task ids */
	const char *actor_type;		/* who does it: "user", "system", "worker" */
	const char *actor_id;
	List	   *executions;		/* UaefExecution * */
	HTAB	   *by_id;			/* the same by id; NULL: they are few */
	List	   *ready;			/* UaefTask * for task_ready */
	List	   *timers;			/* UaefTimerRow * */
	List	   *limit_requests; /* UaefLimitRequest *, see limit.h */
	List	   *limit_releases; /* the same, without keys */
	List	   *agent_ends;		/* UaefAgentEnd *, of agent_task.c */
	UaefEvent  *events;			/* in the order in which they happened */
	int			n_events;
	int			max_events;
	int			n_tasks;		/* in memory */

	/* For workflow_task.c, which sees to them before the step is written. */
	List	   *begun;			/* UaefExecution * of children to begin */
	List	   *ended;			/* UaefExecution * of children that ended */
	List	   *unwanted;		/* UaefUnwanted * */
	List	   *families;		/* UaefFamily * */
	UaefDryRun *dry;			/* nothing is to be done; NULL: it is */
};

/* A child whose parent no longer waits for it. */
typedef struct UaefUnwanted
{
	pg_uuid_t	id;
	bool		compensate;
} UaefUnwanted;

/*
 * Begin a step by this actor, in the current memory context, which must live
 * as long as the step.  The identity must be the owner (uaef_spi_begin()).
 */
extern UaefStep *uaef_step_begin(const char *actor_type, const char *actor_id);

/*
 * Lock and load executions; an id that does not exist is left out.  Those
 * that the step has already are not loaded again.
 */
extern void uaef_step_lock(UaefStep *step, const pg_uuid_t *ids, int n);

/* The same, but what somebody else holds is left out too. */
extern void uaef_step_try_lock(UaefStep *step, const pg_uuid_t *ids, int n);

/*
 * Load executions as they are, without a lock: good only for what never
 * changes, and for a look at the rest that is checked again under the lock.
 */
extern void uaef_step_peek(UaefStep *step, const pg_uuid_t *ids, int n);

/* The loaded execution of this id, or NULL. */
extern UaefExecution *uaef_step_execution(UaefStep *step, const pg_uuid_t *id);

/* A new execution, to be written with the step. */
extern UaefExecution *uaef_step_new_execution(UaefStep *step,
											  const UaefDefinition *def);

/* The same for one that a task begins; it sorts after the task's execution. */
extern UaefExecution *uaef_step_new_child(UaefTask *task,
										  const UaefDefinition *def);

/* Write all that changed, record the events, settle what completed. */
extern void uaef_step_write(UaefStep *step);

/* Write the changed tasks of an execution now, so that SQL can read them. */
extern void uaef_step_write_tasks(UaefStep *step);

/*
 * Write what changed so far, and the events: what is done next reads it, or
 * tells the ledger of something that comes after.
 */
extern void uaef_step_write_so_far(UaefStep *step);

/* What was named so far does not belong to the events that are to come. */
extern void uaef_step_end_notes(UaefStep *step);

/* A task by its number: its row, or a new one that is pending. */
extern UaefTask *uaef_execution_task(UaefExecution *execution, int no);

/* A new item of a map, pending. */
extern UaefTask *uaef_execution_new_item(UaefExecution *execution,
										 UaefTask *map, int item,
										 Jsonb *value);

/* What undoes a task, pending. */
extern UaefTask *uaef_execution_new_compensation(UaefExecution *execution,
												 int no);

/* An item that the step has looked at, or NULL. */
extern UaefTask *uaef_execution_known_item(UaefExecution *execution, int no,
										   int item);

/* Look at the items of a map from first on, at most n, with one query. */
extern void uaef_execution_fetch_items(UaefExecution *execution, int no,
									   int first, int n);

/* The input, which may be large and is read when somebody asks for it. */
extern Jsonb *uaef_execution_input(UaefExecution *execution);

/* Whether a task may have a row that was not looked at yet. */
extern bool uaef_execution_may_have_row(const UaefExecution *execution,
										int no);

/* Look at many tasks and items at once, of executions that the step has. */
extern void uaef_step_fetch(UaefStep *step, const UaefTaskRef *refs, int n);

/* Task or item; NULL when it has no row. */
extern UaefTask *uaef_execution_find(UaefExecution *execution, int no,
									 int item);

/* Make an ended task pending, as if it had not run; its attempts stay counted. */
extern void uaef_task_reset(UaefTask *task);

/* Change a task's state; an illegal change is a bug of ours. */
extern void uaef_task_become(UaefTask *task, UaefTaskStatus status);

/* Load every task and item that has not ended; returns them. */
extern List *uaef_execution_open_tasks(UaefExecution *execution);

/* Load the row of every task, but not those of items. */
extern void uaef_execution_load_tasks(UaefExecution *execution);

/*
 * Have the items of a map that ended otherwise than completed begin again, of
 * which no step knows any; and take up to limit of them.
 */
extern void uaef_execution_mark_items_to_redo(UaefExecution *execution,
											  int no);
extern List *uaef_execution_items_to_redo(UaefExecution *execution, int no,
										  int limit);

/* Forget the items of a map, which is to begin anew. */
extern void uaef_execution_delete_items(UaefExecution *execution, int no);

/* The outputs of a map's completed items, as an array in their order. */
extern Jsonb *uaef_execution_item_outputs(UaefExecution *execution, int no);

/* The outputs of tasks by number, as an object by task id. */
extern Jsonb *uaef_execution_outputs(UaefExecution *execution,
									 const int *nos, int n);

/* The scope in which a task's templates and conditions are evaluated. */
extern UaefScope *uaef_task_scope(UaefTask *task);

/* sys and the rest of the scope, brought up to date. */
extern UaefScope *uaef_execution_scope(UaefExecution *execution);

/* Have an execution that has not ended fail so long after this. */
extern void uaef_execution_set_deadline(UaefExecution *execution,
										TimestampTz from);

/* Note an event of an execution (and of a task, or NULL). */
extern void uaef_step_event(UaefExecution *execution, UaefTask *task,
							const char *type, Jsonb *payload);

/* Name a task in the last event of its execution. */
extern void uaef_step_note(UaefTask *task, UaefNoteKind kind);

/*
 * The same for one that completed by itself; false when it is to have an event
 * of its own, for there is none to name it in, or that names many already.
 */
extern bool uaef_step_note_completed(UaefTask *task);

/* Note a timer; task NULL: of the execution. */
extern void uaef_step_timer(UaefExecution *execution, UaefTask *task,
							const char *kind, TimestampTz due_at);

/* The same for an execution that the step may not have. */
extern void uaef_step_timer_of(UaefStep *step, const pg_uuid_t *execution_id,
							   const char *kind, TimestampTz due_at);

/*
 * Take a task out of the ready set; false when it is not there, or somebody
 * is just claiming it.
 */
extern bool uaef_step_unready(UaefTask *task);

/*
 * The same for one of perhaps many that end without having run, and need not be
 * there at all: one that is not where it would be queued now is left to whoever
 * claims it, and drops it.
 */
extern void uaef_step_unready_ended(UaefTask *task);

/*
 * Whether a task may stand in task_ready: it is queued, or it waits for a
 * query, which is run many times while the task is running.
 */
extern bool uaef_task_stands_ready(const UaefTask *task);

/* The queue of task_ready that a task belongs to, and as whom it runs. */
extern const char *uaef_task_queue(const UaefTask *task);
extern Oid	uaef_task_run_as(const UaefTask *task);

/*
 * Where it stands in there, lowest first: the time at which it was queued, less
 * what its priority is worth.  So a low priority waits longer, but not for ever.
 */
extern int64 uaef_task_rank(const UaefTask *task);
extern int64 uaef_rank(TimestampTz queued_at, int64 priority);

#endif							/* UAEF_EXECUTION_H */
