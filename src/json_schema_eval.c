/*-------------------------------------------------------------------------
 *
 * json_schema_eval.c
 *	  Whether a value is what a compiled JSON Schema asks for.
 *
 * Within anyOf, not and their like, failures are nobody's fault, so nothing
 * is said of them (quiet), and the first one ends it.  Elsewhere all keywords
 * are looked at, until as many failures are told as were asked for.
 *
 * unevaluatedProperties and unevaluatedItems need to know which members were
 * looked at by the keywords beside them and by the schemas that these apply
 * to the same value.  A node has marks for its value's members only where
 * somebody will ask, and hands them up only if it holds.
 *
 * Messages tell of types, counts and names, never of the values themselves:
 * they end in logs.
 *
 * Locking: none.  Memory: a context of its own per evaluation; failures are
 * palloc'd in the caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "errcodes.h"
#include "json_schema_internal.h"
#include "json_walk.h"
#include "json_util.h"
#include "numeric_util.h"
#include "path.h"
#include "pattern.h"

/* Schemas put to values in one evaluation; references can multiply them. */
#define MAX_STEPS		10000000

/* Schemas within each other, along references and values. */
#define MAX_LEVELS		400

/* A step for so many bytes that a pattern is matched with. */
#define BYTES_A_STEP	32

/* What the remainder of a huge number costs, in steps. */
#define HUGE_STEPS		50000

typedef struct Evaluation
{
	int			max;			/* failures to tell */
	List	   *failures;
	MemoryContext caller;
	int			quiet;
	int			levels;
	int64		steps;
	bool		broken;			/* it takes too long, or is too deep */
} Evaluation;

/* The value that schemas are put to, and what is in it. */
typedef struct Subject
{
	const JsonbValue *value;
	const UaefPlace *place;
	bool		read;
	UaefMembers members;
} Subject;

static bool fail(Evaluation *eval, const UaefPlace *place,
				 const char *keyword, const char *format,...)
			__attribute__((format(printf, 4, 5)));
static bool over(const Evaluation *eval, bool holds);
static bool step(Evaluation *eval, int64 steps);
static uint32 types_of(const JsonbValue *value);
static const UaefMembers *members_of(Subject *subject);
static int	type_rank(const JsonbValue *value);
static int	compare(const JsonbValue *a, const JsonbValue *b);
static int	compare_pointers(const void *a, const void *b);
static bool has_value(Evaluation *eval, const SchemaValues *values,
					  const JsonbValue *value);
static char *type_names(uint32 types);
static char *key_text(const JsonbValue *key);
static bool check_any(Evaluation *eval, const SchemaNode *node,
					  const Subject *subject);
static bool is_multiple(Evaluation *eval, Numeric number, Numeric divisor);
static bool check_bound(Evaluation *eval, const Subject *subject,
						Numeric bound, bool holds, const char *keyword,
						const char *says);
static bool check_number(Evaluation *eval, const SchemaNode *node,
						 const Subject *subject);
static bool check_count(Evaluation *eval, const Subject *subject, int n,
						int min, int max, const char *what);
static bool check_string(Evaluation *eval, const SchemaNode *node,
						 const Subject *subject);
static bool check_child(Evaluation *eval, const SchemaNode *node,
						const JsonbValue *value, const UaefPlace *place,
						const char *keyword);
static bool check_unique(Evaluation *eval, Subject *subject);
static bool check_contains(Evaluation *eval, const SchemaNode *node,
						   Subject *subject, bool *marks);
static bool check_items(Evaluation *eval, const SchemaNode *node,
						Subject *subject, bool *marks);
static bool check_array(Evaluation *eval, const SchemaNode *node,
						Subject *subject, bool *marks);
static bool check_property(Evaluation *eval, const SchemaNode *node,
						   const JsonbValue *key, const JsonbValue *value,
						   const UaefPlace *place, bool *mark);
static bool check_needed(Evaluation *eval, Subject *subject,
						 const SchemaValues *needed, const char *keyword,
						 const JsonbValue *by);
static bool check_keys(Evaluation *eval, const SchemaNode *node,
					   Subject *subject);
static bool check_object(Evaluation *eval, const SchemaNode *node,
						 Subject *subject, bool *marks);
static bool holds(Evaluation *eval, const SchemaNode *node, Subject *subject,
				  bool *marks);
static int	count_holding(Evaluation *eval, const SchemaNodes *schemas,
						  Subject *subject, int enough, bool *marks);
static bool check_choice(Evaluation *eval, const SchemaNode *node,
						 Subject *subject, bool *marks);
static bool check_same(Evaluation *eval, const SchemaNode *node,
					   Subject *subject, bool *marks);
static bool check_applied(Evaluation *eval, const SchemaNode *node,
						  Subject *subject, bool *marks);
static bool check_rest(Evaluation *eval, const SchemaNode *rest,
					   const char *keyword, Subject *subject, bool *marks);
static bool check_all(Evaluation *eval, const SchemaNode *node,
					  Subject *subject, bool *marks);
static bool check_node(Evaluation *eval, const SchemaNode *node,
					   Subject *subject, bool *marks, const char *keyword);

/* Tell a failure, if anybody listens; returns false. */
static bool
fail(Evaluation *eval, const UaefPlace *place, const char *keyword,
	 const char *format,...)
{
	UaefSchemaFailure *failure;
	MemoryContext old;
	char		message[512];
	va_list		args;

	if (eval->quiet > 0 || eval->broken ||
		list_length(eval->failures) >= eval->max)
		return false;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	old = MemoryContextSwitchTo(eval->caller);
	failure = palloc(sizeof(UaefSchemaFailure));
	failure->path = uaef_place_text(place);
	failure->keyword = pstrdup(keyword);
	failure->message = pnstrdup(message, pg_mbcliplen(message, strlen(message),
													  sizeof(message) - 1));
	eval->failures = lappend(eval->failures, failure);
	MemoryContextSwitchTo(old);
	return false;
}

/* Whether more cannot change what we say. */
static bool
over(const Evaluation *eval, bool holds)
{
	return eval->broken ||
		(!holds && (eval->quiet > 0 ||
					list_length(eval->failures) >= eval->max));
}

/* Count work; false when there was too much of it. */
static bool
step(Evaluation *eval, int64 steps)
{
	CHECK_FOR_INTERRUPTS();
	eval->steps += steps;
	if (eval->steps > MAX_STEPS)
		eval->broken = true;
	return !eval->broken;
}

static uint32
types_of(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return SCHEMA_NULL;
		case jbvBool:
			return SCHEMA_BOOLEAN;
		case jbvString:
			return SCHEMA_STRING;
		case jbvNumeric:
			return DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
													 NumericGetDatum(value->val.numeric))) > 0 ?
				SCHEMA_NUMBER : SCHEMA_NUMBER | SCHEMA_INTEGER;
		default:
			return JsonContainerIsArray(value->val.binary.data) ?
				SCHEMA_ARRAY : SCHEMA_OBJECT;
	}
}

/* The members of a container, read once. */
static const UaefMembers *
members_of(Subject *subject)
{
	if (!subject->read && subject->value->type == jbvBinary)
		subject->members = uaef_members(subject->value);
	subject->read = true;
	return &subject->members;
}

static int
type_rank(const JsonbValue *value)
{
	if (value->type != jbvBinary)
		return value->type;
	return jbvBinary + JsonContainerIsArray(value->val.binary.data);
}

/* An order of all values, in which equal ones are those that JSON has equal. */
static int
compare(const JsonbValue *a, const JsonbValue *b)
{
	int			order = type_rank(a) - type_rank(b);

	if (order != 0)
		return order;
	switch (a->type)
	{
		case jbvNull:
			return 0;
		case jbvBool:
			return a->val.boolean - b->val.boolean;
		case jbvNumeric:
			return uaef_numeric_compare(a->val.numeric, b->val.numeric);
		case jbvString:
			order = a->val.string.len - b->val.string.len;
			return order != 0 ? order :
				memcmp(a->val.string.val, b->val.string.val,
					   a->val.string.len);
		default:
			return compareJsonbContainers(a->val.binary.data,
										  b->val.binary.data);
	}
}

static int
compare_pointers(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return compare(*(JsonbValue *const *) a, *(JsonbValue *const *) b);
}

static bool
has_value(Evaluation *eval, const SchemaValues *values,
		  const JsonbValue *value)
{
	(void) step(eval, values->n / 4);
	for (int i = 0; i < values->n; i++)
		if (compare(&values->values[i], value) == 0)
			return true;
	return false;
}

/* "string or null" */
static char *
type_names(uint32 types)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(uaef_schema_types); i++)
		if (types & uaef_schema_types[i].type)
			appendStringInfo(&text, "%s%s", text.len > 0 ? " or " : "",
							 uaef_schema_types[i].name);
	return text.data;
}

static char *
key_text(const JsonbValue *key)
{
	return uaef_eval_clip(key->val.string.val, key->val.string.len);
}

/* type, enum, const */
static bool
check_any(Evaluation *eval, const SchemaNode *node, const Subject *subject)
{
	bool		ok = true;

	if (node->types != 0 && (node->types & types_of(subject->value)) == 0)
		ok = eval->quiet > 0 ? false :
			fail(eval, subject->place, "type", "is %s, must be %s",
				 uaef_value_type(subject->value), type_names(node->types));
	if (node->allowed.present && !over(eval, ok) &&
		!has_value(eval, &node->allowed, subject->value))
		ok = fail(eval, subject->place, "enum",
				  "is none of the values that are allowed");
	if (node->constant.present && !over(eval, ok) &&
		!has_value(eval, &node->constant, subject->value))
		ok = fail(eval, subject->place, "const",
				  "is not the value that is required");
	return ok;
}

/*
 * Exact.  The remainder of a number of thousands of digits takes long, and
 * such a number may be written in few bytes.
 */
static bool
is_multiple(Evaluation *eval, Numeric number, Numeric divisor)
{
	Numeric		huge = uaef_numeric_from_text("1e1000");
	Numeric		size = DatumGetNumeric(DirectFunctionCall1(numeric_abs,
														   NumericGetDatum(number)));

	if (uaef_numeric_compare(size, huge) > 0 && !step(eval, HUGE_STEPS))
		return false;
	return uaef_numeric_sign(uaef_numeric_op(numeric_mod, number, divisor)) == 0;
}

static bool
check_bound(Evaluation *eval, const Subject *subject, Numeric bound,
			bool holds, const char *keyword, const char *says)
{
	char	   *text;

	if (holds)
		return true;
	if (eval->quiet > 0)
		return false;
	text = uaef_numeric_text(bound);
	return fail(eval, subject->place, keyword, "%s %s", says,
				uaef_eval_clip(text, strlen(text)));
}

static bool
check_number(Evaluation *eval, const SchemaNode *node, const Subject *subject)
{
	Numeric		number = subject->value->val.numeric;
	bool		ok = true;

	if (node->minimum != NULL)
		ok &= check_bound(eval, subject, node->minimum,
						  uaef_numeric_compare(number, node->minimum) >= 0,
						  "minimum", "must be at least");
	if (node->above != NULL && !over(eval, ok))
		ok &= check_bound(eval, subject, node->above,
						  uaef_numeric_compare(number, node->above) > 0,
						  "exclusiveMinimum", "must be above");
	if (node->maximum != NULL && !over(eval, ok))
		ok &= check_bound(eval, subject, node->maximum,
						  uaef_numeric_compare(number, node->maximum) <= 0,
						  "maximum", "must be at most");
	if (node->below != NULL && !over(eval, ok))
		ok &= check_bound(eval, subject, node->below,
						  uaef_numeric_compare(number, node->below) < 0,
						  "exclusiveMaximum", "must be below");
	if (node->multiple_of != NULL && !over(eval, ok))
		ok &= check_bound(eval, subject, node->multiple_of,
						  is_multiple(eval, number, node->multiple_of),
						  "multipleOf", "must be a multiple of");
	return ok;
}

/* The two keywords that bound a count; what is "Length", "Items", ... */
static bool
check_count(Evaluation *eval, const Subject *subject, int n, int min, int max,
			const char *what)
{
	if (n < min)
		return fail(eval, subject->place, psprintf("min%s", what),
					"has %d, needs at least %d", n, min);
	if (max >= 0 && n > max)
		return fail(eval, subject->place, psprintf("max%s", what),
					"has %d, may have at most %d", n, max);
	return true;
}

static bool
check_string(Evaluation *eval, const SchemaNode *node, const Subject *subject)
{
	const char *text = subject->value->val.string.val;
	int			len = subject->value->val.string.len;
	bool		ok = true;

	if (node->min_length >= 0 || node->max_length >= 0)
		ok = check_count(eval, subject, pg_mbstrlen_with_len(text, len),
						 node->min_length, node->max_length, "Length");
	if (node->pattern != NULL && !over(eval, ok) &&
		step(eval, len / BYTES_A_STEP) &&
		!uaef_pattern_matches(node->pattern, text, len))
		ok = fail(eval, subject->place, "pattern", "does not match \"%s\"",
				  uaef_eval_clip(VARDATA_ANY(node->pattern),
								 VARSIZE_ANY_EXHDR(node->pattern)));
	if (node->format != NULL && !over(eval, ok) && !node->format(text, len))
		ok = fail(eval, subject->place, "format", "is no %s",
				  node->format_name);
	return ok;
}

/* Put a schema to a member of a value. */
static bool
check_child(Evaluation *eval, const SchemaNode *node, const JsonbValue *value,
			const UaefPlace *place, const char *keyword)
{
	Subject		child = {value, place};
	bool		ok = check_node(eval, node, &child, NULL, keyword);

	if (child.members.values != NULL)
		pfree(child.members.values);
	if (child.members.keys != NULL)
		pfree(child.members.keys);
	return ok;
}

static bool
check_unique(Evaluation *eval, Subject *subject)
{
	const UaefMembers *members = members_of(subject);
	JsonbValue **sorted;
	bool		ok = true;

	if (members->n < 2 || !step(eval, members->n))
		return true;
	sorted = palloc(members->n * sizeof(JsonbValue *));
	for (int i = 0; i < members->n; i++)
		sorted[i] = &members->values[i];
	qsort(sorted, members->n, sizeof(JsonbValue *), compare_pointers);
	for (int i = 1; ok && i < members->n; i++)
		if (compare(sorted[i - 1], sorted[i]) == 0)
			ok = fail(eval, subject->place, "uniqueItems",
					  "elements %d and %d are equal",
					  (int) (Min(sorted[i - 1], sorted[i]) - members->values),
					  (int) (Max(sorted[i - 1], sorted[i]) - members->values));
	pfree(sorted);
	return ok;
}

/* contains, minContains, maxContains */
static bool
check_contains(Evaluation *eval, const SchemaNode *node, Subject *subject,
			   bool *marks)
{
	const UaefMembers *members = members_of(subject);
	int			min = node->min_contains < 0 ? 1 : node->min_contains;
	int			n = 0;

	eval->quiet++;
	for (int i = 0; i < members->n && !eval->broken; i++)
	{
		if (!check_child(eval, node->contains, &members->values[i],
						 subject->place, "contains"))
			continue;
		n++;
		if (marks != NULL)
			marks[i] = true;
		else if (n >= min && node->max_contains < 0)
			break;
	}
	eval->quiet--;

	if (n < min)
		return fail(eval, subject->place,
					node->min_contains < 0 ? "contains" : "minContains",
					"has %d elements of the kind that it needs %d of", n, min);
	if (node->max_contains >= 0 && n > node->max_contains)
		return fail(eval, subject->place, "maxContains",
					"has %d elements of the kind that it may have %d of",
					n, node->max_contains);
	return true;
}

/* prefixItems, items */
static bool
check_items(Evaluation *eval, const SchemaNode *node, Subject *subject,
			bool *marks)
{
	const UaefMembers *members = members_of(subject);
	bool		ok = true;

	for (int i = 0; i < members->n && !over(eval, ok); i++)
	{
		bool		first = i < node->prefix_items.n;
		const SchemaNode *schema = first ? node->prefix_items.nodes[i] :
			node->items;
		UaefPlace	place = uaef_place_below(subject->place, NULL, i);

		if (schema == NULL)
			break;
		if (!check_child(eval, schema, &members->values[i], &place,
						 first ? "prefixItems" : "items"))
			ok = false;
		if (marks != NULL)
			marks[i] = true;
	}
	return ok;
}

static bool
check_array(Evaluation *eval, const SchemaNode *node, Subject *subject,
			bool *marks)
{
	bool		ok = check_count(eval, subject,
								 JsonContainerSize(subject->value->val.binary.data),
								 node->min_items, node->max_items, "Items");

	if (node->unique_items && !over(eval, ok))
		ok &= check_unique(eval, subject);
	if ((node->items != NULL || node->prefix_items.n > 0) && !over(eval, ok))
		ok &= check_items(eval, node, subject, marks);
	if (node->contains != NULL && !over(eval, ok))
		ok &= check_contains(eval, node, subject, marks);
	return ok;
}

int
uaef_schema_find_key(const JsonbValue *keys, int n, const JsonbValue *key)
{
	int			low = 0;

	while (low < n)
	{
		int			middle = low + (n - low) / 2;
		int			order = compare(&keys[middle], key);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return -1;
}

/* properties, patternProperties, additionalProperties for one property */
static bool
check_property(Evaluation *eval, const SchemaNode *node,
			   const JsonbValue *key, const JsonbValue *value,
			   const UaefPlace *place, bool *mark)
{
	int			at = uaef_schema_find_key(node->properties.keys,
										  node->properties.n, key);
	bool		known = at >= 0;
	bool		ok = true;

	if (known)
		ok = check_child(eval, node->properties.nodes[at], value, place,
						 "properties");
	for (int i = 0; i < node->pattern_properties.n && !over(eval, ok); i++)
	{
		(void) step(eval, 1 + key->val.string.len / BYTES_A_STEP);
		if (!uaef_pattern_matches(node->pattern_properties.patterns[i],
								  key->val.string.val, key->val.string.len))
			continue;
		known = true;
		ok &= check_child(eval, node->pattern_properties.nodes[i], value,
						  place, "patternProperties");
	}
	if (!known && node->additional_properties != NULL && !over(eval, ok))
	{
		known = true;
		ok &= check_child(eval, node->additional_properties, value, place,
						  "additionalProperties");
	}
	*mark |= known;
	return ok;
}

/* The names that must be there, always or because another is. */
static bool
check_needed(Evaluation *eval, Subject *subject, const SchemaValues *needed,
			 const char *keyword, const JsonbValue *by)
{
	const UaefMembers *members = members_of(subject);
	bool		ok = true;

	(void) step(eval, needed->n / 4);
	for (int i = 0; i < needed->n && !over(eval, ok); i++)
	{
		if (uaef_schema_find_key(members->keys, members->n,
								 &needed->values[i]) >= 0)
			continue;
		if (by == NULL)
			ok = fail(eval, subject->place, keyword, "\"%s\" is missing",
					  key_text(&needed->values[i]));
		else
			ok = fail(eval, subject->place, keyword,
					  "\"%s\" is missing, which \"%s\" needs",
					  key_text(&needed->values[i]), key_text(by));
	}
	return ok;
}

/* What is said about the names of an object. */
static bool
check_keys(Evaluation *eval, const SchemaNode *node, Subject *subject)
{
	const UaefMembers *members = members_of(subject);
	bool		ok = check_needed(eval, subject, &node->required, "required",
								  NULL);

	for (int i = 0; i < node->dependent_required.n && !over(eval, ok); i++)
		if (uaef_schema_find_key(members->keys, members->n,
								 &node->dependent_required.keys[i]) >= 0)
			ok &= check_needed(eval, subject,
							   &node->dependent_required.needs[i],
							   "dependentRequired",
							   &node->dependent_required.keys[i]);
	for (int i = 0; node->property_names != NULL && i < members->n &&
		 !over(eval, ok); i++)
	{
		UaefPlace	place = uaef_place_below(subject->place,
											 &members->keys[i], 0);

		ok &= check_child(eval, node->property_names, &members->keys[i],
						  &place, "propertyNames");
	}
	return ok;
}

static bool
check_object(Evaluation *eval, const SchemaNode *node, Subject *subject,
			 bool *marks)
{
	const UaefMembers *members;
	bool		ok = check_count(eval, subject,
								 JsonContainerSize(subject->value->val.binary.data),
								 node->min_properties, node->max_properties,
								 "Properties");

	if (over(eval, ok))
		return ok;
	ok &= check_keys(eval, node, subject);
	if (node->properties.n == 0 && node->pattern_properties.n == 0 &&
		node->additional_properties == NULL)
		return ok;
	members = members_of(subject);
	for (int i = 0; i < members->n && !over(eval, ok); i++)
	{
		UaefPlace	place = uaef_place_below(subject->place,
											 &members->keys[i], 0);
		bool		mark = false;

		ok &= check_property(eval, node, &members->keys[i],
							 &members->values[i], &place, &mark);
		if (marks != NULL)
			marks[i] |= mark;
	}
	return ok;
}

/* Whether a schema holds, without a word if it does not. */
static bool
holds(Evaluation *eval, const SchemaNode *node, Subject *subject, bool *marks)
{
	bool		ok;

	eval->quiet++;
	ok = check_node(eval, node, subject, marks, "");
	eval->quiet--;
	return ok;
}

/* How many hold; stops at enough, unless all that do have marks to give. */
static int
count_holding(Evaluation *eval, const SchemaNodes *schemas, Subject *subject,
			  int enough, bool *marks)
{
	int			n = 0;

	for (int i = 0; i < schemas->n && (n < enough || marks != NULL); i++)
		n += holds(eval, schemas->nodes[i], subject, marks);
	return n;
}

/* anyOf, oneOf, not, if */
static bool
check_choice(Evaluation *eval, const SchemaNode *node, Subject *subject,
			 bool *marks)
{
	bool		ok = true;
	int			n;

	if (node->any_of.n > 0 &&
		count_holding(eval, &node->any_of, subject, 1, marks) == 0)
		ok = fail(eval, subject->place, "anyOf",
				  "fits none of the %d alternatives", node->any_of.n);
	if (node->one_of.n > 0 && !over(eval, ok))
	{
		n = count_holding(eval, &node->one_of, subject, 2, marks);
		if (n != 1)
			ok = fail(eval, subject->place, "oneOf",
					  n == 0 ? "fits none of the %d alternatives" :
					  "fits more than one of the %d alternatives",
					  node->one_of.n);
	}
	if (node->not != NULL && !over(eval, ok) &&
		holds(eval, node->not, subject, NULL))
		ok = fail(eval, subject->place, "not",
				  "fits what it must not fit");
	if (node->if_schema != NULL && !over(eval, ok))
	{
		bool		yes = holds(eval, node->if_schema, subject, marks);
		const SchemaNode *next = yes ? node->then_schema : node->else_schema;

		if (next != NULL)
			ok &= check_node(eval, next, subject, marks,
							 yes ? "then" : "else");
	}
	return ok;
}

/* $ref, $dynamicRef, allOf, dependentSchemas */
static bool
check_same(Evaluation *eval, const SchemaNode *node, Subject *subject,
		   bool *marks)
{
	const UaefMembers *members;
	bool		ok = true;

	if (node->ref != NULL)
		ok = check_node(eval, node->ref, subject, marks, "$ref");
	if (node->dynamic_ref != NULL && !over(eval, ok))
		ok &= check_node(eval, node->dynamic_ref, subject, marks,
						 "$dynamicRef");
	for (int i = 0; i < node->all_of.n && !over(eval, ok); i++)
		ok &= check_node(eval, node->all_of.nodes[i], subject, marks,
						 "allOf");
	if (node->dependent_schemas.n == 0 ||
		types_of(subject->value) != SCHEMA_OBJECT)
		return ok;
	members = members_of(subject);
	for (int i = 0; i < node->dependent_schemas.n && !over(eval, ok); i++)
		if (uaef_schema_find_key(members->keys, members->n,
								 &node->dependent_schemas.keys[i]) >= 0)
			ok &= check_node(eval, node->dependent_schemas.nodes[i], subject,
							 marks, "dependentSchemas");
	return ok;
}

/* All keywords but those that ask what the others left. */
static bool
check_applied(Evaluation *eval, const SchemaNode *node, Subject *subject,
			  bool *marks)
{
	bool		ok = check_any(eval, node, subject);

	if (over(eval, ok))
		return ok;
	switch (subject->value->type)
	{
		case jbvNumeric:
			ok &= check_number(eval, node, subject);
			break;
		case jbvString:
			ok &= check_string(eval, node, subject);
			break;
		case jbvBinary:
			if (JsonContainerIsArray(subject->value->val.binary.data))
				ok &= check_array(eval, node, subject, marks);
			else
				ok &= check_object(eval, node, subject, marks);
			break;
		default:
			break;
	}
	if (!over(eval, ok))
		ok &= check_same(eval, node, subject, marks);
	if (!over(eval, ok))
		ok &= check_choice(eval, node, subject, marks);
	return ok;
}

/* unevaluatedItems, unevaluatedProperties: what has no mark */
static bool
check_rest(Evaluation *eval, const SchemaNode *rest, const char *keyword,
		   Subject *subject, bool *marks)
{
	const UaefMembers *members = members_of(subject);
	bool		ok = true;

	for (int i = 0; i < members->n && !over(eval, ok); i++)
	{
		UaefPlace	place = uaef_place_below(subject->place,
											 members->keys == NULL ? NULL :
											 &members->keys[i], i);

		if (marks[i])
			continue;
		ok &= check_child(eval, rest, &members->values[i], &place, keyword);
		marks[i] = true;
	}
	return ok;
}

/* A node that is no mere true or false, put to a value. */
static bool
check_all(Evaluation *eval, const SchemaNode *node, Subject *subject,
		  bool *marks)
{
	bool		array;
	const SchemaNode *rest;
	bool	   *own;
	int			n;
	bool		ok;

	if (subject->value->type != jbvBinary)
		return check_applied(eval, node, subject, NULL);
	array = JsonContainerIsArray(subject->value->val.binary.data);
	rest = array ? node->unevaluated_items : node->unevaluated_properties;
	if (marks == NULL && rest == NULL)
		return check_applied(eval, node, subject, NULL);

	n = JsonContainerSize(subject->value->val.binary.data);
	if (!step(eval, n / 16))
		return false;
	own = palloc0(Max(1, n) * sizeof(bool));
	ok = check_applied(eval, node, subject, own);
	if (rest != NULL && !over(eval, ok))
		ok &= check_rest(eval, rest, array ? "unevaluatedItems" :
						 "unevaluatedProperties", subject, own);
	for (int i = 0; ok && marks != NULL && i < n; i++)
		marks[i] |= own[i];
	pfree(own);
	return ok;
}

/*
 * Put a schema to a value.  keyword is the one that did so, for the message
 * of a schema that is false.
 */
static bool
check_node(Evaluation *eval, const SchemaNode *node, Subject *subject,
		   bool *marks, const char *keyword)
{
	bool		ok;

	if (!step(eval, 1))
		return false;
	if (node->never)
		return fail(eval, subject->place, keyword, "is not allowed");
	if (node->source == NULL)
		return true;
	if (++eval->levels > MAX_LEVELS)
		eval->broken = true;
	ok = !eval->broken && check_all(eval, node, subject, marks);
	eval->levels--;
	return ok;
}

bool
uaef_schema_failures(const UaefSchema *schema, Jsonb *value, int max,
					 List **failures, UaefEvalError *error)
{
	Evaluation	eval = {.max = max,.caller = CurrentMemoryContext};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef JSON Schema",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	JsonbValue	root;
	Subject		subject = {&root};
	const UaefSchemaFailure *first;
	bool		ok;

	uaef_document_value(value, &root);
	ok = check_node(&eval, schema->root, &subject, NULL, "false");
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	*failures = eval.failures;
	if (eval.broken)
	{
		*failures = NIL;
		return uaef_eval_fail(error, ERRCODE_UAEF_COST_LIMIT, NULL, NULL,
							  "checking the value with its JSON Schema needs more than %d steps or %d levels",
							  MAX_STEPS, MAX_LEVELS);
	}
	if (ok)
		return true;
	first = linitial(eval.failures);
	return uaef_eval_fail(error, ERRCODE_UAEF_SCHEMA_MISMATCH, first->path,
						  first->keyword, "%s", first->message);
}

bool
uaef_schema_valid(const UaefSchema *schema, Jsonb *value,
				  UaefEvalError *error)
{
	List	   *failures;

	return uaef_schema_failures(schema, value, 1, &failures, error);
}

char *
uaef_schema_failures_text(const List *failures)
{
	StringInfoData text;
	const ListCell *cell;

	initStringInfo(&text);
	foreach(cell, failures)
	{
		const UaefSchemaFailure *failure = lfirst(cell);

		appendStringInfo(&text, "%s\"%s\": %s (%s)", text.len > 0 ? "\n" : "",
						 failure->path, failure->message, failure->keyword);
	}
	return text.data;
}
