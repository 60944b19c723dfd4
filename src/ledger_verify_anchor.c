/*-------------------------------------------------------------------------
 *
 * ledger_verify_anchor.c
 *	  Whether the ledger is the one that checkpoints tell of.
 *
 * A checkpoint that the caller kept elsewhere, signed by keys that the caller
 * names, is what the ledger must agree with.  One that is stored here is no
 * evidence against those who can write here; that it disagrees is.
 *
 * A cosignature has a time: the events that the checkpoint covers were there
 * then, and those that it does not cover were not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
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
	uint64		time;			/* of the first cosignature; 0: none */
} Anchor;

static void read_keys(const UaefVerifyOptions *options, Keys *keys);
static bool read_anchor(const UaefReport *report, const Keys *keys,
						const char *text, Anchor *anchor);
static bool check_signatures(const UaefReport *report, const Keys *keys,
							 Anchor *anchor);
static void read_root(VerifyScan *scan);
static bool find_root(VerifyScan *scan, Anchor *anchor);
static bool compare_root(VerifyScan *scan, Anchor *anchor);
static void check_times(VerifyScan *scan, const Anchor *anchor);
static void report_time(VerifyScan *scan, const char *severity,
						const Anchor *anchor, int64 leaf, int64 seconds,
						const char *detail);
static void take_signers(const Anchor *anchor, UaefVerdict *verdict);
static void check_stored(VerifyScan *scan, const Keys *keys);

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
 * Whether those that must have signed have: a key of the log, whose name is
 * the origin, and as many witnesses as the quorum says.
 */
static bool
check_signatures(const UaefReport *report, const Keys *keys, Anchor *anchor)
{
	UaefPlace	place = {.leaf_no = anchor->checkpoint.size};
	bool		by_log = false;
	int			witnesses = 0;

	for (int i = 0; i < keys->n; i++)
	{
		const UaefNoteKey *key = &keys->key[i];

		if (!uaef_note_has(&anchor->note, key))
			continue;
		if (key->kind == UAEF_KEY_COSIGNATURE)
			witnesses++;
		else if (strcmp(key->name, anchor->checkpoint.origin) == 0)
			by_log = true;
	}
	for (int i = 0; i < anchor->note.nsignatures; i++)
	{
		const UaefNoteSignature *signature = &anchor->note.signatures[i];

		if (signature->key != NULL &&
			signature->key->kind == UAEF_KEY_COSIGNATURE &&
			(anchor->time == 0 || signature->time < anchor->time))
			anchor->time = signature->time;
	}
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
	size_t		len = strlen(utf8);
	const char *problem;

	/* psql writes a newline after each value: no empty line ends a note. */
	while (len > 1 && utf8[len - 1] == '\n' && utf8[len - 2] == '\n')
		len--;
	problem = uaef_note_parse(utf8, len, &anchor->note);
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
report_time(VerifyScan *scan, const char *severity, const Anchor *anchor,
			int64 leaf, int64 seconds, const char *detail)
{
	static UaefQuery query = {
		"SELECT e.stream, e.stream_seq, e.event_id, b.block_no"
		" FROM uaef.ledger_block AS b JOIN uaef.ledger_event AS e"
		" ON e.event_id = ANY (b.event_ids)"
		" WHERE b.first_leaf <= $1 AND b.tree_size > $1 AND CASE WHEN $3"
		" THEN e.recorded_at > pg_catalog.to_timestamp($2)"
		" ELSE e.recorded_at < pg_catalog.to_timestamp($2) END"
		" ORDER BY e.event_id LIMIT 100",
		3, {INT8OID, FLOAT8OID, BOOLOID}
	};
	bool		after = strcmp(severity, "error") == 0;
	Datum		args[] = {
		Int64GetDatum(leaf),
		Float8GetDatum((double) anchor->time + seconds),
		BoolGetDatum(after)
	};
	uint64		rows = uaef_spi_read(&query, args);

	for (uint64 i = 0; i < rows; i++)
	{
		pg_uuid_t	stream = uaef_spi_uuid(i, 1);
		UaefPlace	place = {
			.stream = &stream,
			.stream_seq = uaef_spi_int64(i, 2),
			.event_id = uaef_spi_int64(i, 3),
			.block_no = uaef_spi_int64(i, 4),
			.severity = severity
		};

		uaef_report_problem(scan->report, "TIME_OUTSIDE_ANCHOR", &place,
							detail);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The events next to the end of a checkpoint against its time; those further
 * away are bounded by the order of times within streams and of blocks.
 */
static void
check_times(VerifyScan *scan, const Anchor *anchor)
{
	int64		size = anchor->checkpoint.size;

	if (anchor->time == 0)
		return;
	if (size > 0)
		report_time(scan, "error", anchor, size - 1, CLOCK_TOLERANCE,
					"the event says that it was recorded after it was cosigned");
	if (size < scan->plan->tree_size)
		report_time(scan, "warning", anchor, size,
					-(int64) COMMIT_TOLERANCE,
					"the event says that it was recorded long before a checkpoint that does not have it");
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

/*
 * What this database keeps of its own checkpoints, as the check's snapshot sees
 * it: a later one may sign what was sealed meanwhile.
 */
static void
check_stored(VerifyScan *scan, const Keys *keys)
{
	static UaefQuery query = {
		"SELECT note, tree_size, root::pg_catalog.bytea"
		" FROM uaef.ledger_checkpoint ORDER BY origin, tree_size",
		0
	};
	Keys		none = {.key = keys->key};
	uint64		rows = uaef_spi_read(&query, NULL);
	SPITupleTable *stored = SPI_tuptable;

	for (uint64 i = 0; i < rows; i++)
	{
		Anchor		anchor = {.what = "a stored checkpoint"};
		UaefPlace	place = {0};
		bool		isnull;
		const uint8 *root;

		SPI_tuptable = stored;
		if (!read_anchor(scan->report, &none, uaef_spi_text(i, 1), &anchor))
			continue;
		SPI_tuptable = stored;
		root = uaef_fixed_bytes(uaef_spi_value(i, 3, &isnull), UAEF_HASH_LEN);
		place.leaf_no = anchor.checkpoint.size;
		if (anchor.checkpoint.size != uaef_spi_int64(i, 2) ||
			memcmp(root, anchor.checkpoint.root, UAEF_HASH_LEN) != 0)
			uaef_report_problem(scan->report, "ANCHOR_DIVERGED", &place,
								"the row of a stored checkpoint is not what its note says");
		(void) compare_root(scan, &anchor);
	}
	SPI_freetuptable(stored);
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
	check_stored(scan, &keys);
}
