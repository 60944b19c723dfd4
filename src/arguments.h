/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments of SQL functions, read in one way everywhere.
 *
 * The plain forms raise 22004 for a null, and name the argument as the SQL
 * function does; the others give NULL, or what stands for it.  Arguments count
 * from 0.  What they return is in the current context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ARGUMENTS_H
#define UAEF_ARGUMENTS_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

/* For arguments of other types: raise unless it is given. */
extern void uaef_arg_require(FunctionCallInfo fcinfo, int argno,
							 const char *name);

extern char *uaef_arg_text(FunctionCallInfo fcinfo, int argno,
						   const char *name);
extern char *uaef_arg_text_or_null(FunctionCallInfo fcinfo, int argno);
extern Jsonb *uaef_arg_jsonb(FunctionCallInfo fcinfo, int argno,
							 const char *name);
extern Jsonb *uaef_arg_jsonb_or_null(FunctionCallInfo fcinfo, int argno);
extern pg_uuid_t *uaef_arg_uuid(FunctionCallInfo fcinfo, int argno,
								const char *name);
extern pg_uuid_t *uaef_arg_uuid_or_null(FunctionCallInfo fcinfo, int argno);
extern ArrayType *uaef_arg_array(FunctionCallInfo fcinfo, int argno,
								 const char *name);
extern ArrayType *uaef_arg_array_or_null(FunctionCallInfo fcinfo, int argno);

extern bool uaef_arg_bool(FunctionCallInfo fcinfo, int argno,
						  const char *name);
extern int32 uaef_arg_int32(FunctionCallInfo fcinfo, int argno,
							const char *name);
extern int32 uaef_arg_int32_or(FunctionCallInfo fcinfo, int argno,
							   int32 otherwise);
extern int64 uaef_arg_int64(FunctionCallInfo fcinfo, int argno,
							const char *name);
extern Oid	uaef_arg_oid(FunctionCallInfo fcinfo, int argno,
						 const char *name);
extern Oid	uaef_arg_oid_or_invalid(FunctionCallInfo fcinfo, int argno);
extern Numeric uaef_arg_numeric_or_null(FunctionCallInfo fcinfo, int argno);
extern TimestampTz uaef_arg_time_or(FunctionCallInfo fcinfo, int argno,
									TimestampTz otherwise);
extern TimestampTz uaef_arg_time(FunctionCallInfo fcinfo, int argno,
								 const char *name);

/*
 * An interval as microseconds, months of 30 days.  Raises 22023 when it is
 * longer than ten years, or not longer than 0.  The second form is 0 for a
 * null.
 */
extern int64 uaef_arg_interval_us(FunctionCallInfo fcinfo, int argno,
								  const char *name);
extern int64 uaef_arg_interval_us_or_zero(FunctionCallInfo fcinfo, int argno,
										  const char *name);

/* The same without an argument; allow_zero lets 0 pass. */
extern int64 uaef_interval_us(const Interval *interval, const char *name,
							  bool allow_zero);

/*
 * The texts of a text[]; *n becomes their number.  The second form takes a
 * null for no texts.
 */
extern char **uaef_arg_text_array(FunctionCallInfo fcinfo, int argno,
								  const char *name, int *n);
extern char **uaef_arg_text_array_or_null(FunctionCallInfo fcinfo, int argno,
										  const char *name, int *n);

/* The elements of an array of a type, of which none may be null. */
extern Datum *uaef_array_elements(ArrayType *array, Oid type,
								  const char *name, int *n);

#endif							/* UAEF_ARGUMENTS_H */
