/*-------------------------------------------------------------------------
 *
 * formula.h
 *	  Formulas in the manner of Python as expressions of the amount language.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_FORMULA_H
#define UAEF_FORMULA_H

/*
 * data['order']['amount'] * 0.1 is in.order.amount * 0.1.  Only arithmetic,
 * comparisons, and, or, not, a if c else b, min, max, abs, round, float, int,
 * Decimal and data.get are understood.  Raises UA244 with the place.
 */
extern char *uaef_formula_migrate(const char *formula);

#endif							/* UAEF_FORMULA_H */
