/*-------------------------------------------------------------------------
 *
 * numeric_util.h
 *	  Calls of the server's numeric functions, which are exact where we use
 *	  them: sums, products, and quotients cut to integers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_NUMERIC_UTIL_H
#define UAEF_NUMERIC_UTIL_H

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* op is numeric_add, numeric_sub, numeric_mul, numeric_div_trunc, ... */
static inline Numeric
uaef_numeric_op(PGFunction op, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(op, NumericGetDatum(a),
											   NumericGetDatum(b)));
}

/* Below, at or above 0 as a is below, equal to or above b. */
static inline int
uaef_numeric_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

static inline int
uaef_numeric_sign(Numeric a)
{
	return uaef_numeric_compare(a, int64_to_numeric(0));
}

static inline char *
uaef_numeric_text(Numeric a)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(a)));
}

static inline Numeric
uaef_numeric_from_text(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

#endif							/* UAEF_NUMERIC_UTIL_H */
