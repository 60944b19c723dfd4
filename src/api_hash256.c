/*-------------------------------------------------------------------------
 *
 * api_hash256.c
 *	  SQL entry points of type hash256: text, binary, order, casts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"

#include "event_hash.h"
#include "hash256.h"

static int	compare(FunctionCallInfo fcinfo);

/*
 * uaef.hash256_in(cstring) returns hash256
 */
PG_FUNCTION_INFO_V1(uaef_hash256_in);
Datum
uaef_hash256_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	uint8	   *hash = palloc(UAEF_HASH_LEN);

	if (!uaef_unhex(text, hash, UAEF_HASH_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", "hash256",
						text),
				 errdetail("A hash is 64 hexadecimal digits.")));
	PG_RETURN_POINTER(hash);
}

/*
 * uaef.hash256_out(hash256) returns cstring
 */
PG_FUNCTION_INFO_V1(uaef_hash256_out);
Datum
uaef_hash256_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(uaef_hex(uaef_datum_hash(PG_GETARG_DATUM(0)),
							   UAEF_HASH_LEN));
}

/*
 * uaef.hash256_recv(internal) returns hash256
 */
PG_FUNCTION_INFO_V1(uaef_hash256_recv);
Datum
uaef_hash256_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);

	return uaef_hash_datum((const uint8 *) pq_getmsgbytes(message,
														  UAEF_HASH_LEN));
}

/*
 * uaef.hash256_send(hash256) returns bytea
 */
PG_FUNCTION_INFO_V1(uaef_hash256_send);
Datum
uaef_hash256_send(PG_FUNCTION_ARGS)
{
	return uaef_bytea(uaef_datum_hash(PG_GETARG_DATUM(0)), UAEF_HASH_LEN);
}

/*
 * uaef.hash256(bytea) returns hash256
 */
PG_FUNCTION_INFO_V1(uaef_hash256_from_bytea);
Datum
uaef_hash256_from_bytea(PG_FUNCTION_ARGS)
{
	const uint8 *bytes = uaef_fixed_bytes(PG_GETARG_DATUM(0), UAEF_HASH_LEN);

	if (bytes == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("a hash must have %d bytes", UAEF_HASH_LEN)));
	return uaef_hash_datum(bytes);
}

/*
 * uaef.bytea(hash256) returns bytea
 */
PG_FUNCTION_INFO_V1(uaef_hash256_to_bytea);
Datum
uaef_hash256_to_bytea(PG_FUNCTION_ARGS)
{
	return uaef_bytea(uaef_datum_hash(PG_GETARG_DATUM(0)), UAEF_HASH_LEN);
}

/* ----------
 * Order
 * ----------
 */

static int
compare(FunctionCallInfo fcinfo)
{
	return memcmp(uaef_datum_hash(PG_GETARG_DATUM(0)),
				  uaef_datum_hash(PG_GETARG_DATUM(1)), UAEF_HASH_LEN);
}

/*
 * uaef.hash256_cmp(hash256, hash256) returns integer
 */
PG_FUNCTION_INFO_V1(uaef_hash256_cmp);
Datum
uaef_hash256_cmp(PG_FUNCTION_ARGS)
{
	int			order = compare(fcinfo);

	PG_RETURN_INT32((order > 0) - (order < 0));
}

/*
 * uaef.hash256_eq(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_eq);
Datum
uaef_hash256_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

/*
 * uaef.hash256_ne(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_ne);
Datum
uaef_hash256_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

/*
 * uaef.hash256_lt(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_lt);
Datum
uaef_hash256_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

/*
 * uaef.hash256_le(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_le);
Datum
uaef_hash256_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

/*
 * uaef.hash256_gt(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_gt);
Datum
uaef_hash256_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

/*
 * uaef.hash256_ge(hash256, hash256) returns boolean
 */
PG_FUNCTION_INFO_V1(uaef_hash256_ge);
Datum
uaef_hash256_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

/*
 * uaef.hash256_hash(hash256) returns integer
 */
PG_FUNCTION_INFO_V1(uaef_hash256_hash);
Datum
uaef_hash256_hash(PG_FUNCTION_ARGS)
{
	return hash_any(uaef_datum_hash(PG_GETARG_DATUM(0)), UAEF_HASH_LEN);
}
