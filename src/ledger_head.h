/*-------------------------------------------------------------------------
 *
 * ledger_head.h
 *	  The last event of a stream, as the table has it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_HEAD_H
#define UAEF_LEDGER_HEAD_H

#include "datatype/timestamp.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#include "hash256.h"

typedef struct UaefStreamEnd
{
	int64		seq;			/* 0: the stream is empty, the rest is not set */
	TimestampTz recorded_at;
	uint8		hash[UAEF_HASH_LEN];
} UaefStreamEnd;

/*
 * Read the last event of a stream, committed or our own; rel is ledger_event,
 * open_index its primary key, or NULL when that is not open yet.
 */
extern void uaef_ledger_read_end(Relation rel, Relation open_index,
								 const pg_uuid_t *stream, UaefStreamEnd *end);

#endif							/* UAEF_LEDGER_HEAD_H */
