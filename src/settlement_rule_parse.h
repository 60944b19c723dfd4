/*-------------------------------------------------------------------------
 *
 * settlement_rule_parse.h
 *	  What the parts of the compiler of settlement rules share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_RULE_PARSE_H
#define UAEF_SETTLEMENT_RULE_PARSE_H

#include "settlement_rule.h"

/* Whose rule is parsed, and where in it we are. */
typedef struct UaefRuleParser
{
	const char *name;
	const UaefTyping *typing;	/* of the data, or NULL */
	List	  **defects;		/* NULL: the first one is raised */
	MemoryContext context;		/* of the defects */
	char		place[100];
	ErrorContextCallback callback;
} UaefRuleParser;

#define refuse(code, ...) \
	ereport(ERROR, (errcode(code), errmsg(__VA_ARGS__)))

/* Errors from here on arise at that place. */
extern void uaef_rule_at(UaefRuleParser *parser, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* Raise UA221 for the first key that is not among known. */
extern void uaef_rule_check_keys(Jsonb *object, const char *const *known);

/* A value that must be an array, or an object, as a document. */
extern Jsonb *uaef_rule_container(JsonbValue *value, bool array);

/* A key's text, or number, of an object; NULL where it is missing. */
extern char *uaef_rule_text(Jsonb *object, const char *key, bool required);
extern Numeric uaef_rule_decimal(Jsonb *object, const char *key);
extern Numeric uaef_rule_parse_decimal(const char *key, const char *text,
									   int len);

/* The same in minor units of the rule's currency; raises UA206. */
extern Numeric uaef_rule_minor(const UaefSettlementRule *rule, const char *key,
							   Numeric amount);

/* The error that was caught, as a defect; what is no fault of it goes on. */
extern void uaef_rule_note_defect(UaefRuleParser *parser);

/* settlement_rule_parts.c */
extern void uaef_rule_parse_recipients(UaefRuleParser *parser,
									   UaefSettlementRule *rule,
									   Jsonb *definition);
extern void uaef_rule_parse_approval(UaefRuleParser *parser,
									 UaefSettlementRule *rule,
									 Jsonb *definition);

#endif							/* UAEF_SETTLEMENT_RULE_PARSE_H */
