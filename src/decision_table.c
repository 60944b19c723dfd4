/*-------------------------------------------------------------------------
 *
 * decision_table.c
 *	  Compiling decision tables.
 *
 * {"hit": "first", "inputs": ["in.region", {"path": "in.amount", "min": 0}],
 *  "rows": [["US", {"$lt": 1000}, "1.5%"], ["*", "*", "1%"]],
 *  "on": "in.amount"}
 *
 * A cell is "*" for anything, a value for equality, a list of values, or an
 * object of the operators of conditions.  The last of a row is what it gives:
 * an expression, whose value is an amount, or a percentage of "on".
 *
 * Locking: none.  Memory: as for expressions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "errcodes.h"
#include "json_walk.h"
#include "numeric_util.h"

#define MAX_COLUMNS		20
#define MAX_ROWS		1000
#define MAX_VALUES		1000

/* What is compiled, and for which currency. */
typedef struct Compiler
{
	AmountTable *table;
	const char *currency;
	bool		any_root;
	const UaefTyping *typing;
} Compiler;

pg_noreturn static void bad_table(const char *detail);
static void check_keys(const UaefMembers *members, const char *const *names,
					   int n);
static bool get_member(const JsonbValue *object, const char *key,
					   JsonbValue *value);
static bool is_container(const JsonbValue *value, bool array);
static char *text_of(const JsonbValue *value, const char *what);
static UaefMembers array_at(const JsonbValue *object, const char *key,
							int max);
static AmountHit read_hit(const JsonbValue *object);
static Numeric read_bound(const JsonbValue *object, const char *key);
static void read_values(const JsonbValue *object, AmountColumn *column);
static void read_column(Compiler *compiler, const JsonbValue *value,
						AmountColumn *column);
static AmountNode *read_output(Compiler *compiler, const JsonbValue *value,
							   const char *what);
static UaefCondition *read_cell(Compiler *compiler, const AmountColumn *column,
								const JsonbValue *cell);
static void read_rows(Compiler *compiler, const JsonbValue *object);
static void read_on(Compiler *compiler, const JsonbValue *object);
static void check_rows(const AmountTable *table);

static void
bad_table(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
			 errmsg("invalid decision table"),
			 errdetail_internal("%s", detail)));
}

/* An object has no key but these. */
static void
check_keys(const UaefMembers *members, const char *const *names, int n)
{
	for (int i = 0; i < members->n; i++)
	{
		bool		known = false;

		for (int j = 0; j < n; j++)
			known = known || uaef_key_is(&members->keys[i], names[j]);
		if (!known)
			bad_table(psprintf("There is no key \"%s\".",
							   uaef_eval_clip(members->keys[i].val.string.val,
											  members->keys[i].val.string.len)));
	}
}

static bool
get_member(const JsonbValue *object, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object->val.binary.data, key,
										strlen(key), value) != NULL;
}

static bool
is_container(const JsonbValue *value, bool array)
{
	return value->type == jbvBinary &&
		(array ? JsonContainerIsArray(value->val.binary.data) :
		 JsonContainerIsObject(value->val.binary.data));
}

/* The text of a string or of a number. */
static char *
text_of(const JsonbValue *value, const char *what)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type != jbvNumeric)
		bad_table(psprintf("%s must be a text or a number.", what));
	return uaef_numeric_text(value->val.numeric);
}

static UaefMembers
array_at(const JsonbValue *object, const char *key, int max)
{
	JsonbValue	value;
	UaefMembers members;

	if (!get_member(object, key, &value) || !is_container(&value, true))
		bad_table(psprintf("\"%s\" must be an array.", key));
	members = uaef_members(&value);
	if (members.n < 1 || members.n > max)
		bad_table(psprintf("\"%s\" must have 1 to %d elements.", key, max));
	return members;
}

/* "hit", and with "collect" what of */
static AmountHit
read_hit(const JsonbValue *object)
{
	static const struct
	{
		const char *hit;
		const char *collect;
		AmountHit	result;
	}			hits[] = {
		{"unique", NULL, HIT_UNIQUE},
		{"first", NULL, HIT_FIRST},
		{"any", NULL, HIT_ANY},
		{"collect", "sum", HIT_SUM},
		{"collect", "min", HIT_MIN},
		{"collect", "max", HIT_MAX},
		{"collect", "count", HIT_COUNT}
	};
	JsonbValue	hit;
	JsonbValue	collect;
	bool		collects = get_member(object, "collect", &collect);

	if (!get_member(object, "hit", &hit))
		bad_table("The key \"hit\" is missing.");
	for (int i = 0; i < lengthof(hits); i++)
	{
		if (hit.type == jbvString && uaef_key_is(&hit, hits[i].hit) &&
			collects == (hits[i].collect != NULL) &&
			(!collects || (collect.type == jbvString &&
						   uaef_key_is(&collect, hits[i].collect))))
			return hits[i].result;
	}
	bad_table("\"hit\" must be \"unique\", \"first\", \"any\", or \"collect\" with \"collect\": \"sum\", \"min\", \"max\" or \"count\".");
}

static Numeric
read_bound(const JsonbValue *object, const char *key)
{
	JsonbValue	value;

	if (!get_member(object, key, &value))
		return NULL;
	if (value.type != jbvNumeric)
		bad_table(psprintf("\"%s\" of an input must be a number.", key));
	return value.val.numeric;
}

/* The values that an input can have, all of one type. */
static void
read_values(const JsonbValue *object, AmountColumn *column)
{
	JsonbValue	value;
	UaefMembers members;

	if (!get_member(object, "values", &value))
		return;
	if (column->min != NULL || column->max != NULL)
		bad_table("\"values\" of an input excludes \"min\" and \"max\".");
	members = array_at(object, "values", MAX_VALUES);
	for (int i = 0; i < members.n; i++)
	{
		if (members.values[i].type != members.values[0].type ||
			members.values[i].type == jbvBinary ||
			members.values[i].type == jbvNull)
			bad_table("\"values\" of an input must be texts, numbers, or truth values.");
	}
	column->nvalues = members.n;
	column->values = members.values;
}

/* "in.region", or {"path": "in.region", "values": ["US", "CA"]} */
static void
read_column(Compiler *compiler, const JsonbValue *value, AmountColumn *column)
{
	static const char *const names[] = {"path", "values", "min", "max"};
	JsonbValue	path = *value;
	const char *problem;

	if (is_container(value, false))
	{
		UaefMembers members = uaef_members(value);

		check_keys(&members, names, lengthof(names));
		column->min = read_bound(value, "min");
		column->max = read_bound(value, "max");
		if (column->min != NULL && column->max != NULL &&
			uaef_numeric_compare(column->min, column->max) > 0)
			bad_table("\"min\" of an input is above its \"max\".");
		read_values(value, column);
		if (!get_member(value, "path", &path))
			bad_table("An input has no \"path\".");
	}
	if (path.type != jbvString)
		bad_table("An input must be a path.");
	column->path = uaef_path_parse(path.val.string.val, path.val.string.len,
								   compiler->any_root, &problem);
	if (column->path == NULL)
		bad_table(psprintf("The input \"%s\" is no path. %s",
						   uaef_eval_clip(path.val.string.val,
										  path.val.string.len), problem));
}

/* An amount, or a percentage where the table says of what. */
static AmountNode *
read_output(Compiler *compiler, const JsonbValue *value, const char *what)
{
	char	   *text = text_of(value, what);
	AmountNode *node = uaef_amount_parse(text, compiler->any_root,
										 compiler->typing);

	if (node->type != AMOUNT_PERCENT)
		uaef_amount_check_result(text, node, compiler->currency);
	else if (compiler->table->on == NULL)
		bad_table(psprintf("%s is a percentage, and \"on\" does not say of what.",
						   what));
	return node;
}

/* What a cell asks of its column's path; NULL: nothing. */
static UaefCondition *
read_cell(Compiler *compiler, const AmountColumn *column,
		  const JsonbValue *cell)
{
	const char *path = uaef_path_text(column->path);
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString};
	JsonbValue	value = *cell;
	JsonbValue *result;
	bool		is_list = is_container(cell, true);

	if (cell->type == jbvString && uaef_key_is(cell, "*"))
		return NULL;
	key.val.string.val = unconstify(char *, path);
	key.val.string.len = strlen(path);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	(void) pushJsonbValue(&state, WJB_KEY, &key);
	if (is_list)
	{
		key.val.string.val = "$in";
		key.val.string.len = strlen("$in");
		(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		(void) pushJsonbValue(&state, WJB_KEY, &key);
	}
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	if (is_list)
		(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return uaef_condition_compile(JsonbValueToJsonb(result),
								  compiler->any_root, compiler->typing);
}

static void
read_rows(Compiler *compiler, const JsonbValue *object)
{
	AmountTable *table = compiler->table;
	UaefMembers rows = array_at(object, "rows", MAX_ROWS);

	table->nrows = rows.n;
	table->rows = palloc0(rows.n * sizeof(AmountRow));
	for (int i = 0; i < rows.n; i++)
	{
		AmountRow  *row = &table->rows[i];
		UaefMembers cells;

		if (!is_container(&rows.values[i], true))
			bad_table(psprintf("Row %d must be an array.", i + 1));
		cells = uaef_members(&rows.values[i]);
		if (cells.n != table->ncolumns + 1)
			bad_table(psprintf("Row %d must have %d cells: one for each input, and what it gives.",
							   i + 1, table->ncolumns + 1));
		row->cells = palloc(table->ncolumns * sizeof(UaefCondition *));
		for (int j = 0; j < table->ncolumns; j++)
			row->cells[j] = read_cell(compiler, &table->columns[j],
									  &cells.values[j]);
		row->output = read_output(compiler, &cells.values[cells.n - 1],
								  psprintf("What row %d gives", i + 1));
	}
}

/* "on": an expression that percentages are of */
static void
read_on(Compiler *compiler, const JsonbValue *object)
{
	JsonbValue	value;
	char	   *text;

	if (!get_member(object, "on", &value))
		return;
	text = text_of(&value, "\"on\"");
	compiler->table->on = uaef_amount_parse(text, compiler->any_root,
											compiler->typing);
	uaef_amount_check_result(text, compiler->table->on, compiler->currency);
}

static void
check_rows(const AmountTable *table)
{
	List	   *problems = uaef_amount_table_problems(table);
	char	   *text = "";
	ListCell   *cell;

	foreach(cell, problems)
		text = psprintf("%s%s%s", text, text[0] == '\0' ? "" : "\n",
						(char *) lfirst(cell));
	if (problems != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
				 errmsg("rows of a decision table do not fit together"),
				 errdetail_internal("%s", text),
				 errhint("Add rows, a \"default\", or say by \"values\", \"min\" and \"max\" what an input can be.")));
}

/*
 * uaef_amount_compile_table -- compile a decision table
 *
 * Raises UA221, UA220 for a cell, UA208 for a currency.
 */
UaefAmount *
uaef_amount_compile_table(Jsonb *document, const char *currency,
						  bool any_root,
						  const UaefTyping *typing)
{
	static const char *const names[] = {
		"hit", "collect", "inputs", "rows", "on", "default"
	};
	UaefAmount *amount = palloc0(sizeof(UaefAmount));
	AmountTable *table = palloc0(sizeof(AmountTable));
	Compiler	compiler = {table, currency, any_root, typing};
	Jsonb	   *copy = palloc(VARSIZE(document));
	JsonbValue	object;
	JsonbValue	value;
	UaefMembers members;

	uaef_currency_require(currency);
	memcpy(copy, document, VARSIZE(document));
	uaef_document_value(copy, &object);
	if (!is_container(&object, false))
		bad_table("It must be an object.");
	members = uaef_members(&object);
	check_keys(&members, names, lengthof(names));

	table->hit = read_hit(&object);
	members = array_at(&object, "inputs", MAX_COLUMNS);
	table->ncolumns = members.n;
	table->columns = palloc0(members.n * sizeof(AmountColumn));
	for (int i = 0; i < members.n; i++)
		read_column(&compiler, &members.values[i], &table->columns[i]);
	read_on(&compiler, &object);
	read_rows(&compiler, &object);
	if (get_member(&object, "default", &value))
		table->otherwise = read_output(&compiler, &value, "\"default\"");
	check_rows(table);

	amount->table = table;
	strlcpy(amount->currency, currency, sizeof(amount->currency));
	return amount;
}
