/*-------------------------------------------------------------------------
 *
 * spi_util.c
 *	  Checked SPI: saved plans, run or raise, read a column or raise.
 *
 * Memory: uaef_spi_begin() leaves SPI's context current, which goes away at
 * the end; a caller may switch to one that stays, and uaef_spi_run() leaves
 * that as it is.  What the readers return by reference is copied to the context
 * that was current at uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "jit/jit.h"
#include "optimizer/cost.h"
#include "utils/timestamp.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "spi_util.h"

/* Set while one of our own queries is executed. */
static bool running = false;

static int	execute_by_key(SPIPlanPtr plan, Datum *args, const char *nulls,
						   bool read_only);
static Datum required_value(uint64 row, int column);

/*
 * Connect to SPI as the extension's owner; returns who to go back to.
 */
UaefCaller
uaef_spi_begin(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	return uaef_become_owner();
}

void
uaef_spi_end(UaefCaller caller)
{
	uaef_become_caller(caller);
	SPI_finish();
}

/*
 * Prepare at first use, execute, and raise for any failure.
 */
static uint64
run_query(UaefQuery *query, Datum *args, const char *nulls, bool read_only)
{
	MemoryContext context = CurrentMemoryContext;
	int			rc;

	if (query->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(query->sql, query->nargs, query->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", query->sql,
				 SPI_result_code_string(SPI_result));
		query->plan = plan;
	}

	rc = execute_by_key(query->plan, args, nulls, read_only);
	MemoryContextSwitchTo(context);
	if (rc < 0)
		elog(ERROR, "unexpected SPI result %s for \"%s\"",
			 SPI_result_code_string(rc), query->sql);

	return SPI_processed;
}

uint64
uaef_spi_run(UaefQuery *query, Datum *args, const char *nulls)
{
	return run_query(query, args, nulls, false);
}

uint64
uaef_spi_read(UaefQuery *query, Datum *args)
{
	return run_query(query, args, NULL, true);
}

uint64
uaef_spi_read_latest(UaefQuery *query, Datum *args)
{
	uint64		rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = run_query(query, args, NULL, true);
	PopActiveSnapshot();
	return rows;
}

/*
 * Run a plan with only those methods allowed that look rows up by their keys.
 *
 * All our statements find rows by index.  A plan that is made while a table is
 * still tiny would otherwise scan it, or hash it, and the backend would keep
 * that plan while the table grows.  Where there is no index the price of what
 * was switched off stays in the plan's cost, so JIT has to be switched off too.
 */
static int
execute_by_key(SPIPlanPtr plan, Datum *args, const char *nulls, bool read_only)
{
	bool		seqscan = enable_seqscan;
	bool		hashjoin = enable_hashjoin;
	bool		mergejoin = enable_mergejoin;
	bool		jit = jit_enabled;
	bool		outer = running;
	volatile int rc = 0;

	PG_TRY();
	{
		enable_seqscan = false;
		enable_hashjoin = false;
		enable_mergejoin = false;
		jit_enabled = false;
		running = true;
		rc = SPI_execute_plan(plan, args, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		enable_seqscan = seqscan;
		enable_hashjoin = hashjoin;
		enable_mergejoin = mergejoin;
		jit_enabled = jit;
		running = outer;
	}
	PG_END_TRY();

	return rc;
}

bool
uaef_spi_running(void)
{
	return running;
}

Datum
uaef_spi_value(uint64 row, int column, bool *isnull)
{
	if (SPI_tuptable == NULL || row >= SPI_tuptable->numvals)
		elog(ERROR, "no row %llu in the result", (unsigned long long) row);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

static Datum
required_value(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in result column %d", column);
	return value;
}

int64
uaef_spi_int64(uint64 row, int column)
{
	return DatumGetInt64(required_value(row, column));
}

int32
uaef_spi_int32(uint64 row, int column)
{
	return DatumGetInt32(required_value(row, column));
}

bool
uaef_spi_bool(uint64 row, int column)
{
	return DatumGetBool(required_value(row, column));
}

Oid
uaef_spi_oid(uint64 row, int column)
{
	return DatumGetObjectId(required_value(row, column));
}

void *
uaef_copy_toasted(Datum value)
{
	Size		size = VARSIZE_ANY(DatumGetPointer(value));
	void	   *copy = SPI_palloc(size);

	memcpy(copy, DatumGetPointer(value), size);
	return copy;
}

char *
uaef_copy_text(Datum value)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);
	int			len = VARSIZE_ANY_EXHDR(packed);
	char	   *copy = SPI_palloc(len + 1);

	memcpy(copy, VARDATA_ANY(packed), len);
	copy[len] = '\0';
	return copy;
}

static void *
copy_detoasted(Datum value)
{
	struct varlena *detoasted = PG_DETOAST_DATUM(value);
	void	   *copy = SPI_palloc(VARSIZE(detoasted));

	memcpy(copy, detoasted, VARSIZE(detoasted));
	if ((Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
	return copy;
}

Jsonb *
uaef_copy_jsonb(Datum value)
{
	return copy_detoasted(value);
}

/*
 * Text or name as a C string; NULL when null.
 */
char *
uaef_spi_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? NULL : uaef_copy_text(value);
}

Jsonb *
uaef_spi_jsonb(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? NULL : uaef_copy_jsonb(value);
}

bytea *
uaef_spi_bytea(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? NULL : copy_detoasted(value);
}

TimestampTz
uaef_spi_time(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

Numeric
uaef_spi_numeric(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? NULL : copy_detoasted(value);
}

pg_uuid_t
uaef_spi_uuid(uint64 row, int column)
{
	return *DatumGetUUIDP(required_value(row, column));
}

Datum
uaef_array(Datum *values, bool *nulls, int n, Oid type)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower,
											  type, typlen, typbyval,
											  typalign));
}

Datum
uaef_text_array(const List *texts)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(texts), 1));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, texts)
		values[n++] = CStringGetTextDatum((char *) lfirst(cell));
	return uaef_array(values, NULL, n, TEXTOID);
}

Datum
uaef_pointer_or_null(const void *pointer, char *isnull)
{
	*isnull = pointer == NULL ? 'n' : ' ';
	return PointerGetDatum(pointer);
}

Datum
uaef_text_or_null(const char *text, char *isnull)
{
	*isnull = text == NULL ? 'n' : ' ';
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}
