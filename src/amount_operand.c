/*-------------------------------------------------------------------------
 *
 * amount_operand.c
 *	  The amount language: literals, paths, let, if, calls and aggregates.
 *
 * Locking: none.  Memory: as for amount_parse.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_lex.h"
#include "errcodes.h"

#define MAX_ARGUMENTS	64

typedef struct Function
{
	const char *name;
	AmountKind	kind;
	int			min_args;
	int			max_args;
} Function;

static const Function functions[] = {
	{"min", NODE_MIN, 2, MAX_ARGUMENTS},
	{"max", NODE_MAX, 2, MAX_ARGUMENTS},
	{"abs", NODE_ABS, 1, 1},
	{"clamp", NODE_CLAMP, 3, 3},
	{"pct", NODE_PCT, 2, 2},
	{"percent", NODE_PERCENT, 1, 1},
	{"round", NODE_ROUND, 1, 3},
	{"floor", NODE_FLOOR, 1, 2},
	{"ceil", NODE_CEIL, 1, 2},
	{"number", NODE_NUMBER, 1, 1},
	{"money", NODE_MONEY, 2, 2},
	{"default", NODE_DEFAULT, 2, 2},
	{"exists", NODE_EXISTS, 1, 1},
	{"days_between", NODE_DAYS_BETWEEN, 2, 2},
	{"rate", NODE_RATE, 3, 4},
	{"convert", NODE_CONVERT, 3, 4},
	{"lookup", NODE_LOOK_UP, 2, 9},
	{"pool_points", NODE_POOL_POINTS, 1, 2}
};

static const Function aggregates[] = {
	{"sum", NODE_SUM_OF, 0, 0},
	{"count", NODE_COUNT_OF, 0, 0},
	{"min", NODE_MIN_OF, 0, 0},
	{"max", NODE_MAX_OF, 0, 0},
	{"any", NODE_ANY_OF, 0, 0},
	{"all", NODE_ALL_OF, 0, 0}
};

static void read_number(AmountParser *parser, int at, int end, UaefFraction *result);
static AmountNode *parse_number(AmountParser *parser);
static AmountNode *parse_string(AmountParser *parser);
static AmountNode *parse_bool(AmountParser *parser, bool value);
static AmountNode *parse_money(AmountParser *parser);
static int	scan_path(AmountParser *parser, int at);
static int	find_variable(AmountParser *parser, int at, int len);
static AmountType type_of_path(AmountParser *parser, int at, const UaefPath *path);
static AmountNode *parse_path(AmountParser *parser);
static void bind_variable(AmountParser *parser, const AmountToken *name, AmountType type,
						  const char *currency);
static AmountNode *parse_let(AmountParser *parser);
static AmountNode *parse_if(AmountParser *parser);
static const Function *find_function(AmountParser *parser, const Function *table, int n, const AmountToken *name);
static bool starts_aggregate(AmountParser *parser);
static int	parse_cap(AmountParser *parser);
static AmountNode *parse_aggregate(AmountParser *parser, const AmountToken *name);
static AmountNode *parse_call(AmountParser *parser);
static AmountNode *parse_list(AmountParser *parser);
static AmountNode *parse_name(AmountParser *parser);

AmountNode *
uaef_amount_make_node(AmountKind kind, int at, int nargs)
{
	AmountNode *node = palloc0(sizeof(AmountNode));

	node->kind = kind;
	node->position = at;
	node->nargs = nargs;
	if (nargs > 0)
		node->args = palloc(nargs * sizeof(AmountNode *));
	return node;
}

static void
read_number(AmountParser *parser, int at, int end, UaefFraction *result)
{
	UaefEvalError error;

	if (!uaef_fraction_parse(parser->source.text + at, end - at, result,
							 &error))
		uaef_lex_bad(parser, at, "The number has too many digits.");
}

/* 100.00 or 2.5% */
static AmountNode *
parse_number(AmountParser *parser)
{
	AmountNode *node = uaef_amount_make_node(NODE_CONSTANT, parser->token.at, 0);
	bool		is_percent = parser->token.kind == TOKEN_PERCENT;
	UaefFraction hundred;
	UaefEvalError error;

	read_number(parser, parser->token.at,
				parser->token.end - (is_percent ? 1 : 0),
				&node->constant.number);
	node->type = is_percent ? AMOUNT_PERCENT : AMOUNT_NUMBER;
	node->constant.type = AMOUNT_NUMBER;
	uaef_fraction_from_int(100, &hundred);
	if (is_percent &&
		!uaef_fraction_div(&node->constant.number, &hundred,
						   &node->constant.number, &error))
		uaef_lex_bad(parser, parser->token.at, "The number has too many digits.");
	uaef_lex_advance(parser);
	return node;
}

static AmountNode *
parse_string(AmountParser *parser)
{
	AmountNode *node = uaef_amount_make_node(NODE_CONSTANT, parser->token.at, 0);
	char	   *text = palloc(parser->token.end - parser->token.at);
	int			len = 0;

	for (int i = parser->token.at + 1; i < parser->token.end - 1; i++)
	{
		text[len++] = uaef_lex_byte(parser, i);

		if (uaef_lex_byte(parser, i) == '"')
			i++;
	}
	node->type = AMOUNT_TEXT;
	node->constant.type = AMOUNT_TEXT;
	node->constant.json.type = jbvString;
	node->constant.json.val.string.val = text;

	node->constant.json.val.string.len = len;
	uaef_lex_advance(parser);
	return node;
}

static AmountNode *
parse_bool(AmountParser *parser, bool value)
{
	AmountNode *node = uaef_amount_make_node(NODE_CONSTANT, parser->token.at, 0);

	node->type = AMOUNT_BOOL;
	node->constant.type = AMOUNT_BOOL;
	node->constant.boolean = value;
	uaef_lex_advance(parser);
	return node;
}

/* EUR 25, or NULL when it is no three capitals and a number */
static AmountNode *
parse_money(AmountParser *parser)
{
	AmountToken name = parser->token;
	AmountNode *node;
	char	   *code = uaef_lex_token_text(parser);

	if (strlen(code) != 3 || strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		return NULL;
	uaef_lex_advance(parser);
	if (parser->token.kind != TOKEN_NUMBER)
	{
		parser->token = name;
		return NULL;
	}
	if (uaef_currency_exponent(code) < 0)
		uaef_amount_bad(&parser->source, name.at, ERRCODE_UAEF_CURRENCY,
						psprintf("There is no currency \"%s\".", code));
	node = parse_number(parser);
	node->position = name.at;
	node->type = AMOUNT_MONEY;
	node->constant.type = AMOUNT_MONEY;
	strlcpy(node->currency, code, sizeof(node->currency));
	strlcpy(node->constant.currency, code, sizeof(node->constant.currency));
	return node;
}

/*
 * Where the path that begins there ends.  A name with a hyphen needs quotes
 * here, because it would read like a difference.
 */
static int
scan_path(AmountParser *parser, int at)
{
	for (;;)
	{
		while (uaef_lex_is_name_char(uaef_lex_byte(parser, at)))
			at++;
		if (uaef_lex_byte(parser, at) == '-' &&
			uaef_lex_is_name_char(uaef_lex_byte(parser, at + 1)))
			uaef_lex_bad(parser, at, "A hyphen within a path could be a minus: put blanks around a minus, or the name in double quotes.");
		if (uaef_lex_byte(parser, at) == '.')
			at++;
		else if (uaef_lex_byte(parser, at) == '[' &&
				 uaef_lex_is_digit(uaef_lex_byte(parser, at + 1)))
		{
			while (uaef_lex_byte(parser, at) != ']' && at < parser->source.len)
				at++;
			at++;
			continue;
		}
		else
			return Min(at, parser->source.len);
		if (uaef_lex_byte(parser, at) == '"')
		{
			do
			{
				at++;
				while (uaef_lex_byte(parser, at) != '"' && at < parser->source.len)
					at++;
				at++;
			} while (uaef_lex_byte(parser, at) == '"');
		}
	}
}

/* The slot of the innermost variable of that name, or -1. */
static int
find_variable(AmountParser *parser, int at, int len)
{
	for (int i = parser->nvariables - 1; i >= 0; i--)
	{
		if (parser->variables[i].len == len &&
			memcmp(parser->source.text + parser->variables[i].at,
				   parser->source.text + at, len) == 0)
			return i;
	}
	return -1;
}

/* What is known before there are data; a path that leads nowhere is wrong. */
static AmountType
type_of_path(AmountParser *parser, int at, const UaefPath *path)
{
	uint32		types;

	if (parser->typing == NULL)
		return AMOUNT_JSON;
	types = parser->typing->types(path, parser->typing->arg);
	if (types == 0)
		uaef_lex_bad(parser, at, psprintf("\"%s\" cannot be there, by the schema of the workflow.",
										  uaef_path_text(path)));
	return types == UAEF_TYPE_NUMBER ? AMOUNT_NUMBER :
		types == UAEF_TYPE_STRING ? AMOUNT_TEXT :
		types == UAEF_TYPE_BOOLEAN ? AMOUNT_BOOL : AMOUNT_JSON;
}

/* A path, or a variable with or without a path below it. */
static AmountNode *
parse_path(AmountParser *parser)
{
	AmountToken name = parser->token;
	int			slot = find_variable(parser, name.at, name.end - name.at);
	int			end = slot >= 0 && !uaef_lex_starts_path(parser) ?
		name.end : scan_path(parser, name.at);
	AmountNode *node = uaef_amount_make_node(slot >= 0 ? NODE_VARIABLE : NODE_PATH,
											 name.at, 0);
	const char *problem;

	node->path = uaef_path_parse(parser->source.text + name.at,
								 end - name.at,
								 parser->any_root || slot >= 0, &problem);
	if (node->path == NULL)
		uaef_lex_bad(parser, name.at, psprintf("The path is invalid. %s", problem));
	node->type = slot >= 0 ? AMOUNT_JSON : type_of_path(parser, name.at, node->path);
	node->slot = slot;
	if (slot >= 0 && end == name.end)
	{
		node->type = parser->variables[slot].type;
		strlcpy(node->currency, parser->variables[slot].currency,
				sizeof(node->currency));
	}
	else if (slot >= 0 && parser->variables[slot].type != AMOUNT_JSON)
		uaef_lex_bad(parser, name.at, "The variable holds no JSON value.");
	parser->token.end = end;
	uaef_lex_advance(parser);
	return node;
}

static void
bind_variable(AmountParser *parser, const AmountToken *name, AmountType type,
			  const char *currency)
{
	AmountVariable *variable;

	if (parser->nvariables == UAEF_AMOUNT_MAX_DEPTH)
		uaef_lex_bad(parser, name->at, "There are too many variables.");
	variable = &parser->variables[parser->nvariables++];
	variable->at = name->at;
	variable->len = name->end - name->at;
	variable->type = type;
	strlcpy(variable->currency, currency, sizeof(variable->currency));
}

/* let name = value in body; the word let was taken */
static AmountNode *
parse_let(AmountParser *parser)
{
	AmountToken name = parser->token;
	AmountNode *node = uaef_amount_make_node(NODE_LET, name.at, 2);
	bool		no_in = parser->no_in;

	if (name.kind != TOKEN_NAME || uaef_lex_is_digit(uaef_lex_byte(parser, name.at)))
		uaef_lex_bad(parser, name.at, "A name must follow \"let\".");
	uaef_lex_advance(parser);
	uaef_lex_expect(parser, "=");
	node->args[0] = uaef_amount_parse_inner(parser, true);
	uaef_lex_expect_word(parser, "in");
	node->slot = parser->nvariables;
	bind_variable(parser, &name, node->args[0]->type,
				  node->args[0]->currency);
	node->args[1] = uaef_amount_parse_inner(parser, no_in);
	parser->nvariables--;
	uaef_amount_check(&parser->source, node);
	return node;
}

/* if condition then a else b; the word if was taken */
static AmountNode *
parse_if(AmountParser *parser)
{
	AmountNode *node = uaef_amount_make_node(NODE_IF, parser->token.at, 3);

	node->args[0] = uaef_amount_parse_nested(parser);
	uaef_lex_expect_word(parser, "then");
	node->args[1] = uaef_amount_parse_nested(parser);
	uaef_lex_expect_word(parser, "else");
	node->args[2] = uaef_amount_parse_inner(parser, parser->no_in);
	uaef_amount_check(&parser->source, node);
	return node;
}

static const Function *
find_function(AmountParser *parser, const Function *table, int n, const AmountToken *name)
{
	int			len = name->end - name->at;

	for (int i = 0; i < n; i++)
	{
		if (strlen(table[i].name) == len &&
			memcmp(table[i].name, parser->source.text + name->at, len) == 0)
			return &table[i];
	}
	return NULL;
}

/* After "(": is it "name in", as in sum(i in in.items: i.price)? */
static bool
starts_aggregate(AmountParser *parser)
{
	AmountToken name = parser->token;
	bool		result;

	if (name.kind != TOKEN_NAME || uaef_lex_starts_path(parser))
		return false;
	uaef_lex_advance(parser);
	result = uaef_lex_is_word(parser, "in");
	parser->token = name;
	return result;
}

/* [max 500], or nothing */
static int
parse_cap(AmountParser *parser)
{
	char	   *text;
	int			cap;

	if (!uaef_lex_accept(parser, "["))
		return 0;
	uaef_lex_expect_word(parser, "max");
	text = uaef_lex_token_text(parser);

	cap = parser->token.kind == TOKEN_NUMBER && strlen(text) < 6 &&
		strchr(text, '.') == NULL ? atoi(text) : 0;
	if (cap < 1)
		uaef_lex_bad(parser, parser->token.at, "The cap of a list must be a whole number from 1 to 99999.");
	uaef_lex_advance(parser);
	uaef_lex_expect(parser, "]");
	return cap;
}

/* sum(i in path [max n]: body); the name and the "(" were taken */
static AmountNode *
parse_aggregate(AmountParser *parser, const AmountToken *name)
{
	const Function *function = find_function(parser, aggregates,
											 lengthof(aggregates), name);
	AmountToken variable = parser->token;
	AmountNode *node;

	if (function == NULL)
		uaef_lex_bad(parser, name->at, "Only sum, count, min, max, any and all go over a list.");
	node = uaef_amount_make_node(function->kind, name->at, 2);
	node->name = function->name;
	uaef_lex_advance(parser);
	uaef_lex_expect_word(parser, "in");
	if (parser->token.kind != TOKEN_NAME)
		uaef_lex_bad(parser, parser->token.at, "A path must follow \"in\".");
	node->args[0] = parse_path(parser);
	node->max_items = parse_cap(parser);
	uaef_lex_expect(parser, ":");
	node->slot = parser->nvariables;
	bind_variable(parser, &variable, AMOUNT_JSON, "");
	node->args[1] = uaef_amount_parse_nested(parser);
	parser->nvariables--;
	uaef_lex_expect(parser, ")");
	uaef_amount_check(&parser->source, node);
	return node;
}

/* name(arguments) */
static AmountNode *
parse_call(AmountParser *parser)
{
	AmountToken name = parser->token;
	AmountNode *args[MAX_ARGUMENTS];
	AmountNode *node;
	const Function *function;
	int			nargs = 0;

	uaef_lex_advance(parser);
	uaef_lex_expect(parser, "(");
	if (starts_aggregate(parser))
		return parse_aggregate(parser, &name);
	function = find_function(parser, functions, lengthof(functions), &name);
	if (function == NULL)
		uaef_lex_bad(parser, name.at,
					 psprintf("There is no function \"%s\".",
							  uaef_eval_clip(parser->source.text + name.at,
											 name.end - name.at)));
	if (!uaef_lex_accept(parser, ")"))
	{
		do
		{
			if (nargs == MAX_ARGUMENTS)
				uaef_lex_bad(parser, parser->token.at, "There are too many arguments.");
			args[nargs++] = uaef_amount_parse_nested(parser);
		} while (uaef_lex_accept(parser, ","));
		uaef_lex_expect(parser, ")");
	}
	if (nargs < function->min_args)
		uaef_lex_bad(parser, name.at, psprintf("Too few arguments for %s: it needs %d.",
											   function->name, function->min_args));
	if (nargs > function->max_args)
		uaef_lex_bad(parser, name.at, psprintf("Too many arguments for %s: it takes %d.",
											   function->name, function->max_args));
	node = uaef_amount_make_node(function->kind, name.at, nargs);
	node->name = function->name;
	memcpy(node->args, args, nargs * sizeof(AmountNode *));
	uaef_amount_check(&parser->source, node);
	return node;
}

/* ["US", "CA"]: constants; the "[" was taken */
static AmountNode *
parse_list(AmountParser *parser)
{
	AmountNode *items[MAX_ARGUMENTS];
	AmountNode *node;
	int			at = parser->token.at;
	int			n = 0;

	do
	{
		if (n == MAX_ARGUMENTS)
			uaef_lex_bad(parser, parser->token.at, "The list is too long.");
		items[n++] = uaef_amount_parse_unary(parser);
	} while (uaef_lex_accept(parser, ","));
	uaef_lex_expect(parser, "]");
	node = uaef_amount_make_node(NODE_LIST, at, n);
	memcpy(node->args, items, n * sizeof(AmountNode *));
	uaef_amount_check(&parser->source, node);
	return node;
}

/* What begins with a name. */
static AmountNode *
parse_name(AmountParser *parser)
{
	static const char *const words[] = {
		"in", "then", "else", "and", "or", "not"
	};
	AmountToken name = parser->token;
	AmountNode *money;

	if (uaef_lex_is_digit(uaef_lex_byte(parser, name.at)))
		uaef_lex_bad(parser, name.at, "A name cannot begin with a digit.");
	if (uaef_lex_starts_path(parser))
		return parse_path(parser);
	if (uaef_lex_accept_word(parser, "if"))
		return parse_if(parser);
	if (uaef_lex_accept_word(parser, "let"))
		return parse_let(parser);
	if (uaef_lex_is_word(parser, "true") || uaef_lex_is_word(parser, "false"))
		return parse_bool(parser, uaef_lex_token_is(parser, "true"));
	for (int i = 0; i < lengthof(words); i++)
	{
		if (uaef_lex_token_is(parser, words[i]))
			uaef_lex_bad(parser, name.at, psprintf("\"%s\" cannot stand here.",
												   words[i]));
	}
	money = parse_money(parser);
	if (money != NULL)
		return money;
	if (uaef_lex_byte(parser, name.end) == '(')
		return parse_call(parser);
	return parse_path(parser);
}

AmountNode *
uaef_amount_parse_primary(AmountParser *parser)
{
	AmountNode *node;

	switch (parser->token.kind)
	{
		case TOKEN_NUMBER:
		case TOKEN_PERCENT:
			return parse_number(parser);
		case TOKEN_STRING:
			return parse_string(parser);
		case TOKEN_NAME:
			return parse_name(parser);
		case TOKEN_END:
			uaef_lex_bad(parser, parser->token.at, "The expression ends too early.");
		case TOKEN_SYMBOL:
			break;
	}
	if (uaef_lex_accept(parser, "["))
		return parse_list(parser);
	if (!uaef_lex_accept(parser, "("))
		uaef_lex_bad(parser, parser->token.at, psprintf("\"%s\" cannot stand here.",
														uaef_lex_token_text(parser)));
	node = uaef_amount_parse_nested(parser);
	uaef_lex_expect(parser, ")");
	return node;
}
