/*-------------------------------------------------------------------------
 *
 * path.c
 *	  Dotted paths into a scope: in.order.lines[0].price
 *
 * A path is names joined by dots, each followed by any number of [n].  A name
 * is a letter or underscore and then letters, digits, _ and -; any other name
 * is written in double quotes, with a quote in it doubled: in."the ""key""".
 *
 * A path is compiled once into steps; a look-up is one search per step.
 *
 * Locking: none.  Memory: a compiled path lives in the context that was
 * current when it was compiled and points to nothing outside itself.  Values
 * that are found point into the documents of the scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "path.h"

#define MAX_PATH_BYTES	1000
#define MAX_PATH_STEPS	64
#define MAX_INDEX		99999999

typedef enum PathRoot
{
	ROOT_OTHER,
	ROOT_IN,
	ROOT_TASK,
	ROOT_ITEM,
	ROOT_CTX,
	ROOT_SYS,
	ROOT_LAST,
	ROOT_SIGNAL
} PathRoot;

/* A key of an object, or, when name is NULL, an index of an array. */
typedef struct PathStep
{
	char	   *name;
	int			len;
	uint32		index;
} PathStep;

struct UaefPath
{
	char	   *text;
	PathRoot	root;
	int			nsteps;
	PathStep	steps[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct PathScanner
{
	const char *at;
	const char *end;
} PathScanner;

static bool is_name_start(char c);
static bool is_name_char(char c);
static const char *scan_quoted(PathScanner *scanner, PathStep *step);
static const char *scan_name(PathScanner *scanner, PathStep *step);
static const char *scan_index(PathScanner *scanner, PathStep *step);
static const char *scan_steps(PathScanner *scanner, PathStep *steps, int *n);
static PathRoot find_root(const PathStep *step);
static const char *check_root(const PathStep *steps, int n);
static bool walk(const UaefPath *path, int first_step, JsonbValue *value);

static bool
is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_name_char(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9') || c == '-';
}

/* Scan "..."; returns what is wrong, or NULL. */
static const char *
scan_quoted(PathScanner *scanner, PathStep *step)
{
	char	   *name = palloc(scanner->end - scanner->at);
	int			len = 0;

	scanner->at++;
	while (scanner->at < scanner->end)
	{
		if (*scanner->at == '"')
		{
			scanner->at++;
			if (scanner->at >= scanner->end || *scanner->at != '"')
			{
				name[len] = '\0';
				step->name = name;
				step->len = len;
				return NULL;
			}
		}
		name[len++] = *scanner->at++;
	}
	return "A quoted name has no closing quote.";
}

/* Scan a name; returns what is wrong, or NULL. */
static const char *
scan_name(PathScanner *scanner, PathStep *step)
{
	const char *start = scanner->at;

	if (scanner->at < scanner->end && *scanner->at == '"')
		return scan_quoted(scanner, step);
	if (scanner->at >= scanner->end || !is_name_start(*scanner->at))
		return "A name must begin with a letter or an underscore, or stand in double quotes.";
	while (scanner->at < scanner->end && is_name_char(*scanner->at))
		scanner->at++;
	step->name = pnstrdup(start, scanner->at - start);
	step->len = scanner->at - start;
	return NULL;
}

/* Scan [n]; returns what is wrong, or NULL. */
static const char *
scan_index(PathScanner *scanner, PathStep *step)
{
	uint32		index = 0;
	const char *start = ++scanner->at;

	while (scanner->at < scanner->end &&
		   *scanner->at >= '0' && *scanner->at <= '9')
	{
		index = index * 10 + (*scanner->at++ - '0');
		if (index > MAX_INDEX)
			return "An index is too large.";
	}
	if (scanner->at == start || scanner->at >= scanner->end ||
		*scanner->at != ']')
		return "An index must be digits between brackets.";
	scanner->at++;
	step->name = NULL;
	step->len = 0;
	step->index = index;
	return NULL;
}

/* Scan all steps; returns what is wrong, or NULL. */
static const char *
scan_steps(PathScanner *scanner, PathStep *steps, int *n)
{
	const char *problem = scan_name(scanner, &steps[0]);

	*n = 1;
	while (problem == NULL && scanner->at < scanner->end)
	{
		if (*n == MAX_PATH_STEPS)
			problem = "It has too many steps.";
		else if (*scanner->at == '[')
			problem = scan_index(scanner, &steps[(*n)++]);
		else if (*scanner->at == '.')
		{
			scanner->at++;
			problem = scan_name(scanner, &steps[(*n)++]);
		}
		else
			problem = "A name has a character that needs double quotes around the name.";
	}
	return problem;
}

static PathRoot
find_root(const PathStep *step)
{
	static const struct
	{
		const char *name;
		PathRoot	root;
	}			roots[] = {
		{"in", ROOT_IN},
		{"task", ROOT_TASK},
		{"item", ROOT_ITEM},
		{"ctx", ROOT_CTX},
		{"sys", ROOT_SYS},
		{"last", ROOT_LAST},
		{"signal", ROOT_SIGNAL}
	};

	for (int i = 0; i < lengthof(roots); i++)
	{
		if (strcmp(step->name, roots[i].name) == 0)
			return roots[i].root;
	}
	return ROOT_OTHER;
}

/* What a path of a workflow must begin with; what is wrong, or NULL. */
static const char *
check_root(const PathStep *steps, int n)
{
	PathRoot	root = find_root(&steps[0]);

	if (root == ROOT_OTHER)
		return "It must begin with in, task, item, ctx, sys or last, or with signal in the filter of a signal task.";
	if (root == ROOT_TASK && (n < 2 || steps[1].name == NULL))
		return "A task's id must follow \"task\".";
	return NULL;
}

/*
 * uaef_path_parse -- compile a path, or say what is wrong with it
 *
 * Returns NULL and sets *problem to a sentence when its form is wrong.
 */
UaefPath *
uaef_path_parse(const char *text, int len, bool any_root,
				const char **problem)
{
	PathScanner scanner;
	PathStep	steps[MAX_PATH_STEPS];
	UaefPath   *path;
	int			n;

	if (len > MAX_PATH_BYTES)
	{
		*problem = "It is too long.";
		return NULL;
	}
	scanner.at = text;
	scanner.end = text + len;

	*problem = scan_steps(&scanner, steps, &n);
	if (*problem == NULL && !any_root)
		*problem = check_root(steps, n);
	if (*problem != NULL)
		return NULL;

	path = palloc(offsetof(UaefPath, steps) + n * sizeof(PathStep));
	path->text = pnstrdup(text, len);
	path->root = find_root(&steps[0]);
	path->nsteps = n;
	memcpy(path->steps, steps, n * sizeof(PathStep));
	return path;
}

/*
 * uaef_path_compile -- compile a path
 *
 * Raises UA222 when its form is wrong.
 */
UaefPath *
uaef_path_compile(const char *text, int len, bool any_root)
{
	const char *problem;
	UaefPath   *path = uaef_path_parse(text, len, any_root, &problem);

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
				 errmsg("invalid path \"%s\"", uaef_eval_clip(text, len)),
				 errdetail_internal("%s", problem)));
	return path;
}

const char *
uaef_path_text(const UaefPath *path)
{
	return path->text;
}

const char *
uaef_path_task(const UaefPath *path)
{
	if (path->root != ROOT_TASK || path->nsteps < 2)
		return NULL;
	return path->steps[1].name;
}

const char *
uaef_path_root(const UaefPath *path)
{
	return path->steps[0].name;
}

int
uaef_path_steps(const UaefPath *path)
{
	return path->nsteps;
}

const char *
uaef_path_step(const UaefPath *path, int no, int *len, uint32 *index)
{
	*len = path->steps[no].len;
	*index = path->steps[no].index;
	return path->steps[no].name;
}

/*
 * uaef_types_text -- types by their names
 */
char *
uaef_types_text(uint32 types)
{
	static const char *const names[] = {
		"null", "a boolean", "a number", "a string", "an array", "an object"
	};
	char	   *text = NULL;

	for (int i = 0; i < lengthof(names); i++)
	{
		if (types & (1 << i))
			text = text == NULL ? pstrdup(names[i]) :
				psprintf("%s or %s", text, names[i]);
	}
	return text == NULL ? pstrdup("nothing") : text;
}

const char *
uaef_path_second(const UaefPath *path)
{
	return path->nsteps < 2 ? NULL : path->steps[1].name;
}

/*
 * uaef_document_value -- a document as a value
 *
 * A scalar document is stored as an array of one; it comes as the scalar.
 */
void
uaef_document_value(Jsonb *document, JsonbValue *value)
{
	if (JB_ROOT_IS_SCALAR(document))
	{
		(void) JsonbExtractScalar(&document->root, value);
		return;
	}
	value->type = jbvBinary;
	value->val.binary.data = &document->root;
	value->val.binary.len = VARSIZE(document) - VARHDRSZ;
}

/* Follow the steps from *value; false when one leads nowhere. */
static bool
walk(const UaefPath *path, int first_step, JsonbValue *value)
{
	for (int i = first_step; i < path->nsteps; i++)
	{
		const PathStep *step = &path->steps[i];
		JsonbContainer *container;

		if (value->type != jbvBinary)
			return false;
		container = value->val.binary.data;
		if (step->name != NULL)
		{
			if (!JsonContainerIsObject(container) ||
				getKeyJsonValueFromContainer(container, step->name, step->len,
											 value) == NULL)
				return false;
		}
		else
		{
			JsonbValue *element;

			if (!JsonContainerIsArray(container))
				return false;
			element = getIthJsonbValueFromContainer(container, step->index);
			if (element == NULL)
				return false;
			*value = *element;
			pfree(element);
		}
	}
	return true;
}

/*
 * uaef_path_get_below -- look a path up below a value
 */
bool
uaef_path_get_below(const UaefPath *path, int first_step,
					const JsonbValue *base, JsonbValue *value)
{
	*value = *base;
	return walk(path, first_step, value);
}

/*
 * uaef_path_get -- look a path up in a scope
 *
 * Returns false when it is missing; a JSON null is there.
 */
bool
uaef_path_get(const UaefPath *path, UaefScope *scope, JsonbValue *value)
{
	Jsonb	   *document = NULL;
	int			first_step = 1;

	if (scope->document != NULL)
	{
		document = scope->document;
		first_step = 0;
	}
	else if (path->root == ROOT_IN)
	{
		if (scope->in == NULL && scope->fetch_in != NULL)
			scope->in = scope->fetch_in(scope);
		document = scope->in;
	}
	else if (path->root == ROOT_ITEM)
		document = scope->item;
	else if (path->root == ROOT_CTX)
		document = scope->ctx;
	else if (path->root == ROOT_SYS)
	{
		if (scope->sys == NULL && scope->fetch_sys != NULL)
			scope->sys = scope->fetch_sys(scope);
		document = scope->sys;
	}
	else if (path->root == ROOT_LAST)
		document = scope->last;
	else if (path->root == ROOT_SIGNAL)
		document = scope->signal;
	else if (path->root == ROOT_TASK && scope->task != NULL &&
			 path->nsteps > 1 && path->steps[1].name != NULL)
	{
		document = scope->task(scope, path->steps[1].name,
							   path->steps[1].len);
		first_step = 2;
	}

	if (document == NULL)
		return false;
	uaef_document_value(document, value);
	return walk(path, first_step, value);
}

/*
 * uaef_path_require -- look a path up; missing is the failure UA202
 */
bool
uaef_path_require(const UaefPath *path, UaefScope *scope, JsonbValue *value,
				  UaefEvalError *error)
{
	if (uaef_path_get(path, scope, value))
		return true;
	return uaef_eval_fail(error, ERRCODE_UAEF_MISSING_PATH, path->text, NULL,
						  "\"%s\" is missing", path->text);
}

/*
 * uaef_value_type -- the name of a value's JSON type
 */
const char *
uaef_value_type(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
		case jbvDatetime:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		case jbvArray:
			return "array";
		case jbvObject:
			return "object";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ?
				"array" : "object";
	}
	elog(ERROR, "unexpected jsonb value type %d", (int) value->type);
	return NULL;
}

/*
 * uaef_value_type_bit -- the type of a value as one of the bits UAEF_TYPE_...
 */
uint32
uaef_value_type_bit(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return UAEF_TYPE_NULL;
		case jbvBool:
			return UAEF_TYPE_BOOLEAN;
		case jbvNumeric:
			return UAEF_TYPE_NUMBER;
		case jbvString:
			return UAEF_TYPE_STRING;
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ?
				UAEF_TYPE_ARRAY : UAEF_TYPE_OBJECT;
		default:
			elog(ERROR, "unexpected jsonb value type %d", (int) value->type);
			return 0;
	}
}
