/*-------------------------------------------------------------------------
 *
 * spi_util.h
 *	  Checked SPI: saved plans, run or raise, read a column or raise.
 *
 * Usage: one static UaefQuery per statement.
 *
 *		static UaefQuery lock_execution = {
 *			"SELECT status FROM uaef.workflow_execution"
 *			" WHERE execution_id = $1 FOR NO KEY UPDATE",
 *			1, {UUIDOID}
 *		};
 *
 *		UaefCaller	caller = uaef_spi_begin();
 *
 *		if (uaef_spi_run(&lock_execution, args, NULL) == 0) ...
 *		status = uaef_spi_text(0, 1);
 *		uaef_spi_end(caller);
 *
 * uaef_spi_begin() also becomes the owner of the extension, so that callers
 * need no rights on our tables; uaef_spi_end() goes back.  They nest, and an
 * error undoes both.  The search_path is pinned by whoever lets a user in: the
 * SQL functions by their SET clause, a worker by uaef_pin_search_path().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SPI_UTIL_H
#define UAEF_SPI_UTIL_H

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "identity.h"

#define UAEF_QUERY_MAX_ARGS 24

typedef struct UaefQuery
{
	const char *sql;
	int			nargs;
	Oid			types[UAEF_QUERY_MAX_ARGS];
	SPIPlanPtr	plan;			/* prepared at first use, kept for the session */
} UaefQuery;

extern UaefCaller uaef_spi_begin(void);
extern void uaef_spi_end(UaefCaller caller);

/*
 * Run a query with args; nulls is NULL, or as for SPI_execute_plan.  Returns
 * the number of rows processed or returned.  Any failure raises.
 */
extern uint64 uaef_spi_run(UaefQuery *query, Datum *args, const char *nulls);

/* The same for a query that only reads, what the active snapshot sees. */
extern uint64 uaef_spi_read(UaefQuery *query, Datum *args);

/* The same for a query that only reads, as of now, whatever the snapshot. */
extern uint64 uaef_spi_read_latest(UaefQuery *query, Datum *args);

/* Whether one of these queries is being executed, and not the SQL of a user. */
extern bool uaef_spi_running(void);

/*
 * A column (from 1) of a row (from 0) of the last result.  The plain forms
 * raise when it is null; uaef_spi_value() reports it.
 */
extern Datum uaef_spi_value(uint64 row, int column, bool *isnull);
extern int64 uaef_spi_int64(uint64 row, int column);
extern int32 uaef_spi_int32(uint64 row, int column);
extern bool uaef_spi_bool(uint64 row, int column);
extern Oid	uaef_spi_oid(uint64 row, int column);

/*
 * What a datum of text, of jsonb, or of any variable length is, copied to the
 * context that was current at uaef_spi_begin(); the last as it is stored.
 */
extern char *uaef_copy_text(Datum value);
extern Jsonb *uaef_copy_jsonb(Datum value);
extern void *uaef_copy_toasted(Datum value);

/* Copied to the context that was current at uaef_spi_begin(). */
extern char *uaef_spi_text(uint64 row, int column);
extern Jsonb *uaef_spi_jsonb(uint64 row, int column);	/* NULL when null */
extern bytea *uaef_spi_bytea(uint64 row, int column);	/* NULL when null */
extern pg_uuid_t uaef_spi_uuid(uint64 row, int column);
extern TimestampTz uaef_spi_time(uint64 row, int column);	/* 0 when null */
extern Numeric uaef_spi_numeric(uint64 row, int column);	/* NULL when null */

/* Helpers for array arguments: one-dimensional, nulls may be NULL. */
extern Datum uaef_array(Datum *values, bool *nulls, int n, Oid type);

/* A list of C strings as text[]. */
extern Datum uaef_text_array(const List *texts);

/*
 * A pointer, such as a Jsonb, or the text of a C string as an argument that is
 * null where there is none.
 */
extern Datum uaef_pointer_or_null(const void *pointer, char *isnull);
extern Datum uaef_text_or_null(const char *text, char *isnull);

#endif							/* UAEF_SPI_UTIL_H */
