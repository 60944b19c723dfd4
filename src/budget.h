/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  Budgets: how much and how often may be paid in a time.
 *
 * A budget is over all signals of a currency, or over each workflow, recipient
 * or agent, or over one of them; its window is a part of a calendar ("month") or
 * the time just past ("30 days").  What is admitted counts in the transaction
 * that asks, under the lock of a row of the budget and its subject, so nothing
 * is lost and nothing counted twice.
 *
 * Locking: executions first, then rows of budget_use in the order of budgets and
 * subjects.  The identity must be the owner, within uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BUDGET_H
#define UAEF_BUDGET_H

#include "settlement_signal.h"

/*
 * Put signals to the budgets that are over them; refused[i] is set to what
 * refuses a signal, as an array of objects, and else left alone.  What is
 * admitted counts from then on; budgets that only warn or log are recorded.
 */
extern void uaef_budget_admit(const UaefSignal *signals, int n,
							  Jsonb **refused);

/* The same for one, and raise UA551 when it is refused. */
extern void uaef_budget_require(const UaefSignal *signal);

/* These signals count no longer. */
extern void uaef_budget_give_back(const int64 *signal_ids, int n);

/* budget_store.c: what people do to budgets. */
#define UAEF_BUDGET_ARGS 9
extern void uaef_budget_create(Datum *args, const char *nulls, Oid actor);
extern void uaef_budget_drop(const char *name, Oid actor);

#endif							/* UAEF_BUDGET_H */
