/*-------------------------------------------------------------------------
 *
 * ledger_table_pending.c
 *	  Changes of ledgered rows that wait to be recorded together.
 *
 * An event that is made between two statements of an app finds the processor's
 * caches full of other things, and leaves them so; made one after the other
 * events cost half as much.  So the trigger only notes the change: both versions
 * of the row, who made it, when, and by which command.  What waits is recorded
 * when it is many, when the transaction is about to end, and before anybody
 * could tell that it waited:
 *
 *	- a query of this transaction on the table of events (ExecutorStart);
 *	- code of ours that reads it without the executor (uaef_pending_rows_write());
 *	- another event, which has to come after it (uaef_before_append);
 *	- a command that may alter tables, roles or triggers (ProcessUtility).
 *
 * An event of before has the number of its change's command, so that a query
 * with an older snapshot, like that of a STABLE function, sees of events what
 * it would see had they been recorded at once.
 *
 * A subtransaction may record what had waited when it began, and then fail.  So
 * a change that it did not make itself is kept until it ends, and waits again
 * if it does.  A change is gone with the subtransaction that made it.
 *
 * Who changed a row is who makes its event, for that may run a type's output
 * function.  What cannot wait is recorded at once: a row with values that are
 * stored apart, for what it points to could be gone by then; a change within a
 * command that may alter tables, in a security-restricted operation, or within
 * such an output function; one that another module makes when the transaction
 * ends and we have written already; and all if the library was not preloaded,
 * for then it may have been loaded in that moment.
 *
 * Locking: who changed the row holds a lock of the table until the transaction
 * ends.  Memory: a context below TopTransactionContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "identity.h"
#include "ledger_table_pending.h"
#include "ledger_table_row.h"

/* So many wait at most, but for those that a subtransaction has recorded. */
#define MAX_WAITING	64

typedef struct PendingRow
{
	Oid			relation;
	int64		table_id;
	uint64		layout;
	HeapTuple	old;			/* NULL: the row came */
	HeapTuple	new;			/* NULL: it went */
	UaefCaller	maker;
	UaefOrigin	origin;
	SubTransactionId made_in;
	SubTransactionId written_in;	/* InvalidSubTransactionId: it waits */
} PendingRow;

/* What is pending in this transaction. */
typedef struct Pending
{
	MemoryContext context;		/* NULL: nothing was yet */
	PendingRow *rows;
	int			n;
	int			room;
	int			waiting;		/* those of n that are not written */
	bool		writing;
	bool		altering;		/* within a command that may alter tables */
	bool		ending;			/* the transaction is, and we have written */
} Pending;

/* A table whose rows are being recorded. */
typedef struct OpenTable
{
	Relation	rel;			/* NULL: none */
	TupleTableSlot *old;
	TupleTableSlot *new;
} OpenTable;

static Pending pending;
static bool may_wait = false;

static ExecutorStart_hook_type previous_start = NULL;
static ProcessUtility_hook_type previous_utility = NULL;

static void on_start(QueryDesc *query, int flags);
static bool leaves_tables_alone(const Node *command);
static void on_utility(PlannedStmt *pstmt, const char *text,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void at_xact_end(XactEvent event, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId own,
						   SubTransactionId parent, void *arg);
static int64 table_id_of(const TriggerData *trigger);
static void check_called(const TriggerData *trigger, const char *function,
						 bool good);
static void changed_row(const TriggerData *trigger, TupleTableSlot **old,
						TupleTableSlot **new);
static bool is_stored_apart(TupleTableSlot *slot);
static bool can_wait(TupleTableSlot *old, TupleTableSlot *new);
static const char *kept_application_name(void);
static PendingRow *new_row(void);
static void free_row(PendingRow *row);
static void add_row(const UaefTablePlan *plan, TupleTableSlot *old,
					TupleTableSlot *new);
static void open_table(OpenTable *table, Oid relation);
static void close_table(OpenTable *table);
static void store_version(HeapTuple tuple, TupleTableSlot *slot);
static void require_layout(const UaefTablePlan *plan, const PendingRow *row);
static int	events_of(OpenTable *table, const PendingRow *row,
					  UaefEvent *events);
static void write_waiting(void);
static void explain_where(void *arg);
static void note_written(void);
static void undo(SubTransactionId aborted);
static void hand_over(SubTransactionId committed, SubTransactionId parent);
static void drop_settled(void);

/* ----------
 * Who may notice
 * ----------
 */

void
uaef_pending_rows_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = on_start;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	uaef_before_append = uaef_pending_rows_write;
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
	may_wait = process_shared_preload_libraries_in_progress;
}

/*
 * A parallel worker could neither see what waits here nor record it.
 */
static void
on_start(QueryDesc *query, int flags)
{
	if (pending.waiting > 0 &&
		(query->plannedstmt->parallelModeNeeded ||
		 list_member_oid(query->plannedstmt->relationOids,
						 uaef_ledger_event_table())))
		uaef_pending_rows_write();
	if (previous_start != NULL)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/*
 * Commands that change nothing of what an event says of a row; the queries in
 * them come by on_start().
 */
static bool
leaves_tables_alone(const Node *command)
{
	switch (nodeTag(command))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_CallStmt:
		case T_DoStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_ExplainStmt:
		case T_ConstraintsSetStmt:
		case T_LockStmt:
		case T_NotifyStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
			return true;
		default:
			return false;
	}
}

static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility != NULL ?
		previous_utility : standard_ProcessUtility;
	bool		altering = pending.altering;

	if (!leaves_tables_alone(pstmt->utilityStmt))
	{
		uaef_pending_rows_write();

		/* COPY may be of the ledger, but alters no table. */
		pending.altering |= !IsA(pstmt->utilityStmt, CopyStmt);
	}
	PG_TRY();
	{
		next(pstmt, text, read_only_tree, context, params, environment, dest,
			 completion);
	}
	PG_FINALLY();
	{
		pending.altering = altering;
	}
	PG_END_TRY();
}

/*
 * The memory goes with the transaction's.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			uaef_pending_rows_write();
			pending.ending = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			memset(&pending, 0, sizeof(pending));
			break;
		default:
			break;
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId own,
			   SubTransactionId parent, void *arg)
{
	/* One that begins and ends while we are writing concerns no row of ours. */
	if (pending.n == 0 || pending.writing)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		undo(own);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		hand_over(own, parent);
}

/* ----------
 * The triggers
 * ----------
 */

/*
 * The number of the attachment, which is the argument of our triggers.
 */
static int64
table_id_of(const TriggerData *trigger)
{
	if (trigger->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" was not made by uaef.attach_ledger()",
						trigger->tg_trigger->tgname)));
	return strtoll(trigger->tg_trigger->tgargs[0], NULL, 10);
}

static void
check_called(const TriggerData *trigger, const char *function, bool good)
{
	if (!TRIGGER_FIRED_AFTER(trigger->tg_event) || !good)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function \"%s\" was not called as it must be",
						function),
				 errhint("Use uaef.attach_ledger().")));
}

static void
changed_row(const TriggerData *trigger, TupleTableSlot **old,
			TupleTableSlot **new)
{
	*old = TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? NULL :
		trigger->tg_trigslot;
	*new = TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? trigger->tg_trigslot :
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? NULL :
		trigger->tg_newslot;
}

static bool
is_stored_apart(TupleTableSlot *slot)
{
	bool		should_free;
	HeapTuple	tuple;
	bool		apart;

	if (slot == NULL)
		return false;
	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	apart = HeapTupleHasExternal(tuple);
	if (should_free)
		heap_freetuple(tuple);
	return apart;
}

static bool
can_wait(TupleTableSlot *old, TupleTableSlot *new)
{
	return may_wait && !pending.writing && !pending.altering &&
		!pending.ending && !InSecurityRestrictedOperation() &&
		!is_stored_apart(old) && !is_stored_apart(new);
}

void
uaef_pending_row_add(TriggerData *trigger)
{
	UaefRowVersions versions = {0};
	UaefEvent	events[UAEF_ROW_MAX_EVENTS];

	check_called(trigger, "ledger_row",
				 TRIGGER_FIRED_FOR_ROW(trigger->tg_event));
	versions.plan = uaef_table_plan(trigger->tg_relation, table_id_of(trigger));
	changed_row(trigger, &versions.old, &versions.new);
	if (can_wait(versions.old, versions.new))
	{
		add_row(versions.plan, versions.old, versions.new);
		if (pending.waiting >= MAX_WAITING)
			uaef_pending_rows_write();
		return;
	}
	uaef_append_row_events(events, uaef_row_events(&versions, events));
}

void
uaef_pending_truncate(TriggerData *trigger)
{
	check_called(trigger, "ledger_truncate",
				 TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event));
	uaef_table_record_truncate(uaef_table_plan(trigger->tg_relation,
											   table_id_of(trigger)));
}

/* ----------
 * Waiting
 * ----------
 */

/*
 * The application's name as of now, once for all rows that have the same.
 */
static const char *
kept_application_name(void)
{
	const char *name = application_name != NULL ? application_name : "";

	if (pending.n > 0)
	{
		const char *last = pending.rows[pending.n - 1].origin.application_name;

		if (strcmp(last, name) == 0)
			return last;
	}
	return MemoryContextStrdup(pending.context, name);
}

static PendingRow *
new_row(void)
{
	if (pending.context == NULL)
		pending.context = AllocSetContextCreate(TopTransactionContext,
												"uaef pending rows",
												ALLOCSET_DEFAULT_SIZES);
	if (pending.rows == NULL)
	{
		pending.room = MAX_WAITING;
		pending.rows = MemoryContextAlloc(pending.context,
										  pending.room * sizeof(PendingRow));
	}
	else if (pending.n == pending.room)
	{
		pending.room *= 2;
		pending.rows = repalloc_huge(pending.rows,
									 pending.room * sizeof(PendingRow));
	}
	return &pending.rows[pending.n];
}

static void
free_row(PendingRow *row)
{
	if (row->old != NULL)
		heap_freetuple(row->old);
	if (row->new != NULL)
		heap_freetuple(row->new);
}

static void
add_row(const UaefTablePlan *plan, TupleTableSlot *old, TupleTableSlot *new)
{
	PendingRow *row = new_row();
	MemoryContext caller = MemoryContextSwitchTo(pending.context);

	row->relation = plan->relation;
	row->table_id = plan->table_id;
	row->layout = plan->layout;
	row->old = old == NULL ? NULL : ExecCopySlotHeapTuple(old);
	row->new = new == NULL ? NULL : ExecCopySlotHeapTuple(new);
	GetUserIdAndSecContext(&row->maker.user, &row->maker.sec_context);
	row->origin.user = row->maker.user;
	row->origin.session_user = GetSessionUserId();
	row->origin.outer_user = GetOuterUserId();
	row->origin.application_name = kept_application_name();
	row->origin.at = GetCurrentTimestamp();
	row->origin.command = GetCurrentCommandId(true);
	row->made_in = GetCurrentSubTransactionId();
	row->written_in = InvalidSubTransactionId;
	MemoryContextSwitchTo(caller);
	pending.n++;
	pending.waiting++;
}

/* ----------
 * Recording
 * ----------
 */

static void
close_table(OpenTable *table)
{
	if (table->rel == NULL)
		return;
	ExecDropSingleTupleTableSlot(table->old);
	ExecDropSingleTupleTableSlot(table->new);
	table_close(table->rel, NoLock);
	table->rel = NULL;
}

static void
open_table(OpenTable *table, Oid relation)
{
	TupleDesc	desc;

	if (table->rel != NULL && RelationGetRelid(table->rel) == relation)
		return;
	close_table(table);
	table->rel = table_open(relation, NoLock);
	desc = RelationGetDescr(table->rel);
	table->old = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	table->new = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
}

static void
store_version(HeapTuple tuple, TupleTableSlot *slot)
{
	if (tuple != NULL)
		ExecStoreHeapTuple(tuple, slot, false);
}

/*
 * Commands that alter a table find nothing waiting; other modules may do it in
 * their own ways.
 */
static void
require_layout(const UaefTablePlan *plan, const PendingRow *row)
{
	if (plan->layout != row->layout)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("ledgered table %s was altered before changes of its rows were recorded",
						uaef_relation_name(row->relation)),
				 errhint("Alter it by SQL, or in another transaction.")));
}

static int
events_of(OpenTable *table, const PendingRow *row, UaefEvent *events)
{
	UaefRowVersions versions = {.origin = &row->origin};

	open_table(table, row->relation);
	versions.plan = uaef_table_plan(table->rel, row->table_id);
	require_layout(versions.plan, row);
	store_version(row->old, table->old);
	store_version(row->new, table->new);
	versions.old = row->old == NULL ? NULL : table->old;
	versions.new = row->new == NULL ? NULL : table->new;
	return uaef_row_events(&versions, events);
}

static void
write_waiting(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef events of rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	UaefEvent  *events = palloc(sizeof(UaefEvent) * UAEF_ROW_MAX_EVENTS *
								pending.waiting);
	OpenTable	table = {0};
	UaefCaller	here;
	int			n = 0;

	GetUserIdAndSecContext(&here.user, &here.sec_context);
	for (int i = 0; i < pending.n; i++)
	{
		if (pending.rows[i].written_in != InvalidSubTransactionId)
			continue;
		uaef_become_caller(pending.rows[i].maker);
		n += events_of(&table, &pending.rows[i], &events[n]);
	}
	uaef_become_caller(here);
	close_table(&table);
	uaef_append_row_events(events, n);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * An error comes with a statement that has nothing to do with it.
 */
static void
explain_where(void *arg)
{
	errcontext("recording changes of rows of ledgered tables");
}

/*
 * That the transaction has become one that only reads does not concern what it
 * has changed before.
 */
void
uaef_pending_rows_write(void)
{
	ErrorContextCallback context = {error_context_stack, explain_where, NULL};
	bool		read_only = XactReadOnly;
	bool		push = !ActiveSnapshotSet();

	if (pending.waiting == 0 || pending.writing)
		return;
	error_context_stack = &context;
	pending.writing = true;
	XactReadOnly = false;
	PG_TRY();
	{
		if (push)
			PushActiveSnapshot(GetTransactionSnapshot());
		write_waiting();
		if (push)
			PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		pending.writing = false;
		XactReadOnly = read_only;
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	note_written();
}

/* ----------
 * Subtransactions
 * ----------
 */

static void
note_written(void)
{
	SubTransactionId current = GetCurrentSubTransactionId();

	for (int i = 0; i < pending.n; i++)
		if (pending.rows[i].written_in == InvalidSubTransactionId)
			pending.rows[i].written_in = current;
	pending.waiting = 0;
	drop_settled();
}

/*
 * Forget the rows that were recorded where they were changed, so that nothing
 * can be undone of the one without the other.
 */
static void
drop_settled(void)
{
	int			kept = 0;

	for (int i = 0; i < pending.n; i++)
	{
		if (pending.rows[i].written_in == pending.rows[i].made_in)
			free_row(&pending.rows[i]);
		else
			pending.rows[kept++] = pending.rows[i];
	}
	pending.n = kept;
	if (kept > 0 || pending.context == NULL)
		return;
	MemoryContextReset(pending.context);
	pending.rows = NULL;
}

static void
undo(SubTransactionId aborted)
{
	int			kept = 0;

	pending.waiting = 0;
	for (int i = 0; i < pending.n; i++)
	{
		PendingRow	row = pending.rows[i];

		if (row.made_in == aborted)
		{
			free_row(&row);
			continue;
		}
		if (row.written_in == aborted)
			row.written_in = InvalidSubTransactionId;
		if (row.written_in == InvalidSubTransactionId)
			pending.waiting++;
		pending.rows[kept++] = row;
	}
	pending.n = kept;
	drop_settled();
}

static void
hand_over(SubTransactionId committed, SubTransactionId parent)
{
	for (int i = 0; i < pending.n; i++)
	{
		if (pending.rows[i].made_in == committed)
			pending.rows[i].made_in = parent;
		if (pending.rows[i].written_in == committed)
			pending.rows[i].written_in = parent;
	}
	drop_settled();
}
