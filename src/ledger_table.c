/*-------------------------------------------------------------------------
 *
 * ledger_table.c
 *	  Tables of an app whose row changes are events of the ledger.
 *
 * A table is attached by two triggers of ours and a row of uaef.ledger_table.
 * Row triggers are cloned to partitions by the server; those for TRUNCATE we
 * put there ourselves (ledger_table_ddl.c).
 *
 * Locking: attaching and detaching take ShareRowExclusiveLock on the table and
 * its partitions until the transaction ends, so that no row is written between
 * what is recorded as existing and what the triggers see.
 *
 * Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "event_hash.h"
#include "ledger.h"
#include "ledger_table.h"
#include "ledger_table_ddl.h"
#include "ledger_table_row.h"
#include "spi_util.h"

/* What attach_ledger() is told, and what it finds out. */
typedef struct Attachment
{
	Oid			relation;
	Oid			role;			/* who attaches */
	ArrayType  *columns;
	ArrayType  *key;
} Attachment;

static char **read_names(uint64 row, int column, int *n);
static void read_table(UaefLedgerTable *table);
static void check_kind(Relation rel);
static void check_partitions(Oid relation, List *all);
static void check_owner(Oid relation);
static void check_columns(Relation rel, ArrayType *columns, const char *what);
static ArrayType *find_key(Relation rel, ArrayType *wanted);
static int64 insert_row(const Attachment *attachment);

/*
 * A column of a row of the last result, of type name[].
 */
static char **
read_names(uint64 row, int column, int *n)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);
	Datum	   *elements;
	char	  **names;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), NAMEOID, NAMEDATALEN, false,
					  TYPALIGN_CHAR, &elements, NULL, n);
	names = SPI_palloc(Max(*n, 1) * sizeof(char *));
	for (int i = 0; i < *n; i++)
	{
		const char *name = NameStr(*DatumGetName(elements[i]));

		names[i] = SPI_palloc(strlen(name) + 1);
		strcpy(names[i], name);
	}
	return names;
}

#define TABLE_COLUMNS \
	"t.table_id, t.relation::pg_catalog.oid, t.name, t.columns, t.key," \
	" t.definition FROM uaef.ledger_table AS t"

static void
read_table(UaefLedgerTable *table)
{
	table->table_id = uaef_spi_int64(0, 1);
	table->relation = uaef_spi_oid(0, 2);
	table->name = uaef_spi_text(0, 3);
	table->chosen = read_names(0, 4, &table->nchosen);
	table->key = read_names(0, 5, &table->nkey);
	table->definition = uaef_spi_jsonb(0, 6);
}

bool
uaef_ledger_table_get(int64 table_id, UaefLedgerTable *table)
{
	static UaefQuery query = {
		"SELECT " TABLE_COLUMNS
		" WHERE t.table_id = $1 AND t.relation IS NOT NULL",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(table_id)};
	UaefCaller	caller = uaef_spi_begin();
	bool		found = uaef_spi_read_latest(&query, args) > 0;

	if (found)
		read_table(table);
	uaef_spi_end(caller);
	return found;
}

bool
uaef_ledger_table_find(Oid relation, UaefLedgerTable *table)
{
	static UaefQuery query = {
		"SELECT " TABLE_COLUMNS " WHERE t.relation = ANY ($1)",
		1, {OIDARRAYOID}
	};
	List	   *candidates = lcons_oid(relation, NIL);
	Datum	   *oids;
	Datum		args[1];
	UaefCaller	caller;
	bool		found;

	if (get_rel_relispartition(relation))
		candidates = list_concat(candidates, get_partition_ancestors(relation));
	oids = palloc(list_length(candidates) * sizeof(Datum));
	for (int i = 0; i < list_length(candidates); i++)
		oids[i] = ObjectIdGetDatum(list_nth_oid(candidates, i));
	args[0] = uaef_array(oids, NULL, list_length(candidates), OIDOID);

	caller = uaef_spi_begin();
	found = uaef_spi_read_latest(&query, args) > 0;
	if (found)
		read_table(table);
	uaef_spi_end(caller);
	return found;
}

void
uaef_ledger_table_require(Oid relation, UaefLedgerTable *table)
{
	char	   *name;

	if (uaef_ledger_table_find(relation, table))
		return;
	name = get_rel_name(relation);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("table \"%s\" is not attached to the ledger", name),
			 errhint("Use uaef.attach_ledger().")));
}

void
uaef_table_stream(int64 table_id, pg_uuid_t *stream)
{
	uaef_derive_uuid(uaef_ledger_id(), "table", table_id, stream);
}

/*
 * A virtual column is what the others make of it.
 */
bool
uaef_is_recordable(Form_pg_attribute attribute)
{
	return attribute->attnum > 0 && !attribute->attisdropped &&
		attribute->attgenerated != 'v';
}

char *
uaef_relation_name(Oid relation)
{
	return quote_qualified_identifier(
									  get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

void
uaef_table_event_begin(UaefJson *json, const UaefLedgerTable *table)
{
	uaef_json_begin(json);
	uaef_json_int(json, "table_id", table->table_id);
	uaef_json_text(json, "table", table->name);
}

void
uaef_table_event_end(UaefJson *json, const char *type,
					 const UaefLedgerTable *table, Oid role)
{
	pg_uuid_t	stream;
	UaefEvent	event = {
		.type = type,
		.stream = &stream,
		.actor_type = "user",
		.actor_id = GetUserNameFromId(role, true),
		.payload = uaef_json_end(json)
	};
	UaefCaller	caller = uaef_become_owner();

	uaef_table_stream(table->table_id, &stream);
	(void) uaef_ledger_append(&event, 1);
	uaef_become_caller(caller);
}

/* ----------
 * Attaching
 * ----------
 */

/*
 * Only what the app keeps in tables of its own is recorded.
 */
static void
check_kind(Relation rel)
{
	const char *detail = NULL;

	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		detail = "It is not an ordinary or partitioned table.";
	else if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		detail = "It is temporary.";
	else if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		detail = "It is unlogged: after a crash it would be empty.";
	else if (IsCatalogRelation(rel) ||
			 RelationGetRelid(rel) < FirstNormalObjectId)
		detail = "It is a system catalog.";
	else if (strcmp(get_namespace_name(RelationGetNamespace(rel)),
					"uaef") == 0)
		detail = "It belongs to uaef itself.";
	if (detail != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" cannot be attached to the ledger",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", detail)));
}

/*
 * No part of the tree may be attached already, or be of another database.
 */
static void
check_partitions(Oid relation, List *all)
{
	UaefLedgerTable table;

	for (int i = 0; i < list_length(all); i++)
	{
		Oid			part = list_nth_oid(all, i);

		if (uaef_ledger_table_find(part, &table))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" is attached to the ledger already",
							get_rel_name(part)),
					 table.relation == part ? 0 :
					 errdetail("It is a partition of \"%s\".", table.name)));
		uaef_require_local_partition(relation, part);
	}
}

static void
check_owner(Oid relation)
{
	if (!uaef_owns_table(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   get_rel_name(relation));
}

/*
 * Names are of columns that can be recorded, each given once.
 */
static void
check_columns(Relation rel, ArrayType *columns, const char *what)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (columns == NULL)
		return;
	deconstruct_array(columns, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elements, &nulls, &n);
	if (n == 0 || ARR_NDIM(columns) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a list of columns", what),
				 errhint("Leave it out, or give null, for the default.")));
	for (int i = 0; i < n; i++)
	{
		const char *name = nulls[i] ? "null" : NameStr(*DatumGetName(elements[i]));
		AttrNumber	number = nulls[i] ? InvalidAttrNumber :
			get_attnum(RelationGetRelid(rel), name);

		if (number <= 0 ||
			!uaef_is_recordable(TupleDescAttr(RelationGetDescr(rel),
											  number - 1)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("%s names column \"%s\", which table \"%s\" does not have",
							what, name, RelationGetRelationName(rel))));
		for (int j = 0; j < i; j++)
			if (strcmp(NameStr(*DatumGetName(elements[j])), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("%s names column \"%s\" twice", what, name)));
	}
}

/*
 * The columns that name a row: those wanted, which must have an index that
 * makes them a key, or those of the primary key, or NULL.
 */
static ArrayType *
find_key(Relation rel, ArrayType *wanted)
{
	ArrayType  *key = uaef_usable_key(RelationGetRelid(rel), wanted);

	if (wanted != NULL && key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the columns of key are no key of table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("A key has a unique index on just these columns, which is valid, not partial and not deferrable, and they are NOT NULL.")));
	return key;
}

/*
 * Enter it in uaef.ledger_table; returns its number.
 */
static int64
insert_row(const Attachment *attachment)
{
	static UaefQuery query = {
		"INSERT INTO uaef.ledger_table (table_id, relation, name, columns, key,"
		" definition, attached_at) VALUES"
		" (pg_catalog.nextval('uaef.ledger_table_id'), $1, $2, $3, $4, '{}',"
		" pg_catalog.clock_timestamp()) RETURNING table_id",
		4, {REGCLASSOID, TEXTOID, NAMEARRAYOID, NAMEARRAYOID}
	};
	Datum		args[] = {
		ObjectIdGetDatum(attachment->relation),
		CStringGetTextDatum(uaef_relation_name(attachment->relation)),
		PointerGetDatum(attachment->columns),
		PointerGetDatum(attachment->key)
	};
	char		nulls[] = {
		' ', ' ', attachment->columns == NULL ? 'n' : ' ',
		attachment->key == NULL ? 'n' : ' '
	};

	(void) uaef_spi_run(&query, args, nulls);
	return uaef_spi_int64(0, 1);
}

int64
uaef_ledger_attach(Oid relation, ArrayType *columns, ArrayType *key,
				   bool existing)
{
	Attachment	attachment = {relation, GetUserId(), columns, key};
	UaefLedgerTable table;
	Relation	rel;
	List	   *all;
	UaefCaller	caller;
	int64		table_id;

	check_owner(relation);
	rel = table_open(relation, ShareRowExclusiveLock);
	check_kind(rel);
	all = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(relation, ShareRowExclusiveLock, NULL) :
		list_make1_oid(relation);
	if (get_rel_relispartition(relation))
		all = list_concat(all, get_partition_ancestors(relation));
	check_partitions(relation, all);
	check_columns(rel, columns, "columns");
	check_columns(rel, key, "key");
	attachment.key = find_key(rel, key);
	table_close(rel, NoLock);	/* a trigger is made only where it is closed */

	caller = uaef_spi_begin();
	table_id = insert_row(&attachment);
	CommandCounterIncrement();
	uaef_spi_end(caller);
	if (!uaef_ledger_table_get(table_id, &table))
		elog(ERROR, "ledgered table %lld is not there", (long long) table_id);
	uaef_table_record_attached(&table, attachment.role, existing);
	if (existing)
		uaef_record_rows(&table, relation, UAEF_ROW_ATTACHED,
						 attachment.role);
	return table_id;
}

void
uaef_ledger_detach(Oid relation)
{
	Oid			role = GetUserId();
	UaefLedgerTable table;
	UaefJson	json;

	check_owner(relation);
	LockRelationOid(relation, ShareRowExclusiveLock);
	uaef_ledger_table_require(relation, &table);
	if (table.relation != relation)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition of ledgered table \"%s\"",
						get_rel_name(relation), table.name),
				 errhint("Detach that table.")));

	uaef_table_event_begin(&json, &table);
	uaef_table_event_end(&json, UAEF_TABLE_DETACHED, &table, role);
	uaef_table_forget(&table);
	uaef_table_drop_triggers(&table);
}
