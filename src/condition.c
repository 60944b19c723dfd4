/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  Compiling conditions: JSON documents of operators over paths.
 *
 * Whatever can be wrong with a condition's text is found here: an operator
 * that does not exist, an operand of a wrong type, an object that says nothing.
 * None of it is passed over, because a condition that is passed over is true,
 * and pays.
 *
 * Locking: none.  Memory: a compiled condition lives in the context that was
 * current when it was compiled; its constants point into its own copy of the
 * document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "condition_internal.h"
#include "errcodes.h"
#include "json_walk.h"
#include "pattern.h"

#define MAX_CONDITION_DEPTH		64
#define MAX_CONDITION_NODES		1000
#define MAX_LIST_LENGTH			10000

typedef struct Compiler
{
	bool		any_root;
	int			nodes;
	int			depth;
	const UaefTyping *typing;	/* of the data, or NULL */
} Compiler;

typedef void (*CompileOperand) (Compiler *compiler, const UaefPlace *place,
								ConditionClause *clause);

typedef struct Operator
{
	const char *name;
	ConditionOp op;
	CompileOperand compile;
} Operator;

pg_noreturn static void bad_condition(const UaefPlace *place, const char *detail);
static char *key_text(const JsonbValue *key);
static void count_node(Compiler *compiler, const UaefPlace *place);
static void require_type(const UaefPlace *place, ConditionClause *clause,
						 uint32 types, const char *what);
static void compile_any(Compiler *compiler, const UaefPlace *place,
						ConditionClause *clause);
static void compile_ordered(Compiler *compiler, const UaefPlace *place,
							ConditionClause *clause);
static void compile_list(Compiler *compiler, const UaefPlace *place,
						 ConditionClause *clause);
static void compile_exists(Compiler *compiler, const UaefPlace *place,
						   ConditionClause *clause);
static uint32 type_by_name(const UaefPlace *place, const JsonbValue *name);
static void compile_type(Compiler *compiler, const UaefPlace *place,
						 ConditionClause *clause);
static void compile_regex(Compiler *compiler, const UaefPlace *place,
						  ConditionClause *clause);
static void compile_between(Compiler *compiler, const UaefPlace *place,
							ConditionClause *clause);
static void compile_not(Compiler *compiler, const UaefPlace *place,
						ConditionClause *clause);
static void compile_size(Compiler *compiler, const UaefPlace *place,
						 ConditionClause *clause);
static void compile_elem_match(Compiler *compiler, const UaefPlace *place,
							   ConditionClause *clause);
static JsonPath *parse_jsonpath(const UaefPlace *place, char *source);
static void compile_jsonpath(Compiler *compiler, const UaefPlace *place,
							 ConditionClause *clause);
static const Operator *find_operator(const JsonbValue *key);
static void compile_clause(Compiler *compiler, const UaefPlace *place,
						   const JsonbValue *key, const JsonbValue *operand,
						   ConditionClause *clause);
static bool has_operator(const UaefMembers *members);
static void check_exists_alone(const UaefPlace *place,
							   const ConditionClauses *clauses);
static void compile_clauses(Compiler *compiler, const UaefPlace *place,
							JsonbValue *operators, ConditionClauses *clauses);
static UaefPath *compile_field_path(Compiler *compiler, const UaefPlace *place,
									const JsonbValue *key);
static ConditionNode *make_node(ConditionKind kind, int n);
static uint32 clause_types(const ConditionClause *clause);
static void check_types(Compiler *compiler, const UaefPlace *place,
						const ConditionNode *node);
static ConditionNode *compile_field(Compiler *compiler, const UaefPlace *place,
									const JsonbValue *key, JsonbValue *value);
static ConditionNode *compile_group(Compiler *compiler, const UaefPlace *place,
									ConditionKind kind, JsonbValue *value);
static ConditionNode *compile_member(Compiler *compiler, const UaefPlace *place,
									 const JsonbValue *key, JsonbValue *value);
static ConditionNode *compile_node(Compiler *compiler, const UaefPlace *place,
								   JsonbValue *value);
static void visit_node(const ConditionNode *node,
					   void (*visit) (const UaefPath *path, void *arg),
					   void *arg);

static const Operator operators[] = {
	{"$eq", OP_EQ, compile_any},
	{"$ne", OP_NE, compile_any},
	{"$gt", OP_GT, compile_ordered},
	{"$gte", OP_GTE, compile_ordered},
	{"$lt", OP_LT, compile_ordered},
	{"$lte", OP_LTE, compile_ordered},
	{"$in", OP_IN, compile_list},
	{"$nin", OP_NIN, compile_list},
	{"$exists", OP_EXISTS, compile_exists},
	{"$type", OP_TYPE, compile_type},
	{"$regex", OP_REGEX, compile_regex},
	{"$between", OP_BETWEEN, compile_between},
	{"$not", OP_NOT, compile_not},
	{"$all", OP_ALL, compile_list},
	{"$size", OP_SIZE, compile_size},
	{"$elemMatch", OP_ELEM_MATCH, compile_elem_match},
	{"$jsonpath", OP_JSONPATH, compile_jsonpath}
};

static void
bad_condition(const UaefPlace *place, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_CONDITION),
			 errmsg("invalid condition at \"%s\"", uaef_place_text(place)),
			 errdetail_internal("%s", detail)));
}

static char *
key_text(const JsonbValue *key)
{
	return uaef_eval_clip(key->val.string.val, key->val.string.len);
}

static void
count_node(Compiler *compiler, const UaefPlace *place)
{
	if (++compiler->nodes > MAX_CONDITION_NODES)
		bad_condition(place, psprintf("The condition has more than %d parts.",
									  MAX_CONDITION_NODES));
}

/* Note the operand's type; raises when it is none of types. */
static void
require_type(const UaefPlace *place, ConditionClause *clause, uint32 types,
			 const char *what)
{
	clause->types = uaef_value_type_bit(&clause->operand);
	if ((clause->types & types) == 0)
		bad_condition(place, psprintf("%s takes %s, not %s.", clause->name,
									  what, uaef_value_type(&clause->operand)));
}

/* $eq, $ne: any operand */
static void
compile_any(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	clause->types = uaef_value_type_bit(&clause->operand);
}

/* $gt, $gte, $lt, $lte: what has an order */
static void
compile_ordered(Compiler *compiler, const UaefPlace *place,
				ConditionClause *clause)
{
	require_type(place, clause, TYPE_NUMBER | TYPE_STRING,
				 "a number or a string");
}

/*
 * $in, $nin, $all: a list whose elements are of one type, nulls aside, so that
 * a value of another type is known to be a mistake
 */
static void
compile_list(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	UaefMembers members;

	require_type(place, clause, TYPE_ARRAY, "an array");
	members = uaef_members(&clause->operand);
	if (members.n == 0)
		bad_condition(place, psprintf("%s needs at least one element.",
									  clause->name));
	if (members.n > MAX_LIST_LENGTH)
		bad_condition(place, psprintf("%s takes at most %d elements.",
									  clause->name, MAX_LIST_LENGTH));

	clause->types = 0;
	for (int i = 0; i < members.n; i++)
		clause->types |= uaef_value_type_bit(&members.values[i]);
	if (pg_popcount32(clause->types & ~TYPE_NULL) > 1)
		bad_condition(place, psprintf("The elements of %s must be of one type.",
									  clause->name));
	clause->list = members.values;
	clause->nlist = members.n;
}

static void
compile_exists(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	require_type(place, clause, TYPE_BOOLEAN, "true or false");
}

static uint32
type_by_name(const UaefPlace *place, const JsonbValue *name)
{
	static const struct
	{
		const char *name;
		uint32		type;
	}			types[] = {
		{"null", TYPE_NULL},
		{"boolean", TYPE_BOOLEAN},
		{"number", TYPE_NUMBER},
		{"string", TYPE_STRING},
		{"array", TYPE_ARRAY},
		{"object", TYPE_OBJECT}
	};

	for (int i = 0; i < lengthof(types); i++)
	{
		if (name->type == jbvString && uaef_key_is(name, types[i].name))
			return types[i].type;
	}
	bad_condition(place, "$type takes null, boolean, number, string, array, object, or a list of them.");
}

/* $type: the name of a type, or a list of names */
static void
compile_type(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	UaefMembers members = {1, NULL, &clause->operand};

	if (uaef_value_type_bit(&clause->operand) == TYPE_ARRAY)
		members = uaef_members(&clause->operand);
	clause->types = 0;
	for (int i = 0; i < members.n; i++)
		clause->types |= type_by_name(place, &members.values[i]);
	if (clause->types == 0)
		bad_condition(place, "$type needs at least one type.");
}

/* $regex: see pattern.h */
static void
compile_regex(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	const char *problem;

	require_type(place, clause, TYPE_STRING, "a string");
	problem = uaef_pattern_problem(clause->operand.val.string.val,
								   clause->operand.val.string.len);
	if (problem != NULL)
		bad_condition(place, problem);
	clause->regex = cstring_to_text_with_len(clause->operand.val.string.val,
											 clause->operand.val.string.len);
}

/* $between: [low, high], both included */
static void
compile_between(Compiler *compiler, const UaefPlace *place,
				ConditionClause *clause)
{
	UaefMembers members;

	require_type(place, clause, TYPE_ARRAY, "[low, high]");
	members = uaef_members(&clause->operand);
	if (members.n != 2)
		bad_condition(place, "$between takes [low, high].");
	clause->types = uaef_value_type_bit(&members.values[0]);
	if ((clause->types & (TYPE_NUMBER | TYPE_STRING)) == 0 ||
		clause->types != uaef_value_type_bit(&members.values[1]))
		bad_condition(place, "$between takes two numbers or two strings.");
	if (uaef_condition_compare(&members.values[0], &members.values[1]) > 0)
		bad_condition(place, "The low bound of $between is above the high one.");
	clause->list = members.values;
	clause->nlist = members.n;
}

/* $not under a field: operators that must not all hold */
static void
compile_not(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	require_type(place, clause, TYPE_OBJECT, "an object of operators");
	compile_clauses(compiler, place, &clause->operand, &clause->inner);
}

/* $size: a number, or operators for the number of elements */
static void
compile_size(Compiler *compiler, const UaefPlace *place, ConditionClause *clause)
{
	ConditionClause *equal;

	require_type(place, clause, TYPE_NUMBER | TYPE_OBJECT,
				 "a number or an object of operators");
	if (clause->types == TYPE_OBJECT)
	{
		compile_clauses(compiler, place, &clause->operand, &clause->inner);
		return;
	}
	equal = palloc0(sizeof(ConditionClause));
	equal->op = OP_EQ;
	equal->name = clause->name;
	equal->operand = clause->operand;
	equal->types = TYPE_NUMBER;
	clause->inner.n = 1;
	clause->inner.items = equal;
}

/*
 * $elemMatch: operators for the elements themselves, or a condition whose
 * paths begin in the element.  $not and $jsonpath are of the second kind
 * when they stand alone.
 */
static void
compile_elem_match(Compiler *compiler, const UaefPlace *place,
				   ConditionClause *clause)
{
	Compiler	below = *compiler;
	UaefMembers members;
	bool		of_scalars = false;

	require_type(place, clause, TYPE_OBJECT, "an object");
	members = uaef_members(&clause->operand);
	for (int i = 0; i < members.n; i++)
	{
		const Operator *operator = find_operator(&members.keys[i]);

		if (operator != NULL && operator->op != OP_NOT &&
			operator->op != OP_JSONPATH)
			of_scalars = true;
	}

	if (of_scalars)
	{
		compile_clauses(compiler, place, &clause->operand, &clause->inner);
		return;
	}
	below.any_root = true;
	below.typing = NULL;
	clause->condition = compile_node(&below, place, &clause->operand);
	compiler->nodes = below.nodes;
}

/* Compile a jsonpath; a syntax error in it is one of the condition. */
static JsonPath *
parse_jsonpath(const UaefPlace *place, char *source)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	volatile Datum jsonpath = (Datum) 0;

	PG_TRY();
	{
		jsonpath = DirectFunctionCall1(jsonpath_in, CStringGetDatum(source));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) !=
			ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) &&
			ERRCODE_TO_CATEGORY(error->sqlerrcode) !=
			ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();

	if (error != NULL)
		bad_condition(place, psprintf("The jsonpath is invalid: %s.",
									  error->message));
	return DatumGetJsonPathP(jsonpath);
}

/* $jsonpath: a predicate in strict mode, where a missing key has no answer */
static void
compile_jsonpath(Compiler *compiler, const UaefPlace *place,
				 ConditionClause *clause)
{
	require_type(place, clause, TYPE_STRING, "a string");
	clause->jsonpath = parse_jsonpath(place,
									  pnstrdup(clause->operand.val.string.val,
											   clause->operand.val.string.len));
	if (clause->jsonpath->header & JSONPATH_LAX)
		bad_condition(place, "A jsonpath must begin with \"strict\".");
}

static const Operator *
find_operator(const JsonbValue *key)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		if (uaef_key_is(key, operators[i].name))
			return &operators[i];
	}
	return NULL;
}

/* Compile one operator with its operand. */
static void
compile_clause(Compiler *compiler, const UaefPlace *place, const JsonbValue *key,
			   const JsonbValue *operand, ConditionClause *clause)
{
	UaefPlace	here = uaef_place_below(place, key, 0);
	const Operator *operator = find_operator(key);

	count_node(compiler, &here);
	if (operator == NULL)
		bad_condition(&here, psprintf("There is no operator \"%s\" for a value.", key_text(key)));
	memset(clause, 0, sizeof(*clause));
	clause->op = operator->op;
	clause->name = operator->name;
	clause->operand = *operand;
	operator->compile(compiler, &here, clause);
}

static bool
has_operator(const UaefMembers *members)
{
	for (int i = 0; i < members->n; i++)
	{
		if (members->keys[i].val.string.len > 0 &&
			members->keys[i].val.string.val[0] == '$')
			return true;
	}
	return false;
}

/* What is not there has no other properties. */
static void
check_exists_alone(const UaefPlace *place, const ConditionClauses *clauses)
{
	if (clauses->n > 1 && clauses->items[0].op == OP_EXISTS &&
		!clauses->items[0].operand.val.boolean)
		bad_condition(place, "{\"$exists\": false} must stand alone.");
}

/*
 * Compile an object of operators.  $exists comes first, because it guards the
 * others; jsonb has an order of its own for the rest.
 */
static void
compile_clauses(Compiler *compiler, const UaefPlace *place, JsonbValue *operators,
				ConditionClauses *clauses)
{
	UaefMembers members = uaef_members(operators);

	if (++compiler->depth > MAX_CONDITION_DEPTH)
		bad_condition(place, psprintf("The condition is deeper than %d levels.",
									  MAX_CONDITION_DEPTH));
	if (members.n == 0)
		bad_condition(place, "An object of operators is empty.");

	clauses->n = 0;
	clauses->items = palloc(members.n * sizeof(ConditionClause));
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < members.n; i++)
		{
			if (uaef_key_is(&members.keys[i], "$exists") == (pass == 0))
				compile_clause(compiler, place, &members.keys[i],
							   &members.values[i],
							   &clauses->items[clauses->n++]);
		}
	}
	check_exists_alone(place, clauses);
	compiler->depth--;
}

static UaefPath *
compile_field_path(Compiler *compiler, const UaefPlace *place,
				   const JsonbValue *key)
{
	const char *problem;
	UaefPath   *path = uaef_path_parse(key->val.string.val,
									   key->val.string.len,
									   compiler->any_root, &problem);

	if (path == NULL)
		bad_condition(place, psprintf("The path is invalid. %s", problem));
	return path;
}

static ConditionNode *
make_node(ConditionKind kind, int n)
{
	ConditionNode *node = palloc0(sizeof(ConditionNode));

	node->kind = kind;
	if (n > 0)
		node->children = palloc(n * sizeof(ConditionNode *));
	return node;
}

/* The types that a clause can be put to; others are a failure each time. */
static uint32
clause_types(const ConditionClause *clause)
{
	switch (clause->op)
	{
		case OP_EQ:
		case OP_NE:
		case OP_IN:
		case OP_NIN:
			return clause->types == TYPE_NULL ? UAEF_TYPE_ANY :
				clause->types | TYPE_NULL;
		case OP_GT:
		case OP_GTE:
		case OP_LT:
		case OP_LTE:
		case OP_BETWEEN:
			return clause->types;
		case OP_REGEX:
			return TYPE_STRING;
		case OP_ALL:
		case OP_SIZE:
		case OP_ELEM_MATCH:
			return TYPE_ARRAY;
		default:
			return UAEF_TYPE_ANY;
	}
}

/* Check a field against what is known of the data. */
static void
check_types(Compiler *compiler, const UaefPlace *place,
			const ConditionNode *node)
{
	uint32		types;

	if (compiler->typing == NULL)
		return;
	types = compiler->typing->types(node->path, compiler->typing->arg);
	if (types == 0)
		bad_condition(place, psprintf("\"%s\" cannot be there, by the schema of the workflow.",
									  uaef_path_text(node->path)));
	for (int i = 0; i < node->clauses.n; i++)
	{
		const ConditionClause *clause = &node->clauses.items[i];

		if ((clause_types(clause) & types) == 0)
			bad_condition(place, psprintf("%s does not apply to \"%s\", which is %s by the schema of the workflow.",
										  clause->name,
										  uaef_path_text(node->path),
										  uaef_types_text(types)));
	}
}

/* Compile "path": {operators}, or "path": value, which is equality. */
static ConditionNode *
compile_field(Compiler *compiler, const UaefPlace *place, const JsonbValue *key,
			  JsonbValue *value)
{
	ConditionNode *node = make_node(CONDITION_FIELD, 0);
	ConditionClause *equal;

	node->path = compile_field_path(compiler, place, key);
	if (uaef_value_type_bit(value) == TYPE_OBJECT)
	{
		UaefMembers members = uaef_members(value);

		if (members.n == 0 || has_operator(&members))
		{
			compile_clauses(compiler, place, value, &node->clauses);
			check_types(compiler, place, node);
			return node;
		}
	}
	equal = palloc0(sizeof(ConditionClause));
	equal->op = OP_EQ;
	equal->name = "$eq";
	equal->operand = *value;
	equal->types = uaef_value_type_bit(value);
	node->clauses.n = 1;
	node->clauses.items = equal;
	check_types(compiler, place, node);
	return node;
}

/* Compile the array of $and, $or, $nor. */
static ConditionNode *
compile_group(Compiler *compiler, const UaefPlace *place, ConditionKind kind,
			  JsonbValue *value)
{
	ConditionNode *node;
	UaefMembers members;

	if (uaef_value_type_bit(value) != TYPE_ARRAY)
		bad_condition(place, "An array of conditions is needed.");
	members = uaef_members(value);
	if (members.n == 0)
		bad_condition(place, "At least one condition is needed.");
	node = make_node(kind, members.n);
	for (int i = 0; i < members.n; i++)
	{
		UaefPlace	below = uaef_place_below(place, NULL, i);

		node->children[node->n++] = compile_node(compiler, &below,
												 &members.values[i]);
	}
	return node;
}

/* Compile one member of a condition's object. */
static ConditionNode *
compile_member(Compiler *compiler, const UaefPlace *place, const JsonbValue *key,
			   JsonbValue *value)
{
	ConditionNode *node;
	UaefPlace	here = uaef_place_below(place, key, 0);

	count_node(compiler, &here);
	if (uaef_key_is(key, "$and"))
		return compile_group(compiler, &here, CONDITION_AND, value);
	if (uaef_key_is(key, "$or"))
		return compile_group(compiler, &here, CONDITION_OR, value);
	if (uaef_key_is(key, "$nor"))
		return compile_group(compiler, &here, CONDITION_NOR, value);
	if (uaef_key_is(key, "$not"))
	{
		node = make_node(CONDITION_NOT, 1);
		node->children[node->n++] = compile_node(compiler, &here, value);
		return node;
	}
	if (uaef_key_is(key, "$jsonpath"))
	{
		if (!compiler->any_root)
			bad_condition(&here, "$jsonpath needs a path: {\"in\": {\"$jsonpath\": ...}}.");
		node = make_node(CONDITION_FIELD, 0);
		node->clauses.n = 1;
		node->clauses.items = palloc(sizeof(ConditionClause));
		compile_clause(compiler, place, key, value, node->clauses.items);
		return node;
	}
	if (key->val.string.len > 0 && key->val.string.val[0] == '$')
		bad_condition(&here, psprintf("There is no operator \"%s\" here.", key_text(key)));
	return compile_field(compiler, &here, key, value);
}

/* Compile a condition: an object whose members must all hold. */
static ConditionNode *
compile_node(Compiler *compiler, const UaefPlace *place, JsonbValue *value)
{
	ConditionNode *node;
	UaefMembers members;

	check_stack_depth();
	if (uaef_value_type_bit(value) != TYPE_OBJECT)
		bad_condition(place, psprintf("A condition must be an object, not %s.",
									  uaef_value_type(value)));
	if (++compiler->depth > MAX_CONDITION_DEPTH)
		bad_condition(place, psprintf("The condition is deeper than %d levels.",
									  MAX_CONDITION_DEPTH));
	members = uaef_members(value);
	if (members.n == 0)
		bad_condition(place, "An empty condition says nothing.");

	node = make_node(CONDITION_AND, members.n);
	for (int i = 0; i < members.n; i++)
		node->children[node->n++] = compile_member(compiler, place,
												   &members.keys[i],
												   &members.values[i]);
	compiler->depth--;
	return node->n == 1 ? node->children[0] : node;
}

/*
 * uaef_condition_compile -- compile a condition
 *
 * Raises UA220 with the place as a JSON pointer.
 */
UaefCondition *
uaef_condition_compile(Jsonb *document, bool any_root,
					   const UaefTyping *typing)
{
	UaefCondition *condition = palloc(sizeof(UaefCondition));
	Jsonb	   *copy = palloc(VARSIZE(document));
	Compiler	compiler = {any_root, 0, 0, typing};
	JsonbValue	value;

	memcpy(copy, document, VARSIZE(document));
	uaef_document_value(copy, &value);
	condition->root = compile_node(&compiler, NULL, &value);
	return condition;
}

static void
visit_node(const ConditionNode *node,
		   void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	if (node->path != NULL)
		visit(node->path, arg);
	for (int i = 0; i < node->n; i++)
		visit_node(node->children[i], visit, arg);
}

/*
 * uaef_condition_paths -- call visit for each path of a condition
 *
 * Paths within $elemMatch are not visited: they begin in an element.
 */
void
uaef_condition_paths(const UaefCondition *condition,
					 void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	visit_node(condition->root, visit, arg);
}
