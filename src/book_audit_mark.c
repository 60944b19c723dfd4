/*-------------------------------------------------------------------------
 *
 * book_audit_mark.c
 *	  How far the books were audited, so that another audit need only look at
 *	  what is new.
 *
 * Numbers are given before transactions commit, so what is new is not simply
 * what has a greater number than the last that was seen.  Whoever posts locks
 * account_stripe, and then draws a number; so once those have ended who held that
 * lock after a number was drawn, nothing up to it can come any more.  They are
 * waited for a second; if they take longer, there is no mark this time.
 *
 * With the mark the sums of all postings up to it are kept, stripe by stripe:
 * what a balance must be is these, and what is new.
 *
 * Locking: money_audit in EXCLUSIVE mode until the transaction ends, so that one
 * audit at a time makes a mark.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"

#include "book_audit_internal.h"
#include "clock.h"
#include "errcodes.h"
#include "spi_util.h"

/* How long those are waited for who are posting. */
#define WAIT_MS		1000
#define NAP_MS		10

static UaefQuery find_mark = {
	"SELECT event_id, journal_id, account_id FROM uaef.money_audit",
	0
};

static UaefQuery put_mark = {
	"INSERT INTO uaef.money_audit AS a (event_id, journal_id, account_id,"
	" audited_at, audited_by, whole_at, whole_by)"
	" VALUES ($1, $2, $3, $4, $5, $4, $5) ON CONFLICT (one) DO UPDATE SET"
	" event_id = excluded.event_id, journal_id = excluded.journal_id,"
	" account_id = excluded.account_id, audited_at = excluded.audited_at,"
	" audited_by = excluded.audited_by,"
	" whole_at = CASE WHEN $6 THEN excluded.whole_at ELSE a.whole_at END,"
	" whole_by = CASE WHEN $6 THEN excluded.whole_by ELSE a.whole_by END",
	6, {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, BOOLOID}
};

static UaefQuery forget_balances = {
	"DELETE FROM uaef.audited_balance",
	0
};

static UaefQuery add_balances = {
	"INSERT INTO uaef.audited_balance AS b"
	" (account_id, stripe, postings, debit, credit)"
	" SELECT account_id, stripe, count(*),"
	" coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0),"
	" coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0)"
	" FROM uaef.posting WHERE journal_id > $1 AND journal_id <= $2"
	" GROUP BY 1, 2 ON CONFLICT (account_id, stripe) DO UPDATE SET"
	" postings = b.postings + excluded.postings,"
	" debit = b.debit + excluded.debit, credit = b.credit + excluded.credit",
	2, {INT8OID, INT8OID}
};

static int64 last_value(const char *sequence);
static bool wait_for_posters(const char *table, int *patience);

/*
 * A transaction with an old snapshot would not add up what came since.
 */
bool
uaef_audit_mark_begin(void)
{
	Oid			table = get_relname_relid("money_audit",
										  get_namespace_oid("uaef", false));

	if (RecoveryInProgress() || XactReadOnly || IsolationUsesXactSnapshot())
		return false;
	LockRelationOid(table, ExclusiveLock);
	return true;
}

void
uaef_audit_mark_last(UaefAuditMark *mark)
{
	if (uaef_spi_read(&find_mark, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the books were not yet audited as a whole with nothing found"),
				 errhint("Begin with a whole one: SELECT * FROM uaef.audit_money();")));
	mark->event_id = uaef_spi_int64(0, 1);
	mark->journal_id = uaef_spi_int64(0, 2);
	mark->account_id = uaef_spi_int64(0, 3);
}

static int64
last_value(const char *sequence)
{
	char	   *query = psprintf("SELECT CASE WHEN is_called THEN last_value"
								 " ELSE 0 END FROM uaef.%s", sequence);

	if (SPI_execute(query, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", query);
	return uaef_spi_int64(0, 1);
}

/*
 * Wait for those who have a table locked for writing now, not for who comes
 * later; false when they take too long.
 */
static bool
wait_for_posters(const char *table, int *patience)
{
	LOCKTAG		tag;
	VirtualTransactionId *posters;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId,
						 get_relname_relid(table,
										   get_namespace_oid("uaef", false)));
	posters = GetLockConflicts(&tag, ShareLock, NULL);
	for (; VirtualTransactionIdIsValid(*posters); posters++)
	{
		while (!VirtualXactLock(*posters, false))
		{
			if ((*patience -= NAP_MS) < 0)
				return false;
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
							 WL_EXIT_ON_PM_DEATH, NAP_MS, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	return true;
}

/*
 * Who posts draws a number of a journal, or of an account, before that of the
 * event, so a journal above the mark has an event above it: the events are looked
 * at first.
 */
bool
uaef_audit_mark_draw(UaefAuditMark *mark)
{
	int			patience = WAIT_MS;

	mark->event_id = last_value("ledger_event_id");
	mark->account_id = last_value("account_account_id_seq");
	mark->journal_id = last_value("journal_id");
	return wait_for_posters("account", &patience) &&
		wait_for_posters("account_stripe", &patience);
}

void
uaef_audit_mark_put(const UaefAuditMark *from, const UaefAuditMark *mark,
					const char *actor)
{
	bool		whole = from->journal_id == UAEF_AUDIT_WHOLE;
	Datum		range[2] = {Int64GetDatum(from->journal_id),
	Int64GetDatum(mark->journal_id)};
	Datum		args[6] = {Int64GetDatum(mark->event_id),
		Int64GetDatum(mark->journal_id), Int64GetDatum(mark->account_id),
		TimestampTzGetDatum(uaef_clock_now()), CStringGetTextDatum(actor),
	BoolGetDatum(whole)};

	if (whole)
		(void) uaef_spi_run(&forget_balances, NULL, NULL);
	(void) uaef_spi_run(&add_balances, range, NULL);
	(void) uaef_spi_run(&put_mark, args, NULL);
}
