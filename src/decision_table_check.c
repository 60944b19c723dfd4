/*-------------------------------------------------------------------------
 *
 * decision_table_check.c
 *	  Whether the rows of a decision table cover all data, and once.
 *
 * A column whose cells compare with numbers cuts the numbers at each of
 * theirs: within one piece no cell can tell two numbers apart, so that one
 * sample of each piece stands for all of it.  Texts are those that cells name
 * and any other; truth values are two.  What is true of each combination of
 * samples is true of all data.  A column of other cells is not decidable, and
 * then nothing is said of the table.
 *
 * Locking: none.  Memory: what is palloc'd is left to the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "condition_internal.h"
#include "json_walk.h"
#include "numeric_util.h"

/* Most combinations times rows that are looked at; most problems told. */
#define MAX_WORK		20000000
#define MAX_PROBLEMS	20

/* What a value of a column can be, as far as its cells can tell. */
typedef struct Sample
{
	JsonbValue	value;
	const char *label;			/* after the path: " = 5", " below 5" */
} Sample;

typedef struct Column
{
	enum jbvType type;			/* jbvNull: nothing asks */
	int			nconstants;
	int			size;
	JsonbValue *constants;
	int			n;
	Sample	   *samples;
	bool	   *matches;		/* [row * n + sample] */
} Column;

typedef struct Check
{
	const AmountTable *table;
	Column	   *columns;
	int		   *at;				/* the sample of each column */
	int		   *reached;		/* how often each row was the one */
	List	   *problems;
	bool		gap_told;
} Check;

static bool add_constant(Column *column, const JsonbValue *value);
static bool add_clauses(Column *column, const ConditionClauses *clauses);
static int	compare_constants(const void *a, const void *b);
static void sort_constants(Column *column);
static void add_sample(Column *column, const JsonbValue *value,
					   const char *label);
static void number_value(JsonbValue *value, Numeric number);
static Numeric between(Numeric a, Numeric b);
static void sample_numbers(Column *column, const AmountColumn *declared);
static void sample_texts(Column *column, const AmountColumn *declared);
static void make_samples(Column *column, const AmountColumn *declared);
static bool match_rows(Check *check, int no);
static bool read_column(Check *check, int no);
static bool row_matches(const Check *check, int row);
static char *place_text(const Check *check);
static void tell(Check *check, char *problem);
static bool same_output(const AmountRow *a, const AmountRow *b);
static void look_at(Check *check);
static void tell_unreached(Check *check);

/* Note a constant of a cell; false when the column has another type. */
static bool
add_constant(Column *column, const JsonbValue *value)
{
	if (value->type != jbvNumeric && value->type != jbvString &&
		value->type != jbvBool)
		return false;
	if (column->type != jbvNull && column->type != value->type)
		return false;
	column->type = value->type;
	if (column->nconstants == column->size)
	{
		column->size = Max(16, column->size * 2);
		column->constants = column->constants == NULL ?
			palloc(column->size * sizeof(JsonbValue)) :
			repalloc(column->constants, column->size * sizeof(JsonbValue));
	}
	column->constants[column->nconstants++] = *value;
	return true;
}

/* Note the constants of operators; false when they are not decidable. */
static bool
add_clauses(Column *column, const ConditionClauses *clauses)
{
	for (int i = 0; i < clauses->n; i++)
	{
		const ConditionClause *clause = &clauses->items[i];

		switch (clause->op)
		{
			case OP_GT:
			case OP_GTE:
			case OP_LT:
			case OP_LTE:
				if (clause->operand.type != jbvNumeric)
					return false;
				/* FALLTHROUGH */
			case OP_EQ:
			case OP_NE:
				if (!add_constant(column, &clause->operand))
					return false;
				break;
			case OP_BETWEEN:
				if (clause->list[0].type != jbvNumeric)
					return false;
				/* FALLTHROUGH */
			case OP_IN:
			case OP_NIN:
				for (int j = 0; j < clause->nlist; j++)
				{
					if (!add_constant(column, &clause->list[j]))
						return false;
				}
				break;
			case OP_NOT:
				if (!add_clauses(column, &clause->inner))
					return false;
				break;
			default:
				return false;
		}
	}
	return true;
}

static int
compare_constants(const void *a, const void *b)
{
	const JsonbValue *left = a;
	const JsonbValue *right = b;

	if (left->type == jbvBool)
		return (int) left->val.boolean - (int) right->val.boolean;
	return uaef_condition_compare(left, right);
}

/* In order, each once. */
static void
sort_constants(Column *column)
{
	int			n = 0;

	if (column->nconstants == 0)
		return;
	qsort(column->constants, column->nconstants, sizeof(JsonbValue),
		  compare_constants);
	for (int i = 1; i < column->nconstants; i++)
	{
		if (compare_constants(&column->constants[n],
							  &column->constants[i]) != 0)
			column->constants[++n] = column->constants[i];
	}
	column->nconstants = n + 1;
}

static void
add_sample(Column *column, const JsonbValue *value, const char *label)
{
	column->samples[column->n].value = *value;
	column->samples[column->n++].label = label;
}

static void
number_value(JsonbValue *value, Numeric number)
{
	value->type = jbvNumeric;
	value->val.numeric = number;
}

static Numeric
between(Numeric a, Numeric b)
{
	return uaef_numeric_op(numeric_mul, uaef_numeric_op(numeric_add, a, b),
						   uaef_numeric_from_text("0.5"));
}

/* Each constant, and what is below, between and above them. */
static void
sample_numbers(Column *column, const AmountColumn *declared)
{
	Numeric		one = int64_to_numeric(1);
	JsonbValue	value;

	for (int i = 0; i < column->nconstants; i++)
	{
		Numeric		here = column->constants[i].val.numeric;
		char	   *text = uaef_numeric_text(here);
		bool		above_min = declared->min == NULL ||
			uaef_numeric_compare(here, declared->min) > 0;
		bool		below_max = declared->max == NULL ||
			uaef_numeric_compare(here, declared->max) < 0;

		if (i == 0 && declared->min == NULL)
		{
			number_value(&value, uaef_numeric_op(numeric_sub, here, one));
			add_sample(column, &value, psprintf(" below %s", text));
		}
		if ((above_min || uaef_numeric_compare(here, declared->min) == 0) &&
			(below_max || uaef_numeric_compare(here, declared->max) == 0))
			add_sample(column, &column->constants[i],
					   psprintf(" = %s", text));
		if (i + 1 < column->nconstants)
		{
			Numeric		next = column->constants[i + 1].val.numeric;

			if ((declared->min != NULL &&
				 uaef_numeric_compare(here, declared->min) < 0) || !below_max)
				continue;
			number_value(&value, between(here, next));
			add_sample(column, &value, psprintf(" between %s and %s", text,
												uaef_numeric_text(next)));
		}
		else if (declared->max == NULL)
		{
			number_value(&value, uaef_numeric_op(numeric_add, here, one));
			add_sample(column, &value, psprintf(" above %s", text));
		}
	}
}

/* Each text that a cell names, and one that none does. */
static void
sample_texts(Column *column, const AmountColumn *declared)
{
	JsonbValue	other = {.type = jbvString};
	int			longest = 0;

	for (int i = 0; i < column->nconstants; i++)
	{
		const JsonbValue *value = &column->constants[i];

		longest = Max(longest, value->val.string.len);
		add_sample(column, value,
				   psprintf(" = \"%s\"",
							uaef_eval_clip(value->val.string.val,
										   value->val.string.len)));
	}
	if (declared->nvalues > 0)
		return;
	other.val.string.len = longest + 1;
	other.val.string.val = palloc(longest + 1);
	memset(other.val.string.val, '?', longest + 1);
	add_sample(column, &other, " = any other text");
}

static void
make_samples(Column *column, const AmountColumn *declared)
{
	JsonbValue	value = {.type = jbvBool};

	column->samples = palloc((column->nconstants * 2 + 3) * sizeof(Sample));
	if (declared->nvalues > 0 && column->type == jbvNumeric)
	{
		for (int i = 0; i < column->nconstants; i++)
			add_sample(column, &column->constants[i],
					   psprintf(" = %s",
								uaef_numeric_text(column->constants[i].val.numeric)));
	}
	else if (column->type == jbvNumeric)
		sample_numbers(column, declared);
	else if (column->type == jbvString)
		sample_texts(column, declared);
	else if (column->type == jbvBool)
	{
		add_sample(column, &value, " = false");
		value.val.boolean = true;
		add_sample(column, &value, " = true");
	}
	else
		add_sample(column, &value, NULL);
}

/* Which samples the cells of a column take; false when one cannot be told. */
static bool
match_rows(Check *check, int no)
{
	Column	   *column = &check->columns[no];
	UaefEvalError error;

	column->matches = palloc(check->table->nrows * column->n * sizeof(bool));
	for (int row = 0; row < check->table->nrows; row++)
	{
		const UaefCondition *cell = check->table->rows[row].cells[no];

		for (int i = 0; i < column->n; i++)
		{
			bool	   *matches = &column->matches[row * column->n + i];

			*matches = true;
			if (cell != NULL &&
				!uaef_condition_eval_value(cell, &column->samples[i].value,
										   matches, &error))
				return false;
		}
	}
	return true;
}

/* The samples of a column; false when it is not decidable. */
static bool
read_column(Check *check, int no)
{
	const AmountColumn *declared = &check->table->columns[no];
	Column	   *column = &check->columns[no];
	JsonbValue	bound;

	column->type = jbvNull;
	for (int row = 0; row < check->table->nrows; row++)
	{
		const UaefCondition *cell = check->table->rows[row].cells[no];

		if (cell != NULL && (cell->root->kind != CONDITION_FIELD ||
							 !add_clauses(column, &cell->root->clauses)))
			return false;
	}
	if (declared->nvalues > 0)
		column->nconstants = 0;
	for (int i = 0; i < declared->nvalues; i++)
	{
		if (!add_constant(column, &declared->values[i]))
			return false;
	}
	number_value(&bound, declared->min);
	if (declared->min != NULL && !add_constant(column, &bound))
		return false;
	number_value(&bound, declared->max);
	if (declared->max != NULL && !add_constant(column, &bound))
		return false;
	sort_constants(column);
	make_samples(column, declared);
	return match_rows(check, no);
}

static bool
row_matches(const Check *check, int row)
{
	for (int i = 0; i < check->table->ncolumns; i++)
	{
		const Column *column = &check->columns[i];

		if (!column->matches[row * column->n + check->at[i]])
			return false;
	}
	return true;
}

/* in.region = "US", in.amount below 5 */
static char *
place_text(const Check *check)
{
	char	   *text = "";

	for (int i = 0; i < check->table->ncolumns; i++)
	{
		const char *label = check->columns[i].samples[check->at[i]].label;

		if (label != NULL)
			text = psprintf("%s%s%s%s", text, text[0] == '\0' ? "" : ", ",
							uaef_path_text(check->table->columns[i].path),
							label);
	}
	return text[0] == '\0' ? "any data" : text;
}

static void
tell(Check *check, char *problem)
{
	if (list_length(check->problems) < MAX_PROBLEMS)
		check->problems = lappend(check->problems, problem);
}

/* Are these two constants, and the same? */
static bool
same_output(const AmountRow *a, const AmountRow *b)
{
	if (a->output->kind != NODE_CONSTANT || b->output->kind != NODE_CONSTANT)
		return true;
	return a->output->type == b->output->type &&
		uaef_fraction_compare(&a->output->constant.number,
							  &b->output->constant.number) == 0;
}

/* One combination of samples: which rows match it? */
static void
look_at(Check *check)
{
	const AmountTable *table = check->table;
	int			first = -1;

	for (int row = 0; row < table->nrows; row++)
	{
		if (!row_matches(check, row))
			continue;
		if (first < 0 || table->hit != HIT_FIRST)
			check->reached[row]++;
		if (first >= 0 &&
			(table->hit == HIT_UNIQUE ||
			 (table->hit == HIT_ANY &&
			  !same_output(&table->rows[first], &table->rows[row]))))
		{
			tell(check, psprintf("Rows %d and %d both match %s.", first + 1,
								 row + 1, place_text(check)));
			return;
		}
		if (first < 0)
			first = row;
	}
	if (first < 0 && table->otherwise == NULL)
		tell(check, psprintf("No row matches %s.", place_text(check)));
}

static void
tell_unreached(Check *check)
{
	for (int row = 0; row < check->table->nrows; row++)
	{
		if (check->reached[row] == 0)
			tell(check, psprintf("Row %d never counts.", row + 1));
	}
}

List *
uaef_amount_table_problems(const AmountTable *table)
{
	Check		check = {table};
	double		work = table->nrows;
	int			no;

	check.columns = palloc0(table->ncolumns * sizeof(Column));
	check.at = palloc0(table->ncolumns * sizeof(int));
	check.reached = palloc0(table->nrows * sizeof(int));
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (!read_column(&check, i))
			return NIL;
		work *= check.columns[i].n;
	}
	if (work > MAX_WORK)
		return NIL;

	do
	{
		look_at(&check);
		for (no = 0; no < table->ncolumns; no++)
		{
			if (++check.at[no] < check.columns[no].n)
				break;
			check.at[no] = 0;
		}
	} while (no < table->ncolumns);
	if (check.problems == NIL)
		tell_unreached(&check);
	return check.problems;
}
