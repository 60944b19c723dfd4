/*-------------------------------------------------------------------------
 *
 * ledger_export.h
 *	  The ledger as lines of JSON, for who checks it elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_EXPORT_H
#define UAEF_LEDGER_EXPORT_H

/* A time as all our documents have it, whatever the session's settings. */
#define UAEF_SQL_UTC(column) \
	"pg_catalog.to_char(pg_catalog.timezone('UTC', " column ")," \
	" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* The columns of an event e, and of a block b that stand in its hash. */
#define UAEF_SQL_EVENT \
	"e.event_id, e.stream, e.stream_seq, e.tx, " \
	UAEF_SQL_UTC("e.recorded_at") " AS recorded_at, e.kind, e.event_type," \
	" e.actor_type, e.actor_id, e.session_role, e.effective_role, e.task_id," \
	" e.agent_id, e.payload, e.salt, e.payload_hash, e.signer," \
	" pg_catalog.chr(92) || 'x' || pg_catalog.encode(e.signature, 'hex')" \
	" AS signature, e.prev_hash, e.event_hash"
#define UAEF_SQL_BLOCK \
	"b.block_no, b.first_leaf, b.leaf_count, b.tree_size, b.tree_root," \
	" b.prev_block_hash, b.block_hash, b.snapshot, b.incarnation," \
	" b.timeline, b.foreign_event_id, " \
	UAEF_SQL_UTC("b.sealed_at") " AS sealed_at"

/* What was retired. */
#define UAEF_SQL_RETIREMENTS \
	"SELECT 'retirement' AS row, r.event_id, r.leaves, r.events," \
	" r.tree_size, r.restored_by FROM uaef.ledger_retirement AS r" \
	" ORDER BY r.event_id"
#define UAEF_SQL_RETIRED_HEADS \
	"SELECT 'retired_head' AS row, r.stream, r.retirement, r.stream_seq," \
	" r.event_id, " UAEF_SQL_UTC("r.recorded_at") " AS recorded_at," \
	" r.leaf_index, r.event_hash FROM uaef.ledger_retired_head AS r" \
	" ORDER BY r.stream, r.retirement"

/* An export that is under way; in the context that was current at its begin. */
typedef struct UaefExport UaefExport;

/*
 * Begin to export the events from one on, and what belongs to them; NULL: all
 * of the ledger.  All of it is what the active snapshot sees.
 */
extern UaefExport *uaef_export_begin(const int64 *from_event);

/* The next line, palloc'd, without its newline; NULL after the last. */
extern char *uaef_export_next(UaefExport *export);

#endif							/* UAEF_LEDGER_EXPORT_H */
