/*-------------------------------------------------------------------------
 *
 * json_schema.c
 *	  Compiling JSON Schemas, draft 2020-12.
 *
 * A table tells what each keyword takes and which field of the node it fills.
 * Keywords that are in no table annotate, as the standard has it, unless they
 * look like a misspelling of one that checks something: a check that is
 * passed over lets everything through.  References are resolved when all else
 * has been read; what they name outside of the usual places is compiled then.
 *
 * Locking: none.  Memory: a compiled schema lives in the context that was
 * current when it was compiled, with its own copy of the document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/varlena.h"

#include "errcodes.h"
#include "hash256.h"
#include "json_schema_internal.h"
#include "json_walk.h"
#include "numeric_util.h"
#include "path.h"
#include "pattern.h"

#define MAX_SCHEMA_DEPTH	64
#define MAX_SCHEMA_NODES	5000

#define DRAFT "https://json-schema.org/draft/2020-12/schema"

/* A reference that is still to be resolved. */
typedef struct Reference
{
	SchemaNode **target;
	const char *text;			/* as it is written */
	const char *place;
} Reference;

/* A schema with a name: $anchor. */
typedef struct Anchor
{
	const char *name;
	SchemaNode *node;
} Anchor;

typedef struct Compiler
{
	const char *where;
	JsonbValue	document;
	const char *base;			/* the place that places are below */
	const char *id;				/* $id of the whole, or NULL */
	int			depth;
	int			n_nodes;
	SchemaNode **nodes;
	List	   *references;
	List	   *anchors;
} Compiler;

typedef void (*ReadKeyword) (Compiler *compiler, const UaefPlace *place,
							 JsonbValue *value, SchemaNode *node, void *field);

typedef struct Keyword
{
	const char *name;
	ReadKeyword read;
	size_t		field;
} Keyword;

pg_noreturn static void bad_schema_at(const Compiler *compiler,
									  const char *place, const char *detail);
pg_noreturn static void bad_schema(const Compiler *compiler,
								   const UaefPlace *place, const char *detail);
static bool is_array(const JsonbValue *value);
static bool is_object(const JsonbValue *value);
static char *read_string(Compiler *compiler, const UaefPlace *place,
						 JsonbValue *value);
static void read_type(Compiler *compiler, const UaefPlace *place,
					  JsonbValue *value, SchemaNode *node, void *field);
static void read_enum(Compiler *compiler, const UaefPlace *place,
					  JsonbValue *value, SchemaNode *node, void *field);
static void read_const(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_number(Compiler *compiler, const UaefPlace *place,
						JsonbValue *value, SchemaNode *node, void *field);
static void read_divisor(Compiler *compiler, const UaefPlace *place,
						 JsonbValue *value, SchemaNode *node, void *field);
static void read_count(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_flag(Compiler *compiler, const UaefPlace *place,
					  JsonbValue *value, SchemaNode *node, void *field);
static text * pattern_of(Compiler *compiler, const UaefPlace *place,
						 const JsonbValue *source);
static void read_pattern(Compiler *compiler, const UaefPlace *place,
						 JsonbValue *value, SchemaNode *node, void *field);
static void read_format(Compiler *compiler, const UaefPlace *place,
						JsonbValue *value, SchemaNode *node, void *field);
static void read_names(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_needs(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_schema(Compiler *compiler, const UaefPlace *place,
						JsonbValue *value, SchemaNode *node, void *field);
static void read_items(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_schemas(Compiler *compiler, const UaefPlace *place,
						 JsonbValue *value, SchemaNode *node, void *field);
static void read_named(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_patterns(Compiler *compiler, const UaefPlace *place,
						  JsonbValue *value, SchemaNode *node, void *field);
static void read_definitions(Compiler *compiler, const UaefPlace *place,
							 JsonbValue *value, SchemaNode *node, void *field);
static void read_ref(Compiler *compiler, const UaefPlace *place,
					 JsonbValue *value, SchemaNode *node, void *field);
static void read_anchor(Compiler *compiler, const UaefPlace *place,
						JsonbValue *value, SchemaNode *node, void *field);
static void read_id(Compiler *compiler, const UaefPlace *place,
					JsonbValue *value, SchemaNode *node, void *field);
static void read_draft(Compiler *compiler, const UaefPlace *place,
					   JsonbValue *value, SchemaNode *node, void *field);
static void read_gone(Compiler *compiler, const UaefPlace *place,
					  JsonbValue *value, SchemaNode *node, void *field);
static SchemaNode *make_node(Compiler *compiler, const UaefPlace *place);
static SchemaNode *compile_node(Compiler *compiler, const UaefPlace *place,
								JsonbValue *value);
static const Keyword *find_keyword(const JsonbValue *key);
static bool looks_like(const JsonbValue *key, const char *name);
static void check_spelling(Compiler *compiler, const UaefPlace *place,
						   const JsonbValue *key);
static void resolve(Compiler *compiler, const Reference *reference);
static const char *fragment_of(Compiler *compiler, const Reference *reference);
static char *decode(Compiler *compiler, const Reference *reference,
					const char *text);
static bool walk(const char *pointer, JsonbValue *value);
static bool walk_array(JsonbValue *value, const char *token);
static SchemaNode *node_at(Compiler *compiler, const Reference *reference,
						   const char *pointer);
static void find_cycle(Compiler *compiler, SchemaNode *node, const char *via);
static void find_cycle_in(Compiler *compiler, int n, SchemaNode **nodes,
						  const char *via);

#define FIELD(name) offsetof(SchemaNode, name)

static const Keyword keywords[] = {
	{"$anchor", read_anchor, 0},
	{"$defs", read_definitions, 0},
	{"$dynamicAnchor", read_anchor, 0},
	{"$dynamicRef", read_ref, FIELD(dynamic_ref)},
	{"$id", read_id, 0},
	{"$recursiveAnchor", read_gone, 0},
	{"$recursiveRef", read_gone, 0},
	{"$ref", read_ref, FIELD(ref)},
	{"$schema", read_draft, 0},
	{"additionalItems", read_gone, 0},
	{"additionalProperties", read_schema, FIELD(additional_properties)},
	{"allOf", read_schemas, FIELD(all_of)},
	{"anyOf", read_schemas, FIELD(any_of)},
	{"const", read_const, FIELD(constant)},
	{"contains", read_schema, FIELD(contains)},
	{"definitions", read_definitions, 0},
	{"dependencies", read_gone, 0},
	{"dependentRequired", read_needs, FIELD(dependent_required)},
	{"dependentSchemas", read_named, FIELD(dependent_schemas)},
	{"else", read_schema, FIELD(else_schema)},
	{"enum", read_enum, FIELD(allowed)},
	{"exclusiveMaximum", read_number, FIELD(below)},
	{"exclusiveMinimum", read_number, FIELD(above)},
	{"format", read_format, 0},
	{"if", read_schema, FIELD(if_schema)},
	{"items", read_items, FIELD(items)},
	{"maxContains", read_count, FIELD(max_contains)},
	{"maxItems", read_count, FIELD(max_items)},
	{"maxLength", read_count, FIELD(max_length)},
	{"maxProperties", read_count, FIELD(max_properties)},
	{"maximum", read_number, FIELD(maximum)},
	{"minContains", read_count, FIELD(min_contains)},
	{"minItems", read_count, FIELD(min_items)},
	{"minLength", read_count, FIELD(min_length)},
	{"minProperties", read_count, FIELD(min_properties)},
	{"minimum", read_number, FIELD(minimum)},
	{"multipleOf", read_divisor, FIELD(multiple_of)},
	{"not", read_schema, FIELD(not)},
	{"oneOf", read_schemas, FIELD(one_of)},
	{"pattern", read_pattern, FIELD(pattern)},
	{"patternProperties", read_patterns, FIELD(pattern_properties)},
	{"prefixItems", read_schemas, FIELD(prefix_items)},
	{"properties", read_named, FIELD(properties)},
	{"propertyNames", read_schema, FIELD(property_names)},
	{"required", read_names, FIELD(required)},
	{"then", read_schema, FIELD(then_schema)},
	{"type", read_type, FIELD(types)},
	{"unevaluatedItems", read_schema, FIELD(unevaluated_items)},
	{"unevaluatedProperties", read_schema, FIELD(unevaluated_properties)},
	{"uniqueItems", read_flag, FIELD(unique_items)},
};

static void
bad_schema_at(const Compiler *compiler, const char *place, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_SCHEMA),
			 compiler->where == NULL ?
			 errmsg("invalid JSON Schema at \"%s\"", place) :
			 errmsg("%s: invalid JSON Schema at \"%s\"", compiler->where,
					place),
			 errdetail_internal("%s", detail)));
}

static void
bad_schema(const Compiler *compiler, const UaefPlace *place,
		   const char *detail)
{
	bad_schema_at(compiler, psprintf("%s%s", compiler->base,
									 uaef_place_text(place)), detail);
}

static bool
is_array(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data);
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data);
}

static char *
read_string(Compiler *compiler, const UaefPlace *place, JsonbValue *value)
{
	if (value->type != jbvString)
		bad_schema(compiler, place, psprintf("This must be a string, not %s.",
											 uaef_value_type(value)));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

const UaefSchemaType uaef_schema_types[SCHEMA_N_TYPES] = {
	{"null", SCHEMA_NULL},
	{"boolean", SCHEMA_BOOLEAN},
	{"number", SCHEMA_NUMBER},
	{"integer", SCHEMA_INTEGER},
	{"string", SCHEMA_STRING},
	{"array", SCHEMA_ARRAY},
	{"object", SCHEMA_OBJECT}
};

/* type: a name, or a list of different names */
static void
read_type(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		  SchemaNode *node, void *field)
{
	UaefMembers names = {1, NULL, value};

	if (is_array(value))
		names = uaef_members(value);
	if (names.n == 0)
		bad_schema(compiler, place, "At least one type is needed.");
	for (int i = 0; i < names.n; i++)
	{
		uint32		found = 0;

		for (int j = 0; j < lengthof(uaef_schema_types); j++)
			if (names.values[i].type == jbvString &&
				uaef_key_is(&names.values[i], uaef_schema_types[j].name))
				found = uaef_schema_types[j].type;
		if (found == 0)
			bad_schema(compiler, place, "A type is null, boolean, number, integer, string, array or object.");
		if (node->types & found)
			bad_schema(compiler, place, "A type is given twice.");
		node->types |= found;
	}
}

static void
read_enum(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		  SchemaNode *node, void *field)
{
	SchemaValues *values = field;
	UaefMembers members;

	if (!is_array(value))
		bad_schema(compiler, place, psprintf("This must be an array of values, not %s.",
											 uaef_value_type(value)));
	members = uaef_members(value);
	values->present = true;
	values->n = members.n;
	values->values = members.values;
}

static void
read_const(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	SchemaValues *values = field;

	values->present = true;
	values->n = 1;
	values->values = palloc(sizeof(JsonbValue));
	values->values[0] = *value;
}

static void
read_number(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			SchemaNode *node, void *field)
{
	if (value->type != jbvNumeric)
		bad_schema(compiler, place, psprintf("This must be a number, not %s.",
											 uaef_value_type(value)));
	*(Numeric *) field = value->val.numeric;
}

static void
read_divisor(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			 SchemaNode *node, void *field)
{
	read_number(compiler, place, value, node, field);
	if (uaef_numeric_sign(value->val.numeric) <= 0)
		bad_schema(compiler, place, "This must be above 0.");
}

/* A whole number from 0 on; what is beyond all sizes is the largest int. */
static void
read_count(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	Numeric		number = value->val.numeric;

	if (value->type != jbvNumeric || uaef_numeric_sign(number) < 0 ||
		DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
										  NumericGetDatum(number))) > 0)
		bad_schema(compiler, place, "This must be a whole number from 0 on.");
	if (uaef_numeric_compare(number, int64_to_numeric(PG_INT32_MAX)) > 0)
		*(int *) field = PG_INT32_MAX;
	else
		*(int *) field = DatumGetInt32(DirectFunctionCall1(numeric_int4,
														   NumericGetDatum(number)));
}

static void
read_flag(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		  SchemaNode *node, void *field)
{
	if (value->type != jbvBool)
		bad_schema(compiler, place, psprintf("This must be true or false, not %s.",
											 uaef_value_type(value)));
	*(bool *) field = value->val.boolean;
}

static text *
pattern_of(Compiler *compiler, const UaefPlace *place,
		   const JsonbValue *source)
{
	char	   *problem = uaef_pattern_problem(source->val.string.val,
											   source->val.string.len);

	if (problem != NULL)
		bad_schema(compiler, place, problem);
	return cstring_to_text_with_len(source->val.string.val,
									source->val.string.len);
}

static void
read_pattern(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			 SchemaNode *node, void *field)
{
	(void) read_string(compiler, place, value);
	*(text * *) field = pattern_of(compiler, place, value);
}

static void
read_format(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			SchemaNode *node, void *field)
{
	node->format_name = read_string(compiler, place, value);
	node->format = uaef_schema_format(value);
}

/* An array of different strings. */
static void
read_names(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	SchemaValues *names = field;

	read_enum(compiler, place, value, node, field);
	for (int i = 0; i < names->n; i++)
	{
		UaefPlace	here = uaef_place_below(place, NULL, i);

		(void) read_string(compiler, &here, &names->values[i]);
		for (int j = 0; j < i; j++)
			if (names->values[i].val.string.len == names->values[j].val.string.len &&
				memcmp(names->values[i].val.string.val,
					   names->values[j].val.string.val,
					   names->values[i].val.string.len) == 0)
				bad_schema(compiler, &here, "This name is there twice.");
	}
}

static void
read_needs(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	SchemaNeeds *needs = field;
	UaefMembers members;

	if (!is_object(value))
		bad_schema(compiler, place, psprintf("This must be an object of arrays of names, not %s.",
											 uaef_value_type(value)));
	members = uaef_members(value);
	needs->n = members.n;
	needs->keys = members.keys;
	needs->needs = palloc0(Max(1, members.n) * sizeof(SchemaValues));
	for (int i = 0; i < members.n; i++)
	{
		UaefPlace	here = uaef_place_below(place, &members.keys[i], 0);

		read_names(compiler, &here, &members.values[i], node,
				   &needs->needs[i]);
	}
}

static void
read_schema(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			SchemaNode *node, void *field)
{
	*(SchemaNode **) field = compile_node(compiler, place, value);
}

static void
read_items(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	if (is_array(value))
		bad_schema(compiler, place, "The schemas of the first elements are \"prefixItems\" since draft 2020-12.");
	read_schema(compiler, place, value, node, field);
}

static void
read_schemas(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			 SchemaNode *node, void *field)
{
	SchemaNodes *schemas = field;
	UaefMembers members;

	if (!is_array(value) || JsonContainerSize(value->val.binary.data) == 0)
		bad_schema(compiler, place, "This must be an array of at least one schema.");
	members = uaef_members(value);
	schemas->nodes = palloc(members.n * sizeof(SchemaNode *));
	for (int i = 0; i < members.n; i++)
	{
		UaefPlace	here = uaef_place_below(place, NULL, i);

		schemas->nodes[schemas->n++] = compile_node(compiler, &here,
													&members.values[i]);
	}
}

static void
read_named(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	SchemaNamed *named = field;
	UaefMembers members;

	if (!is_object(value))
		bad_schema(compiler, place, psprintf("This must be an object of schemas, not %s.",
											 uaef_value_type(value)));
	members = uaef_members(value);
	named->keys = members.keys;
	named->nodes = palloc(Max(1, members.n) * sizeof(SchemaNode *));
	for (int i = 0; i < members.n; i++)
	{
		UaefPlace	here = uaef_place_below(place, &members.keys[i], 0);

		named->nodes[named->n++] = compile_node(compiler, &here,
												&members.values[i]);
	}
}

static void
read_patterns(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			  SchemaNode *node, void *field)
{
	SchemaNamed *named = field;

	read_named(compiler, place, value, node, field);
	named->patterns = palloc(Max(1, named->n) * sizeof(text *));
	for (int i = 0; i < named->n; i++)
	{
		UaefPlace	here = uaef_place_below(place, &named->keys[i], 0);

		named->patterns[i] = pattern_of(compiler, &here, &named->keys[i]);
	}
}

/* Schemas that only references reach; checked all the same. */
static void
read_definitions(Compiler *compiler, const UaefPlace *place,
				 JsonbValue *value, SchemaNode *node, void *field)
{
	SchemaNamed definitions = {0};

	read_named(compiler, place, value, node, &definitions);
}

/*
 * $ref; and $dynamicRef, which is the same as long as all is one document
 * with one base.
 */
static void
read_ref(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		 SchemaNode *node, void *field)
{
	Reference  *reference = palloc(sizeof(Reference));

	reference->target = field;
	reference->text = read_string(compiler, place, value);
	reference->place = psprintf("%s%s", compiler->base,
								uaef_place_text(place));
	node->ref_place = reference->place;
	compiler->references = lappend(compiler->references, reference);
}

static void
read_anchor(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
			SchemaNode *node, void *field)
{
	Anchor	   *anchor = palloc(sizeof(Anchor));
	ListCell   *cell;

	anchor->name = read_string(compiler, place, value);
	anchor->node = node;
	if (anchor->name[0] == '\0' ||
		strspn(anchor->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(anchor->name) ||
		strchr("0123456789.-", anchor->name[0]) != NULL)
		bad_schema(compiler, place, "A name begins with a letter or _, and has letters, digits, _, . and -.");
	foreach(cell, compiler->anchors)
	{
		const Anchor *other = lfirst(cell);

		if (strcmp(other->name, anchor->name) == 0 && other->node != node)
			bad_schema(compiler, place, "This anchor is there twice.");
	}
	compiler->anchors = lappend(compiler->anchors, anchor);
}

/* $id of the whole names it; one below would change what references mean. */
static void
read_id(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		SchemaNode *node, void *field)
{
	char	   *id = read_string(compiler, place, value);
	char	   *fragment = strchr(id, '#');

	if (place->up != NULL || compiler->base[0] != '\0')
		bad_schema(compiler, place, "Only the whole schema may have an $id; use $anchor.");
	if (fragment != NULL && fragment[1] != '\0')
		bad_schema(compiler, place, "An $id has no fragment; use $anchor.");
	if (fragment != NULL)
		*fragment = '\0';
	compiler->id = id;
}

static void
read_draft(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		   SchemaNode *node, void *field)
{
	char	   *draft = read_string(compiler, place, value);

	if (strcmp(draft, DRAFT) != 0 && strcmp(draft, DRAFT "#") != 0)
		bad_schema(compiler, place, "Schemas are of draft 2020-12: \"" DRAFT "\".");
}

/* Keywords of older drafts that would now be passed over. */
static void
read_gone(Compiler *compiler, const UaefPlace *place, JsonbValue *value,
		  SchemaNode *node, void *field)
{
	bad_schema(compiler, place, "Draft 2020-12 has no such keyword: use items after prefixItems, dependentRequired, dependentSchemas, $dynamicRef.");
}

static SchemaNode *
make_node(Compiler *compiler, const UaefPlace *place)
{
	SchemaNode *node = palloc0(sizeof(SchemaNode));

	if (compiler->n_nodes == MAX_SCHEMA_NODES)
		bad_schema(compiler, place, psprintf("There are more than %d schemas in it.",
											 MAX_SCHEMA_NODES));
	if (compiler->nodes == NULL)
		compiler->nodes = palloc(MAX_SCHEMA_NODES * sizeof(SchemaNode *));
	compiler->nodes[compiler->n_nodes++] = node;
	node->min_length = node->max_length = -1;
	node->min_items = node->max_items = -1;
	node->min_contains = node->max_contains = -1;
	node->min_properties = node->max_properties = -1;
	return node;
}

/* A schema: true, false, or an object of keywords. */
static SchemaNode *
compile_node(Compiler *compiler, const UaefPlace *place, JsonbValue *value)
{
	SchemaNode *node = make_node(compiler, place);
	UaefMembers members;

	check_stack_depth();
	if (value->type == jbvBool)
	{
		node->never = !value->val.boolean;
		return node;
	}
	if (!is_object(value))
		bad_schema(compiler, place, psprintf("A schema is an object, true or false, not %s.",
											 uaef_value_type(value)));
	if (++compiler->depth > MAX_SCHEMA_DEPTH)
		bad_schema(compiler, place, psprintf("The schema is deeper than %d levels.",
											 MAX_SCHEMA_DEPTH));
	node->source = value->val.binary.data;
	members = uaef_members(value);
	for (int i = 0; i < members.n; i++)
	{
		const Keyword *keyword = find_keyword(&members.keys[i]);
		UaefPlace	here = uaef_place_below(place, &members.keys[i], 0);

		if (keyword == NULL)
			check_spelling(compiler, &here, &members.keys[i]);
		else
			keyword->read(compiler, &here, &members.values[i], node,
						  (char *) node + keyword->field);
	}
	compiler->depth--;
	return node;
}

static const Keyword *
find_keyword(const JsonbValue *key)
{
	for (int i = 0; i < lengthof(keywords); i++)
		if (uaef_key_is(key, keywords[i].name))
			return &keywords[i];
	return NULL;
}

/*
 * Whether a key that is not this keyword was probably meant to be: other
 * case, or one letter wrong, or two of a long word.
 */
static bool
looks_like(const JsonbValue *key, const char *name)
{
	int			len = strlen(name);
	int			allowed = len < 4 ? 0 : len < 8 ? 1 : 2;

	if (key->val.string.len == len &&
		pg_strncasecmp(key->val.string.val, name, len) == 0)
		return true;
	if (abs(key->val.string.len - len) > allowed)
		return false;
	return varstr_levenshtein_less_equal(key->val.string.val,
										 key->val.string.len, name, len,
										 1, 1, 1, allowed, true) <= allowed;
}

static void
check_spelling(Compiler *compiler, const UaefPlace *place,
			   const JsonbValue *key)
{
	for (int i = 0; i < lengthof(keywords); i++)
		if (looks_like(key, keywords[i].name))
			bad_schema(compiler, place, psprintf("There is no such keyword. Perhaps \"%s\" is meant.",
												 keywords[i].name));
}

/* Find what a reference names, and compile it if nobody has. */
static void
resolve(Compiler *compiler, const Reference *reference)
{
	const char *fragment = fragment_of(compiler, reference);
	ListCell   *cell;

	if (fragment[0] == '\0' || fragment[0] == '/')
	{
		*reference->target = node_at(compiler, reference, fragment);
		return;
	}
	foreach(cell, compiler->anchors)
	{
		const Anchor *anchor = lfirst(cell);

		if (strcmp(anchor->name, fragment) == 0)
			*reference->target = anchor->node;
	}
	if (*reference->target == NULL)
		bad_schema_at(compiler, reference->place,
					  psprintf("There is no $anchor \"%s\".", fragment));
}

/* What stands after #; raises if the rest is not this document. */
static const char *
fragment_of(Compiler *compiler, const Reference *reference)
{
	const char *hash = strchr(reference->text, '#');
	int			len = hash ? hash - reference->text : strlen(reference->text);

	if (len > 0 && (compiler->id == NULL || strlen(compiler->id) != len ||
					strncmp(compiler->id, reference->text, len) != 0))
		bad_schema_at(compiler, reference->place,
					  "A reference stays within the document: \"#/$defs/name\" or \"#anchor\".");
	return hash ? decode(compiler, reference, hash + 1) : "";
}

/* Take percent signs out. */
static char *
decode(Compiler *compiler, const Reference *reference, const char *text)
{
	char	   *result = palloc(strlen(text) + 1);
	char	   *out = result;

	for (; *text != '\0'; text++)
	{
		if (*text != '%')
		{
			*out++ = *text;
			continue;
		}
		if (uaef_hex_digit(text[1]) < 0 || uaef_hex_digit(text[2]) < 0 ||
			(text[1] == '0' && text[2] == '0'))
			bad_schema_at(compiler, reference->place,
						  "After a percent sign there are two hexadecimal digits, not 00.");
		*out++ = uaef_hex_digit(text[1]) * 16 + uaef_hex_digit(text[2]);
		text += 2;
	}
	*out = '\0';
	return result;
}

/* Follow a JSON pointer from a value on; false when there is nothing. */
static bool
walk(const char *pointer, JsonbValue *value)
{
	while (*pointer == '/')
	{
		int			len = strcspn(++pointer, "/");
		char	   *token = palloc(len + 1);
		int			n = 0;

		for (int i = 0; i < len; i++)
		{
			if (pointer[i] == '~' && (pointer[i + 1] == '0' || pointer[i + 1] == '1'))
				token[n++] = pointer[++i] == '0' ? '~' : '/';
			else
				token[n++] = pointer[i];
		}
		token[n] = '\0';
		pointer += len;

		if (is_array(value))
		{
			if (!walk_array(value, token))
				return false;
		}
		else if (!is_object(value) ||
				 getKeyJsonValueFromContainer(value->val.binary.data, token, n,
											  value) == NULL)
			return false;
	}
	return true;
}

static bool
walk_array(JsonbValue *value, const char *token)
{
	JsonbValue *element;

	if (token[0] == '\0' || strlen(token) > 6 ||
		strspn(token, "0123456789") != strlen(token))
		return false;
	element = getIthJsonbValueFromContainer(value->val.binary.data,
											atoi(token));
	if (element == NULL)
		return false;
	*value = *element;
	return true;
}

/* The schema at a JSON pointer. */
static SchemaNode *
node_at(Compiler *compiler, const Reference *reference, const char *pointer)
{
	JsonbValue	value = compiler->document;

	if (!walk(pointer, &value))
		bad_schema_at(compiler, reference->place,
					  psprintf("There is nothing at \"%s\".", pointer));
	for (int i = 0; i < compiler->n_nodes; i++)
		if (value.type == jbvBinary &&
			compiler->nodes[i]->source == value.val.binary.data)
			return compiler->nodes[i];
	compiler->base = pointer;
	return compile_node(compiler, NULL, &value);
}

/*
 * A schema that applies to a value whenever it applies to that value has no
 * end.  mark: 1 while we are below it, 2 when it is known to be good.  via is
 * the last reference that led here.
 */
static void
find_cycle(Compiler *compiler, SchemaNode *node, const char *via)
{
	check_stack_depth();
	if (node == NULL || node->mark == 2)
		return;
	if (node->mark == 1)
		bad_schema_at(compiler, via,
					  "By this reference the schema applies itself to the same value, without end.");
	node->mark = 1;
	find_cycle(compiler, node->ref, node->ref_place);
	find_cycle(compiler, node->dynamic_ref, node->ref_place);
	find_cycle(compiler, node->not, via);
	find_cycle(compiler, node->if_schema, via);
	find_cycle(compiler, node->then_schema, via);
	find_cycle(compiler, node->else_schema, via);
	find_cycle_in(compiler, node->all_of.n, node->all_of.nodes, via);
	find_cycle_in(compiler, node->any_of.n, node->any_of.nodes, via);
	find_cycle_in(compiler, node->one_of.n, node->one_of.nodes, via);
	find_cycle_in(compiler, node->dependent_schemas.n,
				  node->dependent_schemas.nodes, via);
	node->mark = 2;
}

static void
find_cycle_in(Compiler *compiler, int n, SchemaNode **nodes, const char *via)
{
	for (int i = 0; i < n; i++)
		find_cycle(compiler, nodes[i], via);
}

UaefSchema *
uaef_schema_compile(Jsonb *document, const char *where)
{
	UaefSchema *schema = palloc(sizeof(UaefSchema));
	Jsonb	   *copy = palloc(VARSIZE(document));
	Compiler	compiler = {.where = where,.base = ""};

	memcpy(copy, document, VARSIZE(document));
	uaef_document_value(copy, &compiler.document);
	schema->root = compile_node(&compiler, NULL, &compiler.document);

	/* Compiling what a reference names may add references. */
	for (int i = 0; i < list_length(compiler.references); i++)
		resolve(&compiler, list_nth(compiler.references, i));
	for (int i = 0; i < compiler.n_nodes; i++)
		find_cycle(&compiler, compiler.nodes[i], "");
	if (compiler.nodes != NULL)
		pfree(compiler.nodes);
	return schema;
}
