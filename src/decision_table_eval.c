/*-------------------------------------------------------------------------
 *
 * decision_table_eval.c
 *	  Evaluating decision tables.
 *
 * Rows are put to the data from the first to the last, and cells from left to
 * right, no further than needed.  Data that a cell cannot judge are a
 * failure, as in any condition.
 *
 * Locking: none.  Memory: as for amount_eval.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "condition_internal.h"
#include "errcodes.h"
#include "numeric_util.h"

static bool is_declared(const AmountColumn *column, const JsonbValue *value);
static bool check_inputs(AmountEvaluation *eval, const AmountTable *table);
static bool row_matches(AmountEvaluation *eval, const AmountTable *table,
						const AmountRow *row, bool *matches);
static bool eval_output(AmountEvaluation *eval, const AmountTable *table,
						const AmountNode *output, AmountValue *value);
static bool take(AmountEvaluation *eval, const AmountTable *table, int row,
				 int first, AmountValue *value);

/* Is a value one that the table was said to be for? */
static bool
is_declared(const AmountColumn *column, const JsonbValue *value)
{
	if (column->nvalues > 0)
	{
		for (int i = 0; i < column->nvalues; i++)
		{
			if (column->values[i].type == value->type &&
				(value->type == jbvBool ?
				 column->values[i].val.boolean == value->val.boolean :
				 uaef_condition_compare(&column->values[i], value) == 0))
				return true;
		}
		return false;
	}
	if (column->min == NULL && column->max == NULL)
		return true;
	return value->type == jbvNumeric &&
		(column->min == NULL ||
		 uaef_numeric_compare(value->val.numeric, column->min) >= 0) &&
		(column->max == NULL ||
		 uaef_numeric_compare(value->val.numeric, column->max) <= 0);
}

/*
 * Inputs outside of what was declared have no row: the rows were checked for
 * the rest only.
 */
static bool
check_inputs(AmountEvaluation *eval, const AmountTable *table)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const AmountColumn *column = &table->columns[i];
		JsonbValue	value;

		if ((column->nvalues > 0 || column->min != NULL ||
			 column->max != NULL) &&
			uaef_path_get(column->path, eval->scope, &value) &&
			!is_declared(column, &value))
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_NO_ROW,
								  uaef_path_text(column->path), NULL,
								  "\"%s\" is none of the values that the table is for",
								  uaef_path_text(column->path));
	}
	return true;
}

static bool
row_matches(AmountEvaluation *eval, const AmountTable *table,
			const AmountRow *row, bool *matches)
{
	*matches = true;
	for (int i = 0; *matches && i < table->ncolumns; i++)
	{
		if (row->cells[i] != NULL &&
			!uaef_condition_eval(row->cells[i], eval->scope, matches,
								 eval->error))
			return false;
	}
	return true;
}

/* An amount, or a percentage of what the table is on. */
static bool
eval_output(AmountEvaluation *eval, const AmountTable *table,
			const AmountNode *output, AmountValue *value)
{
	AmountValue rate;

	if (output->type != AMOUNT_PERCENT)
		return uaef_amount_eval_scale(eval, output, value);
	return uaef_amount_eval_scale(eval, table->on, value) &&
		uaef_amount_eval_number(eval, output, &rate) &&
		uaef_fraction_mul(&value->number, &rate.number, &value->number,
						  eval->error);
}

/* One more row that matches; first is the first that did. */
static bool
take(AmountEvaluation *eval, const AmountTable *table, int row, int first,
	 AmountValue *value)
{
	AmountValue next;
	int			order;

	if (table->hit == HIT_UNIQUE)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_ROWS_CONFLICT, NULL,
							  NULL, "rows %d and %d of the table both match",
							  first + 1, row + 1);
	if (!eval_output(eval, table, table->rows[row].output, &next) ||
		!uaef_amount_same_currency(eval, value, &next))
		return false;
	if (table->hit == HIT_SUM)
		return uaef_fraction_add(&value->number, &next.number, &value->number,
								 eval->error);
	order = uaef_fraction_compare(&next.number, &value->number);
	if (table->hit == HIT_ANY && order != 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_ROWS_CONFLICT, NULL,
							  NULL,
							  "rows %d and %d of the table both match, and differ",
							  first + 1, row + 1);
	if ((table->hit == HIT_MIN && order < 0) ||
		(table->hit == HIT_MAX && order > 0))
		*value = next;
	return true;
}

bool
uaef_amount_eval_table(AmountEvaluation *eval, const AmountTable *table,
					   AmountValue *value)
{
	int			first = -1;
	int			n = 0;

	if (!check_inputs(eval, table))
		return false;
	for (int i = 0; i < table->nrows; i++)
	{
		bool		matches;

		if (!row_matches(eval, table, &table->rows[i], &matches))
			return false;
		if (!matches)
			continue;
		n++;
		if (table->hit == HIT_COUNT)
			first = i;
		else if (first >= 0)
		{
			if (!take(eval, table, i, first, value))
				return false;
		}
		else if (!eval_output(eval, table, table->rows[i].output, value))
			return false;
		else
			first = i;
		if (table->hit == HIT_FIRST)
			return true;
	}
	if (n == 0 && table->otherwise != NULL)
		return eval_output(eval, table, table->otherwise, value);
	if (n == 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_NO_ROW, NULL, NULL,
							  "no row of the table matches");
	if (table->hit == HIT_COUNT)
	{
		value->type = AMOUNT_NUMBER;
		uaef_fraction_from_int(n, &value->number);
	}
	return true;
}
