/*-------------------------------------------------------------------------
 *
 * attach_workflow.c
 *	  Putting triggers that start workflows on an app's tables.
 *
 * A trigger is an ordinary one of the app's table, made by an ordinary CREATE
 * TRIGGER of the table's owner: the server keeps it, dumps it and restores it,
 * and nothing else is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "attach_workflow.h"
#include "compat.h"
#include "definition.h"
#include "errcodes.h"
#include "json_util.h"
#include "spi_util.h"
#include "template.h"

#define ON_INSERT	0x01
#define ON_UPDATE	0x02
#define ON_DELETE	0x04

/* What a template is checked against. */
typedef struct Templates
{
	const UaefAttach *attach;
	bool		has_old;		/* whenever the trigger fires */
} Templates;

static UaefQuery find_triggers = {
	"SELECT tgname::pg_catalog.text FROM pg_catalog.pg_trigger WHERE tgrelid = $1"
	" AND tgfoid = 'uaef.start_workflow_trigger()'::pg_catalog.regprocedure"
	" AND NOT tgisinternal AND tgargs LIKE $2 ORDER BY tgname",
	2, {OIDOID, BYTEAOID}
};

static void
require_owner(Oid table)
{
	if (!uaef_owns_table(table, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s",
						get_rel_name(table) ? get_rel_name(table) : "?")));
}

/*
 * "INSERT OR UPDATE" as bits.
 */
static int
read_events(const char *text)
{
	static const struct
	{
		const char *name;
		int			bit;
	}			events[] = {
		{"insert", ON_INSERT}, {"update", ON_UPDATE}, {"delete", ON_DELETE}
	};
	char	   *copy = pstrdup(text);
	char	   *rest;
	char	   *word;
	bool		want_or = false;
	int			bits = 0;

	for (word = strtok_r(copy, " ", &rest); word != NULL;
		 word = strtok_r(NULL, " ", &rest))
	{
		int			bit = 0;

		for (int i = 0; i < lengthof(events); i++)
			if (pg_strcasecmp(word, events[i].name) == 0)
				bit = events[i].bit;
		if (want_or ? pg_strcasecmp(word, "or") != 0 :
			bit == 0 || (bits & bit) != 0)
			break;
		bits |= want_or ? 0 : bit;
		want_or = !want_or;
	}
	if (word != NULL || !want_or)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event \"%s\" cannot start a workflow", text),
				 errhint("Use INSERT, UPDATE, DELETE, or several with OR between them.")));
	return bits;
}

/*
 * A path of a template must lead to something that the trigger has: what it
 * lacks would fail the statements of the app.
 */
static void
check_path(const UaefPath *path, void *arg)
{
	const Templates *templates = arg;
	const UaefAttach *attach = templates->attach;
	const char *root = uaef_path_root(path);
	const char *column = uaef_path_second(path);
	bool		by_row = !attach->by_statement;
	bool		known = strcmp(root, by_row ? "row" : "rows") == 0 ||
		(templates->has_old &&
		 strcmp(root, by_row ? "old" : "old_rows") == 0);

	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
				 errmsg("\"%s\" leads to nothing that the trigger has",
						uaef_path_text(path)),
				 by_row ?
				 errhint("Templates can read \"row\", and of updates alone \"old\".") :
				 errhint("Templates can read \"rows\", and of updates \"old_rows\".")));
	if (by_row && column != NULL && get_attnum(attach->table, column) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist",
						column, get_rel_name(attach->table)),
				 errdetail("The template reads \"%s\".",
						   uaef_path_text(path))));
}

static void
check_template(const UaefAttach *attach, int events, Jsonb *template)
{
	Templates	templates = {attach, events == ON_UPDATE};

	uaef_template_paths(uaef_template_compile_any_root(template), check_path,
						&templates);
}

static void
check_key(const UaefAttach *attach, int events)
{
	if (attach->key == NULL)
		return;
	if (strstr(attach->key, "{{") != NULL)
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_text(&json, "key", attach->key);
		check_template(attach, events, uaef_json_end(&json));
		return;
	}
	if (attach->by_statement)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a statement has no column \"%s\"", attach->key),
				 errhint("Use a template of \"rows\" as key.")));
	if ((events & (events - 1)) != 0 || (events & ON_UPDATE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key allows only one start for each row"),
				 errdetail("An update of the row would start the workflow again with the same key."),
				 errhint("Leave the key out, use the event INSERT, or a template as key.")));
	if (get_attnum(attach->table, attach->key) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist",
						attach->key, get_rel_name(attach->table)),
				 errhint("The key names the column whose value is the idempotency key.")));
}

/*
 * What the server would refuse later, with less to say.
 */
static void
check_statement(const UaefAttach *attach, int events)
{
	if (attach->n_columns > 0 && (events & ON_UPDATE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns are for the event UPDATE")));
	if (!attach->by_statement)
		return;
	if ((events & (events - 1)) != 0 || attach->n_columns > 0 ||
		attach->condition != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a start for each statement takes one event, without columns and condition")));
}

/*
 * A position is one in the text that was parsed, not in the caller's query.
 */
static void
condition_error(void *parsed)
{
	int			position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery((const char *) parsed);
}

/*
 * The condition is put into the text of a command, and must not end it and
 * begin another: it must be what one column of one SELECT can be.
 */
static void
check_condition(const char *condition)
{
	ErrorContextCallback context;
	List	   *parsed;
	SelectStmt *select;
	char	   *sql;

	if (condition == NULL)
		return;
	sql = psprintf("SELECT (%s\n)", condition);
	context = (ErrorContextCallback)
	{
		.previous = error_context_stack,.callback = condition_error,.arg = sql
	};
	error_context_stack = &context;
	parsed = pg_parse_query(sql);
	error_context_stack = context.previous;
	select = list_length(parsed) == 1 ?
		(SelectStmt *) linitial_node(RawStmt, parsed)->stmt : NULL;
	if (select == NULL || !IsA(select, SelectStmt) ||
		list_length(select->targetList) != 1 || select->fromClause != NIL ||
		select->whereClause != NULL || select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition \"%s\" is not one expression", condition)));
}

static void
append_events(StringInfo sql, const UaefAttach *attach, int events)
{
	const char *before = "";

	if ((events & ON_INSERT) != 0)
	{
		appendStringInfoString(sql, "INSERT");
		before = " OR ";
	}
	if ((events & ON_UPDATE) != 0)
	{
		appendStringInfo(sql, "%sUPDATE", before);
		for (int i = 0; i < attach->n_columns; i++)
			appendStringInfo(sql, "%s%s", i == 0 ? " OF " : ", ",
							 quote_identifier(attach->columns[i]));
		before = " OR ";
	}
	if ((events & ON_DELETE) != 0)
		appendStringInfo(sql, "%sDELETE", before);
}

static void
append_scope(StringInfo sql, const UaefAttach *attach, int events)
{
	if (!attach->by_statement)
	{
		appendStringInfoString(sql, " FOR EACH ROW");
		if (attach->condition != NULL)
			appendStringInfo(sql, " WHEN (%s)", attach->condition);
		return;
	}
	appendStringInfoString(sql, " REFERENCING");
	if ((events & ON_DELETE) == 0)
		appendStringInfoString(sql, " NEW TABLE AS uaef_new");
	if ((events & ON_INSERT) == 0)
		appendStringInfoString(sql, " OLD TABLE AS uaef_old");
	appendStringInfoString(sql, " FOR EACH STATEMENT");
}

static char *
table_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

static void
run(const char *sql)
{
	SPI_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", sql);
	SPI_finish();
}

/*
 * The arguments of the trigger: workflow, key, input.
 */
static void
append_arguments(StringInfo sql, const UaefAttach *attach)
{
	appendStringInfo(sql, "%s, %s", quote_literal_cstr(attach->workflow),
					 quote_literal_cstr(attach->key ? attach->key : ""));
	if (attach->input != NULL)
		appendStringInfo(sql, ", %s",
						 quote_literal_cstr(JsonbToCString(NULL,
														   &attach->input->root,
														   VARSIZE(attach->input))));
}

char *
uaef_attach_workflow(const UaefAttach *attach)
{
	int			events = read_events(attach->event);
	char	   *name = attach->name != NULL ? pstrdup(attach->name)
		: psprintf("uaef_start_%s", attach->workflow);
	StringInfoData sql;
	UaefCaller	back;

	require_owner(attach->table);
	check_key(attach, events);
	check_statement(attach, events);
	check_condition(attach->condition);
	if (attach->input != NULL)
		check_template(attach, events, attach->input);
	back = uaef_spi_begin();
	(void) uaef_definition_find(attach->workflow, 0);
	uaef_spi_end(back);

	truncate_identifier(name, (int) strlen(name), false);
	if (OidIsValid(get_trigger_oid(attach->table, name, true)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("trigger \"%s\" for relation \"%s\" already exists",
						name, get_rel_name(attach->table)),
				 errhint("Give this one a \"name\" of its own, or use uaef.detach_workflow() first.")));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER ", quote_identifier(name));
	append_events(&sql, attach, events);
	appendStringInfo(&sql, " ON %s", table_name(attach->table));
	append_scope(&sql, attach, events);
	appendStringInfoString(&sql,
						   " EXECUTE FUNCTION uaef.start_workflow_trigger(");
	append_arguments(&sql, attach);
	appendStringInfoChar(&sql, ')');
	run(sql.data);
	return name;
}

/*
 * The arguments of a trigger are kept one after the other, each with a zero
 * byte after it; as a pattern of bytea.
 */
static Datum
arguments_of(const char *workflow)
{
	StringInfoData pattern;

	initStringInfo(&pattern);
	for (const char *at = workflow; *at != '\0'; at++)
	{
		if (strchr("\\%_", *at) != NULL)
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, *at);
	}
	appendStringInfoChar(&pattern, '\0');
	appendStringInfoChar(&pattern, '%');
	return PointerGetDatum(cstring_to_text_with_len(pattern.data,
													pattern.len));
}

void
uaef_detach_workflow(Oid table, const char *workflow)
{
	Datum		args[2] = {ObjectIdGetDatum(table), arguments_of(workflow)};
	UaefCaller	back;
	char	  **names;
	int			n;

	require_owner(table);
	back = uaef_spi_begin();
	n = (int) uaef_spi_run(&find_triggers, args, NULL);
	names = SPI_palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		names[i] = uaef_spi_text(i, 1);
	uaef_spi_end(back);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no trigger on table \"%s\" starts workflow \"%s\"",
						get_rel_name(table), workflow)));
	for (int i = 0; i < n; i++)
		run(psprintf("DROP TRIGGER %s ON %s", quote_identifier(names[i]),
					 table_name(table)));
}
