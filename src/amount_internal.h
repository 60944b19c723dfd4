/*-------------------------------------------------------------------------
 *
 * amount_internal.h
 *	  A compiled amount: what the amount_*.c files share.
 *
 * amount_parse.c makes a tree of nodes from the text, amount_check.c gives
 * each node its type as it is made, amount_tiers.c compiles tier tables, and
 * amount_eval.c computes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AMOUNT_INTERNAL_H
#define UAEF_AMOUNT_INTERNAL_H

#include "amount.h"
#include "compat.h"
#include "fraction.h"
#include "nodes/pg_list.h"

#define UAEF_AMOUNT_MAX_DEPTH	64
#define UAEF_AMOUNT_MAX_STEPS	10000

/* Steps that reading a kept table counts as. */
#define UAEF_AMOUNT_TABLE_STEPS	10

typedef enum AmountType
{
	AMOUNT_BOOL,
	AMOUNT_NUMBER,
	AMOUNT_PERCENT,				/* when compiling; a number when evaluating */
	AMOUNT_MONEY,
	AMOUNT_TEXT,
	AMOUNT_JSON,				/* what a path leads to: known when evaluating */
	AMOUNT_LIST
} AmountType;

typedef struct AmountValue
{
	AmountType	type;
	bool		boolean;
	UaefFraction number;		/* of a number, percentage, or money */
	char		currency[4];
	JsonbValue	json;			/* of a text, and of what a path led to */
} AmountValue;

typedef enum AmountKind
{
	NODE_CONSTANT,
	NODE_LIST,
	NODE_PATH,
	NODE_VARIABLE,
	NODE_NEGATE,
	NODE_ADD,
	NODE_SUBTRACT,
	NODE_MULTIPLY,
	NODE_DIVIDE,
	NODE_EQ,
	NODE_NE,
	NODE_LT,
	NODE_LE,
	NODE_GT,
	NODE_GE,
	NODE_IN,
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_IF,
	NODE_LET,
	NODE_MIN,
	NODE_MAX,
	NODE_ABS,
	NODE_CLAMP,
	NODE_PCT,
	NODE_PERCENT,
	NODE_ROUND,
	NODE_FLOOR,
	NODE_CEIL,
	NODE_NUMBER,
	NODE_MONEY,
	NODE_DEFAULT,
	NODE_EXISTS,
	NODE_DAYS_BETWEEN,
	NODE_RATE,
	NODE_CONVERT,
	NODE_LOOK_UP,
	NODE_POOL_POINTS,
	NODE_SUM_OF,
	NODE_COUNT_OF,
	NODE_MIN_OF,
	NODE_MAX_OF,
	NODE_ANY_OF,
	NODE_ALL_OF
} AmountKind;

typedef struct AmountNode AmountNode;

struct AmountNode
{
	AmountKind	kind;
	int			position;		/* in the text, in bytes */
	AmountType	type;
	char		currency[4];	/* of money; "" when not known yet */
	const char *name;			/* of a function, for messages */
	int			nargs;
	AmountNode **args;
	AmountValue constant;
	UaefPath   *path;			/* of a path; of a variable it may be NULL */
	int			slot;			/* of a variable, a let, an aggregate */
	int			max_items;		/* of an aggregate; 0: not given */
	int			digits;			/* of rounding; -1: the minor unit */
	UaefRounding rounding;
};

typedef struct AmountBand
{
	bool		is_last;		/* without an upper bound */
	UaefFraction to;			/* included */
	UaefFraction rate;
} AmountBand;

typedef struct AmountTiers
{
	bool		is_marginal;
	int			nbands;
	AmountBand *bands;
	UaefFraction *min;			/* or NULL */
	UaefFraction *max;			/* or NULL */
} AmountTiers;

/* What a decision table makes of the rows that match. */
typedef enum AmountHit
{
	HIT_UNIQUE,					/* one row matches, no other */
	HIT_FIRST,
	HIT_ANY,					/* all that match say the same */
	HIT_SUM,					/* collect */
	HIT_MIN,
	HIT_MAX,
	HIT_COUNT
} AmountHit;

typedef struct AmountColumn
{
	UaefPath   *path;
	int			nvalues;		/* those that were declared; 0: any */
	JsonbValue *values;
	Numeric		min;			/* declared bounds, or NULL */
	Numeric		max;
} AmountColumn;

typedef struct AmountRow
{
	UaefCondition **cells;		/* of each column; NULL: anything */
	AmountNode *output;
} AmountRow;

typedef struct AmountTable
{
	AmountHit	hit;
	int			ncolumns;
	AmountColumn *columns;
	int			nrows;
	AmountRow  *rows;
	AmountNode *on;				/* what percentages are of, or NULL */
	AmountNode *otherwise;		/* when no row matches, or NULL */
} AmountTable;

struct UaefAmount
{
	AmountNode *root;			/* of tiers: what they are on; of a table NULL */
	char		currency[4];	/* "" when the data decides */
	AmountTiers *tiers;			/* NULL: none */
	AmountTable *table;			/* NULL: none */
};

/* Where an expression is wrong. */
typedef struct AmountSource
{
	const char *text;
	int			len;
} AmountSource;

/* Raise UA221 (or another code) with the position. */
pg_noreturn extern void uaef_amount_bad(const AmountSource *source,
										int position, int sqlstate,
										const char *detail);

/* Give a node its type from those of its arguments, or raise. */
extern void uaef_amount_check(const AmountSource *source, AmountNode *node);

/* Parse and check a whole expression of any type. */
extern AmountNode *uaef_amount_parse(const char *text, bool any_root,
									 const UaefTyping *typing);

/* What a value of an expression's type needs to be money; raises. */
extern void uaef_amount_check_result(const char *text, const AmountNode *root,
									 const char *currency);

/*
 * What is wrong with the rows of a decision table as far as it can be known:
 * gaps, rows that collide, rows that never count; a list of texts.
 */
extern List *uaef_amount_table_problems(const AmountTable *table);

/* One evaluation. */
typedef struct AmountEvaluation
{
	UaefScope  *scope;
	UaefEvalError *error;
	int			steps;
	List	  **trace;			/* of AmountStep, in order; NULL: none */
	AmountValue slots[UAEF_AMOUNT_MAX_DEPTH];	/* variables */
} AmountEvaluation;

/* A node that was evaluated, and what came of it. */
typedef struct AmountStep
{
	const AmountNode *node;
	AmountValue value;
} AmountStep;

/* All of these return false and set the error on failure. */
extern bool uaef_amount_eval_node(AmountEvaluation *eval,
								  const AmountNode *node, AmountValue *value);
extern bool uaef_amount_eval_function(AmountEvaluation *eval,
									  const AmountNode *node,
									  AmountValue *value);

/* rate, convert, lookup, pool_points */
extern bool uaef_amount_eval_kept(AmountEvaluation *eval,
								  const AmountNode *node, AmountValue *value);

/* What lookup() finds; *found is false when the table does not have the key. */
extern bool uaef_amount_find_kept(AmountEvaluation *eval,
								  const AmountNode *node, JsonbValue *json,
								  bool *found);

/* The same for a node whose value must be of a type. */
extern bool uaef_amount_eval_as(AmountEvaluation *eval, const AmountNode *node,
								AmountType type, const char *wanted,
								AmountValue *value);
extern bool uaef_amount_eval_number(AmountEvaluation *eval,
									const AmountNode *node,
									AmountValue *value);
extern bool uaef_amount_eval_scale(AmountEvaluation *eval,
								   const AmountNode *node, AmountValue *value);
extern bool uaef_amount_eval_bool(AmountEvaluation *eval,
								  const AmountNode *node, bool *value);

/* The amount that a decision table gives. */
extern bool uaef_amount_eval_table(AmountEvaluation *eval,
								   const AmountTable *table,
								   AmountValue *value);

/* Two values that are to be put together: both numbers, or of one currency. */
extern bool uaef_amount_same_currency(AmountEvaluation *eval,
									  const AmountValue *a,
									  const AmountValue *b);

extern const char *uaef_amount_node_name(const AmountNode *node);

/* The path of a node that reads data, else NULL; and what it leads to. */
extern const char *uaef_amount_node_path(const AmountNode *node);
extern bool uaef_amount_look_up(AmountEvaluation *eval, const AmountNode *node,
								JsonbValue *json);
extern bool uaef_amount_from_json(AmountEvaluation *eval,
								  const AmountNode *node,
								  const JsonbValue *json, AmountValue *value);

/* Begin to go over the elements of a value, which must be an array. */
extern bool uaef_amount_array_of(AmountEvaluation *eval,
								 const AmountNode *node,
								 const AmountValue *value,
								 JsonbIterator **it);

/* A value of a wrong type; a failure below a node, which gives it its path. */
extern bool uaef_amount_fail_type(AmountEvaluation *eval,
								  const AmountNode *node,
								  const AmountValue *value,
								  const char *wanted);
extern bool uaef_amount_fail_at(AmountEvaluation *eval,
								const AmountNode *node);

#endif							/* UAEF_AMOUNT_INTERNAL_H */
