/*-------------------------------------------------------------------------
 *
 * ledger_published.c
 *	  Signed checkpoints as others get them: with the cosignatures.
 *
 * A note is stored as the ledger signed it; the lines of witnesses, which come
 * later, are kept beside it and follow it here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "ledger.h"
#include "ledger_checkpoint.h"
#include "ledger_published.h"
#include "spi_util.h"

static Datum origin_datum(void);
static void add_cosignatures(UaefPublished *published, Datum origin);
static bool read_one(UaefQuery *query, Datum *args, UaefPublished *published);

char *
uaef_published_origin(void)
{
	char	   *origin = uaef_checkpoint_origin();

	return pg_any_to_server(origin, strlen(origin), PG_UTF8);
}

static Datum
origin_datum(void)
{
	return CStringGetTextDatum(uaef_published_origin());
}

static void
add_cosignatures(UaefPublished *published, Datum origin)
{
	static UaefQuery query = {
		"SELECT pg_catalog.string_agg(line || pg_catalog.chr(10), ''"
		" ORDER BY witness) FROM uaef.ledger_cosignature"
		" WHERE origin = $1 AND tree_size = $2",
		2, {TEXTOID, INT8OID}
	};
	Datum		args[] = {origin, Int64GetDatum(published->tree_size)};
	bool		isnull;
	Datum		lines;

	(void) uaef_spi_read(&query, args);
	lines = uaef_spi_value(0, 1, &isnull);
	if (!isnull)
		published->note = psprintf("%s%s", published->note,
								   TextDatumGetCString(lines));
}

/*
 * args[0] is the origin.
 */
static bool
read_one(UaefQuery *query, Datum *args, UaefPublished *published)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	bool		found = uaef_spi_read(query, args) > 0;

	if (found)
	{
		bool		isnull;

		published->tree_size = uaef_spi_int64(0, 1);
		memcpy(published->root,
			   uaef_datum_hash(uaef_spi_value(0, 2, &isnull)), UAEF_HASH_LEN);
		published->note = uaef_spi_text(0, 3);
		add_cosignatures(published, args[0]);
		published->note = MemoryContextStrdup(context, published->note);
	}
	uaef_spi_end(caller);

	return found;
}

bool
uaef_published_newest(UaefPublished *published)
{
	static UaefQuery query = {
		"SELECT tree_size, root, note FROM uaef.ledger_checkpoint"
		" WHERE origin = $1 ORDER BY tree_size DESC LIMIT 1",
		1, {TEXTOID}
	};
	Datum		args[1] = {origin_datum()};

	return read_one(&query, args, published);
}

bool
uaef_published_after(int64 size, int64 at_most, UaefPublished *published)
{
	static UaefQuery query = {
		"SELECT tree_size, root, note FROM uaef.ledger_checkpoint"
		" WHERE origin = $1 AND tree_size > $2 AND tree_size <= $3"
		" ORDER BY tree_size LIMIT 1",
		3, {TEXTOID, INT8OID, INT8OID}
	};
	Datum		args[] = {
		origin_datum(), Int64GetDatum(size),
		Int64GetDatum(at_most)
	};

	return read_one(&query, args, published);
}

void
uaef_published_tell_missing(int64 tree_size)
{
	static UaefQuery query = {
		"SELECT count(*) FROM uaef.ledger_unsealed"
		" WHERE event_type NOT IN (" UAEF_ECHOES ")",
		0
	};
	UaefCaller	caller = uaef_spi_begin();
	int64		sealed = uaef_tree_size();
	int64		unsealed;

	(void) uaef_spi_read(&query, NULL);
	unsealed = uaef_spi_int64(0, 1);
	uaef_spi_end(caller);

	if (unsealed > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld event is not sealed yet",
							   "%lld events are not sealed yet",
							   unsealed, (long long) unsealed),
				 errdetail("What is in no block is proved by nothing that is exported."),
				 errhint("Call uaef.seal_ledger() in a transaction of its own, then export again.")));
	if (sealed > tree_size)
		ereport(NOTICE,
				(errmsg("the export ends at the newest signed checkpoint, of %lld events",
						(long long) tree_size),
				 errdetail("%lld events are sealed.", (long long) sealed),
				 errhint("uaef.ledger_checkpoint() signs one of all of them.")));
}

void
uaef_published_check(const UaefPublished *published, UaefTree *tree)
{
	uint8		root[UAEF_HASH_LEN];

	uaef_merkle_root(uaef_tree_read, tree, published->tree_size, root);
	if (memcmp(root, published->root, UAEF_HASH_LEN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("the tree of %lld events is not the one that was signed",
						(long long) published->tree_size),
				 errhint("See uaef.verify_ledger().")));
}
