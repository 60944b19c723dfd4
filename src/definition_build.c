/*-------------------------------------------------------------------------
 *
 * definition_build.c
 *	  Workflow definitions out of SQL calls, and out of chains: a -> b -> c
 *
 * A chain is a line of tasks with arrows between them; another one begins on
 * the next line, or after a semicolon.
 *
 *		score -> route
 *		route -[small]-> pay
 *		route -[large]-> ask -[approved]-> pay
 *		pay -> mail, book -> done
 *
 * An arrow leads from each task on its left to each on its right.  It may
 * have a label, and be as long as it likes: --> and -[x]-> are arrows.
 *
 * Locking: none.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "compat.h"
#include "definition_build.h"
#include "errcodes.h"
#include "eval_error.h"
#include "json_util.h"

/* Edges that one text may draw. */
#define MAX_EDGES 100000

static const char name_chars[] =
"_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";

/* A text that is being read. */
typedef struct Reader
{
	const char *text;
	const char *at;
	JsonbParseState **state;	/* of the definition, in its edges */
	List	   *ids;			/* char * of the tasks */
	int			n_edges;
} Reader;

static Jsonb *without_nulls(Jsonb *object, const char *what);
static bool is_number(const char *text);
pg_noreturn static void bad_chain(const Reader *reader, const char *problem);
static bool skip_blank(Reader *reader);
static char *read_task(Reader *reader);
static List *read_group(Reader *reader);
static bool read_arrow(Reader *reader, char **label);
static void push_edge(Reader *reader, const char *from, const char *to,
					  const char *label);
static void push_edges(Reader *reader, List *from, List *to,
					   const char *label);
static void read_chain(Reader *reader);
static void read_chains(Reader *reader);
static void push_text(JsonbParseState **state, JsonbIteratorToken token,
					  const char *text);
static void push_object(JsonbParseState **state, Jsonb *object);
static bool is_edge(Jsonb *part, int no);

/* An object without the members that are null. */
static Jsonb *
without_nulls(Jsonb *object, const char *what)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (object == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" of a task must be an object", what)));
	it = JsonbIteratorInit(&object->root);
	pushJsonbValue(&state, JsonbIteratorNext(&it, &key, false), NULL);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type == jbvNull)
			continue;
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, token, NULL));
}

static bool
is_number(const char *text)
{
	int			len = strlen(text);

	return len > 0 && len < 10 && strspn(text, "0123456789") == len;
}

Jsonb *
uaef_build_task(const UaefTaskParts *parts)
{
	Jsonb	   *retry = without_nulls(parts->retry, "retry");
	UaefJson	json;

	if (parts->attempts != 0)
	{
		UaefJson	own;

		uaef_json_begin(&own);
		uaef_json_members(&own, retry);
		uaef_json_int(&own, "max_attempts", parts->attempts);
		retry = uaef_json_end(&own);
	}

	uaef_json_begin(&json);
	uaef_json_text(&json, "id", parts->id);
	uaef_json_text(&json, "type", parts->type);
	uaef_json_jsonb(&json, "config", without_nulls(parts->config, "config"));
	uaef_json_text(&json, "timeout", parts->timeout);
	uaef_json_jsonb(&json, "retry", retry);
	uaef_json_text(&json, "on_failure", parts->on_failure);
	uaef_json_text(&json, "queue", parts->queue);
	if (parts->priority != 0)
		uaef_json_int(&json, "priority", parts->priority);
	if (parts->join != NULL && is_number(parts->join))
		uaef_json_int(&json, "join", atoi(parts->join));
	else
		uaef_json_text(&json, "join", parts->join);
	uaef_json_text(&json, "description", parts->description);
	uaef_json_jsonb(&json, "output_schema", parts->output_schema);
	return uaef_json_end(&json);
}

/*----------
 * Chains
 * ----------
 */

static void
bad_chain(const Reader *reader, const char *problem)
{
	const char *end = reader->at + strcspn(reader->at, "\n");
	const char *line = reader->at;
	int			no = 1;

	while (line > reader->text && line[-1] != '\n')
		line--;
	for (const char *c = reader->text; c < line; c++)
		no += *c == '\n';
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("chain, line %d, column %d: %s", no,
					(int) (reader->at - line) + 1, problem),
			 errdetail("The line is: %s", uaef_eval_clip(line, end - line)),
			 errhint("A chain is a -> b -[label]-> c, d -> e; each begins on a line of its own, or after a semicolon.")));
}

/* Whether a line ended in what was skipped. */
static bool
skip_blank(Reader *reader)
{
	bool		line = false;

	for (; strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0';
		 reader->at++)
		line = line || *reader->at == '\n';
	return line;
}

/* An id; one that ends in hyphens leaves them to the arrow behind it. */
static char *
read_task(Reader *reader)
{
	int			len = strspn(reader->at, name_chars);
	char	   *id;
	ListCell   *cell;

	if (strchr("->", reader->at[len]) != NULL || reader->at[len] == '[')
		while (len > 0 && reader->at[len - 1] == '-')
			len--;
	if (len == 0 || *reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9'))
		bad_chain(reader, "the id of a task is expected");
	id = pnstrdup(reader->at, len);
	foreach(cell, reader->ids)
		if (strcmp(lfirst(cell), id) == 0)
		break;
	if (cell == NULL)
		bad_chain(reader, psprintf("there is no task \"%s\"", id));
	reader->at += len;
	return id;
}

/* Tasks with commas between them. */
static List *
read_group(Reader *reader)
{
	List	   *group = NIL;

	for (;;)
	{
		const char *end;

		(void) skip_blank(reader);
		group = lappend(group, read_task(reader));
		end = reader->at;
		(void) skip_blank(reader);
		if (*reader->at != ',')
		{
			reader->at = end;
			return group;
		}
		reader->at++;
	}
}

/* An arrow with its label, which may be missing. */
static bool
read_arrow(Reader *reader, char **label)
{
	const char *begin = reader->at;

	*label = NULL;
	(void) skip_blank(reader);
	if (*reader->at != '-')
	{
		reader->at = begin;
		return false;
	}
	reader->at += strspn(reader->at, "-");
	if (*reader->at == '[')
	{
		int			len = strcspn(++reader->at, "]\n");

		if (len == 0 || reader->at[len] != ']')
			bad_chain(reader, "a label and ] are expected");
		*label = pnstrdup(reader->at, len);
		reader->at += len + 1;
		reader->at += strspn(reader->at, "-");
	}
	if (*reader->at != '>')
		bad_chain(reader, "the > of an arrow is expected");
	reader->at++;
	return true;
}

static void
push_edge(Reader *reader, const char *from, const char *to, const char *label)
{
	if (++reader->n_edges > MAX_EDGES)
		bad_chain(reader, psprintf("more than %d edges", MAX_EDGES));
	pushJsonbValue(reader->state, WJB_BEGIN_OBJECT, NULL);
	push_text(reader->state, WJB_KEY, "from");
	push_text(reader->state, WJB_VALUE, from);
	push_text(reader->state, WJB_KEY, "to");
	push_text(reader->state, WJB_VALUE, to);
	if (label != NULL)
	{
		push_text(reader->state, WJB_KEY, "on");
		push_text(reader->state, WJB_VALUE, label);
	}
	pushJsonbValue(reader->state, WJB_END_OBJECT, NULL);
}

static void
push_edges(Reader *reader, List *from, List *to, const char *label)
{
	ListCell   *left;
	ListCell   *right;

	foreach(left, from)
		foreach(right, to)
		push_edge(reader, lfirst(left), lfirst(right), label);
}

static void
read_chain(Reader *reader)
{
	List	   *from = read_group(reader);
	char	   *label;

	while (read_arrow(reader, &label))
	{
		List	   *to = read_group(reader);

		push_edges(reader, from, to, label);
		from = to;
	}
}

static void
read_chains(Reader *reader)
{
	bool		line = true;

	for (;;)
	{
		line = skip_blank(reader) || line;
		while (*reader->at == ';')
		{
			reader->at++;
			(void) skip_blank(reader);
			line = true;
		}
		if (*reader->at == '\0')
			return;
		if (!line)
			bad_chain(reader, "an arrow, a comma or a semicolon is expected");
		read_chain(reader);
		line = false;
	}
}

/*----------
 * Workflows
 * ----------
 */

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	pushJsonbValue(state, token, &value);
}

static void
push_object(JsonbParseState **state, Jsonb *object)
{
	JsonbValue	value;

	JsonbToJsonbValue(object, &value);
	pushJsonbValue(state, WJB_ELEM, &value);
}

/* A part is a task, which has an id, or an edge, which has from and to. */
static bool
is_edge(Jsonb *part, int no)
{
	JsonbValue	value;

	if (uaef_json_get(part, "id", &value))
		return false;
	if (!uaef_json_get(part, "from", &value) ||
		!uaef_json_get(part, "to", &value))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("part %d of the workflow is neither a task nor an edge", no),
				 errhint("Use uaef.task() and its like, and uaef.edge().")));
	return true;
}

Jsonb *
uaef_build_workflow(const char *chain, Jsonb **parts, int n)
{
	JsonbParseState *state = NULL;
	Reader		reader = {.text = chain,.at = chain,.state = &state};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "tasks");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		char	   *id;

		if (is_edge(parts[i], i + 1))
			continue;
		push_object(&state, parts[i]);
		id = uaef_json_get_text(parts[i], "id");
		if (id != NULL)
			reader.ids = lappend(reader.ids, id);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	push_text(&state, WJB_KEY, "edges");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	read_chains(&reader);
	for (int i = 0; i < n; i++)
		if (is_edge(parts[i], i + 1))
			push_object(&state, parts[i]);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
