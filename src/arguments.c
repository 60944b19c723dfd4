/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of SQL functions, read in one way everywhere.
 *
 * Locking: none.  Memory: in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "arguments.h"

#define MAX_INTERVAL_US ((double) USECS_PER_DAY * 3650)

void
uaef_arg_require(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

char *
uaef_arg_text(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

char *
uaef_arg_text_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

Jsonb *
uaef_arg_jsonb(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_JSONB_P(argno);
}

Jsonb *
uaef_arg_jsonb_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_JSONB_P(argno);
}

pg_uuid_t *
uaef_arg_uuid(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_UUID_P(argno);
}

pg_uuid_t *
uaef_arg_uuid_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_UUID_P(argno);
}

ArrayType *
uaef_arg_array(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_ARRAYTYPE_P(argno);
}

ArrayType *
uaef_arg_array_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_ARRAYTYPE_P(argno);
}

bool
uaef_arg_bool(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_BOOL(argno);
}

int32
uaef_arg_int32(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_INT32(argno);
}

int32
uaef_arg_int32_or(FunctionCallInfo fcinfo, int argno, int32 otherwise)
{
	return PG_ARGISNULL(argno) ? otherwise : PG_GETARG_INT32(argno);
}

int64
uaef_arg_int64(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_INT64(argno);
}

Oid
uaef_arg_oid(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_OID(argno);
}

Oid
uaef_arg_oid_or_invalid(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? InvalidOid : PG_GETARG_OID(argno);
}

Numeric
uaef_arg_numeric_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_NUMERIC(argno);
}

TimestampTz
uaef_arg_time_or(FunctionCallInfo fcinfo, int argno, TimestampTz otherwise)
{
	return PG_ARGISNULL(argno) ? otherwise : PG_GETARG_TIMESTAMPTZ(argno);
}

TimestampTz
uaef_arg_time(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return PG_GETARG_TIMESTAMPTZ(argno);
}

int64
uaef_arg_interval_us(FunctionCallInfo fcinfo, int argno, const char *name)
{
	uaef_arg_require(fcinfo, argno, name);
	return uaef_interval_us(PG_GETARG_INTERVAL_P(argno), name, false);
}

int64
uaef_arg_interval_us_or_zero(FunctionCallInfo fcinfo, int argno,
							 const char *name)
{
	return PG_ARGISNULL(argno) ? 0 :
		uaef_interval_us(PG_GETARG_INTERVAL_P(argno), name, false);
}

int64
uaef_interval_us(const Interval *interval, const char *name, bool allow_zero)
{
	double		us = interval->time + USECS_PER_DAY *
		(interval->day + (double) DAYS_PER_MONTH * interval->month);

	if (us < 0 || us > MAX_INTERVAL_US || (us == 0 && !allow_zero))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be longer than 0 and at most ten years",
						name)));
	return (int64) us;
}

Datum *
uaef_array_elements(ArrayType *array, Oid type, const char *name, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign, &values,
					  &nulls, n);
	for (int i = 0; i < *n; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not hold null", name),
					 errdetail("Element %d is null.", i + 1)));
	return values;
}

char	  **
uaef_arg_text_array_or_null(FunctionCallInfo fcinfo, int argno,
							const char *name, int *n)
{
	Datum	   *values;
	char	  **texts;

	*n = 0;
	if (PG_ARGISNULL(argno))
		return NULL;
	values = uaef_array_elements(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, name,
								 n);
	texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = TextDatumGetCString(values[i]);
	return texts;
}

char	  **
uaef_arg_text_array(FunctionCallInfo fcinfo, int argno, const char *name,
					int *n)
{
	uaef_arg_require(fcinfo, argno, name);
	return uaef_arg_text_array_or_null(fcinfo, argno, name, n);
}
