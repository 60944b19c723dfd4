/*-------------------------------------------------------------------------
 *
 * amount.h
 *	  The amount language: typed, exact, bounded (docs/amounts.md).
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AMOUNT_H
#define UAEF_AMOUNT_H

#include "condition.h"
#include "money.h"
#include "path.h"

typedef struct UaefAmount UaefAmount;

/*
 * With typing, what is known of the data is checked too: a path that can lead
 * nowhere, or to nothing that could be used, is UA221.
 *
 * Compile the text of an expression whose result is money (or, when currency
 * is not NULL, a number that is then money of that currency).  Raises UA221
 * with the position, or UA208 for currencies that do not mix.
 */
extern UaefAmount *uaef_amount_compile(const char *text, const char *currency,
									   bool any_root,
									   const UaefTyping *typing);

/*
 * Compile a tier table:
 * {"mode":"marginal"|"slab","on":"in.gmv","bands":[{"to":"1000","rate":"2.9%"},
 *  {"rate":"2%"}],"min":"25","max":"300"}; min and max are optional.  on is an
 * expression.  Gaps, overlaps and a missing last band are refused (UA221).
 */
extern UaefAmount *uaef_amount_compile_tiers(Jsonb *tiers, const char *currency,
											 bool any_root,
											 const UaefTyping *typing);

/*
 * Compile a decision table:
 * {"hit":"unique"|"first"|"any"|"collect","inputs":["in.region",
 *  {"path":"in.amount","min":0}],"rows":[["US",{"$lt":1000},"1.5%"],...],
 *  "on":"in.amount","default":"0"}; collect says what of: "sum", "min", "max"
 * or "count".  Gaps and rows that collide are refused where they can be known.
 */
extern UaefAmount *uaef_amount_compile_table(Jsonb *table, const char *currency,
											 bool any_root,
											 const UaefTyping *typing);

extern void uaef_amount_paths(const UaefAmount *amount,
							  void (*visit) (const UaefPath *path, void *arg),
							  void *arg);

/* The currency of the result; NULL when only the data knows it. */
extern const char *uaef_amount_currency(const UaefAmount *amount);

/*
 * Evaluate to an exact amount and its currency.  False on failure; nothing
 * that fails leaves a number.
 */
extern bool uaef_amount_eval(const UaefAmount *amount, UaefScope *scope,
							 UaefRational *exact, const char **currency,
							 UaefEvalError *error);

/*
 * The same, with what each part of it gave, in the order of evaluation:
 * [{"at": byte, "what": path, function or operator, "value", "currency"}]
 */
extern bool uaef_amount_explain(const UaefAmount *amount, UaefScope *scope,
								UaefRational *exact, const char **currency,
								Jsonb **steps, UaefEvalError *error);

#endif							/* UAEF_AMOUNT_H */
