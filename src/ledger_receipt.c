/*-------------------------------------------------------------------------
 *
 * ledger_receipt.c
 *	  Receipts: an execution's events with all that proves them.
 *
 * The events of an execution lie near each other in the tree, so their proofs
 * would repeat nearly all of their hashes.  A receipt has each hash once: one
 * proof for all events, which a verifier follows by the recursion that defines
 * the tree.  docs/proofs.md has the format.
 *
 * Locking: none but AccessShareLock.  Memory: the caller's context; all of the
 * execution's events are in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "errcodes.h"
#include "ledger.h"
#include "ledger_export.h"
#include "ledger_proof.h"
#include "ledger_published.h"
#include "ledger_receipt.h"
#include "spi_util.h"

/* Where an event is. */
typedef struct Place
{
	int64		leaf;
	int64		block_no;
} Place;

/* A receipt that is being written. */
typedef struct Receipt
{
	const pg_uuid_t *stream;
	StringInfoData text;
	Place	   *places;			/* of the events, in their order */
	int			n;
	int			nhashes;		/* of the proof, so far */
	UaefPublished published;
	bool		has_checkpoint;
	int64		tree_size;
} Receipt;

static char *uuid_text(const pg_uuid_t *uuid);
static void find_place(Place *place, int64 event_id);
static void read_events(Receipt *receipt);
static int	compare_leaves(const void *a, const void *b);
static void choose_tree(Receipt *receipt, int64 last_leaf);
static void add_hash(void *arg, const uint8 *hash);
static void add_proof(Receipt *receipt);
static void add_blocks(Receipt *receipt);
static void add_checkpoint(Receipt *receipt);

static char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

/*
 * Raises UA103 when the event is not sealed.
 */
static void
find_place(Place *place, int64 event_id)
{
	place->leaf = uaef_leaf_of_event(event_id, &place->block_no);
	if (place->leaf < 0)
		(void) uaef_require_leaf(event_id, PG_INT64_MAX);
}

/*
 * Each event as a member of the list, with its place.
 */
static void
read_events(Receipt *receipt)
{
	static UaefQuery query = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text, event_id, stream_seq"
		" FROM (SELECT " UAEF_SQL_EVENT " FROM uaef.ledger_event AS e"
		" WHERE e.stream = $1) AS x ORDER BY stream_seq",
		1, {UUIDOID}
	};
	Datum		args[] = {UUIDPGetDatum(receipt->stream)};

	receipt->n = (int) uaef_spi_read(&query, args);
	if (receipt->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("the ledger has no events of execution \"%s\"",
						uuid_text(receipt->stream))));
	if (uaef_spi_int64(0, 3) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the first %lld events of execution \"%s\" were retired",
						(long long) uaef_spi_int64(0, 3) - 1,
						uuid_text(receipt->stream)),
				 errhint("Put them back from their archive, and ask again.")));

	receipt->places = palloc(receipt->n * sizeof(Place));
	for (int i = 0; i < receipt->n; i++)
	{
		char	   *event = uaef_spi_text(i, 1);
		Place	   *place = &receipt->places[i];

		find_place(place, uaef_spi_int64(i, 2));
		event[strlen(event) - 1] = '\0';	/* without its last brace */
		appendStringInfo(&receipt->text,
						 "%s%s,\"leaf_index\":%lld,\"block_no\":%lld}",
						 i > 0 ? "," : "", event, (long long) place->leaf,
						 (long long) place->block_no);
		pfree(event);
	}
}

static int
compare_leaves(const void *a, const void *b)
{
	int64		l = *(const int64 *) a;
	int64		r = *(const int64 *) b;

	return (l > r) - (l < r);
}

/*
 * The tree of the newest checkpoint if all events are in it, else of all that
 * is sealed.
 */
static void
choose_tree(Receipt *receipt, int64 last_leaf)
{
	receipt->has_checkpoint = uaef_published_newest(&receipt->published) &&
		last_leaf < receipt->published.tree_size;
	receipt->tree_size = receipt->has_checkpoint ?
		receipt->published.tree_size : uaef_tree_size();
}

/*
 * A UaefHashTaker.
 */
static void
add_hash(void *arg, const uint8 *hash)
{
	Receipt    *receipt = arg;
	char	   *hex = uaef_hex(hash, UAEF_HASH_LEN);

	appendStringInfo(&receipt->text, "%s\"%s\"",
					 receipt->nhashes++ > 0 ? "," : "", hex);
	pfree(hex);
}

static void
add_proof(Receipt *receipt)
{
	int64	   *leaves = palloc(receipt->n * sizeof(int64));
	uint8		root[UAEF_HASH_LEN];
	UaefTree   *tree;

	for (int i = 0; i < receipt->n; i++)
		leaves[i] = receipt->places[i].leaf;
	qsort(leaves, receipt->n, sizeof(int64), compare_leaves);

	choose_tree(receipt, leaves[receipt->n - 1]);
	tree = uaef_tree_open(receipt->tree_size);
	if (receipt->has_checkpoint)
		uaef_published_check(&receipt->published, tree);
	appendStringInfoString(&receipt->text, ",\"proof\":[");
	uaef_merkle_multiproof(uaef_tree_read, tree, leaves, receipt->n,
						   receipt->tree_size, add_hash, receipt);
	uaef_merkle_root(uaef_tree_read, tree, receipt->tree_size, root);
	uaef_tree_close(tree);
	appendStringInfo(&receipt->text, "],\"tree_size\":%lld,\"root\":\"%s\"",
					 (long long) receipt->tree_size,
					 uaef_hex(root, UAEF_HASH_LEN));
}

static void
add_blocks(Receipt *receipt)
{
	static UaefQuery query = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text"
		" FROM (SELECT " UAEF_SQL_BLOCK " FROM uaef.ledger_block AS b"
		" WHERE b.block_no = ANY ($1)) AS x ORDER BY block_no",
		1, {INT8ARRAYOID}
	};
	Datum	   *numbers = palloc(receipt->n * sizeof(Datum));
	Datum		args[1];
	uint64		rows;

	for (int i = 0; i < receipt->n; i++)
		numbers[i] = Int64GetDatum(receipt->places[i].block_no);
	args[0] = uaef_array(numbers, NULL, receipt->n, INT8OID);
	rows = uaef_spi_read(&query, args);
	appendStringInfoString(&receipt->text, ",\"blocks\":[");
	for (uint64 i = 0; i < rows; i++)
		appendStringInfo(&receipt->text, "%s%s", i > 0 ? "," : "",
						 uaef_spi_text(i, 1));
	appendStringInfoChar(&receipt->text, ']');
}

static void
add_checkpoint(Receipt *receipt)
{
	appendStringInfoString(&receipt->text, ",\"checkpoint\":");
	if (receipt->has_checkpoint)
		escape_json(&receipt->text, receipt->published.note);
	else
		appendStringInfoString(&receipt->text, "null");
}

Jsonb *
uaef_receipt(const pg_uuid_t *stream)
{
	Receipt		receipt = {.stream = stream};
	UaefCaller	caller;

	initStringInfo(&receipt.text);
	appendStringInfo(&receipt.text,
					 "{\"format\":1,\"row\":\"receipt\",\"execution_id\":\"%s\","
					 "\"ledger_id\":\"%s\",\"origin\":", uuid_text(stream),
					 uuid_text(uaef_ledger_id()));
	escape_json(&receipt.text, uaef_published_origin());

	caller = uaef_spi_begin();
	appendStringInfoString(&receipt.text, ",\"events\":[");
	read_events(&receipt);
	appendStringInfoChar(&receipt.text, ']');
	add_proof(&receipt);
	add_blocks(&receipt);
	add_checkpoint(&receipt);
	uaef_spi_end(caller);
	appendStringInfoChar(&receipt.text, '}');

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(receipt.text.data)));
}
