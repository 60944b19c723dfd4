/*-------------------------------------------------------------------------
 *
 * amount_lex.h
 *	  The amount language: tokens, and the parser that takes them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AMOUNT_LEX_H
#define UAEF_AMOUNT_LEX_H

#include "amount_internal.h"

typedef enum AmountTokenKind
{
	TOKEN_END,
	TOKEN_NUMBER,
	TOKEN_PERCENT,
	TOKEN_STRING,
	TOKEN_NAME,
	TOKEN_SYMBOL
} AmountTokenKind;

typedef struct AmountToken
{
	AmountTokenKind kind;
	int			at;				/* first byte */
	int			end;			/* after the last one */
} AmountToken;

/* A name that let or an aggregate has bound; the slot is its index. */
typedef struct AmountVariable
{
	int			at;
	int			len;
	AmountType	type;
	char		currency[4];
} AmountVariable;

typedef struct AmountParser
{
	AmountSource source;
	bool		any_root;
	const UaefTyping *typing;	/* what paths lead to, or NULL */
	AmountToken token;			/* the next one */
	int			depth;
	bool		no_in;			/* "in" ends the expression: let x = ... in */
	int			nvariables;
	AmountVariable variables[UAEF_AMOUNT_MAX_DEPTH];
} AmountParser;

/* Raise UA221 at a place in the text. */
pg_noreturn extern void uaef_lex_bad(AmountParser *parser, int at,
									 const char *detail);

extern bool uaef_lex_is_digit(char c);
extern bool uaef_lex_is_name_char(char c);
extern char uaef_lex_byte(AmountParser *parser, int at);

/* Read the next token. */
extern void uaef_lex_advance(AmountParser *parser);

extern bool uaef_lex_token_is(AmountParser *parser, const char *text);
extern char *uaef_lex_token_text(AmountParser *parser);

/* Take a symbol if it is next; it must be next. */
extern bool uaef_lex_accept(AmountParser *parser, const char *text);
extern void uaef_lex_expect(AmountParser *parser, const char *text);

/* Does the name that is next go on as a path? */
extern bool uaef_lex_starts_path(AmountParser *parser);

/* The same for words, which are no first names of paths. */
extern bool uaef_lex_is_word(AmountParser *parser, const char *word);
extern bool uaef_lex_accept_word(AmountParser *parser, const char *word);
extern void uaef_lex_expect_word(AmountParser *parser, const char *word);

/* The two halves of the parser: operators, and what stands between them. */
extern AmountNode *uaef_amount_make_node(AmountKind kind, int at, int nargs);
extern AmountNode *uaef_amount_parse_primary(AmountParser *parser);
extern AmountNode *uaef_amount_parse_unary(AmountParser *parser);
extern AmountNode *uaef_amount_parse_inner(AmountParser *parser, bool no_in);
extern AmountNode *uaef_amount_parse_nested(AmountParser *parser);

#endif							/* UAEF_AMOUNT_LEX_H */
