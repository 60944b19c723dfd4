/*-------------------------------------------------------------------------
 *
 * ledger_head_shared.h
 *	  The last events of streams, as processes tell each other of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_HEAD_SHARED_H
#define UAEF_LEDGER_HEAD_SHARED_H

#include "ledger_head.h"

/* From _PG_init: ask for the memory if the library is being preloaded. */
extern void uaef_shared_heads_init(void);

/*
 * The last event of a stream that the caller holds, if it is known here, and
 * was committed or is our own; else false.  rel is ledger_event.
 */
extern bool uaef_shared_head_get(Relation rel, const pg_uuid_t *stream,
								 UaefStreamEnd *end);

/*
 * This transaction appends to a stream.  sure: the row will be in the table
 * unless an error is raised; else that is looked up before it is relied on.
 */
extern void uaef_shared_head_put(Relation rel, const pg_uuid_t *stream,
								 const UaefStreamEnd *end, bool sure);

/* Somebody appends to a stream who does not tell what. */
extern void uaef_shared_head_forget(Relation rel, const pg_uuid_t *stream);

#endif							/* UAEF_LEDGER_HEAD_SHARED_H */
