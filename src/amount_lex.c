/*-------------------------------------------------------------------------
 *
 * amount_lex.c
 *	  The amount language: tokens.
 *
 * A name that a dot or an index follows is the beginning of a path, even where
 * the name alone would be a word of the language: "in" is an operator, and
 * "in.total" is a path.
 *
 * Locking: none.  Memory: none kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_lex.h"
#include "errcodes.h"

static void scan_number(AmountParser *parser);
static void scan_string(AmountParser *parser);

bool
uaef_lex_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
uaef_lex_is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		uaef_lex_is_digit(c) || c == '_';
}

void
uaef_lex_bad(AmountParser *parser, int at, const char *detail)
{
	uaef_amount_bad(&parser->source, at, ERRCODE_UAEF_BAD_EXPRESSION, detail);
}

/* The byte there, or NUL at the end. */
char
uaef_lex_byte(AmountParser *parser, int at)
{
	return at < parser->source.len ? parser->source.text[at] : '\0';
}

/* digits[.digits][%] */
static void
scan_number(AmountParser *parser)
{
	AmountToken *token = &parser->token;

	token->kind = TOKEN_NUMBER;
	while (uaef_lex_is_digit(uaef_lex_byte(parser, token->end)))
		token->end++;
	if (uaef_lex_byte(parser, token->end) == '.')
	{
		token->end++;
		if (!uaef_lex_is_digit(uaef_lex_byte(parser, token->end)))
			uaef_lex_bad(parser, token->end, "Digits must follow the point.");
		while (uaef_lex_is_digit(uaef_lex_byte(parser, token->end)))
			token->end++;
	}
	if (uaef_lex_byte(parser, token->end) == '%')
	{
		token->kind = TOKEN_PERCENT;
		token->end++;
	}
	else if (uaef_lex_is_name_char(uaef_lex_byte(parser, token->end)))
		uaef_lex_bad(parser, token->end, "A number has a letter in it.");
}

/* "...", with a quote in it doubled */
static void
scan_string(AmountParser *parser)
{
	AmountToken *token = &parser->token;

	token->kind = TOKEN_STRING;
	token->end++;
	for (;;)
	{
		if (token->end >= parser->source.len)
			uaef_lex_bad(parser, token->at, "A text has no closing quote.");
		if (uaef_lex_byte(parser, token->end++) == '"')
		{
			if (uaef_lex_byte(parser, token->end) != '"')
				return;
			token->end++;
		}
	}
}

/* Read the next token. */
void
uaef_lex_advance(AmountParser *parser)
{
	AmountToken *token = &parser->token;
	char		c;

	token->at = token->end;
	while ((c = uaef_lex_byte(parser, token->at)) == ' ' || c == '\t' ||
		   c == '\n' || c == '\r')
		token->at++;
	token->end = token->at;

	if (token->at >= parser->source.len)
		token->kind = TOKEN_END;
	else if (uaef_lex_is_digit(c))
		scan_number(parser);
	else if (c == '"')
		scan_string(parser);
	else if (uaef_lex_is_name_char(c))
	{
		token->kind = TOKEN_NAME;
		while (uaef_lex_is_name_char(uaef_lex_byte(parser, token->end)))
			token->end++;
	}
	else if (strchr("+-*/(),=<>!:[]", c) != NULL)
	{
		token->kind = TOKEN_SYMBOL;
		token->end++;
		if (strchr("<>!", c) != NULL && uaef_lex_byte(parser, token->end) == '=')
			token->end++;
	}
	else
		uaef_lex_bad(parser, token->at, "There is no such symbol.");
}

bool
uaef_lex_token_is(AmountParser *parser, const char *text)
{
	int			len = parser->token.end - parser->token.at;

	return len == strlen(text) &&
		memcmp(parser->source.text + parser->token.at, text, len) == 0;
}

/* Take a symbol if it is next. */
bool
uaef_lex_accept(AmountParser *parser, const char *text)
{
	if (parser->token.kind != TOKEN_SYMBOL || !uaef_lex_token_is(parser, text))
		return false;
	uaef_lex_advance(parser);
	return true;
}

void
uaef_lex_expect(AmountParser *parser, const char *text)
{
	if (!uaef_lex_accept(parser, text))
		uaef_lex_bad(parser, parser->token.at, psprintf("\"%s\" is needed here.",
														text));
}

char *
uaef_lex_token_text(AmountParser *parser)
{
	return pnstrdup(parser->source.text + parser->token.at,
					parser->token.end - parser->token.at);
}

/* Does the name that is next go on as a path? */
bool
uaef_lex_starts_path(AmountParser *parser)
{
	char		next = uaef_lex_byte(parser, parser->token.end);

	return next == '.' ||
		(next == '[' && uaef_lex_is_digit(uaef_lex_byte(parser, parser->token.end + 1)));
}

/* Is the word next, as a word of the language and no first name of a path? */
bool
uaef_lex_is_word(AmountParser *parser, const char *word)
{
	return parser->token.kind == TOKEN_NAME && uaef_lex_token_is(parser, word) &&
		!uaef_lex_starts_path(parser);
}

bool
uaef_lex_accept_word(AmountParser *parser, const char *word)
{
	if (!uaef_lex_is_word(parser, word))
		return false;
	uaef_lex_advance(parser);
	return true;
}

void
uaef_lex_expect_word(AmountParser *parser, const char *word)
{
	if (!uaef_lex_accept_word(parser, word))
		uaef_lex_bad(parser, parser->token.at, psprintf("\"%s\" is needed here.",
														word));
}
