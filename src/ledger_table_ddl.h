/*-------------------------------------------------------------------------
 *
 * ledger_table_ddl.h
 *	  What DDL does to ledgered tables, recorded in its own transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_DDL_H
#define UAEF_LEDGER_TABLE_DDL_H

#include "commands/event_trigger.h"
#include "utils/array.h"

#include "ledger_table.h"

/*
 * The columns (name[]) that name a row: those wanted, if an index makes them a
 * key, or the primary key's if wanted is NULL; NULL if there is no such key.
 */
extern ArrayType *uaef_usable_key(Oid relation, ArrayType *wanted);

/* Raise unless the rows of a partition are in this database. */
extern void uaef_require_local_partition(Oid relation, Oid part);

/* Make our triggers, note the definition, and record that it is attached. */
extern void uaef_table_record_attached(const UaefLedgerTable *table, Oid role,
									   bool existing);

/* Mark a table as attached no more. */
extern void uaef_table_forget(const UaefLedgerTable *table);

/* Drop our triggers of an attachment, wherever they are. */
extern void uaef_table_drop_triggers(const UaefLedgerTable *table);

/* The body of the event triggers. */
extern void uaef_table_heed_ddl(EventTriggerData *trigger);

/*
 * What is wrong with the triggers of a table and its partitions: an array of
 * texts, empty if nothing is.  Called as the owner, within SPI.
 */
extern Jsonb *uaef_table_trigger_problems(const UaefLedgerTable *table);

/*
 * What is to be recorded of changes since the definition was noted, as a list
 * of objects with "change"; also the definition as it is now.  Called as the
 * owner, within SPI.
 */
extern Jsonb *uaef_table_changes(const UaefLedgerTable *table,
								 Jsonb *definition);
extern Jsonb *uaef_table_definition(const UaefLedgerTable *table);

/* What old rows have in a column that was added later, as JSON. */
extern Jsonb *uaef_missing_value(Oid relation, AttrNumber number);

#endif							/* UAEF_LEDGER_TABLE_DDL_H */
