/*-------------------------------------------------------------------------
 *
 * ledger_block.c
 *	  One row of uaef.ledger_block, as the sealer writes it and the verifier
 *	  reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "errcodes.h"
#include "ledger.h"
#include "ledger_block.h"
#include "row_write.h"

static bool read_event_ids(Datum value, UaefBlock *block);
static bool read_frontier(Datum value, UaefBlock *block);
static int	compare_ids(const void *a, const void *b);
static int	compare_xids(const void *a, const void *b);
static void add_text(const char *text);

void
uaef_block_genesis(UaefBlock *block)
{
	static const pg_uuid_t no_stream = {{0}};

	memset(block, 0, sizeof(UaefBlock));
	uaef_frontier_init(&block->frontier);
	uaef_frontier_root(&block->frontier, block->tree_root);
	uaef_genesis_hash(uaef_ledger_id(), &no_stream, block->hash);
}

static bool
read_event_ids(Datum value, UaefBlock *block)
{
	ArrayType  *array = DatumGetArrayTypePCopy(value);

	if (block->leaf_count < 1 || ARR_HASNULL(array) ||
		ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) != block->leaf_count)
		return false;
	block->event_array = array;
	block->event_ids = (int64 *) ARR_DATA_PTR(array);
	return true;
}

static bool
read_frontier(Datum value, UaefBlock *block)
{
	bytea	   *packed = DatumGetByteaPP(value);

	return uaef_frontier_load(&block->frontier, block->tree_size,
							  (const uint8 *) VARDATA_ANY(packed),
							  VARSIZE_ANY_EXHDR(packed));
}

/*
 * Whether a value can be read as a pg_snapshot: its length, in front of xmin
 * and xmax and the transactions in progress, is that of its number of them.
 */
static bool
is_snapshot(Datum value)
{
	struct varlena *plain = PG_DETOAST_DATUM(value);
	uint32		nxip;

	if (VARSIZE(plain) < VARHDRSZ + sizeof(uint32) + 2 * sizeof(uint64))
		return false;
	memcpy(&nxip, VARDATA(plain), sizeof(nxip));
	return nxip < MaxAllocSize / sizeof(uint64) &&
		VARSIZE(plain) == VARHDRSZ + sizeof(uint32) +
		(2 + (Size) nxip) * sizeof(uint64);
}

char *
uaef_block_snapshot(Datum value)
{
	return is_snapshot(value) ?
		OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, value) : NULL;
}

#define VALUE(column) values[(column) - 1]

void
uaef_block_read_columns(const Datum *values, UaefBlock *block)
{
	block->no = DatumGetInt64(VALUE(UAEF_BLOCK_NO));
	block->first_leaf = DatumGetInt64(VALUE(UAEF_BLOCK_FIRST_LEAF));
	block->leaf_count = DatumGetInt64(VALUE(UAEF_BLOCK_LEAF_COUNT));
	block->tree_size = DatumGetInt64(VALUE(UAEF_BLOCK_TREE_SIZE));
	block->first_event_id = DatumGetInt64(VALUE(UAEF_BLOCK_FIRST_EVENT_ID));
	block->last_event_id = DatumGetInt64(VALUE(UAEF_BLOCK_LAST_EVENT_ID));
	block->timeline = DatumGetInt32(VALUE(UAEF_BLOCK_TIMELINE));
	block->foreign_event_id =
		DatumGetInt64(VALUE(UAEF_BLOCK_FOREIGN_EVENT_ID));
	block->sealed_at = DatumGetTimestampTz(VALUE(UAEF_BLOCK_SEALED_AT));
	block->incarnation = TextDatumGetCString(VALUE(UAEF_BLOCK_INCARNATION));
	memcpy(block->tree_root, uaef_datum_hash(VALUE(UAEF_BLOCK_TREE_ROOT)),
		   UAEF_HASH_LEN);
	memcpy(block->prev_hash, uaef_datum_hash(VALUE(UAEF_BLOCK_PREV_HASH)),
		   UAEF_HASH_LEN);
	memcpy(block->hash, uaef_datum_hash(VALUE(UAEF_BLOCK_HASH)),
		   UAEF_HASH_LEN);
}

bool
uaef_block_read(HeapTuple tuple, TupleDesc desc, UaefBlock *block)
{
	Datum		values[UAEF_BLOCK_COLUMNS];
	bool		nulls[UAEF_BLOCK_COLUMNS];

	uaef_require_columns(desc, "ledger_block", UAEF_BLOCK_COLUMNS);
	memset(block, 0, sizeof(UaefBlock));
	heap_deform_tuple(tuple, desc, values, nulls);
	if (!nulls[UAEF_BLOCK_NO - 1])
		block->no = DatumGetInt64(VALUE(UAEF_BLOCK_NO));
	for (int i = 0; i < UAEF_BLOCK_COLUMNS; i++)
		if (nulls[i])
			return false;

	uaef_block_read_columns(values, block);
	block->snapshot = uaef_block_snapshot(VALUE(UAEF_BLOCK_SNAPSHOT));
	return block->snapshot != NULL &&
		block->tree_size == block->first_leaf + block->leaf_count &&
		read_event_ids(VALUE(UAEF_BLOCK_EVENT_IDS), block) &&
		read_frontier(VALUE(UAEF_BLOCK_FRONTIER), block);
}

void
uaef_block_last(Snapshot snapshot, UaefBlock *block)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_block", schema),
								 AccessShareLock);
	Relation	index = index_open(get_relname_relid("ledger_block_pkey", schema),
								   AccessShareLock);
	SysScanDesc scan = systable_beginscan_ordered(rel, index, snapshot, 0,
												  NULL);
	HeapTuple	tuple = systable_getnext_ordered(scan, BackwardScanDirection);

	if (!HeapTupleIsValid(tuple))
		uaef_block_genesis(block);
	else if (!uaef_block_read(heap_copytuple(tuple), RelationGetDescr(rel),
							  block))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("block %lld is damaged", (long long) block->no),
				 errhint("See uaef.verify_ledger().")));

	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
}

int64
uaef_block_event_ids(Snapshot snapshot, int64 **ids)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_block", schema),
								 AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0,
										  NULL);
	int64		allocated = 1024;
	int64		n = 0;
	HeapTuple	tuple;
	UaefBlock	block;

	*ids = palloc(allocated * sizeof(int64));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		if (!uaef_block_read(tuple, RelationGetDescr(rel), &block))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
					 errmsg("block %lld is damaged", (long long) block.no),
					 errdetail("Which events it sealed cannot be read, and none may be sealed twice."),
					 errhint("See uaef.verify_ledger(), and restore the block's row from a backup.")));
		while (allocated < n + block.leaf_count)
			allocated *= 2;
		*ids = repalloc_huge(*ids, allocated * sizeof(int64));
		memcpy(*ids + n, block.event_ids, block.leaf_count * sizeof(int64));
		n += block.leaf_count;
		pfree(block.event_array);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	uaef_block_sort_ids(*ids, n);

	return n;
}

void
uaef_block_sort_ids(int64 *ids, int64 n)
{
	qsort(ids, n, sizeof(int64), compare_ids);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		l = *(const int64 *) a;
	int64		r = *(const int64 *) b;

	return (l > r) - (l < r);
}

static int
compare_xids(const void *a, const void *b)
{
	uint64		l = *(const uint64 *) a;
	uint64		r = *(const uint64 *) b;

	return (l > r) - (l < r);
}

const int64 *
uaef_block_find(const int64 *ids, int64 n, int64 event_id)
{
	return n == 0 ? NULL :
		bsearch(&event_id, ids, n, sizeof(int64), compare_ids);
}

/*
 * xmin:xmax:xip,xip,...
 */
void
uaef_seen_parse(UaefSeen *seen, const char *text)
{
	char	   *p = strchr(text, ':') + 1;

	seen->xmax = strtoull(p, &p, 10);
	seen->xip = palloc((strlen(p) / 2 + 1) * sizeof(uint64));
	seen->nxip = 0;
	for (p++; *p != '\0'; p += (*p == ','))
		seen->xip[seen->nxip++] = strtoull(p, &p, 10);
}

bool
uaef_seen(const UaefSeen *seen, uint64 tx)
{
	return tx < seen->xmax &&
		(seen->nxip == 0 ||
		 bsearch(&tx, seen->xip, seen->nxip, sizeof(uint64),
				 compare_xids) == NULL);
}

static void
add_text(const char *text)
{
	uint32		len = strlen(text);

	uaef_hash_add_uint32(len);
	uaef_hash_add(text, len);
}

void
uaef_block_hash(const UaefBlock *block, uint8 *hash)
{
	static const char domain[] = "uaef/block/v1";
	const pg_uuid_t *ledger = uaef_ledger_id();

	uaef_hash_begin();
	uaef_hash_add(domain, sizeof(domain));
	uaef_hash_add(ledger->data, UUID_LEN);
	uaef_hash_add_uint64(block->no);
	uaef_hash_add_uint64(block->first_leaf);
	uaef_hash_add_uint64(block->leaf_count);
	uaef_hash_add_uint64(block->tree_size);
	uaef_hash_add(block->tree_root, UAEF_HASH_LEN);
	uaef_hash_add(block->prev_hash, UAEF_HASH_LEN);
	uaef_hash_add_uint64(uaef_unix_us(block->sealed_at));
	add_text(block->snapshot);
	add_text(block->incarnation);
	uaef_hash_add_uint32(block->timeline);
	uaef_hash_add_uint64(block->foreign_event_id);
	uaef_hash_end(hash);
}

char *
uaef_block_incarnation(void)
{
	return psprintf("%llu/%u", (unsigned long long) GetSystemIdentifier(),
					MyDatabaseId);
}

int32
uaef_block_timeline(void)
{
	return (int32) uaef_wal_timeline();
}
