/*-------------------------------------------------------------------------
 *
 * column.h
 *	  Columns of values, for statements that take many rows by unnest().
 *
 *		UaefColumn *ids = uaef_column(INT8OID, n);
 *
 *		for (int i = 0; i < n; i++)
 *			uaef_column_put(ids, Int64GetDatum(rows[i].id), false);
 *		args[0] = uaef_column_array(ids);
 *
 * palloc'd in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COLUMN_H
#define UAEF_COLUMN_H

#include "utils/jsonb.h"

typedef struct UaefColumn UaefColumn;

/* A column of this type for at most max values. */
extern UaefColumn *uaef_column(Oid type, int max);

extern void uaef_column_put(UaefColumn *column, Datum value, bool isnull);

/* The same of a text or jsonb column; NULL is null. */
extern void uaef_column_text(UaefColumn *column, const char *value);
extern void uaef_column_jsonb(UaefColumn *column, Jsonb *value);

/* The column as an array. */
extern Datum uaef_column_array(const UaefColumn *column);

#endif							/* UAEF_COLUMN_H */
