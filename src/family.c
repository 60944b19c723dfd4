/*-------------------------------------------------------------------------
 *
 * family.c
 *	  Families of executions: who is below whom, and how many there may be.
 *
 * An execution that somebody started and all that is below it are a family,
 * of which uaef.max_descendants bounds the number.  Children of the first one
 * are counted in its row, which whoever begins them holds anyway; those of
 * others in rows of workflow_family.
 *
 * Locking: a row of workflow_family that is free is taken until the transaction
 * ends; where none is, another one is made.  So nobody waits, and a sum misses
 * what others have not committed: with several at once a family may grow past
 * the bound by what one step of each begins.  Who is above is looked at without
 * a lock; a cancel from above that is overlooked so comes down later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"

#include "family.h"
#include "guc.h"
#include "spi_util.h"

/*
 * Who is counted in its own row looks only so often for what is counted
 * elsewhere.
 */
#define LOOK_EVERY 64

struct UaefFamily
{
	pg_uuid_t	root_id;
	bool		known;			/* before has all that is counted elsewhere */
	int64		before;			/* as of before the step */
	int64		begun;			/* by the step */
	int64		below;			/* of those, not by the first one */
};

static UaefQuery find_link = {
	"SELECT e.parent_execution_id, e.parent_task_id,"
	" t.status = 'running' AND t.child_execution_id = e.execution_id,"
	" t.item"
	" FROM uaef.workflow_execution e LEFT JOIN uaef.task_execution t"
	" ON t.task_id = e.parent_task_id AND t.execution_id = e.parent_execution_id"
	" WHERE e.execution_id = $1",
	1, {UUIDOID}
};

static UaefQuery count_family = {
	"SELECT COALESCE((SELECT children FROM uaef.workflow_execution"
	" WHERE execution_id = $1), 0) + COALESCE(sum(descendants), 0)::bigint"
	" FROM uaef.workflow_family WHERE root_execution_id = $1",
	1, {UUIDOID}
};

static UaefQuery add_to_row = {
	"UPDATE uaef.workflow_family SET descendants = descendants + $2"
	" WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.workflow_family WHERE root_execution_id = $1"
	" LIMIT 1 FOR UPDATE SKIP LOCKED))",
	2, {UUIDOID, INT8OID}
};

static UaefQuery insert_row = {
	"INSERT INTO uaef.workflow_family (root_execution_id, descendants)"
	" VALUES ($1, $2)",
	2, {UUIDOID, INT8OID}
};

/*----------
 * Who is wanted
 * ----------
 */

/*
 * The same for one whose parent the step may not have.  What has no parent any
 * more is nobody's to stop.
 */
static bool
stored_is_wanted(const UaefExecution *execution)
{
	pg_uuid_t	id = execution->id;

	for (;;)
	{
		Datum		arg = UUIDPGetDatum(&id);
		bool		isnull;
		bool		unlinked;
		bool		linked;

		if (uaef_spi_run(&find_link, &arg, NULL) == 0)
			return true;
		linked = DatumGetBool(uaef_spi_value(0, 3, &unlinked));
		if (!unlinked && linked && uaef_spi_int32(0, 4) != UAEF_COMPENSATION)
		{
			id = *DatumGetUUIDP(uaef_spi_value(0, 1, &isnull));
			SPI_freetuptable(SPI_tuptable);
			continue;
		}
		SPI_freetuptable(SPI_tuptable);
		return unlinked || linked;
	}
}

static bool
is_child_of(const UaefExecution *execution, const UaefTask *task)
{
	return task->status == UAEF_TASK_RUNNING && task->has_child &&
		memcmp(&task->child_id, &execution->id, sizeof(pg_uuid_t)) == 0;
}

bool
uaef_family_wants(UaefExecution *execution)
{
	while (execution->parent_task != NULL)
	{
		const UaefTask *task = execution->parent_task;

		if (!is_child_of(execution, task))
			return false;
		if (task->item == UAEF_COMPENSATION)
			return true;
		execution = task->execution;
	}
	if (!execution->lineage_known)
	{
		execution->is_wanted = !execution->has_parent ||
			stored_is_wanted(execution);
		execution->lineage_known = true;
	}
	return execution->is_wanted;
}

/*----------
 * How many there are
 * ----------
 */

static UaefFamily *
find_family(UaefExecution *parent)
{
	UaefStep   *step = parent->step;
	UaefFamily *family;
	ListCell   *cell;

	foreach(cell, step->families)
	{
		family = lfirst(cell);
		if (memcmp(&family->root_id, &parent->root_id, sizeof(pg_uuid_t)) == 0)
			return family;
	}
	family = palloc0(sizeof(UaefFamily));
	family->root_id = parent->root_id;
	if (!parent->has_parent)
	{
		family->known = !parent->stored;
		family->before = parent->children;
	}
	step->families = lappend(step->families, family);
	return family;
}

/*
 * The family of an execution that is about to begin a child, with its number.
 */
static UaefFamily *
family_of(UaefExecution *parent)
{
	UaefFamily *family;
	Datum		arg;

	if (parent->family == NULL)
		parent->family = find_family(parent);
	family = parent->family;
	if (family->known ||
		(!parent->has_parent && parent->children % LOOK_EVERY != 0))
		return family;
	arg = UUIDPGetDatum(&family->root_id);
	uaef_spi_run(&count_family, &arg, NULL);
	family->before = uaef_spi_int64(0, 1);
	family->known = true;
	SPI_freetuptable(SPI_tuptable);
	return family;
}

bool
uaef_family_admits(UaefExecution *parent)
{
	UaefFamily *family = family_of(parent);

	if (family->before + family->begun >= uaef_max_descendants)
		return false;
	family->begun++;
	if (parent->has_parent)
		family->below++;
	else
	{
		parent->children++;
		parent->dirty = true;
	}
	return true;
}

/*
 * With a snapshot of the whole transaction, a row that somebody else has
 * written since would be an error.
 */
void
uaef_family_write(UaefStep *step)
{
	ListCell   *cell;

	foreach(cell, step->families)
	{
		UaefFamily *family = lfirst(cell);
		Datum		args[2];

		if (family->below == 0)
			continue;
		args[0] = UUIDPGetDatum(&family->root_id);
		args[1] = Int64GetDatum(family->below);
		if (IsolationUsesXactSnapshot() ||
			uaef_spi_run(&add_to_row, args, NULL) == 0)
			uaef_spi_run(&insert_row, args, NULL);
		family->below = 0;
	}
}
