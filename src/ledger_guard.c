/*-------------------------------------------------------------------------
 *
 * ledger_guard.c
 *	  Whether what keeps the ledger append-only is as it was made.
 *
 * A superuser can take the guards away and put them back; that is not seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ledger_guard.h"
#include "spi_util.h"

/*
 * What makes our tables append-only: name of the trigger, table, pg_trigger's
 * tgtype, C function.
 */
#define OUR_TRIGGERS \
	"('ledger_identity', 'ledger', 7, 'uaef_ledger_identity'), " \
	"('ledger_chain', 'ledger_event', 7, 'uaef_ledger_chain'), " \
	"('ledger_guard', 'ledger', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_event', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_block', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_tile', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_checkpoint', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_cosignature', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_redaction', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_retirement', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_retired_head', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_incarnation', 58, 'uaef_ledger_guard'), " \
	"('ledger_guard', 'ledger_signer', 58, 'uaef_ledger_guard')"

static void check_triggers(const UaefReport *report);
static void check_additions(const UaefReport *report);
static void check_indexes(const UaefReport *report);
static void compare_index(VerifyScan *scan);

/*
 * The triggers that keep the tables append-only are as they were made: in
 * particular they call our functions in the library that this one is from.
 */
static void
check_triggers(const UaefReport *report)
{
	static UaefQuery triggers = {
		"SELECT NULL::uuid, NULL::bigint, NULL::bigint, NULL::bigint,"
		" pg_catalog.format('trigger \"%s\" of table \"%s\" %s',"
		" w.trigger, w.tab, CASE WHEN t.oid IS NULL THEN 'is missing'"
		" WHEN t.tgenabled <> 'A' THEN 'is not enabled always'"
		" ELSE 'is not as it was made' END)"
		" FROM (VALUES " OUR_TRIGGERS ")"
		" AS w (trigger, tab, type, source)"
		" LEFT JOIN pg_trigger AS t ON t.tgname = w.trigger"
		" AND t.tgrelid = ('uaef.' || w.tab)::regclass"
		" LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid"
		" LEFT JOIN pg_language AS l ON l.oid = p.prolang"
		" WHERE (t.tgenabled = 'A' AND t.tgtype = w.type AND t.tgqual IS NULL"
		" AND t.tgattr::text = '' AND t.tgnargs = 0"
		" AND p.prosrc = w.source AND l.lanname = 'c' AND p.probin ="
		" ALL (SELECT probin FROM pg_proc"
		" WHERE pronamespace = 'uaef'::regnamespace"
		" AND proname = 'verify_ledger')) IS NOT TRUE"
		" ORDER BY w.tab, w.trigger",
		0
	};

	uaef_report_rows(report, "GUARD_TAMPERED",
					 uaef_spi_run(&triggers, NULL, NULL));
}

/*
 * Nothing else gets at what is written, and it is written to stay.
 */
static void
check_additions(const UaefReport *report)
{
	static UaefQuery additions = {
		"WITH w AS (SELECT ('uaef.' || tab)::regclass AS relation, trigger"
		" FROM (VALUES " OUR_TRIGGERS ") AS v (trigger, tab, type, source))"
		" SELECT NULL::uuid, NULL::bigint, NULL::bigint, NULL::bigint,"
		" pg_catalog.format('table \"%s\" %s', c.relname, f.what)"
		" FROM pg_class AS c CROSS JOIN LATERAL ("
		" SELECT 'has a trigger \"' || t.tgname || '\" that is not ours'"
		" FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT EXISTS"
		" (SELECT FROM w WHERE relation = t.tgrelid AND trigger = t.tgname)"
		" UNION ALL SELECT 'has row level security'"
		" WHERE c.relrowsecurity OR c.relforcerowsecurity"
		" UNION ALL SELECT 'is not permanent' WHERE c.relpersistence <> 'p'"
		" UNION ALL SELECT 'has an inheritance relation' FROM pg_inherits AS i"
		" WHERE c.oid IN (i.inhrelid, i.inhparent)) AS f (what)"
		" WHERE c.oid IN (SELECT relation FROM w) ORDER BY c.relname, f.what",
		0
	};
	static UaefQuery rules = {
		"SELECT NULL::uuid, NULL::bigint, NULL::bigint, NULL::bigint,"
		" pg_catalog.format('table \"%s\" has a rule \"%s\"', c.relname,"
		" r.rulename)"
		" FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class"
		" WHERE c.oid IN (SELECT ('uaef.' || tab)::regclass"
		" FROM (VALUES " OUR_TRIGGERS ") AS v (trigger, tab, type, source))"
		" ORDER BY c.relname, r.rulename",
		0
	};

	uaef_report_rows(report, "GUARD_TAMPERED",
					 uaef_spi_run(&additions, NULL, NULL));
	uaef_report_rows(report, "RULE_PRESENT",
					 uaef_spi_run(&rules, NULL, NULL));
}

/*
 * The indexes that make a fork impossible, and those that we read by.
 */
static void
check_indexes(const UaefReport *report)
{
	static UaefQuery query = {
		"SELECT NULL::uuid, NULL::bigint, NULL::bigint, NULL::bigint,"
		" pg_catalog.format('index \"%s\" of table \"%s\" %s', w.name, w.tab,"
		" CASE WHEN i.indexrelid IS NULL THEN 'is missing'"
		" ELSE 'is not as it was made' END)"
		" FROM (VALUES ('ledger_event_pkey', 'ledger_event', '2 3', true),"
		" ('ledger_event_event_id', 'ledger_event', '1', true),"
		" ('ledger_event_tx', 'ledger_event', '4', false),"
		" ('ledger_block_pkey', 'ledger_block', '1', true),"
		" ('ledger_block_first_leaf', 'ledger_block', '2', true),"
		" ('ledger_tile_pkey', 'ledger_tile', '1 2', true))"
		" AS w (name, tab, keys, is_unique) LEFT JOIN pg_index AS i"
		" ON i.indexrelid = pg_catalog.to_regclass('uaef.' || w.name)"
		" WHERE (i.indrelid = ('uaef.' || w.tab)::regclass"
		" AND i.indkey::text = w.keys AND i.indisunique = w.is_unique"
		" AND i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive"
		" AND i.indpred IS NULL) IS NOT TRUE ORDER BY w.tab, w.name",
		0
	};

	uaef_report_rows(report, "GUARD_TAMPERED",
					 uaef_spi_run(&query, NULL, NULL));
}

/*
 * Compare an index with its table, entry by entry.
 */
static void
compare_index(VerifyScan *scan)
{
	UaefQuery  *query = scan->arg;

	(void) uaef_spi_run(query, NULL, NULL);
}

void
uaef_check_index_contents(VerifyScan *scan)
{
	static UaefQuery schema = {
		"SELECT pg_catalog.quote_ident(n.nspname) FROM pg_extension AS e"
		" JOIN pg_namespace AS n ON n.oid = e.extnamespace"
		" WHERE e.extname = 'amcheck'",
		0
	};
	static UaefQuery indexes = {
		"SELECT i.indexrelid::integer, c.relname::text FROM pg_index AS i"
		" JOIN pg_class AS c ON c.oid = i.indexrelid"
		" JOIN pg_class AS t ON t.oid = i.indrelid"
		" JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'btree'"
		" WHERE t.relnamespace = 'uaef'::regnamespace"
		" AND t.relname LIKE 'ledger\\_%' AND t.relkind = 'r'"
		" AND i.indisvalid ORDER BY c.relname",
		0
	};
	char	   *where;
	uint64		rows;
	SPITupleTable *found;

	if (uaef_spi_run(&schema, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"amcheck\" is not installed"),
				 errhint("CREATE EXTENSION amcheck, or call the function without indexes.")));
	where = uaef_spi_text(0, 1);
	rows = uaef_spi_run(&indexes, NULL, NULL);
	found = SPI_tuptable;
	for (uint64 i = 0; i < rows; i++)
	{
		UaefQuery	query = {0};
		UaefPlace	place = {0};
		const char *problem;
		char	   *name;

		SPI_tuptable = found;
		name = uaef_spi_text(i, 2);
		query.sql = psprintf("SELECT %s.bt_index_check(%u::oid::regclass, true)",
							 where, (Oid) uaef_spi_int32(i, 1));
		scan->arg = &query;
		problem = uaef_verify_protected(scan, compare_index);
		if (problem != NULL)
			uaef_report_problem(scan->report, "INDEX_DIVERGES", &place,
								psprintf("index \"%s\": %s", name, problem));
	}
}

void
uaef_check_guards(const UaefReport *report)
{
	check_triggers(report);
	check_additions(report);
	check_indexes(report);
}
