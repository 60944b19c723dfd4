/*-------------------------------------------------------------------------
 *
 * column.c
 *	  Columns of values, for statements that take many rows by unnest().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "column.h"

struct UaefColumn
{
	Oid			type;
	int			n;
	int			max;
	Datum	   *values;
	bool	   *nulls;
};

UaefColumn *
uaef_column(Oid type, int max)
{
	UaefColumn *column = palloc(sizeof(UaefColumn));

	column->type = type;
	column->n = 0;
	column->max = max;
	column->values = palloc(Max(max, 1) * sizeof(Datum));
	column->nulls = palloc(Max(max, 1) * sizeof(bool));
	return column;
}

void
uaef_column_put(UaefColumn *column, Datum value, bool isnull)
{
	Assert(column->n < column->max);
	column->values[column->n] = value;
	column->nulls[column->n++] = isnull;
}

void
uaef_column_text(UaefColumn *column, const char *value)
{
	uaef_column_put(column, value ? CStringGetTextDatum(value) : (Datum) 0,
					value == NULL);
}

void
uaef_column_jsonb(UaefColumn *column, Jsonb *value)
{
	uaef_column_put(column, JsonbPGetDatum(value), value == NULL);
}

Datum
uaef_column_array(const UaefColumn *column)
{
	int			lower = 1;
	int			n = column->n;
	int16		len;
	bool		byval;
	char		align;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(column->type));
	get_typlenbyvalalign(column->type, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(column->values, column->nulls, 1,
											  &n, &lower, column->type, len,
											  byval, align));
}
