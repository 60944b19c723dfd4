/*-------------------------------------------------------------------------
 *
 * condition_internal.h
 *	  A compiled condition: what condition.c makes and condition_eval.c runs.
 *
 * A condition is a tree of nodes.  Inner nodes combine; a leaf takes the
 * value of a path and puts it to one or more clauses, all of which must hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONDITION_INTERNAL_H
#define UAEF_CONDITION_INTERNAL_H

#include "utils/jsonpath.h"

#include "condition.h"

typedef enum ConditionOp
{
	OP_EQ,
	OP_NE,
	OP_GT,
	OP_GTE,
	OP_LT,
	OP_LTE,
	OP_IN,
	OP_NIN,
	OP_EXISTS,
	OP_TYPE,
	OP_REGEX,
	OP_BETWEEN,
	OP_NOT,
	OP_ALL,
	OP_SIZE,
	OP_ELEM_MATCH,
	OP_JSONPATH
} ConditionOp;

/* Types of values as bits, so that $type takes several. */
#define TYPE_NULL		UAEF_TYPE_NULL
#define TYPE_BOOLEAN	UAEF_TYPE_BOOLEAN
#define TYPE_NUMBER		UAEF_TYPE_NUMBER
#define TYPE_STRING		UAEF_TYPE_STRING
#define TYPE_ARRAY		UAEF_TYPE_ARRAY
#define TYPE_OBJECT		UAEF_TYPE_OBJECT

typedef struct ConditionNode ConditionNode;
typedef struct ConditionClause ConditionClause;

typedef struct ConditionClauses
{
	int			n;
	ConditionClause *items;
} ConditionClauses;

struct ConditionClause
{
	ConditionOp op;
	const char *name;			/* "$gte" */
	JsonbValue	operand;		/* as it was written */
	uint32		types;			/* of the operand, of $type */
	int			nlist;			/* $in, $nin, $all, $between */
	JsonbValue *list;
	text	   *regex;
	JsonPath   *jsonpath;
	ConditionClauses inner;		/* $not, $size, $elemMatch of scalars */
	ConditionNode *condition;	/* $elemMatch of objects */
};

typedef enum ConditionKind
{
	CONDITION_AND,
	CONDITION_OR,
	CONDITION_NOR,
	CONDITION_NOT,
	CONDITION_FIELD
} ConditionKind;

struct ConditionNode
{
	ConditionKind kind;
	int			n;
	ConditionNode **children;
	UaefPath   *path;			/* NULL: the whole document, or element */
	ConditionClauses clauses;	/* of CONDITION_FIELD */
};

struct UaefCondition
{
	ConditionNode *root;
};

/* Order of two numbers or two strings (by their bytes). */
extern int	uaef_condition_compare(const JsonbValue *a, const JsonbValue *b);

#endif							/* UAEF_CONDITION_INTERNAL_H */
