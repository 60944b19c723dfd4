/*-------------------------------------------------------------------------
 *
 * amount_parse.c
 *	  The amount language: from text to a tree.
 *
 * A parser by recursive descent; its functions are the grammar's rules, from
 * the loosest (or) to the tightest (the sign); amount_operand.c has what
 * stands between the operators.  Each node is checked as soon as its arguments
 * are there, so that an error names the position that caused it.
 *
 * Locking: none.  Memory: the tree lives in the context that was current when
 * it was made and points to nothing outside itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "amount_lex.h"
#include "errcodes.h"

#define MAX_TEXT_BYTES	8192

static AmountNode *make_checked(AmountParser *parser, AmountKind kind, int at, AmountNode *left,
								AmountNode *right);
static AmountNode *parse_mul(AmountParser *parser);
static AmountNode *parse_add(AmountParser *parser);
static AmountNode *parse_comparison(AmountParser *parser);
static AmountNode *parse_not(AmountParser *parser);
static AmountNode *parse_and(AmountParser *parser);
static AmountNode *parse_or(AmountParser *parser);
static int64 static_cost(const AmountNode *node);

/*
 * uaef_amount_bad -- raise what is wrong with an expression, and where
 */
void
uaef_amount_bad(const AmountSource *source, int position, int sqlstate,
				const char *detail)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("invalid amount expression at character %d",
					pg_mbstrlen_with_len(source->text, position) + 1),
			 errdetail_internal("%s", detail),
			 errcontext("amount expression \"%s\"",
						uaef_eval_clip(source->text, source->len))));
}

/* A node of one or two arguments, checked. */
static AmountNode *
make_checked(AmountParser *parser, AmountKind kind, int at, AmountNode *left,
			 AmountNode *right)
{
	AmountNode *node = uaef_amount_make_node(kind, at, right == NULL ? 1 : 2);

	node->args[0] = left;
	if (right != NULL)
		node->args[1] = right;
	uaef_amount_check(&parser->source, node);
	return node;
}

AmountNode *
uaef_amount_parse_unary(AmountParser *parser)
{
	int			at = parser->token.at;

	if (uaef_lex_accept(parser, "-"))
		return make_checked(parser, NODE_NEGATE, at, uaef_amount_parse_primary(parser),
							NULL);
	return uaef_amount_parse_primary(parser);
}

static AmountNode *
parse_mul(AmountParser *parser)
{
	AmountNode *left = uaef_amount_parse_unary(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (uaef_lex_accept(parser, "*"))
			left = make_checked(parser, NODE_MULTIPLY, at, left,
								uaef_amount_parse_unary(parser));
		else if (uaef_lex_accept(parser, "/"))
			left = make_checked(parser, NODE_DIVIDE, at, left,
								uaef_amount_parse_unary(parser));
		else
			return left;
	}
}

static AmountNode *
parse_add(AmountParser *parser)
{
	AmountNode *left = parse_mul(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (uaef_lex_accept(parser, "+"))
			left = make_checked(parser, NODE_ADD, at, left,
								parse_mul(parser));
		else if (uaef_lex_accept(parser, "-"))
			left = make_checked(parser, NODE_SUBTRACT, at, left,
								parse_mul(parser));
		else
			return left;
	}
}

/* At most one comparison: a < b < c has no meaning here. */
static AmountNode *
parse_comparison(AmountParser *parser)
{
	static const struct
	{
		const char *symbol;
		AmountKind	kind;
	}			comparisons[] = {
		{"=", NODE_EQ}, {"!=", NODE_NE}, {"<", NODE_LT}, {"<=", NODE_LE},
		{">", NODE_GT}, {">=", NODE_GE}
	};
	AmountNode *left = parse_add(parser);
	int			at = parser->token.at;

	for (int i = 0; i < lengthof(comparisons); i++)
	{
		if (uaef_lex_accept(parser, comparisons[i].symbol))
			return make_checked(parser, comparisons[i].kind, at, left,
								parse_add(parser));
	}
	if (!parser->no_in && uaef_lex_accept_word(parser, "in"))
		return make_checked(parser, NODE_IN, at, left, parse_add(parser));
	return left;
}

static AmountNode *
parse_not(AmountParser *parser)
{
	int			at = parser->token.at;

	if (uaef_lex_accept_word(parser, "not"))
		return make_checked(parser, NODE_NOT, at, parse_comparison(parser),
							NULL);
	return parse_comparison(parser);
}

static AmountNode *
parse_and(AmountParser *parser)
{
	AmountNode *left = parse_not(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (!uaef_lex_accept_word(parser, "and"))
			return left;
		left = make_checked(parser, NODE_AND, at, left, parse_not(parser));
	}
}

static AmountNode *
parse_or(AmountParser *parser)
{
	AmountNode *left = parse_and(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (!uaef_lex_accept_word(parser, "or"))
			return left;
		left = make_checked(parser, NODE_OR, at, left, parse_and(parser));
	}
}

/* An expression within another; no_in tells whether "in" ends it. */
AmountNode *
uaef_amount_parse_inner(AmountParser *parser, bool no_in)
{
	bool		outer_no_in = parser->no_in;
	AmountNode *node;

	if (++parser->depth > UAEF_AMOUNT_MAX_DEPTH)
		uaef_lex_bad(parser, parser->token.at,
					 psprintf("The expression is deeper than %d levels.",
							  UAEF_AMOUNT_MAX_DEPTH));
	parser->no_in = no_in;
	node = parse_or(parser);
	parser->no_in = outer_no_in;
	parser->depth--;
	return node;
}

/* An expression that a word or a parenthesis closes. */
AmountNode *
uaef_amount_parse_nested(AmountParser *parser)
{
	return uaef_amount_parse_inner(parser, false);
}

/* Steps that a node can take, with the caps that are given. */
static int64
static_cost(const AmountNode *node)
{
	bool		reads_table = node->kind == NODE_RATE ||
		node->kind == NODE_CONVERT || node->kind == NODE_LOOK_UP ||
		node->kind == NODE_POOL_POINTS;
	int64		cost = reads_table ? UAEF_AMOUNT_TABLE_STEPS : 1;

	for (int i = 0; i < node->nargs; i++)
	{
		int64		times = i == 1 && node->max_items > 0 ?
			node->max_items : 1;

		cost += times * static_cost(node->args[i]);
		if (cost > UAEF_AMOUNT_MAX_STEPS)
			return cost;
	}
	return cost;
}

/*
 * uaef_amount_parse -- parse and check an expression of any type
 *
 * Raises UA221 (UA208 for currencies, UA211 for cost) with the position.
 */
AmountNode *
uaef_amount_parse(const char *text, bool any_root,
				  const UaefTyping *typing)
{
	AmountParser parser = {.any_root = any_root,.typing = typing};
	AmountNode *root;

	parser.source.text = text;

	parser.source.len = strlen(text);
	if (parser.source.len > MAX_TEXT_BYTES)
		uaef_lex_bad(&parser, 0, psprintf("The expression is longer than %d bytes.",
										  MAX_TEXT_BYTES));
	uaef_lex_advance(&parser);
	root = uaef_amount_parse_nested(&parser);
	if (parser.token.kind != TOKEN_END)
		uaef_lex_bad(&parser, parser.token.at, psprintf("\"%s\" cannot stand here.",
														uaef_lex_token_text(&parser)));
	if (static_cost(root) > UAEF_AMOUNT_MAX_STEPS)
		uaef_amount_bad(&parser.source, 0, ERRCODE_UAEF_COST_LIMIT,
						psprintf("The expression can take more than %d steps.",
								 UAEF_AMOUNT_MAX_STEPS));
	return root;
}
