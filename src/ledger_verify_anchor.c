/*-------------------------------------------------------------------------
 *
 * ledger_verify_anchor.c
 *	  Whether the ledger is the one that checkpoints tell of.
 *
 * A checkpoint that the caller kept elsewhere, signed by keys that the caller
 * names, is what the ledger must agree with.  One that is stored here is no
 * evidence against those who can write here; that it disagrees is.
 *
 * A cosignature, and a time stamp, has a time: the events that the checkpoint
 * covers were there then, and those that it does not cover were not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ledger_verify_anchor.h"
#include "note.h"
#include "spi_util.h"

/* How far clocks may be apart, and a transaction may last, in seconds. */
#define CLOCK_TOLERANCE		300
#define COMMIT_TOLERANCE	3600

/* A signed time may be any number; none later than this is told apart. */
#define MAX_TIME	UINT64CONST(200000000000)

/* The keys that the caller names. */
typedef struct Keys
{
	UaefNoteKey *key;
	int			n;
	int			quorum;
} Keys;

/* A checkpoint that is compared. */
typedef struct Anchor
{
	const char *what;			/* how it is called in problems */
	UaefNote	note;
	UaefCheckpoint checkpoint;
	uint8		root[UAEF_HASH_LEN];	/* that the tree has at its size */
	uint64		time;			/* Unix seconds at which it was there; 0: not
								 * known */
	bool		stored;			/* in this database */
} Anchor;

/* The rows of stored checkpoints. */
typedef struct Stored
{
	uint64		n;
	SPITupleTable *rows;
} Stored;

/* A time that the events of a block are compared with. */
typedef struct Times
{
	const char *severity;
	const char *detail;
	double		at;				/* Unix seconds */
	int64		block;			/* its index */
} Times;

static void read_keys(const UaefVerifyOptions *options, Keys *keys);
static bool read_anchor(const UaefReport *report, const Keys *keys,
						const char *text, Anchor *anchor);
static bool knows_log(const Keys *keys, const Anchor *anchor);
static bool signed_by_log(const Keys *keys, const Anchor *anchor);
static void take_times(Anchor *anchor);
static bool check_signatures(const UaefReport *report, const Keys *keys,
							 Anchor *anchor);
static void read_root(VerifyScan *scan);
static bool find_root(VerifyScan *scan, Anchor *anchor);
static bool compare_root(VerifyScan *scan, Anchor *anchor);
static void check_times(VerifyScan *scan, const Anchor *anchor);
static void look_at_times(VerifyScan *scan);
static void check_time(VerifyScan *scan, Times *times, int64 leaf);
static void take_signers(const Anchor *anchor, UaefVerdict *verdict);
static void read_stored(VerifyScan *scan);
static void check_stored(VerifyScan *scan, const Keys *keys,
						 const Stored *stored, uint64 i);
static void check_all_stored(VerifyScan *scan, const Keys *keys);

static void
read_keys(const UaefVerifyOptions *options, Keys *keys)
{
	keys->n = options->nkeys;
	keys->quorum = options->quorum;
	keys->key = palloc((options->nkeys + 1) * sizeof(UaefNoteKey));
	for (int i = 0; i < options->nkeys; i++)
	{
		const char *problem = uaef_note_parse_key(options->keys[i],
												  &keys->key[i]);

		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key %d is no public key: %s", i + 1, problem),
					 errhint("It has the form NAME+HASH+BASE64.")));
	}
}

/*
 * Whether a key of the log, whose name is the origin, is given, and whether one
 * has signed.
 */
static bool
knows_log(const Keys *keys, const Anchor *anchor)
{
	for (int i = 0; i < keys->n; i++)
		if (keys->key[i].kind != UAEF_KEY_COSIGNATURE &&
			strcmp(keys->key[i].name, anchor->checkpoint.origin) == 0)
			return true;
	return false;
}

static bool
signed_by_log(const Keys *keys, const Anchor *anchor)
{
	for (int i = 0; i < keys->n; i++)
		if (keys->key[i].kind != UAEF_KEY_COSIGNATURE &&
			strcmp(keys->key[i].name, anchor->checkpoint.origin) == 0 &&
			uaef_note_has(&anchor->note, &keys->key[i]))
			return true;
	return false;
}

/*
 * The time of the first cosignature that was verified.
 */
static void
take_times(Anchor *anchor)
{
	for (int i = 0; i < anchor->note.nsignatures; i++)
	{
		const UaefNoteSignature *signature = &anchor->note.signatures[i];

		if (signature->key != NULL &&
			signature->key->kind == UAEF_KEY_COSIGNATURE &&
			(anchor->time == 0 || signature->time < anchor->time))
			anchor->time = signature->time;
	}
}

/*
 * Whether those that must have signed have: a key of the log, and as many
 * witnesses as the quorum says.
 */
static bool
check_signatures(const UaefReport *report, const Keys *keys, Anchor *anchor)
{
	UaefPlace	place = {.leaf_no = anchor->checkpoint.size};
	bool		by_log = signed_by_log(keys, anchor);
	int			witnesses = 0;

	for (int i = 0; i < keys->n; i++)
		if (keys->key[i].kind == UAEF_KEY_COSIGNATURE &&
			uaef_note_has(&anchor->note, &keys->key[i]))
			witnesses++;
	take_times(anchor);
	if (keys->n > 0 && !by_log)
		uaef_report_problem(report, "SIG_BAD", &place,
							psprintf("%s of \"%s\" is signed by none of the keys given whose name is that",
									 anchor->what, anchor->checkpoint.origin));
	if (witnesses < keys->quorum)
		uaef_report_problem(report, "COSIG_MISSING", &place,
							psprintf("%s of %lld events has %d of %d cosignatures",
									 anchor->what,
									 (long long) anchor->checkpoint.size,
									 witnesses, keys->quorum));
	return (keys->n == 0 || by_log) && witnesses >= keys->quorum;
}

/*
 * Take a note apart; false when it cannot be compared with anything.
 */
static bool
read_anchor(const UaefReport *report, const Keys *keys, const char *text,
			Anchor *anchor)
{
	UaefPlace	place = {0};
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	const char *problem = uaef_note_parse(utf8, strlen(utf8), &anchor->note);

	if (problem == NULL)
		problem = uaef_checkpoint_parse(anchor->note.text,
										&anchor->checkpoint);
	if (problem == NULL)
		problem = uaef_note_verify(&anchor->note, keys->key, keys->n);
	if (problem == NULL)
		return true;
	uaef_report_problem(report, "SIG_BAD", &place,
						psprintf("%s is not good: %s", anchor->what, problem));
	return false;
}

/* ----------
 * Roots
 * ----------
 */

static void
read_root(VerifyScan *scan)
{
	Anchor	   *anchor = scan->arg;

	uaef_tree_root(anchor->checkpoint.size, anchor->root);
}

/*
 * The root that the tree has at the size of a checkpoint: mostly a block's.
 */
static bool
find_root(VerifyScan *scan, Anchor *anchor)
{
	VerifyPlan *plan = scan->plan;
	int64		block = anchor->checkpoint.size == 0 ? -1 :
		uaef_verify_block_of_leaf(plan, anchor->checkpoint.size - 1);

	if (block >= 0)
	{
		BlockRef   *ref = &PLAN_BLOCKS(plan)[block];

		if (ref->first_leaf + ref->leaf_count == anchor->checkpoint.size)
		{
			memcpy(anchor->root, ref->root, UAEF_HASH_LEN);
			return true;
		}
	}
	scan->arg = anchor;
	return uaef_verify_protected(scan, read_root) == NULL;
}

static bool
compare_root(VerifyScan *scan, Anchor *anchor)
{
	const UaefCheckpoint *checkpoint = &anchor->checkpoint;
	UaefPlace	place = {.leaf_no = checkpoint->size};

	place.expected = uaef_hex(checkpoint->root, UAEF_HASH_LEN);
	if (checkpoint->size > scan->plan->tree_size)
		uaef_report_problem(scan->report, "ANCHOR_AHEAD", &place,
							psprintf("%s is of %lld events, but %lld are sealed: the end of the ledger is gone",
									 anchor->what,
									 (long long) checkpoint->size,
									 (long long) scan->plan->tree_size));
	else if (!find_root(scan, anchor))
		uaef_report_problem(scan->report, "ANCHOR_DIVERGED", &place,
							psprintf("the root that %s tells cannot be computed",
									 anchor->what));
	else if (memcmp(anchor->root, checkpoint->root, UAEF_HASH_LEN) != 0)
	{
		place.actual = uaef_hex(anchor->root, UAEF_HASH_LEN);
		uaef_report_problem(scan->report, "ANCHOR_DIVERGED", &place,
							psprintf("the first %lld events are not those that %s is of",
									 (long long) checkpoint->size,
									 anchor->what));
	}
	else
		return true;
	return false;
}

/* ----------
 * Times
 * ----------
 */

/*
 * Report the events of the block of a leaf that were recorded, as they say,
 * after a time (severity error) or before it.
 */
static void
look_at_times(VerifyScan *scan)
{
	static UaefQuery query = {
		"SELECT stream, stream_seq, event_id FROM uaef.ledger_event"
		" WHERE event_id = ANY ($1) AND CASE WHEN $3"
		" THEN recorded_at > pg_catalog.to_timestamp($2)"
		" ELSE recorded_at < pg_catalog.to_timestamp($2) END"
		" ORDER BY event_id LIMIT 100",
		3, {INT8ARRAYOID, FLOAT8OID, BOOLOID}
	};
	const Times *times = scan->arg;
	BlockRef   *ref = &PLAN_BLOCKS(scan->plan)[times->block];
	bool		after = strcmp(times->severity, "error") == 0;
	BlockRow	row;
	Datum		args[3];
	uint64		rows;

	if (!uaef_verify_read_block(&scan->blocks, &ref->tid, true, &row) ||
		row.nids == 0)
		return;
	args[0] = PointerGetDatum(row.block.event_array);
	args[1] = Float8GetDatum(times->at);
	args[2] = BoolGetDatum(after);
	rows = uaef_spi_read(&query, args);
	for (uint64 i = 0; i < rows; i++)
	{
		pg_uuid_t	stream = uaef_spi_uuid(i, 1);
		UaefPlace	place = {
			.stream = &stream,
			.stream_seq = uaef_spi_int64(i, 2),
			.event_id = uaef_spi_int64(i, 3),
			.block_no = ref->no,
			.severity = times->severity
		};

		uaef_report_problem(scan->report, "TIME_OUTSIDE_ANCHOR", &place,
							times->detail);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * An event or block that cannot be read has been reported by those who look at
 * what it says.
 */
static void
check_time(VerifyScan *scan, Times *times, int64 leaf)
{
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);

	times->block = uaef_verify_block_of_leaf(scan->plan, leaf);
	scan->arg = times;
	if (times->block >= 0)
		(void) uaef_verify_protected(scan, look_at_times);
	scan->arg = NULL;
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(scan->row_context);
}

/*
 * The events next to the end of a checkpoint against its time; those further
 * away are bounded by the order of times within streams and of blocks.
 */
static void
check_times(VerifyScan *scan, const Anchor *anchor)
{
	int64		size = anchor->checkpoint.size;
	double		time = (double) Min(anchor->time, MAX_TIME);
	Times		after = {
		.severity = "error",
		.at = time + CLOCK_TOLERANCE,
		.detail = psprintf("the event says that it was recorded after %s that has it was cosigned or time-stamped",
						   anchor->what)
	};
	Times		before = {
		.severity = "warning",
		.at = time - COMMIT_TOLERANCE,
		.detail = "the event says that it was recorded long before a checkpoint that does not have it"
	};

	if (anchor->time == 0)
		return;
	if (size > 0)
		check_time(scan, &after, size - 1);

	/* One of ours may have waited for long until it was cosigned. */
	if (size < scan->plan->tree_size && !anchor->stored)
		check_time(scan, &before, size);
}

/* ----------
 * All of them
 * ----------
 */

static void
take_signers(const Anchor *anchor, UaefVerdict *verdict)
{
	verdict->checkpoint_size = anchor->checkpoint.size;
	verdict->nsigners = 0;
	for (int i = 0; i < anchor->note.nsignatures &&
		 verdict->nsigners < (int) lengthof(verdict->signers); i++)
	{
		const UaefNoteSignature *signature = &anchor->note.signatures[i];

		if (signature->key != NULL)
			verdict->signers[verdict->nsigners++] = pg_any_to_server(signature->name,
																	 strlen(signature->name),
																	 PG_UTF8);
	}
}

static void
read_stored(VerifyScan *scan)
{
	static UaefQuery query = {
		"SELECT c.note || coalesce((SELECT pg_catalog.string_agg(s.line"
		" || E'\\n', '') FROM uaef.ledger_cosignature AS s"
		" WHERE s.origin = c.origin AND s.tree_size = c.tree_size), ''),"
		" c.tree_size, c.root::pg_catalog.bytea,"
		" extract(epoch FROM least("
		"(SELECT pg_catalog.min(s.at) FROM uaef.ledger_cosignature AS s"
		" WHERE s.origin = c.origin AND s.tree_size = c.tree_size"
		" AND pg_catalog.isfinite(s.at)),"
		" (SELECT pg_catalog.min(n.stamped_at) FROM uaef.ledger_anchoring AS n"
		" WHERE n.origin = c.origin AND n.tree_size = c.tree_size"
		" AND pg_catalog.isfinite(n.stamped_at))))::pg_catalog.int8"
		" FROM uaef.ledger_checkpoint AS c ORDER BY c.origin, c.tree_size",
		0
	};
	Stored	   *stored = scan->arg;

	stored->n = uaef_spi_read(&query, NULL);
	stored->rows = SPI_tuptable;
}

/*
 * A stored checkpoint, with the cosignatures and times that are stored with
 * it.  That it is signed by none of the keys given is no error: keys are
 * changed.
 */
static void
check_stored(VerifyScan *scan, const Keys *keys, const Stored *stored,
			 uint64 i)
{
	Anchor		anchor = {.what = "a stored checkpoint",.stored = true};
	UaefPlace	place = {.severity = "warning"};
	Datum		root;
	Datum		time;
	bool		isnull;
	bool		untimed;
	int64		size;

	SPI_tuptable = stored->rows;
	size = uaef_spi_int64(i, 2);
	root = uaef_spi_value(i, 3, &isnull);
	time = uaef_spi_value(i, 4, &untimed);
	if (!read_anchor(scan->report, keys, uaef_spi_text(i, 1), &anchor))
		return;
	place.leaf_no = anchor.checkpoint.size;
	take_times(&anchor);
	if (!untimed && (anchor.time == 0 ||
					 DatumGetInt64(time) < (int64) anchor.time))
		anchor.time = Max(DatumGetInt64(time), 1);
	if (knows_log(keys, &anchor) && !signed_by_log(keys, &anchor))
		uaef_report_problem(scan->report, "SIG_BAD", &place,
							"a stored checkpoint is signed by none of the keys given whose name is its origin");
	place.severity = NULL;
	if (anchor.checkpoint.size != size ||
		memcmp(uaef_fixed_bytes(root, UAEF_HASH_LEN), anchor.checkpoint.root,
			   UAEF_HASH_LEN) != 0)
		uaef_report_problem(scan->report, "ANCHOR_DIVERGED", &place,
							"the row of a stored checkpoint is not what its note says");
	if (compare_root(scan, &anchor))
		check_times(scan, &anchor);
}

/*
 * What this database keeps of its own checkpoints.
 */
static void
check_all_stored(VerifyScan *scan, const Keys *keys)
{
	Stored		stored = {0};
	UaefPlace	place = {0};
	const char *problem;

	scan->arg = &stored;
	problem = uaef_verify_protected(scan, read_stored);
	scan->arg = NULL;
	if (problem != NULL)
	{
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("the stored checkpoints cannot be read: %s",
									 problem));
		return;
	}
	for (uint64 i = 0; i < stored.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_stored(scan, keys, &stored, i);
	}
	SPI_freetuptable(stored.rows);
}

void
uaef_verify_anchors(VerifyScan *scan, const UaefVerifyOptions *options,
					UaefVerdict *verdict)
{
	Keys		keys;

	read_keys(options, &keys);
	for (int i = 0; i < options->ncheckpoints; i++)
	{
		Anchor		anchor = {0};

		anchor.what = options->ncheckpoints == 1 ? "the checkpoint" :
			psprintf("checkpoint %d", i + 1);
		if (!read_anchor(scan->report, &keys, options->checkpoints[i],
						 &anchor))
			continue;
		if (!check_signatures(scan->report, &keys, &anchor) ||
			!compare_root(scan, &anchor))
			continue;
		check_times(scan, &anchor);
		if (anchor.checkpoint.size >= verdict->checkpoint_size)
			take_signers(&anchor, verdict);
	}
	check_all_stored(scan, &keys);
}
