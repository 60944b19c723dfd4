/*-------------------------------------------------------------------------
 *
 * ledger_head_shared.c
 *	  The last events of streams, as processes tell each other of them.
 *
 * To find the end of a stream in the table takes a search in an index and a
 * look at a page of the heap.  Rows that change often, and backends that insert
 * one event after the other, find it here: an array in shared memory, which is
 * only there when the library was preloaded.  A stream has one place in it, and
 * takes it from the one that was there.
 *
 * What is said of a stream here comes from the last one who appended to it, for
 * whoever does so writes its place, or empties it, before its row is in the
 * table.  It is believed only if the (sub)transaction that wrote it committed or
 * is one of ours: after an abort the table has to be asked.  Who reads it holds
 * the stream, so nobody is appending.  Nor is what was written before there was
 * our database: one that was dropped may have had its number and, where both are
 * copies of a third, the same streams.  The streams of rows and those of
 * backends are kept; what is recorded of executions is not, as the engine
 * looks for their ends once in a step.
 *
 * A row that the executor inserts may yet be dropped, by ON CONFLICT or by
 * another trigger, which no error would tell of.  Of such a one it is looked up
 * whether it is where this process inserted last; if not, the table is asked.
 *
 * Locking: a spinlock for each place.  Memory: 1 MB, shared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/smgr.h"
#include "storage/spin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "event_hash.h"
#include "ledger_head_shared.h"
#include "shmem_area.h"

#define N_PLACES	8192

/* Beyond this many transactions nothing is said of one. */
#define MAX_AGE		INT64CONST(1000000)

typedef struct SharedHead
{
	Oid			database;		/* InvalidOid: the place is empty */
	Oid			table;
	pg_uuid_t	stream;
	FullTransactionId writer;
	bool		sure;
	UaefStreamEnd end;
} SharedHead;

typedef struct Place
{
	slock_t		lock;
	SharedHead	head;
} Place;

static Place *places = NULL;

static void startup(void);
static Place *place_of(const pg_uuid_t *stream);
static bool is_of(const SharedHead *head, Relation rel,
				  const pg_uuid_t *stream);
static FullTransactionId full_xid(TransactionId xid);
static FullTransactionId database_begin(void);
static bool has_committed(FullTransactionId writer);
static bool is_event(HeapTuple tuple, Relation rel, const SharedHead *head);
static bool is_where_we_inserted(Relation rel, const SharedHead *head);

static void
startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	places = ShmemInitStruct("uaef stream heads",
							 mul_size(N_PLACES, sizeof(Place)), &found);
	if (!found)
	{
		memset(places, 0, N_PLACES * sizeof(Place));
		for (int i = 0; i < N_PLACES; i++)
			SpinLockInit(&places[i].lock);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
uaef_shared_heads_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		uaef_shmem_area(mul_size(N_PLACES, sizeof(Place)), startup);
}

/*
 * The streams that are kept have names that are hashes.
 */
static Place *
place_of(const pg_uuid_t *stream)
{
	uint32		number;

	memcpy(&number, stream->data, sizeof(number));
	return &places[number % N_PLACES];
}

static bool
is_of(const SharedHead *head, Relation rel, const pg_uuid_t *stream)
{
	return head->database == MyDatabaseId &&
		head->table == RelationGetRelid(rel) &&
		memcmp(&head->stream, stream, UUID_LEN) == 0;
}

/*
 * The last transaction up to now that has a number of 32 bits.
 */
static FullTransactionId
full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid >= XidFromFullTransactionId(next) && epoch > 0)
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

/*
 * A transaction that came before every other one of this database: what wrote
 * its row in pg_database.  If that was changed since, or is older than the
 * numbers of 32 bits reach back, it is a later one, which is safe.
 */
static FullTransactionId
database_begin(void)
{
	static FullTransactionId begin;
	HeapTuple	tuple;

	if (FullTransactionIdIsValid(begin))
		return begin;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	begin = full_xid(HeapTupleHeaderGetRawXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return begin;
}

/*
 * Whether it did, or is ours and has not ended.  False is safe: VACUUM may have
 * cut off what the server knew of transactions that are long over.
 */
static bool
has_committed(FullTransactionId writer)
{
	TransactionId xid = XidFromFullTransactionId(writer);
	int64		age = (int64) (U64FromFullTransactionId(GetTopFullTransactionId()) -
							   U64FromFullTransactionId(writer));
	bool		committed;

	if (age > MAX_AGE || age < -MAX_AGE)
		return false;
	if (TransactionIdIsCurrentTransactionId(xid))
		return true;
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	committed = !TransactionIdPrecedes(xid, uaef_oldest_clog_xid()) &&
		TransactionIdDidCommit(xid);
	LWLockRelease(XactTruncationLock);
	return committed;
}

static bool
is_event(HeapTuple tuple, Relation rel, const SharedHead *head)
{
	bool		isnull;
	Datum		hash;

	if (HeapTupleHeaderGetRawXmin(tuple->t_data) !=
		XidFromFullTransactionId(head->writer))
		return false;
	hash = heap_getattr(tuple, UAEF_EVENT_HASH, RelationGetDescr(rel), &isnull);
	return !isnull && memcmp(uaef_datum_hash(hash), head->end.hash,
							 UAEF_HASH_LEN) == 0;
}

/*
 * Whether the event is on the page that this process inserted into last.
 */
static bool
is_where_we_inserted(Relation rel, const SharedHead *head)
{
	HeapTupleData tuple = {.t_tableOid = RelationGetRelid(rel)};
	BlockNumber block = RelationGetTargetBlock(rel);
	Buffer		buffer;
	Page		page;
	bool		found = false;

	if (block == InvalidBlockNumber)
		return false;
	buffer = ReadBuffer(rel, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	for (OffsetNumber i = PageGetMaxOffsetNumber(page);
		 i >= FirstOffsetNumber && !found; i--)
	{
		ItemId		item = PageGetItemId(page, i);

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, block, i);
		found = is_event(&tuple, rel, head) &&
			HeapTupleSatisfiesVisibility(&tuple, SnapshotSelf, buffer);
	}
	UnlockReleaseBuffer(buffer);
	return found;
}

bool
uaef_shared_head_get(Relation rel, const pg_uuid_t *stream, UaefStreamEnd *end)
{
	Place	   *place;
	SharedHead	head;

	if (places == NULL)
		return false;
	place = place_of(stream);
	SpinLockAcquire(&place->lock);
	head = place->head;
	SpinLockRelease(&place->lock);

	if (!is_of(&head, rel, stream) ||
		FullTransactionIdPrecedes(head.writer, database_begin()) ||
		!has_committed(head.writer) ||
		!(head.sure || is_where_we_inserted(rel, &head)))
		return false;
	*end = head.end;
	return true;
}

void
uaef_shared_head_put(Relation rel, const pg_uuid_t *stream,
					 const UaefStreamEnd *end, bool sure)
{
	SharedHead	head = {
		.database = MyDatabaseId,
		.table = RelationGetRelid(rel),
		.stream = *stream,
		.sure = sure,
		.end = *end
	};
	Place	   *place;

	if (places == NULL)
		return;
	head.writer = GetCurrentFullTransactionId();
	place = place_of(stream);
	SpinLockAcquire(&place->lock);
	place->head = head;
	SpinLockRelease(&place->lock);
}

void
uaef_shared_head_forget(Relation rel, const pg_uuid_t *stream)
{
	Place	   *place;

	if (places == NULL)
		return;
	place = place_of(stream);
	SpinLockAcquire(&place->lock);
	if (is_of(&place->head, rel, stream))
		place->head.database = InvalidOid;
	SpinLockRelease(&place->lock);
}
