/*-------------------------------------------------------------------------
 *
 * amount_parse.c
 *	  The amount language: from text to a tree.
 *
 * A parser by recursive descent; its functions are the grammar's rules, from
 * the loosest (or) to the tightest (a literal, a call, a path).  Each node is
 * checked as soon as its arguments are there, so that an error names the
 * position that caused it.
 *
 * Locking: none.  Memory: the tree lives in the context that was current when
 * it was made and points to nothing outside itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "amount_internal.h"
#include "errcodes.h"

#define MAX_TEXT_BYTES	8192
#define MAX_ARGUMENTS	64

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_NUMBER,
	TOKEN_PERCENT,
	TOKEN_STRING,
	TOKEN_NAME,
	TOKEN_SYMBOL
} TokenKind;

typedef struct Token
{
	TokenKind	kind;
	int			at;				/* first byte */
	int			end;			/* after the last one */
} Token;

/* A name that let or an aggregate has bound; the slot is its index. */
typedef struct Variable
{
	int			at;
	int			len;
	AmountType	type;
	char		currency[4];
} Variable;

typedef struct Parser
{
	AmountSource source;
	bool		any_root;
	Token		token;			/* the next one */
	int			depth;
	bool		no_in;			/* "in" ends the expression: let x = ... in */
	int			nvariables;
	Variable	variables[UAEF_AMOUNT_MAX_DEPTH];
} Parser;

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
	{"days_between", NODE_DAYS_BETWEEN, 2, 2}
};

static const Function aggregates[] = {
	{"sum", NODE_SUM_OF, 0, 0},
	{"count", NODE_COUNT_OF, 0, 0},
	{"min", NODE_MIN_OF, 0, 0},
	{"max", NODE_MAX_OF, 0, 0},
	{"any", NODE_ANY_OF, 0, 0},
	{"all", NODE_ALL_OF, 0, 0}
};

static bool is_digit(char c);
static bool is_name_char(char c);
static void bad(Parser *parser, int at, const char *detail)
			pg_attribute_noreturn();
static char byte_at(Parser *parser, int at);
static void scan_number(Parser *parser);
static void scan_string(Parser *parser);
static void advance(Parser *parser);
static bool token_is(Parser *parser, const char *text);
static bool accept(Parser *parser, const char *text);
static void expect(Parser *parser, const char *text);
static char *token_text(Parser *parser);
static bool starts_path(Parser *parser);
static bool is_word(Parser *parser, const char *word);
static bool accept_word(Parser *parser, const char *word);
static void expect_word(Parser *parser, const char *word);
static AmountNode *make_node(AmountKind kind, int at, int nargs);
static AmountNode *make_checked(Parser *parser, AmountKind kind, int at,
								AmountNode *left, AmountNode *right);
static void read_number(Parser *parser, int at, int end,
						UaefFraction *result);
static AmountNode *parse_number(Parser *parser);
static AmountNode *parse_string(Parser *parser);
static AmountNode *parse_bool(Parser *parser, bool value);
static AmountNode *parse_money(Parser *parser);
static int	scan_path(Parser *parser, int at);
static int	find_variable(Parser *parser, int at, int len);
static AmountNode *parse_path(Parser *parser);
static void bind_variable(Parser *parser, const Token *name,
						  AmountType type, const char *currency);
static AmountNode *parse_let(Parser *parser);
static AmountNode *parse_if(Parser *parser);
static const Function *find_function(Parser *parser, const Function *table,
									 int n, const Token *name);
static bool starts_aggregate(Parser *parser);
static int	parse_cap(Parser *parser);
static AmountNode *parse_aggregate(Parser *parser, const Token *name);
static AmountNode *parse_call(Parser *parser);
static AmountNode *parse_list(Parser *parser);
static AmountNode *parse_name(Parser *parser);
static AmountNode *parse_primary(Parser *parser);
static AmountNode *parse_unary(Parser *parser);
static AmountNode *parse_mul(Parser *parser);
static AmountNode *parse_add(Parser *parser);
static AmountNode *parse_comparison(Parser *parser);
static AmountNode *parse_not(Parser *parser);
static AmountNode *parse_and(Parser *parser);
static AmountNode *parse_or(Parser *parser);
static AmountNode *parse_inner(Parser *parser, bool no_in);
static AmountNode *parse_nested(Parser *parser);
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
			 errcontext("amount expression \"%.*s%s\"",
						Min(source->len, 200), source->text,
						source->len > 200 ? "..." : "")));
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		is_digit(c) || c == '_';
}

static void
bad(Parser *parser, int at, const char *detail)
{
	uaef_amount_bad(&parser->source, at, ERRCODE_UAEF_BAD_EXPRESSION, detail);
}

/* The byte there, or NUL at the end. */
static char
byte_at(Parser *parser, int at)
{
	return at < parser->source.len ? parser->source.text[at] : '\0';
}

/* digits[.digits][%] */
static void
scan_number(Parser *parser)
{
	Token	   *token = &parser->token;

	token->kind = TOKEN_NUMBER;
	while (is_digit(byte_at(parser, token->end)))
		token->end++;
	if (byte_at(parser, token->end) == '.')
	{
		token->end++;
		if (!is_digit(byte_at(parser, token->end)))
			bad(parser, token->end, "Digits must follow the point.");
		while (is_digit(byte_at(parser, token->end)))
			token->end++;
	}
	if (byte_at(parser, token->end) == '%')
	{
		token->kind = TOKEN_PERCENT;
		token->end++;
	}
	else if (is_name_char(byte_at(parser, token->end)))
		bad(parser, token->end, "A number has a letter in it.");
}

/* "...", with a quote in it doubled */
static void
scan_string(Parser *parser)
{
	Token	   *token = &parser->token;

	token->kind = TOKEN_STRING;
	token->end++;
	for (;;)
	{
		if (token->end >= parser->source.len)
			bad(parser, token->at, "A text has no closing quote.");
		if (byte_at(parser, token->end++) == '"')
		{
			if (byte_at(parser, token->end) != '"')
				return;
			token->end++;
		}
	}
}

/* Read the next token. */
static void
advance(Parser *parser)
{
	Token	   *token = &parser->token;
	char		c;

	token->at = token->end;
	while ((c = byte_at(parser, token->at)) == ' ' || c == '\t' ||
		   c == '\n' || c == '\r')
		token->at++;
	token->end = token->at;

	if (token->at >= parser->source.len)
		token->kind = TOKEN_END;
	else if (is_digit(c))
		scan_number(parser);
	else if (c == '"')
		scan_string(parser);
	else if (is_name_char(c))
	{
		token->kind = TOKEN_NAME;
		while (is_name_char(byte_at(parser, token->end)))
			token->end++;
	}
	else if (strchr("+-*/(),=<>!:[]", c) != NULL)
	{
		token->kind = TOKEN_SYMBOL;
		token->end++;
		if (strchr("<>!", c) != NULL && byte_at(parser, token->end) == '=')
			token->end++;
	}
	else
		bad(parser, token->at, "There is no such symbol.");
}

static bool
token_is(Parser *parser, const char *text)
{
	int			len = parser->token.end - parser->token.at;

	return len == strlen(text) &&
		memcmp(parser->source.text + parser->token.at, text, len) == 0;
}

/* Take a symbol if it is next. */
static bool
accept(Parser *parser, const char *text)
{
	if (parser->token.kind != TOKEN_SYMBOL || !token_is(parser, text))
		return false;
	advance(parser);
	return true;
}

static void
expect(Parser *parser, const char *text)
{
	if (!accept(parser, text))
		bad(parser, parser->token.at, psprintf("\"%s\" is needed here.",
											   text));
}

static char *
token_text(Parser *parser)
{
	return pnstrdup(parser->source.text + parser->token.at,
					parser->token.end - parser->token.at);
}

/* Does the name that is next go on as a path? */
static bool
starts_path(Parser *parser)
{
	char		next = byte_at(parser, parser->token.end);

	return next == '.' ||
		(next == '[' && is_digit(byte_at(parser, parser->token.end + 1)));
}

/* Is the word next, as a word of the language and no first name of a path? */
static bool
is_word(Parser *parser, const char *word)
{
	return parser->token.kind == TOKEN_NAME && token_is(parser, word) &&
		!starts_path(parser);
}

static bool
accept_word(Parser *parser, const char *word)
{
	if (!is_word(parser, word))
		return false;
	advance(parser);
	return true;
}

static void
expect_word(Parser *parser, const char *word)
{
	if (!accept_word(parser, word))
		bad(parser, parser->token.at, psprintf("\"%s\" is needed here.",
											   word));
}

static AmountNode *
make_node(AmountKind kind, int at, int nargs)
{
	AmountNode *node = palloc0(sizeof(AmountNode));

	node->kind = kind;
	node->position = at;
	node->nargs = nargs;
	if (nargs > 0)
		node->args = palloc(nargs * sizeof(AmountNode *));
	return node;
}

/* A node of one or two arguments, checked. */
static AmountNode *
make_checked(Parser *parser, AmountKind kind, int at, AmountNode *left,
			 AmountNode *right)
{
	AmountNode *node = make_node(kind, at, right == NULL ? 1 : 2);

	node->args[0] = left;
	if (right != NULL)
		node->args[1] = right;
	uaef_amount_check(&parser->source, node);
	return node;
}

static void
read_number(Parser *parser, int at, int end, UaefFraction *result)
{
	UaefEvalError error;

	if (!uaef_fraction_parse(parser->source.text + at, end - at, result,
							 &error))
		bad(parser, at, "The number has too many digits.");
}

/* 100.00 or 2.5% */
static AmountNode *
parse_number(Parser *parser)
{
	AmountNode *node = make_node(NODE_CONSTANT, parser->token.at, 0);
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
		bad(parser, parser->token.at, "The number has too many digits.");
	advance(parser);
	return node;
}

static AmountNode *
parse_string(Parser *parser)
{
	AmountNode *node = make_node(NODE_CONSTANT, parser->token.at, 0);
	char	   *text = palloc(parser->token.end - parser->token.at);
	int			len = 0;

	for (int i = parser->token.at + 1; i < parser->token.end - 1; i++)
	{
		text[len++] = byte_at(parser, i);
		if (byte_at(parser, i) == '"')
			i++;
	}
	node->type = AMOUNT_TEXT;
	node->constant.type = AMOUNT_TEXT;
	node->constant.json.type = jbvString;
	node->constant.json.val.string.val = text;
	node->constant.json.val.string.len = len;
	advance(parser);
	return node;
}

static AmountNode *
parse_bool(Parser *parser, bool value)
{
	AmountNode *node = make_node(NODE_CONSTANT, parser->token.at, 0);

	node->type = AMOUNT_BOOL;
	node->constant.type = AMOUNT_BOOL;
	node->constant.boolean = value;
	advance(parser);
	return node;
}

/* EUR 25, or NULL when it is no three capitals and a number */
static AmountNode *
parse_money(Parser *parser)
{
	Token		name = parser->token;
	AmountNode *node;
	char	   *code = token_text(parser);

	if (strlen(code) != 3 || strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		return NULL;
	advance(parser);
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
scan_path(Parser *parser, int at)
{
	for (;;)
	{
		while (is_name_char(byte_at(parser, at)))
			at++;
		if (byte_at(parser, at) == '-' &&
			is_name_char(byte_at(parser, at + 1)))
			bad(parser, at, "A hyphen within a path could be a minus: put blanks around a minus, or the name in double quotes.");
		if (byte_at(parser, at) == '.')
			at++;
		else if (byte_at(parser, at) == '[' &&
				 is_digit(byte_at(parser, at + 1)))
		{
			while (byte_at(parser, at) != ']' && at < parser->source.len)
				at++;
			at++;
			continue;
		}
		else
			return Min(at, parser->source.len);
		if (byte_at(parser, at) == '"')
		{
			do
			{
				at++;
				while (byte_at(parser, at) != '"' && at < parser->source.len)
					at++;
				at++;
			} while (byte_at(parser, at) == '"');
		}
	}
}

/* The slot of the innermost variable of that name, or -1. */
static int
find_variable(Parser *parser, int at, int len)
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

/* A path, or a variable with or without a path below it. */
static AmountNode *
parse_path(Parser *parser)
{
	Token		name = parser->token;
	int			slot = find_variable(parser, name.at, name.end - name.at);
	int			end = slot >= 0 && !starts_path(parser) ?
	name.end : scan_path(parser, name.at);
	AmountNode *node = make_node(slot >= 0 ? NODE_VARIABLE : NODE_PATH,
								 name.at, 0);
	const char *problem;

	node->path = uaef_path_parse(parser->source.text + name.at,
								 end - name.at,
								 parser->any_root || slot >= 0, &problem);
	if (node->path == NULL)
		bad(parser, name.at, psprintf("The path is invalid. %s", problem));
	node->type = AMOUNT_JSON;
	node->slot = slot;
	if (slot >= 0 && end == name.end)
	{
		node->type = parser->variables[slot].type;
		strlcpy(node->currency, parser->variables[slot].currency,
				sizeof(node->currency));
	}
	else if (slot >= 0 && parser->variables[slot].type != AMOUNT_JSON)
		bad(parser, name.at, "The variable holds no JSON value.");
	parser->token.end = end;
	advance(parser);
	return node;
}

static void
bind_variable(Parser *parser, const Token *name, AmountType type,
			  const char *currency)
{
	Variable   *variable;

	if (parser->nvariables == UAEF_AMOUNT_MAX_DEPTH)
		bad(parser, name->at, "There are too many variables.");
	variable = &parser->variables[parser->nvariables++];
	variable->at = name->at;
	variable->len = name->end - name->at;
	variable->type = type;
	strlcpy(variable->currency, currency, sizeof(variable->currency));
}

/* let name = value in body; the word let was taken */
static AmountNode *
parse_let(Parser *parser)
{
	Token		name = parser->token;
	AmountNode *node = make_node(NODE_LET, name.at, 2);
	bool		no_in = parser->no_in;

	if (name.kind != TOKEN_NAME || is_digit(byte_at(parser, name.at)))
		bad(parser, name.at, "A name must follow \"let\".");
	advance(parser);
	expect(parser, "=");
	node->args[0] = parse_inner(parser, true);
	expect_word(parser, "in");
	node->slot = parser->nvariables;
	bind_variable(parser, &name, node->args[0]->type,
				  node->args[0]->currency);
	node->args[1] = parse_inner(parser, no_in);
	parser->nvariables--;
	uaef_amount_check(&parser->source, node);
	return node;
}

/* if condition then a else b; the word if was taken */
static AmountNode *
parse_if(Parser *parser)
{
	AmountNode *node = make_node(NODE_IF, parser->token.at, 3);

	node->args[0] = parse_nested(parser);
	expect_word(parser, "then");
	node->args[1] = parse_nested(parser);
	expect_word(parser, "else");
	node->args[2] = parse_inner(parser, parser->no_in);
	uaef_amount_check(&parser->source, node);
	return node;
}

static const Function *
find_function(Parser *parser, const Function *table, int n, const Token *name)
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
starts_aggregate(Parser *parser)
{
	Token		name = parser->token;
	bool		result;

	if (name.kind != TOKEN_NAME || starts_path(parser))
		return false;
	advance(parser);
	result = is_word(parser, "in");
	parser->token = name;
	return result;
}

/* [max 500], or nothing */
static int
parse_cap(Parser *parser)
{
	char	   *text;
	int			cap;

	if (!accept(parser, "["))
		return 0;
	expect_word(parser, "max");
	text = token_text(parser);
	cap = parser->token.kind == TOKEN_NUMBER && strlen(text) < 6 &&
		strchr(text, '.') == NULL ? atoi(text) : 0;
	if (cap < 1)
		bad(parser, parser->token.at, "The cap of a list must be a whole number from 1 to 99999.");
	advance(parser);
	expect(parser, "]");
	return cap;
}

/* sum(i in path [max n]: body); the name and the "(" were taken */
static AmountNode *
parse_aggregate(Parser *parser, const Token *name)
{
	const Function *function = find_function(parser, aggregates,
											 lengthof(aggregates), name);
	Token		variable = parser->token;
	AmountNode *node;

	if (function == NULL)
		bad(parser, name->at, "Only sum, count, min, max, any and all go over a list.");
	node = make_node(function->kind, name->at, 2);
	node->name = function->name;
	advance(parser);
	expect_word(parser, "in");
	if (parser->token.kind != TOKEN_NAME)
		bad(parser, parser->token.at, "A path must follow \"in\".");
	node->args[0] = parse_path(parser);
	node->max_items = parse_cap(parser);
	expect(parser, ":");
	node->slot = parser->nvariables;
	bind_variable(parser, &variable, AMOUNT_JSON, "");
	node->args[1] = parse_nested(parser);
	parser->nvariables--;
	expect(parser, ")");
	uaef_amount_check(&parser->source, node);
	return node;
}

/* name(arguments) */
static AmountNode *
parse_call(Parser *parser)
{
	Token		name = parser->token;
	AmountNode *args[MAX_ARGUMENTS];
	AmountNode *node;
	const Function *function;
	int			nargs = 0;

	advance(parser);
	expect(parser, "(");
	if (starts_aggregate(parser))
		return parse_aggregate(parser, &name);
	function = find_function(parser, functions, lengthof(functions), &name);
	if (function == NULL)
		bad(parser, name.at, psprintf("There is no function \"%.*s\".",
									  name.end - name.at,
									  parser->source.text + name.at));
	if (!accept(parser, ")"))
	{
		do
		{
			if (nargs == MAX_ARGUMENTS)
				bad(parser, parser->token.at, "There are too many arguments.");
			args[nargs++] = parse_nested(parser);
		} while (accept(parser, ","));
		expect(parser, ")");
	}
	if (nargs < function->min_args)
		bad(parser, name.at, psprintf("Too few arguments for %s: it needs %d.",
									  function->name, function->min_args));
	if (nargs > function->max_args)
		bad(parser, name.at, psprintf("Too many arguments for %s: it takes %d.",
									  function->name, function->max_args));
	node = make_node(function->kind, name.at, nargs);
	node->name = function->name;
	memcpy(node->args, args, nargs * sizeof(AmountNode *));
	uaef_amount_check(&parser->source, node);
	return node;
}

/* ["US", "CA"]: constants; the "[" was taken */
static AmountNode *
parse_list(Parser *parser)
{
	AmountNode *items[MAX_ARGUMENTS];
	AmountNode *node;
	int			at = parser->token.at;
	int			n = 0;

	do
	{
		if (n == MAX_ARGUMENTS)
			bad(parser, parser->token.at, "The list is too long.");
		items[n++] = parse_unary(parser);
	} while (accept(parser, ","));
	expect(parser, "]");
	node = make_node(NODE_LIST, at, n);
	memcpy(node->args, items, n * sizeof(AmountNode *));
	uaef_amount_check(&parser->source, node);
	return node;
}

/* What begins with a name. */
static AmountNode *
parse_name(Parser *parser)
{
	static const char *const words[] = {
		"in", "then", "else", "and", "or", "not"
	};
	Token		name = parser->token;
	AmountNode *money;

	if (is_digit(byte_at(parser, name.at)))
		bad(parser, name.at, "A name cannot begin with a digit.");
	if (starts_path(parser))
		return parse_path(parser);
	if (accept_word(parser, "if"))
		return parse_if(parser);
	if (accept_word(parser, "let"))
		return parse_let(parser);
	if (is_word(parser, "true") || is_word(parser, "false"))
		return parse_bool(parser, token_is(parser, "true"));
	for (int i = 0; i < lengthof(words); i++)
	{
		if (token_is(parser, words[i]))
			bad(parser, name.at, psprintf("\"%s\" cannot stand here.",
										  words[i]));
	}
	money = parse_money(parser);
	if (money != NULL)
		return money;
	if (byte_at(parser, name.end) == '(')
		return parse_call(parser);
	return parse_path(parser);
}

static AmountNode *
parse_primary(Parser *parser)
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
			bad(parser, parser->token.at, "The expression ends too early.");
		case TOKEN_SYMBOL:
			break;
	}
	if (accept(parser, "["))
		return parse_list(parser);
	if (!accept(parser, "("))
		bad(parser, parser->token.at, psprintf("\"%s\" cannot stand here.",
											   token_text(parser)));
	node = parse_nested(parser);
	expect(parser, ")");
	return node;
}

static AmountNode *
parse_unary(Parser *parser)
{
	int			at = parser->token.at;

	if (accept(parser, "-"))
		return make_checked(parser, NODE_NEGATE, at, parse_primary(parser),
							NULL);
	return parse_primary(parser);
}

static AmountNode *
parse_mul(Parser *parser)
{
	AmountNode *left = parse_unary(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (accept(parser, "*"))
			left = make_checked(parser, NODE_MULTIPLY, at, left,
								parse_unary(parser));
		else if (accept(parser, "/"))
			left = make_checked(parser, NODE_DIVIDE, at, left,
								parse_unary(parser));
		else
			return left;
	}
}

static AmountNode *
parse_add(Parser *parser)
{
	AmountNode *left = parse_mul(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (accept(parser, "+"))
			left = make_checked(parser, NODE_ADD, at, left,
								parse_mul(parser));
		else if (accept(parser, "-"))
			left = make_checked(parser, NODE_SUBTRACT, at, left,
								parse_mul(parser));
		else
			return left;
	}
}

/* At most one comparison: a < b < c has no meaning here. */
static AmountNode *
parse_comparison(Parser *parser)
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
		if (accept(parser, comparisons[i].symbol))
			return make_checked(parser, comparisons[i].kind, at, left,
								parse_add(parser));
	}
	if (!parser->no_in && accept_word(parser, "in"))
		return make_checked(parser, NODE_IN, at, left, parse_add(parser));
	return left;
}

static AmountNode *
parse_not(Parser *parser)
{
	int			at = parser->token.at;

	if (accept_word(parser, "not"))
		return make_checked(parser, NODE_NOT, at, parse_comparison(parser),
							NULL);
	return parse_comparison(parser);
}

static AmountNode *
parse_and(Parser *parser)
{
	AmountNode *left = parse_not(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (!accept_word(parser, "and"))
			return left;
		left = make_checked(parser, NODE_AND, at, left, parse_not(parser));
	}
}

static AmountNode *
parse_or(Parser *parser)
{
	AmountNode *left = parse_and(parser);

	for (;;)
	{
		int			at = parser->token.at;

		if (!accept_word(parser, "or"))
			return left;
		left = make_checked(parser, NODE_OR, at, left, parse_and(parser));
	}
}

/* An expression within another; no_in tells whether "in" ends it. */
static AmountNode *
parse_inner(Parser *parser, bool no_in)
{
	bool		outer_no_in = parser->no_in;
	AmountNode *node;

	if (++parser->depth > UAEF_AMOUNT_MAX_DEPTH)
		bad(parser, parser->token.at,
			psprintf("The expression is deeper than %d levels.",
					 UAEF_AMOUNT_MAX_DEPTH));
	parser->no_in = no_in;
	node = parse_or(parser);
	parser->no_in = outer_no_in;
	parser->depth--;
	return node;
}

/* An expression that a word or a parenthesis closes. */
static AmountNode *
parse_nested(Parser *parser)
{
	return parse_inner(parser, false);
}

/* Steps that a node can take, with the caps that are given. */
static int64
static_cost(const AmountNode *node)
{
	int64		cost = 1;

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
uaef_amount_parse(const char *text, bool any_root)
{
	Parser		parser = {.any_root = any_root};
	AmountNode *root;

	parser.source.text = text;
	parser.source.len = strlen(text);
	if (parser.source.len > MAX_TEXT_BYTES)
		bad(&parser, 0, psprintf("The expression is longer than %d bytes.",
								 MAX_TEXT_BYTES));
	advance(&parser);
	root = parse_nested(&parser);
	if (parser.token.kind != TOKEN_END)
		bad(&parser, parser.token.at, psprintf("\"%s\" cannot stand here.",
											   token_text(&parser)));
	if (static_cost(root) > UAEF_AMOUNT_MAX_STEPS)
		uaef_amount_bad(&parser.source, 0, ERRCODE_UAEF_COST_LIMIT,
						psprintf("The expression can take more than %d steps.",
								 UAEF_AMOUNT_MAX_STEPS));
	return root;
}
