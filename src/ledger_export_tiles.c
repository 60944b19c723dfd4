/*-------------------------------------------------------------------------
 *
 * ledger_export_tiles.c
 *	  The ledger as files: tiles of the tree, entries, and what belongs to them.
 *
 * The layout is that of c2sp.org/tlog-tiles; what a ledger has beyond such a
 * log is beside it, under uaef/.  docs/proofs.md has the format.
 *
 * Files come in an order in which each needs only those before it: what a
 * checkpoint covers is there when the checkpoint comes.  A file is made when it
 * is read, so one that is passed over costs nothing.
 *
 * The size of the tree is that of the newest signed checkpoint, since partial
 * tiles are for sizes that were signed; without one it is all that is sealed.
 *
 * Locking: none but AccessShareLock.  Memory: the context that was current at
 * the beginning has one bundle of entries and of payloads at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "canonical.h"
#include "ledger.h"
#include "ledger_export.h"
#include "ledger_export_tiles.h"
#include "ledger_published.h"
#include "spi_util.h"

/* The files, in their order. */
typedef enum Part
{
	PART_TILES,
	PART_BUNDLES,				/* of entries, each with its payloads */
	PART_BLOCKS,
	PART_CHECKPOINTS,
	PART_RETIRED,
	PART_LEDGER,
	PART_CHECKPOINT,
	PART_END
} Part;

/* Entries and payloads of the events of one bundle. */
typedef struct Bundle
{
	int64		no;				/* -1: none was read */
	int			n;
	bool		whole;
	StringInfoData *entry;		/* UAEF_TILE_WIDTH of them */
	StringInfoData *payload;
} Bundle;

struct UaefFiles
{
	MemoryContext context;
	int64		from;
	UaefTree   *tree;
	int64		tree_size;
	int64		nblocks;
	int64		first_entry;	/* bundles up to here may be missing */
	bool		has_retired;	/* something was, once */
	bool		is_signed;
	UaefPublished newest;
	Part		part;
	int			level;			/* of tiles */
	bool		is_payload;		/* of a bundle: its payloads, not its entries */
	int64		no;				/* of the file among its sort */
	UaefPublished checkpoint;	/* that is stood on */
	Bundle		bundle;
};

static int64 last_block(int64 tree_size);
static int64 retired_until(int64 tree_size, bool *any);
static int	width(int64 count, int64 no);
static void describe(UaefFile *file, const char *directory, int64 no, int n);
static int64 first_number(const UaefFiles *files, int level);
static void start_part(UaefFiles *files, Part part);
static bool next_tile(UaefFiles *files, UaefFile *file);
static bool next_bundle(UaefFiles *files, UaefFile *file);
static bool next_blocks(UaefFiles *files, UaefFile *file);
static bool next_checkpoint(UaefFiles *files, UaefFile *file);
static void keep_event(void *arg, int64 place, const Datum *values,
					   const bool *nulls);
static bool read_bundle(UaefFiles *files, int64 no);
static void append_utf8(StringInfo content, const char *text);
static void read_entries(const Bundle *bundle, StringInfo content);
static void read_payloads(const Bundle *bundle, StringInfo content);
static void read_blocks(int64 no, int n, StringInfo content);
static void append_lines(UaefQuery *query, Datum *args,
						 StringInfo content);
static void read_retired(int64 tree_size, StringInfo content);
static void read_ledger(UaefFiles *files, StringInfo content);

/* ----------
 * What there is
 * ----------
 */

/*
 * The number of the block that has the last leaf.
 */
static int64
last_block(int64 tree_size)
{
	static UaefQuery query = {
		"SELECT coalesce(pg_catalog.max(block_no), 0) FROM uaef.ledger_block"
		" WHERE first_leaf < $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(tree_size)};
	UaefCaller	caller = uaef_spi_begin();
	int64		no;

	(void) uaef_spi_read(&query, args);
	no = uaef_spi_int64(0, 1);
	uaef_spi_end(caller);

	return no;
}

/*
 * The leaf after the last one that is retired; 0 when none is.  *any tells
 * whether any ever was.
 */
static int64
retired_until(int64 tree_size, bool *any)
{
	static UaefQuery query = {
		"SELECT coalesce(pg_catalog.max(pg_catalog.upper(leaves))"
		" FILTER (WHERE restored_by IS NULL), 0), pg_catalog.count(*)"
		" FROM uaef.ledger_retirement",
		0
	};
	UaefCaller	caller = uaef_spi_begin();
	int64		until;

	(void) uaef_spi_read(&query, NULL);
	until = uaef_spi_int64(0, 1);
	*any = uaef_spi_int64(0, 2) > 0;
	uaef_spi_end(caller);

	return Min(TYPEALIGN64(UAEF_TILE_WIDTH, until), tree_size);
}

UaefFiles *
uaef_files_begin(int64 from_size)
{
	UaefFiles  *files = palloc0(sizeof(UaefFiles));

	if (from_size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_size must not be negative")));
	files->context = CurrentMemoryContext;
	files->from = from_size;
	files->is_signed = uaef_published_newest(&files->newest);
	files->tree_size = files->is_signed ?
		files->newest.tree_size : uaef_tree_size();
	uaef_published_tell_missing(files->tree_size);
	files->tree = uaef_tree_open(files->tree_size);
	files->nblocks = last_block(files->tree_size);
	files->first_entry = retired_until(files->tree_size,
									   &files->has_retired);
	files->bundle.no = -1;
	files->bundle.entry = palloc0(UAEF_TILE_WIDTH * sizeof(StringInfoData));
	files->bundle.payload = palloc0(UAEF_TILE_WIDTH * sizeof(StringInfoData));
	for (int i = 0; i < UAEF_TILE_WIDTH; i++)
	{
		initStringInfo(&files->bundle.entry[i]);
		initStringInfo(&files->bundle.payload[i]);
	}
	start_part(files, PART_TILES);

	return files;
}

int64
uaef_files_tree_size(const UaefFiles *files)
{
	return files->tree_size;
}

/* ----------
 * From file to file
 * ----------
 */

/*
 * How many things of count a file of 256 each has.
 */
static int
width(int64 count, int64 no)
{
	return (int) Max(0, Min(count - no * UAEF_TILE_WIDTH, UAEF_TILE_WIDTH));
}

/*
 * A file of n things out of 256.  1234067 is x001/x234/067.
 */
static void
describe(UaefFile *file, const char *directory, int64 no, int n)
{
	char		number[64];
	char		rest[64];

	file->kind = UAEF_FILE_FINAL;
	file->no = no;
	snprintf(number, sizeof(number), "%03lld", (long long) no % 1000);
	for (no /= 1000; no > 0; no /= 1000)
	{
		strlcpy(rest, number, sizeof(rest));
		snprintf(number, sizeof(number), "x%03lld/%s", (long long) no % 1000,
				 rest);
	}
	if (n == UAEF_TILE_WIDTH)
		snprintf(file->path, sizeof(file->path), "%s/%s", directory, number);
	else
		snprintf(file->path, sizeof(file->path), "%s/%s.p/%d", directory,
				 number, n);
}

/*
 * The number of the first file with something beyond the old size.
 */
static int64
first_number(const UaefFiles *files, int level)
{
	return (files->from >> level * UAEF_TILE_HEIGHT) / UAEF_TILE_WIDTH;
}

/*
 * Stand before the first file of a part.
 */
static void
start_part(UaefFiles *files, Part part)
{
	files->part = part;
	if (part == PART_TILES || part == PART_BUNDLES)
		files->no = first_number(files, 0) - 1;
	else if (part == PART_BLOCKS)
		files->no = Max(0, last_block(files->from) - 1) / UAEF_TILE_WIDTH - 1;
	else if (part == PART_CHECKPOINTS)
		files->checkpoint.tree_size = files->from;
	files->is_payload = true;
}

static bool
next_tile(UaefFiles *files, UaefFile *file)
{
	int64		nodes;

	while ((nodes = files->tree_size >> files->level * UAEF_TILE_HEIGHT) > 0)
	{
		int			n = width(nodes, ++files->no);
		char		directory[16];

		if (n > 0)
		{
			snprintf(directory, sizeof(directory), "tile/%d", files->level);
			describe(file, directory, files->no, n);
			file->size = n * UAEF_HASH_LEN;
			return true;
		}
		files->level++;
		files->no = first_number(files, files->level) - 1;
	}
	return false;
}

static bool
next_bundle(UaefFiles *files, UaefFile *file)
{
	int			n;

	files->is_payload = !files->is_payload;
	if (!files->is_payload)
		files->no++;
	n = width(files->tree_size, files->no);
	if (n == 0)
		return false;
	describe(file, files->is_payload ? "uaef/payload" : "tile/entries",
			 files->no, n);
	if (files->is_payload)
		file->kind = UAEF_FILE_PAYLOAD;
	return true;
}

static bool
next_blocks(UaefFiles *files, UaefFile *file)
{
	int			n = width(files->nblocks, ++files->no);

	if (n == 0)
		return false;
	describe(file, "uaef/blocks", files->no, n);
	return true;
}

static bool
next_checkpoint(UaefFiles *files, UaefFile *file)
{
	MemoryContext caller = MemoryContextSwitchTo(files->context);
	int64		before = files->checkpoint.tree_size;
	bool		found;

	if (files->checkpoint.note != NULL)
		pfree(files->checkpoint.note);
	files->checkpoint.note = NULL;
	found = uaef_published_after(before, files->tree_size,
								 &files->checkpoint);
	MemoryContextSwitchTo(caller);
	if (found)
		snprintf(file->path, sizeof(file->path), "uaef/checkpoints/%lld",
				 (long long) files->checkpoint.tree_size);
	return found;
}

/*
 * Each part that is done starts the next one.
 */
bool
uaef_files_next(UaefFiles *files, UaefFile *file)
{
	memset(file, 0, sizeof(UaefFile));
	file->kind = UAEF_FILE_CHANGING;
	file->size = -1;

	if (files->part == PART_TILES)
	{
		if (next_tile(files, file))
			return true;
		start_part(files, PART_BUNDLES);
	}
	if (files->part == PART_BUNDLES)
	{
		if (next_bundle(files, file))
			return true;
		start_part(files, PART_BLOCKS);
	}
	if (files->part == PART_BLOCKS)
	{
		if (next_blocks(files, file))
			return true;
		start_part(files, PART_CHECKPOINTS);
	}
	if (files->part == PART_CHECKPOINTS)
	{
		if (next_checkpoint(files, file))
			return true;
		start_part(files, PART_RETIRED);
		if (files->has_retired)
		{
			strlcpy(file->path, "uaef/retired.jsonl", sizeof(file->path));
			return true;
		}
	}
	if (files->part == PART_RETIRED)
	{
		start_part(files, PART_LEDGER);
		strlcpy(file->path, "uaef/ledger.json", sizeof(file->path));
		return true;
	}
	if (files->part == PART_LEDGER && files->is_signed)
	{
		start_part(files, PART_CHECKPOINT);
		strlcpy(file->path, "checkpoint", sizeof(file->path));
		return true;
	}
	start_part(files, PART_END);
	return false;
}

/* ----------
 * What is in them
 * ----------
 */

static void
append_utf8(StringInfo content, const char *text)
{
	appendStringInfoString(content,
						   pg_server_to_any(text, strlen(text), PG_UTF8));
}

/*
 * A UaefEventReader: keep the entry of an event, and the line of its payload.
 */
static void
keep_event(void *arg, int64 place, const Datum *values, const bool *nulls)
{
	Bundle	   *bundle = arg;
	StringInfo	line = &bundle->payload[place];
	StringInfoData canonical;

	if (!uaef_event_append(&bundle->entry[place], uaef_ledger_id(), values,
						   nulls))
		return;
	bundle->n++;
	if (nulls[UAEF_EVENT_PAYLOAD - 1] || nulls[UAEF_EVENT_SALT - 1])
	{
		appendStringInfoString(line, "null\n");
		return;
	}
	initStringInfo(&canonical);
	(void) uaef_canonical_append(&canonical,
								 DatumGetJsonbP(values[UAEF_EVENT_PAYLOAD - 1]));
	appendStringInfo(line, "{\"salt\":\"%s\",\"payload\":",
					 uaef_hex(uaef_datum_hash(values[UAEF_EVENT_SALT - 1]),
							  UAEF_SALT_LEN));
	escape_json(line, canonical.data);
	appendStringInfoString(line, "}\n");
	pfree(canonical.data);
}

/*
 * Read the events of a bundle; false when one is not there.
 */
static bool
read_bundle(UaefFiles *files, int64 no)
{
	Bundle	   *bundle = &files->bundle;
	int			n = width(files->tree_size, no);
	int64		event_ids[UAEF_TILE_WIDTH];

	if (bundle->no == no)
		return bundle->whole;
	for (int i = 0; i < UAEF_TILE_WIDTH; i++)
	{
		resetStringInfo(&bundle->entry[i]);
		resetStringInfo(&bundle->payload[i]);
	}
	bundle->n = 0;
	bundle->no = no;
	uaef_tree_event_ids(no * UAEF_TILE_WIDTH, n, event_ids);
	(void) uaef_read_events(event_ids, n, keep_event, bundle);
	bundle->whole = bundle->n == n;
	if (!bundle->whole)
		files->first_entry = Max(files->first_entry,
								 no * UAEF_TILE_WIDTH + n);
	return bundle->whole;
}

/*
 * Each entry after its length.
 */
static void
read_entries(const Bundle *bundle, StringInfo content)
{
	for (int i = 0; i < bundle->n; i++)
	{
		const StringInfoData *entry = &bundle->entry[i];

		if (entry->len > PG_UINT16_MAX)
			elog(ERROR, "an entry of %d bytes does not fit a bundle",
				 entry->len);
		appendStringInfoChar(content, (char) (entry->len >> 8));
		appendStringInfoChar(content, (char) (entry->len & 0xff));
		appendBinaryStringInfo(content, entry->data, entry->len);
	}
}

static void
read_payloads(const Bundle *bundle, StringInfo content)
{
	for (int i = 0; i < bundle->n; i++)
		appendBinaryStringInfo(content, bundle->payload[i].data,
							   bundle->payload[i].len);
}

/*
 * The rows of a query, a line each.
 */
static void
append_lines(UaefQuery *query, Datum *args, StringInfo content)
{
	UaefCaller	caller = uaef_spi_begin();
	uint64		rows = uaef_spi_read(query, args);

	for (uint64 i = 0; i < rows; i++)
	{
		append_utf8(content, uaef_spi_text(i, 1));
		appendStringInfoChar(content, '\n');
	}
	uaef_spi_end(caller);
}

static void
read_blocks(int64 no, int n, StringInfo content)
{
	static UaefQuery query = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text"
		" FROM (SELECT " UAEF_SQL_BLOCK " FROM uaef.ledger_block AS b"
		" WHERE b.block_no > $1 AND b.block_no <= $2) AS x ORDER BY block_no",
		2, {INT8OID, INT8OID}
	};
	Datum		args[] = {
		Int64GetDatum(no * UAEF_TILE_WIDTH),
		Int64GetDatum(no * UAEF_TILE_WIDTH + n)
	};

	append_lines(&query, args, content);
}

/*
 * What was retired, and the events that are left of the bundles with it.
 */
static void
read_retired(int64 tree_size, StringInfo content)
{
	static UaefQuery retirements = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text FROM ("
		UAEF_SQL_RETIREMENTS ") AS x",
		0
	};
	static UaefQuery heads = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text FROM ("
		UAEF_SQL_RETIRED_HEADS ") AS x",
		0
	};
	static UaefQuery events = {
		"SELECT pg_catalog.row_to_json(x)::pg_catalog.text FROM ("
		"SELECT 'event' AS row, " UAEF_SQL_EVENT ", l.leaf AS leaf_index"
		" FROM uaef.ledger_block AS b CROSS JOIN LATERAL (SELECT u.event_id,"
		" b.first_leaf + u.n - 1 AS leaf FROM pg_catalog.unnest(b.event_ids)"
		" WITH ORDINALITY AS u (event_id, n)) AS l"
		" JOIN uaef.ledger_event AS e ON e.event_id = l.event_id"
		" WHERE b.first_leaf < $1 AND l.leaf < $1"
		" AND EXISTS (SELECT FROM uaef.ledger_retirement AS r"
		" WHERE r.restored_by IS NULL AND r.leaves OPERATOR(pg_catalog.&&)"
		" pg_catalog.int8range(l.leaf / 256 * 256, l.leaf / 256 * 256 + 256))"
		" ORDER BY l.leaf) AS x",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(tree_size)};

	append_lines(&retirements, NULL, content);
	append_lines(&heads, NULL, content);
	append_lines(&events, args, content);
}

static void
read_ledger(UaefFiles *files, StringInfo content)
{
	uint8		root[UAEF_HASH_LEN];
	Datum		id = UUIDPGetDatum(uaef_ledger_id());
	StringInfoData origin;

	initStringInfo(&origin);
	escape_json(&origin, uaef_published_origin());
	uaef_merkle_root(uaef_tree_read, files->tree, files->tree_size, root);
	appendStringInfo(content, "{\"format\":1,\"ledger_id\":\"%s\",\"origin\":",
					 DatumGetCString(DirectFunctionCall1(uuid_out, id)));
	append_utf8(content, origin.data);
	appendStringInfo(content, ",\"tree_size\":%lld,\"root\":\"%s\","
					 "\"first_entry\":%lld,\"blocks\":%lld}\n",
					 (long long) files->tree_size,
					 uaef_hex(root, UAEF_HASH_LEN),
					 (long long) files->first_entry,
					 (long long) files->nblocks);
}

bool
uaef_files_read(UaefFiles *files, StringInfo content)
{
	CHECK_FOR_INTERRUPTS();
	resetStringInfo(content);
	switch (files->part)
	{
		case PART_TILES:
			{
				uint8		hashes[UAEF_TILE_WIDTH * UAEF_HASH_LEN];
				int			n = width(files->tree_size >> files->level * UAEF_TILE_HEIGHT,
									  files->no);

				uaef_tree_nodes(files->tree, files->level,
								files->no * UAEF_TILE_WIDTH, n, hashes);
				appendBinaryStringInfo(content, (char *) hashes,
									   n * UAEF_HASH_LEN);
				return true;
			}
		case PART_BUNDLES:
			if (!read_bundle(files, files->no))
				return false;
			if (files->is_payload)
				read_payloads(&files->bundle, content);
			else
				read_entries(&files->bundle, content);
			return true;
		case PART_BLOCKS:
			read_blocks(files->no, width(files->nblocks, files->no), content);
			return true;
		case PART_CHECKPOINTS:
			append_utf8(content, files->checkpoint.note);
			return true;
		case PART_RETIRED:
			read_retired(files->tree_size, content);
			return true;
		case PART_LEDGER:
			read_ledger(files, content);
			return true;
		case PART_CHECKPOINT:
			append_utf8(content, files->newest.note);
			return true;
		case PART_END:
			break;
	}
	return false;
}
