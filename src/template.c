/*-------------------------------------------------------------------------
 *
 * template.c
 *	  JSON documents with {{path}} in their strings.
 *
 * A template is compiled into a tree in which whatever holds no path is one
 * constant, however large, so that filling costs what the paths cost.
 *
 * Locking: none.  Memory: a compiled template lives in the context that was
 * current when it was compiled, with its own copy of the document.  What is
 * filled in is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "errcodes.h"
#include "template.h"

typedef enum TemplateKind
{
	TEMPLATE_CONSTANT,			/* no path in it */
	TEMPLATE_VALUE,				/* exactly {{path}} */
	TEMPLATE_TEXT,				/* paths among text */
	TEMPLATE_ARRAY,
	TEMPLATE_OBJECT
} TemplateKind;

/* A piece of a string: a literal, or, when path is set, a value's text. */
typedef struct TemplatePart
{
	char	   *literal;
	UaefPath   *path;
} TemplatePart;

typedef struct TemplateNode TemplateNode;

struct TemplateNode
{
	TemplateKind kind;
	JsonbValue	constant;
	UaefPath   *path;			/* of TEMPLATE_VALUE */
	int			n;				/* parts, or children */
	TemplatePart *parts;
	JsonbValue *keys;			/* of TEMPLATE_OBJECT */
	TemplateNode **children;
};

struct UaefTemplate
{
	TemplateNode *root;
};

/* A document being filled in. */
typedef struct TemplateFill
{
	UaefScope  *scope;
	UaefEvalError *error;
	JsonbParseState *state;
	JsonbValue *result;
} TemplateFill;

static const char *find_close(const char *at, const char *end);
static UaefPath *compile_path(const char *at, const char *end, bool any_root);
static TemplateNode *make_node(TemplateKind kind);
static void add_part(TemplateNode *node, char *literal, UaefPath *path);
static void flush_literal(TemplateNode *node, StringInfo literal);
static TemplateNode *compile_string(const char *text, int len, bool any_root);
static void check_key(const JsonbValue *key);
static TemplateNode *compile_container(JsonbValue *value, bool any_root);
static TemplateNode *compile_value(JsonbValue *value, bool any_root);
static UaefTemplate *compile_document(Jsonb *document, bool any_root);
static void visit_node(const TemplateNode *node,
					   void (*visit) (const UaefPath *path, void *arg),
					   void *arg);
static char *value_text(JsonbValue *value);
static void append_url(StringInfo out, const char *text);
static bool append_value(StringInfo out, JsonbValue *value,
						 const UaefPath *path, UaefEncoding encoding,
						 UaefEvalError *error);
static char *fill_parts(const TemplateNode *node, UaefScope *scope,
						UaefEncoding encoding, UaefEvalError *error);
static bool fill_scalar(TemplateFill *fill, const TemplateNode *node,
						JsonbValue *value);
static bool push_node(TemplateFill *fill, const TemplateNode *node,
					  JsonbIteratorToken token);
static bool header_is_safe(const char *text);

/* The "}}" that ends a path, which quotes may hide; NULL when there is none. */
static const char *
find_close(const char *at, const char *end)
{
	bool		quoted = false;

	for (; at < end; at++)
	{
		if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '}' && at + 1 < end && at[1] == '}')
			return at;
	}
	return NULL;
}

/* The path between braces; blanks around it do not count. */
static UaefPath *
compile_path(const char *at, const char *end, bool any_root)
{
	while (at < end && *at == ' ')
		at++;
	while (end > at && end[-1] == ' ')
		end--;
	return uaef_path_compile(at, end - at, any_root);
}

static TemplateNode *
make_node(TemplateKind kind)
{
	TemplateNode *node = palloc0(sizeof(TemplateNode));

	node->kind = kind;
	return node;
}

/* Add a part to a text; the array grows by powers of two. */
static void
add_part(TemplateNode *node, char *literal, UaefPath *path)
{
	if (node->n == 0)
		node->parts = palloc(sizeof(TemplatePart));
	else if ((node->n & (node->n - 1)) == 0)
		node->parts = repalloc(node->parts,
							   2 * node->n * sizeof(TemplatePart));
	node->parts[node->n].literal = literal;
	node->parts[node->n].path = path;
	node->n++;
}

/* Make what was gathered a part of its own. */
static void
flush_literal(TemplateNode *node, StringInfo literal)
{
	if (literal->len > 0)
		add_part(node, pnstrdup(literal->data, literal->len), NULL);
	resetStringInfo(literal);
}

/*
 * Compile a string.  Returns a value, a text of parts, or NULL when the string
 * has no braces and stands for itself.  Raises UA222.
 */
static TemplateNode *
compile_string(const char *text, int len, bool any_root)
{
	const char *end = text + len;
	const char *at = text;
	TemplateNode *node;
	StringInfoData literal;

	if (memmem(text, len, "{{", 2) == NULL)
		return NULL;
	node = make_node(TEMPLATE_TEXT);
	initStringInfo(&literal);
	while (at < end)
	{
		const char *close;

		if (end - at >= 4 && memcmp(at, "{{{{", 4) == 0)
		{
			appendStringInfoString(&literal, "{{");
			at += 4;
			continue;
		}
		if (end - at < 2 || memcmp(at, "{{", 2) != 0)
		{
			appendStringInfoChar(&literal, *at++);
			continue;
		}
		close = find_close(at + 2, end);
		if (close == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
					 errmsg("\"{{\" without \"}}\" in template \"%s\"",
							uaef_eval_clip(text, len)),
					 errhint("Write \"{{{{\" for two braces that open no path.")));
		flush_literal(node, &literal);
		add_part(node, NULL, compile_path(at + 2, close, any_root));
		at = close + 2;
	}
	flush_literal(node, &literal);
	pfree(literal.data);

	if (node->n == 1 && node->parts[0].path != NULL)
	{
		node->kind = TEMPLATE_VALUE;
		node->path = node->parts[0].path;
	}
	return node;
}

/* Keys are names, not text to fill in. */
static void
check_key(const JsonbValue *key)
{
	if (memmem(key->val.string.val, key->val.string.len, "{{", 2) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
				 errmsg("key \"%s\" of a template has a path in it",
						uaef_eval_clip(key->val.string.val,
									   key->val.string.len)),
				 errdetail("Paths are filled in in values only.")));
}

/* Compile an object or an array; one without paths is a constant. */
static TemplateNode *
compile_container(JsonbValue *value, bool any_root)
{
	JsonbContainer *container = value->val.binary.data;
	int			size = Max(1, JsonContainerSize(container));
	TemplateNode *node = make_node(JsonContainerIsArray(container) ?
								   TEMPLATE_ARRAY : TEMPLATE_OBJECT);
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	child;
	bool		has_path = false;

	node->keys = palloc(size * sizeof(JsonbValue));
	node->children = palloc(size * sizeof(TemplateNode *));
	(void) JsonbIteratorNext(&it, &child, false);
	while ((token = JsonbIteratorNext(&it, &child, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			check_key(&child);
			node->keys[node->n] = child;
		}
		else if (token == WJB_VALUE || token == WJB_ELEM)
		{
			node->children[node->n] = compile_value(&child, any_root);
			if (node->children[node->n]->kind != TEMPLATE_CONSTANT)
				has_path = true;
			node->n++;
		}
	}

	if (!has_path)
	{
		node->kind = TEMPLATE_CONSTANT;
		node->constant = *value;
	}
	return node;
}

static TemplateNode *
compile_value(JsonbValue *value, bool any_root)
{
	TemplateNode *node = NULL;

	check_stack_depth();
	if (value->type == jbvBinary)
		return compile_container(value, any_root);
	if (value->type == jbvString)
		node = compile_string(value->val.string.val, value->val.string.len,
							  any_root);
	if (node == NULL)
	{
		node = make_node(TEMPLATE_CONSTANT);
		node->constant = *value;
	}
	return node;
}

/* Compile a copy of a document. */
static UaefTemplate *
compile_document(Jsonb *document, bool any_root)
{
	UaefTemplate *tmpl = palloc(sizeof(UaefTemplate));
	Jsonb	   *copy = palloc(VARSIZE(document));
	JsonbValue	value;

	memcpy(copy, document, VARSIZE(document));
	uaef_document_value(copy, &value);
	tmpl->root = compile_value(&value, any_root);
	return tmpl;
}

/*
 * uaef_template_compile -- compile a document with a workflow's paths
 *
 * Raises UA222 for a path whose form is wrong.
 */
UaefTemplate *
uaef_template_compile(Jsonb *document)
{
	return compile_document(document, false);
}

/*
 * uaef_template_compile_any_root -- the same, with paths of any first name
 */
UaefTemplate *
uaef_template_compile_any_root(Jsonb *document)
{
	return compile_document(document, true);
}

/*
 * uaef_template_compile_text -- compile one string
 */
UaefTemplate *
uaef_template_compile_text(const char *text)
{
	UaefTemplate *tmpl = palloc(sizeof(UaefTemplate));
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = pstrdup(text);
	value.val.string.len = strlen(text);
	tmpl->root = compile_value(&value, false);
	return tmpl;
}

static void
visit_node(const TemplateNode *node,
		   void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	if (node->kind == TEMPLATE_VALUE)
		visit(node->path, arg);
	for (int i = 0; i < node->n; i++)
	{
		if (node->kind == TEMPLATE_TEXT && node->parts[i].path != NULL)
			visit(node->parts[i].path, arg);
		else if (node->kind == TEMPLATE_ARRAY || node->kind == TEMPLATE_OBJECT)
			visit_node(node->children[i], visit, arg);
	}
}

/*
 * uaef_template_paths -- call visit for each path of a template
 */
void
uaef_template_paths(const UaefTemplate *tmpl,
					void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	visit_node(tmpl->root, visit, arg);
}

/* A value as text: a string as it is, anything else as its JSON. */
static char *
value_text(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNull:
			return pstrdup("null");
		case jbvBinary:
			return JsonbToCString(NULL, value->val.binary.data,
								  value->val.binary.len);
		default:
			elog(ERROR, "unexpected jsonb value type %d", (int) value->type);
			return NULL;
	}
}

/* Percent-encode all but what no part of a URL gives a meaning to. */
static void
append_url(StringInfo out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			c == '-' || c == '.' || c == '_' || c == '~')
			appendStringInfoChar(out, c);
		else
		{
			appendStringInfoChar(out, '%');
			appendStringInfoChar(out, digits[c >> 4]);
			appendStringInfoChar(out, digits[c & 15]);
		}
	}
}

/*
 * Append a value's text.  A null has no text that a URL or a header could
 * mean, so there it is a failure.
 */
static bool
append_value(StringInfo out, JsonbValue *value, const UaefPath *path,
			 UaefEncoding encoding, UaefEvalError *error)
{
	if (value->type == jbvNull && encoding != UAEF_ENCODE_TEXT)
		return uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE,
							  uaef_path_text(path), NULL,
							  "\"%s\" is null where text is needed",
							  uaef_path_text(path));
	if (encoding == UAEF_ENCODE_URL)
		append_url(out, value_text(value));
	else
		appendStringInfoString(out, value_text(value));
	return true;
}

/* Fill in a text; NULL on failure. */
static char *
fill_parts(const TemplateNode *node, UaefScope *scope, UaefEncoding encoding,
		   UaefEvalError *error)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < node->n; i++)
	{
		const TemplatePart *part = &node->parts[i];
		JsonbValue	value;

		if (part->path == NULL)
			appendStringInfoString(&out, part->literal);
		else if (!uaef_path_require(part->path, scope, &value, error) ||
				 !append_value(&out, &value, part->path, encoding, error))
			return NULL;
	}
	return out.data;
}

/* The value of a node that is no container of other nodes. */
static bool
fill_scalar(TemplateFill *fill, const TemplateNode *node, JsonbValue *value)
{
	if (node->kind == TEMPLATE_CONSTANT)
	{
		*value = node->constant;
		return true;
	}
	if (node->kind == TEMPLATE_VALUE)
		return uaef_path_require(node->path, fill->scope, value, fill->error);

	Assert(node->kind == TEMPLATE_TEXT);
	value->type = jbvString;
	value->val.string.val = fill_parts(node, fill->scope, UAEF_ENCODE_TEXT,
									   fill->error);
	if (value->val.string.val == NULL)
		return false;
	value->val.string.len = strlen(value->val.string.val);
	return true;
}

/* Push a node, filled in, to the document being made. */
static bool
push_node(TemplateFill *fill, const TemplateNode *node,
		  JsonbIteratorToken token)
{
	bool		is_array = node->kind == TEMPLATE_ARRAY;
	JsonbValue	value;

	if (!is_array && node->kind != TEMPLATE_OBJECT)
	{
		if (!fill_scalar(fill, node, &value))
			return false;
		fill->result = pushJsonbValue(&fill->state, token, &value);
		return true;
	}

	(void) pushJsonbValue(&fill->state,
						  is_array ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < node->n; i++)
	{
		if (!is_array)
			(void) pushJsonbValue(&fill->state, WJB_KEY, &node->keys[i]);
		if (!push_node(fill, node->children[i],
					   is_array ? WJB_ELEM : WJB_VALUE))
			return false;
	}
	fill->result = pushJsonbValue(&fill->state,
								  is_array ? WJB_END_ARRAY : WJB_END_OBJECT,
								  NULL);
	return true;
}

/*
 * uaef_template_fill -- fill a document in
 *
 * Returns NULL and sets *error when a path is missing.
 */
Jsonb *
uaef_template_fill(const UaefTemplate *tmpl, UaefScope *scope,
				   UaefEvalError *error)
{
	TemplateFill fill = {scope, error, NULL, NULL};
	const TemplateNode *root = tmpl->root;
	JsonbValue	value;

	if (root->kind == TEMPLATE_ARRAY || root->kind == TEMPLATE_OBJECT)
	{
		if (!push_node(&fill, root, WJB_VALUE))
			return NULL;
		return JsonbValueToJsonb(fill.result);
	}
	if (!fill_scalar(&fill, root, &value))
		return NULL;
	return JsonbValueToJsonb(&value);
}

/* No CR, LF: they would end a header and begin another. */
static bool
header_is_safe(const char *text)
{
	return strpbrk(text, "\r\n") == NULL;
}

/*
 * uaef_template_fill_text -- fill a string in, values encoded
 *
 * Literal text is not encoded.  Returns NULL and sets *error on failure.
 */
char *
uaef_template_fill_text(const UaefTemplate *tmpl, UaefScope *scope,
						UaefEncoding encoding, UaefEvalError *error)
{
	const TemplateNode *root = tmpl->root;
	char	   *text;

	if (root->kind == TEMPLATE_VALUE || root->kind == TEMPLATE_TEXT)
		text = fill_parts(root, scope, encoding, error);

	else
	{
		Jsonb	   *document = uaef_template_fill(tmpl, scope, error);
		JsonbValue	value;

		if (document == NULL)
			return NULL;
		uaef_document_value(document, &value);
		text = value_text(&value);
	}

	if (text != NULL && encoding == UAEF_ENCODE_HEADER &&
		!header_is_safe(text))
	{
		(void) uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, NULL, NULL,
							  "a header's text has a line break in it");
		return NULL;
	}
	return text;
}
