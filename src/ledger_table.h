/*-------------------------------------------------------------------------
 *
 * ledger_table.h
 *	  Tables of an app whose row changes are events of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_H
#define UAEF_LEDGER_TABLE_H

#include "catalog/pg_attribute.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "json_util.h"

/* Our triggers on an attached table, and on each of its partitions. */
#define UAEF_ROW_TRIGGER		"uaef_ledger_row"
#define UAEF_TRUNCATE_TRIGGER	"uaef_ledger_truncate"

/* Types of events; what stands in their payloads: docs/ledgered-tables.md. */
#define UAEF_ROW_INSERTED		"row_inserted"
#define UAEF_ROW_UPDATED		"row_updated"
#define UAEF_ROW_DELETED		"row_deleted"
#define UAEF_ROW_ATTACHED		"row_attached"
#define UAEF_ROW_REWRITTEN		"row_rewritten"
#define UAEF_TABLE_ATTACHED		"table_attached"
#define UAEF_TABLE_DETACHED		"table_detached"
#define UAEF_TABLE_ALTERED		"table_altered"
#define UAEF_TABLE_DROPPED		"table_dropped"
#define UAEF_TABLE_TRUNCATED	"table_truncated"

/* A row of uaef.ledger_table, in the context of who asked. */
typedef struct UaefLedgerTable
{
	int64		table_id;
	Oid			relation;		/* InvalidOid: attached no more */
	char	   *name;
	char	  **chosen;			/* columns; NULL: all */
	int			nchosen;
	char	  **key;
	int			nkey;			/* 0: none */
	Jsonb	   *definition;
} UaefLedgerTable;

/*
 * Find an attached table by its number, or by the table or a partition of it;
 * false if there is none.
 */
extern bool uaef_ledger_table_get(int64 table_id, UaefLedgerTable *table);
extern bool uaef_ledger_table_find(Oid relation, UaefLedgerTable *table);

/* The same by relation, but raises 42704 if it is not attached. */
extern void uaef_ledger_table_require(Oid relation, UaefLedgerTable *table);

/* The stream of the events on a table as a whole. */
extern void uaef_table_stream(int64 table_id, pg_uuid_t *stream);

/* Whether a column can be recorded: it is there, and has values of its own. */
extern bool uaef_is_recordable(Form_pg_attribute attribute);

/* A relation's name with its schema, quoted where needed. */
extern char *uaef_relation_name(Oid relation);

/*
 * Begin the payload of an event on a table, and append the event, to the
 * table's stream; the actor is the role given.
 */
extern void uaef_table_event_begin(UaefJson *json,
								   const UaefLedgerTable *table);
extern void uaef_table_event_end(UaefJson *json, const char *type,
								 const UaefLedgerTable *table, Oid role);

/*
 * Attach a table for the current user, who must own it; returns its number.
 * Locks the table and its partitions against writes until the transaction
 * ends.  columns and key are arrays of names, or NULL.
 */
extern int64 uaef_ledger_attach(Oid relation, ArrayType *columns,
								ArrayType *key, bool existing);

/* Undo it; the table's owner may. */
extern void uaef_ledger_detach(Oid relation);

#endif							/* UAEF_LEDGER_TABLE_H */
