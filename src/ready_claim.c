/*-------------------------------------------------------------------------
 *
 * ready_claim.c
 *	  Taking tasks out of the ready set, in its order.
 *
 * What was claimed leaves dead entries at the front of the index, which stay
 * for as long as some old snapshot might see them.  So that claims need not
 * walk over all of them each time, a process begins where its last claim of
 * the queue ended.  It may miss a task that came later with a lower rank; so it
 * looks from the front whenever it finds nothing, and often enough that a
 * tenth of its time, at most, goes into that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"

#include "ready_claim.h"
#include "spi_util.h"

static UaefQuery claim_ready = {
	"DELETE FROM uaef.task_ready WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.task_ready"
	" WHERE queue = $1 AND run_as = $2 AND rank >= $3"
	" ORDER BY queue, run_as, rank, task_id"
	" LIMIT $4 FOR UPDATE SKIP LOCKED))"
	" RETURNING execution_id, task_no, item, rank",
	4, {TEXTOID, REGROLEOID, INT8OID, INT4OID}
};

/* Claims from the front take at most one part in so many of the time. */
#define FRONT_SHARE 10

/* Longest name of a queue that is remembered. */
#define MAX_QUEUE 200

/* Where the last claim of this process ended. */
static struct
{
	char		queue[MAX_QUEUE];
	Oid			run_as;
	int64		rank;			/* PG_INT64_MIN: at the front */
	double		front_due_us;	/* when to look from the front again */
}			last;

static double
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_DOUBLE(now) * 1000000.0;
}

static int
claim_from(const char *queue, Oid run_as, int64 rank, int limit,
		   UaefTaskRef *refs)
{
	Datum		args[4];
	int			n;

	args[0] = CStringGetTextDatum(queue);
	args[1] = ObjectIdGetDatum(run_as);
	args[2] = Int64GetDatum(rank);
	args[3] = Int32GetDatum(limit);
	n = (int) uaef_spi_run(&claim_ready, args, NULL);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		refs[i].execution_id = uaef_spi_uuid(i, 1);
		refs[i].task_no = DatumGetInt16(uaef_spi_value(i, 2, &isnull));
		refs[i].item = uaef_spi_int32(i, 3);
		refs[i].attempt = 0;
		last.rank = Max(last.rank, uaef_spi_int64(i, 4));
	}
	SPI_freetuptable(SPI_tuptable);
	return n;
}

static int
claim_from_front(const char *queue, Oid run_as, int limit, UaefTaskRef *refs)
{
	double		began = now_us();
	double		ended;
	int			n;

	strlcpy(last.queue, queue, MAX_QUEUE);
	last.run_as = run_as;
	last.rank = PG_INT64_MIN;
	n = claim_from(queue, run_as, PG_INT64_MIN, limit, refs);
	ended = now_us();
	last.front_due_us = ended + (FRONT_SHARE - 1) * (ended - began);
	return n;
}

int
uaef_ready_claim(const char *queue, Oid run_as, int limit, UaefTaskRef *refs)
{
	int			n = 0;

	if (last.run_as == run_as && strcmp(last.queue, queue) == 0 &&
		now_us() < last.front_due_us)
		n = claim_from(queue, run_as, last.rank, limit, refs);
	return n > 0 ? n : claim_from_front(queue, run_as, limit, refs);
}
