/*-------------------------------------------------------------------------
 *
 * condition_eval.c
 *	  Evaluating compiled conditions.
 *
 * Evaluation goes left to right and stops where the result is known.  A field
 * that is missing, or of a type that the operator cannot take, is a failure
 * and never true or false.  null is equal to null and to nothing else.
 *
 * Locking: none.  Memory: what is palloc'd is small and left to the context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "condition_internal.h"
#include "errcodes.h"
#include "pattern.h"

/* Clauses put to values in one evaluation, which $elemMatch can multiply. */
#define MAX_STEPS	1000000

typedef struct Evaluation
{
	UaefScope  *scope;
	UaefEvalError *error;
	int			steps;
} Evaluation;

/* A value and where it is from, for the messages. */
typedef struct Subject
{
	const JsonbValue *value;	/* NULL: missing */
	const char *path;
} Subject;

static char *operand_text(const ConditionClause *clause);
static bool fail_type(Evaluation *eval, const ConditionClause *clause,
					  const Subject *subject);
static bool values_equal(const JsonbValue *a, const JsonbValue *b);
static bool eval_equal(Evaluation *eval, const ConditionClause *clause,
					   const Subject *subject, bool *result);
static bool eval_order(Evaluation *eval, const ConditionClause *clause,
					   const Subject *subject, bool *result);
static bool eval_between(Evaluation *eval, const ConditionClause *clause,
						 const Subject *subject, bool *result);
static bool list_has(const ConditionClause *clause, const JsonbValue *value);
static bool eval_in(Evaluation *eval, const ConditionClause *clause,
					const Subject *subject, bool *result);
static bool eval_regex(Evaluation *eval, const ConditionClause *clause,
					   const Subject *subject, bool *result);
static bool eval_all(Evaluation *eval, const ConditionClause *clause,
					 const Subject *subject, bool *result);
static bool eval_size(Evaluation *eval, const ConditionClause *clause,
					  const Subject *subject, bool *result);
static bool eval_element(Evaluation *eval, const ConditionClause *clause,
						 const JsonbValue *element, bool *result);
static bool eval_elem_match(Evaluation *eval, const ConditionClause *clause,
							const Subject *subject, bool *result);
static bool eval_jsonpath(Evaluation *eval, const ConditionClause *clause,
						  const Subject *subject, bool *result);
static bool eval_clause(Evaluation *eval, const ConditionClause *clause,
						const Subject *subject, bool *result);
static bool eval_clauses(Evaluation *eval, const ConditionClauses *clauses,
						 const Subject *subject, bool *result);
static bool eval_field(Evaluation *eval, const ConditionNode *node,
					   const JsonbValue *base, bool *result);
static bool eval_node(Evaluation *eval, const ConditionNode *node,
					  const JsonbValue *base, bool *result);

/*
 * uaef_condition_compare -- order of two numbers, or of two strings by bytes
 */
int
uaef_condition_compare(const JsonbValue *a, const JsonbValue *b)
{
	int			order;

	if (a->type == jbvNumeric)
		return DatumGetInt32(DirectFunctionCall2(numeric_cmp,
												 NumericGetDatum(a->val.numeric),
												 NumericGetDatum(b->val.numeric)));
	Assert(a->type == jbvString && b->type == jbvString);
	order = memcmp(a->val.string.val, b->val.string.val,
				   Min(a->val.string.len, b->val.string.len));
	return order != 0 ? order : a->val.string.len - b->val.string.len;
}

/* "$gte 100", cut when it is long */
static char *
operand_text(const ConditionClause *clause)
{
	JsonbValue	operand = clause->operand;
	Jsonb	   *document = JsonbValueToJsonb(&operand);
	char	   *text = JsonbToCString(NULL, &document->root,
									  VARSIZE(document));

	return psprintf("%s %s", clause->name,
					uaef_eval_clip(text, strlen(text)));
}

static bool
fail_type(Evaluation *eval, const ConditionClause *clause,
		  const Subject *subject)
{
	return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE, subject->path,
						  operand_text(clause),
						  subject->path[0] == '\0' ? "%s does not apply to %s" :
						  "%s does not apply to %s \"%s\"",
						  clause->name, uaef_value_type(subject->value),
						  subject->path);
}

/* Equality of two values of one type. */
static bool
values_equal(const JsonbValue *a, const JsonbValue *b)
{
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvNumeric:
		case jbvString:
			return uaef_condition_compare(a, b) == 0;
		default:
			return compareJsonbContainers(a->val.binary.data,
										  b->val.binary.data) == 0;
	}
}

/* $eq, and what $ne is the opposite of */
static bool
eval_equal(Evaluation *eval, const ConditionClause *clause,
		   const Subject *subject, bool *result)
{
	uint32		type = uaef_value_type_bit(subject->value);

	if (type == clause->types)
		*result = values_equal(subject->value, &clause->operand);
	else if (type == TYPE_NULL || clause->types == TYPE_NULL)
		*result = false;
	else
		return fail_type(eval, clause, subject);
	return true;
}

/* $gt, $gte, $lt, $lte */
static bool
eval_order(Evaluation *eval, const ConditionClause *clause,
		   const Subject *subject, bool *result)
{
	int			order;

	if (uaef_value_type_bit(subject->value) != clause->types)
		return fail_type(eval, clause, subject);
	order = uaef_condition_compare(subject->value, &clause->operand);
	*result = clause->op == OP_GT ? order > 0 :
		clause->op == OP_GTE ? order >= 0 :
		clause->op == OP_LT ? order < 0 : order <= 0;
	return true;
}

static bool
eval_between(Evaluation *eval, const ConditionClause *clause,
			 const Subject *subject, bool *result)
{
	if (uaef_value_type_bit(subject->value) != clause->types)
		return fail_type(eval, clause, subject);
	*result =
		uaef_condition_compare(subject->value, &clause->list[0]) >= 0 &&
		uaef_condition_compare(subject->value, &clause->list[1]) <= 0;
	return true;
}

/* Is the value one of a list, whose elements are nulls or of its type? */
static bool
list_has(const ConditionClause *clause, const JsonbValue *value)
{
	uint32		type = uaef_value_type_bit(value);

	for (int i = 0; i < clause->nlist; i++)
	{
		if (uaef_value_type_bit(&clause->list[i]) == type &&
			values_equal(value, &clause->list[i]))
			return true;
	}
	return false;
}

/* $in, and what $nin is the opposite of */
static bool
eval_in(Evaluation *eval, const ConditionClause *clause,
		const Subject *subject, bool *result)
{
	uint32		type = uaef_value_type_bit(subject->value);

	if (type != TYPE_NULL && (type & clause->types) == 0 &&
		clause->types != TYPE_NULL)
		return fail_type(eval, clause, subject);
	*result = list_has(clause, subject->value);
	return true;
}

static bool
eval_regex(Evaluation *eval, const ConditionClause *clause,
		   const Subject *subject, bool *result)
{
	const JsonbValue *value = subject->value;

	if (value->type != jbvString)
		return fail_type(eval, clause, subject);
	*result = uaef_pattern_matches(clause->regex, value->val.string.val,
								   value->val.string.len);
	return true;
}

/*
 * $all: every element of the list is in the array.  An element of the array
 * that could be equal to none of the list is a mistake in the data.
 */
static bool
eval_all(Evaluation *eval, const ConditionClause *clause,
		 const Subject *subject, bool *result)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	element;
	bool	   *found = palloc0(clause->nlist * sizeof(bool));
	int			missing = clause->nlist;

	if (uaef_value_type_bit(subject->value) != TYPE_ARRAY)
		return fail_type(eval, clause, subject);
	it = JsonbIteratorInit(subject->value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while ((token = JsonbIteratorNext(&it, &element, true)) == WJB_ELEM)
	{
		uint32		type = uaef_value_type_bit(&element);

		if ((type & (clause->types | TYPE_NULL)) == 0 &&
			clause->types != TYPE_NULL)
			return fail_type(eval, clause, subject);
		for (int i = 0; i < clause->nlist; i++)
		{
			if (!found[i] && uaef_value_type_bit(&clause->list[i]) == type &&
				values_equal(&element, &clause->list[i]))
			{
				found[i] = true;
				missing--;
			}
		}
	}
	pfree(found);
	*result = missing == 0;
	return true;
}

/* $size: the number of elements, put to the operators */
static bool
eval_size(Evaluation *eval, const ConditionClause *clause,
		  const Subject *subject, bool *result)
{
	JsonbValue	size;
	Subject		below = {&size, subject->path};

	if (uaef_value_type_bit(subject->value) != TYPE_ARRAY)
		return fail_type(eval, clause, subject);
	size.type = jbvNumeric;
	size.val.numeric = int64_to_numeric(JsonContainerSize(subject->value->val.binary.data));
	return eval_clauses(eval, &clause->inner, &below, result);
}

/* One element of $elemMatch. */
static bool
eval_element(Evaluation *eval, const ConditionClause *clause,
			 const JsonbValue *element, bool *result)
{
	Subject		below = {element, ""};

	if (clause->condition != NULL)
		return eval_node(eval, clause->condition, element, result);
	return eval_clauses(eval, &clause->inner, &below, result);
}

/* $elemMatch: some element matches; the first that does ends the search */
static bool
eval_elem_match(Evaluation *eval, const ConditionClause *clause,
				const Subject *subject, bool *result)
{
	JsonbIterator *it;
	JsonbValue	element;
	int			index = 0;

	*result = false;
	if (uaef_value_type_bit(subject->value) != TYPE_ARRAY)
		return fail_type(eval, clause, subject);
	it = JsonbIteratorInit(subject->value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while (!*result && JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		if (!eval_element(eval, clause, &element, result))
		{
			const char *below = eval->error->path;

			eval->error->path = psprintf("%s[%d]%s%s", subject->path, index,
										 below && below[0] &&
										 below[0] != '[' ? "." : "",
										 below ? below : "");
			return false;
		}
		index++;
	}
	return true;
}

/* $jsonpath: true or false; no answer is a failure */
static bool
eval_jsonpath(Evaluation *eval, const ConditionClause *clause,
			  const Subject *subject, bool *result)
{
	LOCAL_FCINFO(fcinfo, 4);
	JsonbValue	value = *subject->value;
	Datum		answer;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(JsonbValueToJsonb(&value));
	fcinfo->args[1].value = PointerGetDatum(clause->jsonpath);
	fcinfo->args[2].value = DirectFunctionCall1(jsonb_in,
												CStringGetDatum("{}"));
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;

	answer = jsonb_path_match(fcinfo);
	if (fcinfo->isnull)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE,
							  subject->path, operand_text(clause),
							  "$jsonpath has no answer on this data");
	*result = DatumGetBool(answer);
	return true;
}

/* Put one clause to a value. */
static bool
eval_clause(Evaluation *eval, const ConditionClause *clause,
			const Subject *subject, bool *result)
{
	bool		done = true;

	switch (clause->op)
	{
		case OP_EQ:
		case OP_NE:
			done = eval_equal(eval, clause, subject, result);
			break;
		case OP_GT:
		case OP_GTE:
		case OP_LT:
		case OP_LTE:
			return eval_order(eval, clause, subject, result);
		case OP_IN:
		case OP_NIN:
			done = eval_in(eval, clause, subject, result);
			break;
		case OP_TYPE:
			*result = (uaef_value_type_bit(subject->value) &
					   clause->types) != 0;
			return true;
		case OP_REGEX:
			return eval_regex(eval, clause, subject, result);
		case OP_BETWEEN:
			return eval_between(eval, clause, subject, result);
		case OP_ALL:
			return eval_all(eval, clause, subject, result);
		case OP_SIZE:
			return eval_size(eval, clause, subject, result);
		case OP_ELEM_MATCH:
			return eval_elem_match(eval, clause, subject, result);
		case OP_JSONPATH:
			return eval_jsonpath(eval, clause, subject, result);
		case OP_EXISTS:
		case OP_NOT:
			elog(ERROR, "unexpected condition operator %d", (int) clause->op);
	}
	if (clause->op == OP_NE || clause->op == OP_NIN)
		*result = !*result;
	return done;
}

/* Put clauses to a value, until one does not hold. */
static bool
eval_clauses(Evaluation *eval, const ConditionClauses *clauses,
			 const Subject *subject, bool *result)
{
	*result = true;
	for (int i = 0; *result && i < clauses->n; i++)
	{
		const ConditionClause *clause = &clauses->items[i];

		if (++eval->steps > MAX_STEPS)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT,
								  subject->path, NULL,
								  "condition needs more than %d steps",
								  MAX_STEPS);
		if (clause->op == OP_EXISTS)
			*result = (subject->value != NULL) == clause->operand.val.boolean;
		else if (clause->op == OP_NOT)
		{
			if (!eval_clauses(eval, &clause->inner, subject, result))
				return false;
			*result = !*result;
		}
		else if (subject->value == NULL)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH,
								  subject->path, operand_text(clause),
								  "\"%s\" is missing", subject->path);
		else if (!eval_clause(eval, clause, subject, result))
			return false;
	}
	return true;
}

/* Put the clauses of a leaf to the value of its path. */
static bool
eval_field(Evaluation *eval, const ConditionNode *node,
		   const JsonbValue *base, bool *result)
{
	JsonbValue	value;
	Subject		subject = {&value, ""};

	if (node->path == NULL)
	{
		if (base != NULL)
			value = *base;
		else if (eval->scope->document != NULL)
			uaef_document_value(eval->scope->document, &value);
		else
			subject.value = NULL;
	}
	else
	{
		bool		found = base != NULL ?
			uaef_path_get_below(node->path, 0, base, &value) :
			uaef_path_get(node->path, eval->scope, &value);

		if (!found)
			subject.value = NULL;
		subject.path = uaef_path_text(node->path);
	}
	return eval_clauses(eval, &node->clauses, &subject, result);
}

/* Evaluate a node; base is the element of an $elemMatch, or NULL. */
static bool
eval_node(Evaluation *eval, const ConditionNode *node, const JsonbValue *base,
		  bool *result)
{
	bool		until = node->kind == CONDITION_OR ||
		node->kind == CONDITION_NOR;

	if (node->kind == CONDITION_FIELD)
		return eval_field(eval, node, base, result);

	/*
	 * $and and $not stop at a child that is false, $or and $nor at a true
	 * one.
	 */
	*result = !until;
	for (int i = 0; *result != until && i < node->n; i++)
	{
		if (!eval_node(eval, node->children[i], base, result))
			return false;
	}
	if (node->kind == CONDITION_NOT || node->kind == CONDITION_NOR)
		*result = !*result;
	return true;
}

/*
 * uaef_condition_eval -- evaluate a condition
 *
 * Returns false and sets *error when the data has no answer to it.
 */
bool
uaef_condition_eval(const UaefCondition *condition, UaefScope *scope,
					bool *result, UaefEvalError *error)
{
	Evaluation	eval = {scope, error, 0};

	return eval_node(&eval, condition->root, NULL, result);
}

/*
 * uaef_condition_eval_value -- put the operators of a path to a value
 */
bool
uaef_condition_eval_value(const UaefCondition *condition,
						  const JsonbValue *value, bool *result,
						  UaefEvalError *error)
{
	Evaluation	eval = {NULL, error, 0};
	const UaefPath *path = condition->root->path;
	Subject		subject = {value, path == NULL ? "" : uaef_path_text(path)};

	Assert(condition->root->kind == CONDITION_FIELD);
	return eval_clauses(&eval, &condition->root->clauses, &subject, result);
}
