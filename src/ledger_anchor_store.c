/*-------------------------------------------------------------------------
 *
 * ledger_anchor_store.c
 *	  Anchors and what they were sent, in their tables.
 *
 * An anchor is sent something new at most once in each of its intervals, as
 * the clock has them (with a minute: 12:01, 12:02, ...).  So anchors with the
 * same interval are sent the same checkpoint, and it can gather a quorum of
 * cosignatures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ledger_anchor_store.h"
#include "ledger_checkpoint.h"
#include "spi_util.h"

/* The longest wait after failures, unless the interval is longer. */
#define MAX_WAIT_MS ((int64) 10 * 60 * 1000)

/* So many finished deliveries, and failed anchorings, an anchor keeps. */
#define KEPT 100

/* Neither paused, nor waiting for an answer, nor up to date. */
#define IS_BEHIND \
	" NOT a.paused" \
	" AND NOT EXISTS (SELECT FROM uaef.ledger_anchoring r" \
	"  WHERE r.anchor = a.anchor AND r.status = 'requested')" \
	" AND NOT EXISTS (SELECT FROM uaef.ledger_anchoring r" \
	"  WHERE r.anchor = a.anchor AND r.origin = $1 AND r.tree_size = $2" \
	"  AND r.status = 'anchored')"

/* The columns of a UaefAnchor, in read_anchor()'s order. */
#define ANCHOR_COLUMNS \
	" a.anchor, a.kind, a.target, a.config, a.created_by, a.witness_size," \
	" a.failures, a.contradicted_at IS NOT NULL, a.interval_ms"

static UaefQuery select_newest = {
	"SELECT origin, tree_size, note FROM uaef.ledger_checkpoint"
	" WHERE origin = $1 ORDER BY tree_size DESC LIMIT 1",
	1, {TEXTOID}
};

static UaefQuery select_newest_size = {
	"SELECT coalesce(max(tree_size), 0) FROM uaef.ledger_checkpoint"
	" WHERE origin = $1",
	1, {TEXTOID}
};

static UaefQuery select_due = {
	"SELECT" ANCHOR_COLUMNS " FROM uaef.ledger_anchor a WHERE" IS_BEHIND
	" AND a.next_at <= $3 ORDER BY a.anchor FOR NO KEY UPDATE SKIP LOCKED",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery select_next_due = {
	"SELECT min(a.next_at) FROM uaef.ledger_anchor a WHERE" IS_BEHIND,
	2, {TEXTOID, INT8OID}
};

static UaefQuery lock_anchor = {
	"SELECT" ANCHOR_COLUMNS " FROM uaef.ledger_anchor a WHERE a.anchor = $1"
	" FOR NO KEY UPDATE",
	1, {TEXTOID}
};

static UaefQuery select_requested = {
	"SELECT r.origin, r.tree_size, c.note, coalesce(r.old_size, 0), r.resent,"
	" coalesce(r.nonce, 0)"
	" FROM uaef.ledger_anchoring r"
	" JOIN uaef.ledger_checkpoint c USING (origin, tree_size)"
	" WHERE r.anchor = $1 AND r.status = 'requested' AND r.delivery_id = $2",
	2, {TEXTOID, INT8OID}
};

static UaefQuery upsert_request = {
	"INSERT INTO uaef.ledger_anchoring (anchor, origin, tree_size, status,"
	" requested_at, delivery_id, old_size, resent, nonce)"
	" VALUES ($1, $2, $3, 'requested', $4, nullif($5, 0), $6, $7, $8)"
	" ON CONFLICT (anchor, origin, tree_size) DO UPDATE SET"
	" status = 'requested', requested_at = $4, delivery_id = nullif($5, 0),"
	" old_size = $6, resent = $7, nonce = $8, error = NULL",
	8, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT4OID,
	INT8OID}
};

static UaefQuery set_next = {
	"UPDATE uaef.ledger_anchor SET next_at = $2 WHERE anchor = $1",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery set_done = {
	"WITH done AS (UPDATE uaef.ledger_anchoring SET status = 'anchored',"
	"  anchored_at = $4, receipt = $5, stamped_at = $6, error = NULL"
	"  WHERE anchor = $1 AND origin = $2 AND tree_size = $3)"
	" UPDATE uaef.ledger_anchor SET failures = 0, error = NULL,"
	" contradicted_at = NULL,"
	" witness_size = CASE kind WHEN 'witness' THEN $3 ELSE 0 END"
	" WHERE anchor = $1",
	6, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, BYTEAOID, TIMESTAMPTZOID}
};

static UaefQuery set_failed = {
	"WITH failed AS (INSERT INTO uaef.ledger_anchoring (anchor, origin,"
	"  tree_size, status, requested_at, error)"
	"  VALUES ($1, $2, $3, 'failed', $4, $5)"
	"  ON CONFLICT (anchor, origin, tree_size) DO UPDATE SET"
	"  status = 'failed', error = $5)"
	" UPDATE uaef.ledger_anchor SET failures = failures + 1, error = $5,"
	" next_at = $6, witness_size = $8,"
	" contradicted_at = CASE WHEN $7 THEN coalesce(contradicted_at, $4)"
	"  ELSE contradicted_at END"
	" WHERE anchor = $1",
	8, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID,
	BOOLOID, INT8OID}
};

/*
 * Receipts are kept for good; of what only tells how it went, the newest are.
 */
static UaefQuery delete_old = {
	"WITH old AS (DELETE FROM uaef.delivery d WHERE d.anchor = $1"
	"  AND d.status NOT IN ('pending', 'sending', 'retry')"
	"  AND d.delivery_id < (SELECT n.delivery_id FROM uaef.delivery n"
	"   WHERE n.anchor = $1 ORDER BY n.delivery_id DESC OFFSET $2 LIMIT 1)"
	"  RETURNING d.delivery_id),"
	" attempts AS (DELETE FROM uaef.delivery_attempt a USING old"
	"  WHERE a.delivery_id = old.delivery_id)"
	" DELETE FROM uaef.ledger_anchoring f WHERE f.anchor = $1"
	" AND f.status = 'failed' AND f.tree_size < (SELECT n.tree_size"
	"  FROM uaef.ledger_anchoring n WHERE n.anchor = $1"
	"  AND n.status = 'failed' ORDER BY n.tree_size DESC OFFSET $2 LIMIT 1)",
	2, {TEXTOID, INT4OID}
};

static UaefQuery select_anchored = {
	"SELECT origin, tree_size FROM uaef.ledger_anchoring"
	" WHERE status = 'anchored' ORDER BY tree_size DESC LIMIT 1",
	0
};

static UaefQuery select_cosigned = {
	"SELECT origin, tree_size FROM uaef.ledger_cosignature"
	" GROUP BY tree_size, origin HAVING count(*) >= $1"
	" ORDER BY tree_size DESC, origin DESC LIMIT 1",
	1, {INT4OID}
};

static void read_anchor(uint64 row, UaefAnchor *anchor);
static TimestampTz next_interval(int64 interval_ms, int failures);
static void forget_old(const UaefAnchor *anchor);

bool
uaef_anchor_newest(UaefAnchoring *newest)
{
	Datum		args[1] = {CStringGetTextDatum(uaef_checkpoint_origin())};

	memset(newest, 0, sizeof(*newest));
	if (uaef_spi_run(&select_newest, args, NULL) == 0)
		return false;
	newest->origin = uaef_spi_text(0, 1);
	newest->tree_size = uaef_spi_int64(0, 2);
	newest->note = uaef_spi_text(0, 3);
	return true;
}

int64
uaef_anchor_newest_size(const char *origin)
{
	Datum		args[1] = {CStringGetTextDatum(origin)};

	(void) uaef_spi_run(&select_newest_size, args, NULL);
	return uaef_spi_int64(0, 1);
}

static void
read_anchor(uint64 row, UaefAnchor *anchor)
{
	anchor->name = uaef_spi_text(row, 1);
	anchor->kind = uaef_anchor_kind(uaef_spi_text(row, 2));
	anchor->target = uaef_spi_text(row, 3);
	anchor->config = uaef_spi_jsonb(row, 4);
	anchor->role = uaef_spi_oid(row, 5);
	anchor->witness_size = uaef_spi_int64(row, 6);
	anchor->failures = uaef_spi_int32(row, 7);
	anchor->contradicted = uaef_spi_bool(row, 8);
	anchor->interval_ms = uaef_spi_int64(row, 9);
}

int
uaef_anchor_due(const UaefAnchoring *newest, UaefAnchor **anchors)
{
	Datum		args[3];
	int			n;

	args[0] = CStringGetTextDatum(newest->origin);
	args[1] = Int64GetDatum(newest->tree_size);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	n = (int) uaef_spi_run(&select_due, args, NULL);
	*anchors = palloc((n + 1) * sizeof(UaefAnchor));
	for (int i = 0; i < n; i++)
		read_anchor(i, &(*anchors)[i]);
	return n;
}

TimestampTz
uaef_anchor_next_due(const UaefAnchoring *newest)
{
	Datum		args[2];
	Datum		next;
	bool		isnull;

	args[0] = CStringGetTextDatum(newest->origin);
	args[1] = Int64GetDatum(newest->tree_size);
	(void) uaef_spi_run(&select_next_due, args, NULL);
	next = uaef_spi_value(0, 1, &isnull);
	return isnull ? DT_NOEND : DatumGetTimestampTz(next);
}

bool
uaef_anchor_waiting(const char *name, int64 delivery_id, UaefAnchor *anchor,
					UaefAnchoring *anchoring)
{
	Datum		args[2];

	args[0] = CStringGetTextDatum(name);
	args[1] = Int64GetDatum(delivery_id);
	if (uaef_spi_run(&lock_anchor, args, NULL) == 0)
		return false;
	read_anchor(0, anchor);
	if (uaef_spi_run(&select_requested, args, NULL) == 0)
		return false;
	anchoring->origin = uaef_spi_text(0, 1);
	anchoring->tree_size = uaef_spi_int64(0, 2);
	anchoring->note = uaef_spi_text(0, 3);
	anchoring->delivery_id = delivery_id;
	anchoring->old_size = uaef_spi_int64(0, 4);
	anchoring->resent = uaef_spi_int32(0, 5);
	anchoring->nonce = uaef_spi_int64(0, 6);
	return true;
}

/*
 * When the next interval begins; after failures a later one, twice as far each
 * time.
 */
static TimestampTz
next_interval(int64 interval_ms, int failures)
{
	int64		interval = interval_ms * 1000;
	int64		most = Max(interval, MAX_WAIT_MS * 1000);
	int			doublings = Max(Min(failures - 1, 20), 0);
	int64		wait = (interval > most >> doublings ? most
						: interval << doublings) - interval;

	return ((uaef_clock_now() + wait) / interval + 1) * interval;
}

static void
forget_old(const UaefAnchor *anchor)
{
	Datum		args[2];

	args[0] = CStringGetTextDatum(anchor->name);
	args[1] = Int32GetDatum(KEPT - 1);
	(void) uaef_spi_run(&delete_old, args, NULL);
}

void
uaef_anchoring_request(const UaefAnchor *anchor,
					   const UaefAnchoring *anchoring)
{
	Datum		args[8];
	Datum		next[2];

	args[0] = CStringGetTextDatum(anchor->name);
	args[1] = CStringGetTextDatum(anchoring->origin);
	args[2] = Int64GetDatum(anchoring->tree_size);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	args[4] = Int64GetDatum(anchoring->delivery_id);
	args[5] = Int64GetDatum(anchoring->old_size);
	args[6] = Int32GetDatum(anchoring->resent);
	args[7] = Int64GetDatum(anchoring->nonce);
	(void) uaef_spi_run(&upsert_request, args, NULL);

	next[0] = args[0];
	next[1] = TimestampTzGetDatum(next_interval(anchor->interval_ms, 0));
	(void) uaef_spi_run(&set_next, next, NULL);
	forget_old(anchor);
}

void
uaef_anchoring_done(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
					bytea *receipt, TimestampTz stamped_at)
{
	Datum		args[6];
	char		nulls[7] = "      ";

	args[0] = CStringGetTextDatum(anchor->name);
	args[1] = CStringGetTextDatum(anchoring->origin);
	args[2] = Int64GetDatum(anchoring->tree_size);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	args[4] = PointerGetDatum(receipt);
	nulls[4] = receipt ? ' ' : 'n';
	args[5] = TimestampTzGetDatum(stamped_at);
	nulls[5] = stamped_at != 0 ? ' ' : 'n';
	(void) uaef_spi_run(&set_done, args, nulls);
}

void
uaef_anchoring_failed(const UaefAnchor *anchor,
					  const UaefAnchoring *anchoring, const char *error,
					  bool contradicted)
{
	Datum		args[8];

	args[0] = CStringGetTextDatum(anchor->name);
	args[1] = CStringGetTextDatum(anchoring->origin);
	args[2] = Int64GetDatum(anchoring->tree_size);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	args[4] = CStringGetTextDatum(error);
	args[5] = TimestampTzGetDatum(next_interval(anchor->interval_ms,
												anchor->failures + 1));
	args[6] = BoolGetDatum(contradicted);
	args[7] = Int64GetDatum(anchor->witness_size);
	(void) uaef_spi_run(&set_failed, args, NULL);
	forget_old(anchor);
}

bool
uaef_anchor_covered(int quorum, UaefAnchoring *covered)
{
	Datum		args[1] = {Int32GetDatum(quorum)};
	uint64		found = quorum > 0 ? uaef_spi_run(&select_cosigned, args, NULL)
		: uaef_spi_run(&select_anchored, NULL, NULL);

	memset(covered, 0, sizeof(*covered));
	if (found == 0)
		return false;
	covered->origin = uaef_spi_text(0, 1);
	covered->tree_size = uaef_spi_int64(0, 2);
	return true;
}
