/*-------------------------------------------------------------------------
 *
 * ledger_table_define.c
 *	  What the catalogs say of ledgered tables, and how that has changed.
 *
 * Columns are told apart by their numbers, so that a rename is seen as one.  A
 * dump that is restored numbers them anew; then names and types are the same,
 * and nothing has changed.
 *
 * Everything here runs as the owner, within SPI, with the search_path pinned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "ledger_table_ddl.h"
#include "ledger_table_value.h"
#include "spi_util.h"

static Datum name_array(char *const *names, int n);

/*
 * Names as name[].
 */
static Datum
name_array(char *const *names, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = DirectFunctionCall1(namein, CStringGetDatum(names[i]));
	return uaef_array(values, NULL, n, NAMEOID);
}

ArrayType *
uaef_usable_key(Oid relation, ArrayType *wanted)
{
	static UaefQuery query = {
		"SELECT coalesce($2, k.names) FROM pg_index AS i CROSS JOIN LATERAL ("
		"  SELECT array_agg(a.attname ORDER BY x.place) AS names,"
		"   array_agg(a.attname ORDER BY a.attname) AS sorted,"
		"   bool_and(a.attnotnull) AS not_null"
		"  FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS x (number, place)"
		"  JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
		"   AND a.attnum = x.number WHERE x.place <= i.indnkeyatts) AS k"
		" WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate"
		" AND i.indisvalid AND i.indisready AND NOT i.indisexclusion"
		" AND i.indpred IS NULL AND i.indexprs IS NULL AND k.not_null"
		" AND CASE WHEN $2 IS NULL THEN i.indisprimary ELSE k.sorted ="
		"  (SELECT array_agg(w ORDER BY w) FROM unnest($2) AS w) END LIMIT 1",
		2, {REGCLASSOID, NAMEARRAYOID}
	};
	Datum		args[] = {ObjectIdGetDatum(relation), PointerGetDatum(wanted)};
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	ArrayType  *key = NULL;
	bool		isnull;

	if (uaef_spi_run(&query, args, wanted == NULL ? " n" : NULL) > 0)
	{
		Datum		value = uaef_spi_value(0, 1, &isnull);
		MemoryContext spi = MemoryContextSwitchTo(context);

		key = DatumGetArrayTypePCopy(value);
		MemoryContextSwitchTo(spi);
	}
	uaef_spi_end(caller);
	return key;
}

void
uaef_require_local_partition(Oid relation, Oid part)
{
	if (get_rel_relkind(part) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign table \"%s\" cannot be a partition of a ledgered table",
						get_rel_name(part)),
				 errdetail("Table \"%s\" would have rows that others can change unseen.",
						   get_rel_name(relation))));
}

Jsonb *
uaef_table_definition(const UaefLedgerTable *table)
{
	static UaefQuery query = {
		"SELECT jsonb_build_object('table', format('%I.%I',"
		"  m.nspname, c.relname),"
		" 'key', to_jsonb($3), 'triggers', '[]'::jsonb, 'columns', coalesce("
		"  (SELECT jsonb_agg(jsonb_build_object('number', a.attnum,"
		"   'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod))"
		"   ORDER BY a.attnum) FROM pg_attribute AS a"
		"   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
		"   AND a.attgenerated::text <> 'v' AND ($2 IS NULL"
		"    OR a.attname = ANY ($2) OR a.attname = ANY ($3))), '[]'),"
		" 'partitions', coalesce((SELECT jsonb_agg(jsonb_build_object("
		"   'relation', p.oid::bigint, 'name', format('%I.%I', n.nspname,"
		"   p.relname)) ORDER BY n.nspname, p.relname)"
		"   FROM pg_partition_tree(c.oid) AS t JOIN pg_class AS p"
		"   ON p.oid = t.relid JOIN pg_namespace AS n ON n.oid = p.relnamespace"
		"   WHERE t.isleaf AND t.relid <> c.oid), '[]'))"
		" FROM pg_class AS c JOIN pg_namespace AS m ON m.oid = c.relnamespace"
		" WHERE c.oid = $1",
		3, {OIDOID, NAMEARRAYOID, NAMEARRAYOID}
	};
	Datum		args[] = {
		ObjectIdGetDatum(table->relation),
		name_array(table->chosen, table->nchosen),
		name_array(table->key, table->nkey)
	};
	char		nulls[] = {
		' ', table->chosen == NULL ? 'n' : ' ', table->nkey == 0 ? 'n' : ' '
	};

	return uaef_spi_run(&query, args, nulls) == 0 ? NULL :
		uaef_spi_jsonb(0, 1);
}

Jsonb *
uaef_table_changes(const UaefLedgerTable *table, Jsonb *definition)
{
	static UaefQuery query = {
		"WITH o AS (SELECT * FROM jsonb_to_recordset($1->'columns')"
		"  AS x (number integer, name text, type text)),"
		" n AS (SELECT * FROM jsonb_to_recordset($2->'columns')"
		"  AS x (number integer, name text, type text)),"
		" b AS (SELECT number, o.name AS was, o.type AS type_was, n.name,"
		"  n.type FROM o FULL JOIN n USING (number) WHERE"
		"  (SELECT array_agg(o.name || ' ' || o.type ORDER BY number) FROM o)"
		"  IS DISTINCT FROM"
		"  (SELECT array_agg(n.name || ' ' || n.type ORDER BY number) FROM n)),"
		" po AS (SELECT * FROM jsonb_to_recordset($1->'partitions')"
		"  AS x (relation bigint, name text)),"
		" pn AS (SELECT * FROM jsonb_to_recordset($2->'partitions')"
		"  AS x (relation bigint, name text)),"
		" moved AS (SELECT po.name AS was, pn.name FROM po"
		"  JOIN pn USING (relation) WHERE po.name <> pn.name"
		"  AND NOT EXISTS (SELECT FROM pn AS p WHERE p.name = po.name)),"
		" c AS (SELECT 1 AS place, 0 AS number, jsonb_build_object("
		"  'change', 'rename_table', 'table', $1->'table', 'to', $2->'table') AS c"
		"  WHERE $1->'table' <> $2->'table'"
		" UNION ALL SELECT 2, number, jsonb_build_object("
		"  'change', 'drop_column', 'column', was) FROM b WHERE name IS NULL"
		" UNION ALL SELECT 3, number, jsonb_build_object("
		"  'change', 'rename_column', 'column', was, 'to', name)"
		"  FROM b WHERE was <> name"
		" UNION ALL SELECT 4, number, jsonb_build_object("
		"  'change', 'alter_column', 'column', name, 'from', type_was,"
		"  'type', type) FROM b WHERE type_was <> type"
		" UNION ALL SELECT 5, number, jsonb_build_object("
		"  'change', 'add_column', 'column', name, 'type', type, 'value',"
		"  uaef._missing_value($3, number)) FROM b WHERE was IS NULL"
		" UNION ALL SELECT 6, 0, jsonb_build_object("
		"  'change', 'alter_key', 'key', $2->'key')"
		"  WHERE jsonb_typeof($1->'key') <> jsonb_typeof($2->'key')"
		" UNION ALL SELECT 7, 0, jsonb_build_object("
		"  'change', 'rename_partition', 'partition', was, 'to', name)"
		"  FROM moved"
		" UNION ALL SELECT 8, 0, jsonb_build_object("
		"  'change', CASE WHEN EXISTS (SELECT FROM pg_class AS r"
		"   WHERE r.oid = po.relation::oid) THEN 'detach_partition'"
		"   ELSE 'drop_partition' END, 'partition', name) FROM po WHERE name"
		"  NOT IN (SELECT name FROM pn UNION ALL SELECT was FROM moved)"
		" UNION ALL SELECT 9, 0, jsonb_build_object("
		"  'change', 'attach_partition', 'partition', name) FROM pn WHERE name"
		"  NOT IN (SELECT name FROM po UNION ALL SELECT name FROM moved)"
		" UNION ALL SELECT 10, 0, jsonb_build_object("
		"  'change', 'triggers', 'problems', $2->'triggers')"
		"  WHERE $1->'triggers' <> $2->'triggers'"
		") SELECT coalesce(jsonb_agg(c ORDER BY place, number), '[]') FROM c",
		3, {JSONBOID, JSONBOID, REGCLASSOID}
	};
	Datum		args[] = {
		JsonbPGetDatum(table->definition),
		JsonbPGetDatum(definition),
		ObjectIdGetDatum(table->relation)
	};

	(void) uaef_spi_run(&query, args, NULL);
	return uaef_spi_jsonb(0, 1);
}

Jsonb *
uaef_table_trigger_problems(const UaefLedgerTable *table)
{
	static UaefQuery query = {
		"SELECT coalesce(jsonb_agg(format('trigger \"%s\" of table %s %s',"
		" w.name, p.relid::regclass, CASE WHEN t.oid IS NULL THEN 'is missing'"
		" WHEN t.tgenabled <> 'A' THEN 'is not enabled always'"
		" ELSE 'is not as it was made' END) ORDER BY p.relid, w.name), '[]')"
		" FROM (SELECT relid FROM pg_partition_tree($1) UNION SELECT $1) AS p"
		" CROSS JOIN (VALUES ('" UAEF_ROW_TRIGGER "', 29, 'ledger_row'),"
		" ('" UAEF_TRUNCATE_TRIGGER "', 32, 'ledger_truncate'))"
		" AS w (name, type, source)"
		" LEFT JOIN pg_trigger AS t ON t.tgrelid = p.relid"
		" AND t.tgname = w.name LEFT JOIN pg_proc AS f ON f.oid = t.tgfoid"
		" LEFT JOIN pg_language AS l ON l.oid = f.prolang"
		" WHERE (t.tgenabled = 'A' AND t.tgtype = w.type"
		" AND t.tgqual IS NULL AND t.tgattr::text = '' AND NOT t.tgdeferrable"
		" AND t.tgargs = convert_to($2::text, 'UTF8') || '\\x00'::bytea"
		" AND f.pronamespace = 'uaef'::regnamespace AND f.proname = w.source"
		" AND f.prosrc = 'uaef_' || w.source AND l.lanname = 'c'"
		" AND f.probin = ALL (SELECT probin FROM pg_proc"
		"  WHERE pronamespace = 'uaef'::regnamespace"
		"  AND proname = 'verify_table')) IS NOT TRUE",
		2, {REGCLASSOID, INT8OID}
	};
	Datum		args[] = {
		ObjectIdGetDatum(table->relation), Int64GetDatum(table->table_id)
	};

	(void) uaef_spi_run(&query, args, NULL);
	return uaef_spi_jsonb(0, 1);
}

/*
 * Rows that are older than a column have no value of it stored, but one that
 * the catalog keeps, or null.
 */
Jsonb *
uaef_missing_value(Oid relation, AttrNumber number)
{
	Relation	rel = table_open(relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	UaefValueType type;
	UaefPinned	pinned = 0;
	JsonbValue	value;
	Datum		missing;
	bool		isnull = true;

	missing = number > 0 && number <= desc->natts ?
		getmissingattr(desc, number, &isnull) : (Datum) 0;
	value.type = jbvNull;
	if (!isnull)
	{
		uaef_value_find_type(&type, TupleDescAttr(desc, number - 1)->atttypid,
							 CurrentMemoryContext);
		uaef_value_json(&type, missing, &pinned, &value);
		uaef_unpin(&pinned);
	}
	table_close(rel, NoLock);
	return JsonbValueToJsonb(&value);
}
