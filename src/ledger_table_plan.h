/*-------------------------------------------------------------------------
 *
 * ledger_table_plan.h
 *	  How rows of a ledgered table become events: worked out once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_PLAN_H
#define UAEF_LEDGER_TABLE_PLAN_H

#include "utils/relcache.h"
#include "utils/uuid.h"

#include "ledger_table_value.h"

typedef struct UaefTableColumn
{
	AttrNumber	number;
	JsonbValue	name;
	bool		is_key;
	bool		by_value;
	int16		length;
	UaefValueType type;
} UaefTableColumn;

typedef struct UaefTablePlan
{
	Oid			relation;		/* hash key: the table, or its partition */
	bool		valid;
	int64		table_id;
	uint64		layout;			/* another one when columns are others */
	MemoryContext context;		/* of all that follows */
	TupleDesc	desc;
	JsonbValue	table_name;		/* of the attached table */
	JsonbValue	number;			/* table_id */
	bool		is_partition;
	JsonbValue	partition;		/* its name, if it is one */
	pg_uuid_t	stream;			/* of events on the table as a whole */
	int			ncolumns;
	UaefTableColumn *columns;
	int		   *sorted;			/* index into columns, as a jsonb sorts names */
	int			nkey;			/* 0: rows have no name */
	int		   *key;			/* index into columns */
} UaefTablePlan;

/*
 * The plan for a table, or a partition of it.  Raises 55000 when the table is
 * not attached under this number.  Valid until the next relation cache
 * invalidation is followed by a call for the same relation.
 */
extern UaefTablePlan *uaef_table_plan(Relation rel, int64 table_id);

#endif							/* UAEF_LEDGER_TABLE_PLAN_H */
