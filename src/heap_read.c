/*-------------------------------------------------------------------------
 *
 * heap_read.c
 *	  Reading a table page by page without trusting what is in the pages.
 *
 * Locking: AccessShareLock on the table while it is open.  A page's content is
 * locked only while its rows are found; the pin keeps them where they are.
 * No predicate locks: what is read decides nothing that is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tupmacs.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "heap_read.h"

/* Bytes of a row that are fetched before it is looked at: most have no more. */
#define PREFETCHED 512

static uint8 alignment(char code);
static const char *check_page(Page page);
static const char *check_pointer(Page page, ItemId id);
static uint32 varlena_size(const char *data, uint32 *offset, uint32 len,
						   uint8 align);
static bool is_short(const char *data, uint32 offset, uint32 len);

static uint8
alignment(char code)
{
	switch (code)
	{
		case TYPALIGN_CHAR:
			return 1;
		case TYPALIGN_SHORT:
			return ALIGNOF_SHORT;
		case TYPALIGN_INT:
			return ALIGNOF_INT;
		default:
			return ALIGNOF_DOUBLE;
	}
}

void
uaef_heap_open(UaefHeap *heap, const char *table, Snapshot snapshot)
{
	Oid			schema = get_namespace_oid("uaef", false);
	TupleDesc	desc;

	heap->rel = table_open(get_relname_relid(table, schema), AccessShareLock);
	heap->snapshot = snapshot;

	/* As the server's own scans: what fits into the cache goes there. */
	heap->strategy = RelationGetNumberOfBlocks(heap->rel) > NBuffers / 4 ?
		GetAccessStrategy(BAS_BULKREAD) : NULL;
	desc = RelationGetDescr(heap->rel);
	heap->ncolumns = desc->natts;
	heap->columns = palloc(desc->natts * sizeof(UaefColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		heap->columns[i].len = attribute->attlen;
		heap->columns[i].align = alignment(attribute->attalign);
		heap->columns[i].by_value = attribute->attbyval;
	}
}

void
uaef_heap_close(UaefHeap *heap)
{
	table_close(heap->rel, AccessShareLock);
	if (heap->strategy != NULL)
		FreeAccessStrategy(heap->strategy);
	pfree(heap->columns);
}

static const char *
check_page(Page page)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_lower < SizeOfPageHeaderData ||
		header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special ||
		header->pd_special != BLCKSZ ||
		PageGetMaxOffsetNumber(page) > MaxHeapTuplesPerPage)
		return "the header of the page is malformed";
	return NULL;
}

static const char *
check_pointer(Page page, ItemId id)
{
	uint32		from = ItemIdGetOffset(id);
	uint32		len = ItemIdGetLength(id);

	if (from != MAXALIGN(from) || from < ((PageHeader) page)->pd_upper ||
		from + len > BLCKSZ || len < SizeofHeapTupleHeader)
		return "the row's line pointer leads out of the page's rows";
	return NULL;
}

void
uaef_heap_row(const UaefHeap *heap, const UaefPage *page, OffsetNumber row,
			  HeapTuple tuple)
{
	Page		content = BufferGetPage(page->buffer);
	ItemId		id = PageGetItemId(content, row);

	tuple->t_data = (HeapTupleHeader) PageGetItem(content, id);
	tuple->t_len = ItemIdGetLength(id);
	tuple->t_tableOid = RelationGetRelid(heap->rel);
	ItemPointerSet(&tuple->t_self, page->block, row);
}

void
uaef_heap_prefetch(const UaefPage *page, OffsetNumber row)
{
	Page		content = BufferGetPage(page->buffer);
	ItemId		id = PageGetItemId(content, row);
	const char *data = (const char *) PageGetItem(content, id);

	for (uint32 at = 0; at < Min(ItemIdGetLength(id), PREFETCHED);
		 at += PG_CACHE_LINE_SIZE / 2)
		__builtin_prefetch(data + at);
}

/*
 * A page that is marked as visible to all needs no look at transactions, as
 * for the server itself.
 */
void
uaef_heap_page(UaefHeap *heap, UaefPage *page, BlockNumber block,
			   const bool *skip, OffsetNumber *at, UaefDamage damage,
			   void *arg)
{
	Page		content;
	const char *problem = NULL;
	OffsetNumber last = 0;
	bool		all_visible = false;

	page->block = block;
	page->n = 0;
	page->buffer = ReadBufferExtended(heap->rel, MAIN_FORKNUM, block,
									  RBM_NORMAL, heap->strategy);
	LockBuffer(page->buffer, BUFFER_LOCK_SHARE);
	content = BufferGetPage(page->buffer);
	if (!PageIsNew(content))
	{
		problem = check_page(content);
		if (problem == NULL)
			last = PageGetMaxOffsetNumber(content);
		all_visible = PageIsAllVisible(content) &&
			!heap->snapshot->takenDuringRecovery;
	}
	if (problem != NULL)
		damage(arg, block, InvalidOffsetNumber, problem);
	for (OffsetNumber row = FirstOffsetNumber; row <= last; row++)
	{
		ItemId		id = PageGetItemId(content, row);
		HeapTupleData tuple;

		if (!ItemIdIsNormal(id) || (skip != NULL && skip[row]))
			continue;
		if (at != NULL)
			*at = row;
		problem = check_pointer(content, id);
		if (problem != NULL)
		{
			damage(arg, block, row, problem);
			continue;
		}
		uaef_heap_row(heap, page, row, &tuple);
		if (all_visible ||
			HeapTupleSatisfiesVisibility(&tuple, heap->snapshot, page->buffer))
			page->row[page->n++] = row;
	}
	LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);
}

void
uaef_heap_release(UaefPage *page)
{
	ReleaseBuffer(page->buffer);
}

HeapTuple
uaef_heap_fetch(UaefHeap *heap, ItemPointer tid)
{
	UaefPage	page;
	OffsetNumber row = ItemPointerGetOffsetNumber(tid);
	HeapTuple	copy = NULL;
	Page		content;

	page.block = ItemPointerGetBlockNumber(tid);
	page.buffer = ReadBufferExtended(heap->rel, MAIN_FORKNUM, page.block,
									 RBM_NORMAL, heap->strategy);
	LockBuffer(page.buffer, BUFFER_LOCK_SHARE);
	content = BufferGetPage(page.buffer);
	if (!PageIsNew(content) && check_page(content) == NULL &&
		row <= PageGetMaxOffsetNumber(content) &&
		ItemIdIsNormal(PageGetItemId(content, row)) &&
		check_pointer(content, PageGetItemId(content, row)) == NULL)
	{
		HeapTupleData tuple;

		uaef_heap_row(heap, &page, row, &tuple);
		copy = heap_copytuple(&tuple);
	}
	UnlockReleaseBuffer(page.buffer);
	return copy;
}

/*
 * The size of the varlena at an offset, which is moved over padding; 0 when
 * it does not end within len.
 */
static uint32
varlena_size(const char *data, uint32 *offset, uint32 len, uint8 align)
{
	const char *p;
	uint32		left;
	uint32		size;

	if (*offset < len && data[*offset] == 0)
		*offset = TYPEALIGN(align, *offset);
	if (*offset >= len)
		return 0;
	p = data + *offset;
	left = len - *offset;
	if (VARATT_IS_1B_E(p))
		size = left > VARHDRSZ_EXTERNAL && VARTAG_EXTERNAL(p) == VARTAG_ONDISK ?
			VARSIZE_EXTERNAL(p) : 0;
	else if (VARATT_IS_1B(p))
		size = VARSIZE_1B(p);
	else if (left < VARHDRSZ)
		size = 0;
	else
	{
		size = VARSIZE_4B(p);
		if (size < (VARATT_IS_4B_C(p) ? VARHDRSZ_COMPRESSED : VARHDRSZ))
			size = 0;
	}
	return size <= left ? size : 0;
}

/*
 * Most varlenas have one byte of header, and no padding before it.
 */
static inline bool
is_short(const char *data, uint32 offset, uint32 len)
{
	return offset < len && VARATT_IS_SHORT(data + offset) &&
		!VARATT_IS_EXTERNAL(data + offset) &&
		VARSIZE_SHORT(data + offset) <= len - offset;
}

const char *
uaef_heap_deform(const UaefHeap *heap, HeapTuple tuple, Datum *values,
				 bool *nulls)
{
	HeapTupleHeader header = tuple->t_data;
	int			n = HeapTupleHeaderGetNatts(header);
	bool		has_nulls = (header->t_infomask & HEAP_HASNULL) != 0;
	uint32		offset = 0;
	uint32		len;
	const char *data;
	const UaefColumn *columns = heap->columns;
	uint32		present = 0;	/* bits of the columns from this one on */

	if (n < 1 || n > heap->ncolumns)
		return "the row's number of columns is wrong";
	if (header->t_hoff != MAXALIGN(SizeofHeapTupleHeader +
								   (has_nulls ? BITMAPLEN(n) : 0)) ||
		header->t_hoff > tuple->t_len)
		return "the row's header is malformed";
	data = (const char *) header + header->t_hoff;
	len = tuple->t_len - header->t_hoff;
	for (int i = 0; i < n; i++)
	{
		const UaefColumn column = columns[i];
		uint32		size;

		if (i % BITS_PER_BYTE == 0)
			present = has_nulls ? header->t_bits[i / BITS_PER_BYTE] : 0xff;
		nulls[i] = (present & 1) == 0;
		values[i] = (Datum) 0;
		present >>= 1;
		if (nulls[i])
			continue;
		if (column.len > 0)
		{
			offset = TYPEALIGN(column.align, offset);
			size = column.len;
			if (offset + size > len)
				return "the row ends before its columns do";
			if (!column.by_value)
				values[i] = PointerGetDatum(data + offset);
			else if (size == sizeof(Datum))
				values[i] = *(const Datum *) (data + offset);
			else
				values[i] = fetch_att(data + offset, true, size);
		}
		else if (is_short(data, offset, len))
		{
			size = VARSIZE_SHORT(data + offset);
			values[i] = PointerGetDatum(data + offset);
		}
		else
		{
			uint32		padded = offset;

			size = varlena_size(data, &padded, len, column.align);
			if (size == 0)
				return "the length of a value in the row is wrong";
			offset = padded;
			values[i] = PointerGetDatum(data + offset);
		}
		offset += size;
	}
	for (int i = n; i < heap->ncolumns; i++)
	{
		nulls[i] = true;
		values[i] = (Datum) 0;
	}
	return offset == len ? NULL : "the row does not end with its columns";
}
