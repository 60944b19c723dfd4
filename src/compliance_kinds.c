/*-------------------------------------------------------------------------
 *
 * compliance_kinds.c
 *	  Kinds of compliance checks beyond fields, thresholds and conditions.
 *
 * As everywhere in checkpoints, what cannot be judged fails.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compliance_internal.h"
#include "json_util.h"
#include "numeric_util.h"
#include "pattern.h"
#include "settlement_eval.h"

/* An expression that is a number is one; amounts of another are refused. */
#define ANY_CURRENCY "EUR"

/* Operators of cross_field, in the order of op_names. */
enum
{
	OP_EQ, OP_NE, OP_LT, OP_LTE, OP_GT, OP_GTE
};

static const char *const op_names[] = {
	"$eq", "$ne", "$lt", "$lte", "$gt", "$gte", NULL
};

static void
read_field(const UaefObject *object, Check *check, int n, const char *key)
{
	check->n_fields = n + 1;
	if (check->fields == NULL)
		check->fields = palloc(2 * sizeof(UaefPath *));
	check->fields[n] = uaef_check_path(object, key,
									   uaef_read_text(object, key, true));
}

/*
 * A field's plain value; what is missing, null, a list or an object fails.
 */
static bool
plain_value(CheckRun *run, UaefScope *scope, int n, JsonbValue *value)
{
	const UaefPath *path = run->check->fields[n];
	const char *text = uaef_path_text(path);

	if (!uaef_path_get(path, scope, value))
		uaef_check_fail(run, text, "missing",
						psprintf("\"%s\" is missing", text));
	else if (value->type == jbvNull)
		uaef_check_fail(run, text, "null", psprintf("\"%s\" is null", text));
	else if (value->type == jbvBinary)
		uaef_check_fail(run, text, "not_plain",
						psprintf("\"%s\" is of type %s", text,
								 uaef_value_type(value)));
	else
		return true;
	return false;
}

static char *
text_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Below, at or above 0; only for values of one type.
 */
static int
compare(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type == jbvNumeric)
		return uaef_numeric_compare(a->val.numeric, b->val.numeric);
	if (a->type == jbvBool)
		return (int) a->val.boolean - (int) b->val.boolean;
	return strcmp(text_of(a), text_of(b));
}

/*----------
 * enum, pattern
 * ----------
 */

void
uaef_check_read_enum(const UaefObject *object, Check *check)
{
	JsonbValue	value;
	int			n;

	read_field(object, check, 0, "field");
	(void) uaef_read_array(object, "values", true, &n);
	if (n < 1)
		uaef_read_wrong(object, "values", "an array of values");
	(void) uaef_read_value(object, "values", &value);
	check->values = uaef_json_from_value(&value);
	for (int i = 0; i < n; i++)
		if (getIthJsonbValueFromContainer(&check->values->root, i)->type == jbvBinary)
			uaef_read_wrong(object, "values",
							"an array of texts, numbers and booleans");
}

void
uaef_check_enum(CheckRun *run, UaefScope *scope)
{
	Jsonb	   *values = run->check->values;
	const char *text = uaef_path_text(run->check->fields[0]);
	JsonbValue	value;

	if (!plain_value(run, scope, 0, &value))
		return;
	for (int i = 0; i < JB_ROOT_COUNT(values); i++)
	{
		JsonbValue *one = getIthJsonbValueFromContainer(&values->root, i);

		if (one->type == value.type && compare(one, &value) == 0)
			return;
	}
	uaef_check_fail(run, text, "not_listed",
					psprintf("\"%s\" is not one of the values that are allowed",
							 text));
}

void
uaef_check_read_pattern(const UaefObject *object, Check *check)
{
	char	   *source = uaef_read_text(object, "pattern", true);
	char	   *problem = uaef_pattern_problem(source, strlen(source));

	read_field(object, check, 0, "field");
	if (problem != NULL)
		uaef_read_wrong(object, "pattern",
						psprintf("a regular expression: %s", problem));
	check->pattern = cstring_to_text(source);
}

void
uaef_check_pattern(CheckRun *run, UaefScope *scope)
{
	const char *text = uaef_path_text(run->check->fields[0]);
	JsonbValue	value;

	if (!plain_value(run, scope, 0, &value))
		return;
	if (value.type != jbvString)
		uaef_check_fail(run, text, "not_a_text",
						psprintf("\"%s\" is of type %s", text,
								 uaef_value_type(&value)));
	else if (!uaef_pattern_matches(run->check->pattern, value.val.string.val,
								   value.val.string.len))
		uaef_check_fail(run, text, "no_match",
						psprintf("\"%s\" is not of the form that is asked for",
								 text));
}

/*----------
 * cross_field, segregation_of_duties
 * ----------
 */

void
uaef_check_read_cross_field(const UaefObject *object, Check *check)
{
	read_field(object, check, 0, "left");
	read_field(object, check, 1, "right");
	pfree(uaef_read_text(object, "op", true));
	check->op = uaef_read_choice(object, "op", op_names, OP_EQ);
}

static bool
holds(int op, int order)
{
	switch (op)
	{
		case OP_EQ:
			return order == 0;
		case OP_NE:
			return order != 0;
		case OP_LT:
			return order < 0;
		case OP_LTE:
			return order <= 0;
		case OP_GT:
			return order > 0;
		default:
			return order >= 0;
	}
}

void
uaef_check_cross_field(CheckRun *run, UaefScope *scope)
{
	const Check *check = run->check;
	const char *left = uaef_path_text(check->fields[0]);
	const char *right = uaef_path_text(check->fields[1]);
	JsonbValue	a;
	JsonbValue	b;

	if (!plain_value(run, scope, 0, &a) || !plain_value(run, scope, 1, &b))
		return;
	if (a.type != b.type)
		uaef_check_fail(run, left, "other_type",
						psprintf("\"%s\" is of type %s and \"%s\" of type %s",
								 left, uaef_value_type(&a), right,
								 uaef_value_type(&b)));
	else if (!holds(check->op, compare(&a, &b)))
		uaef_check_fail(run, left, "not_met",
						psprintf("\"%s\" is not %s \"%s\"", left,
								 op_names[check->op], right));
}

void
uaef_check_read_segregation(const UaefObject *object, Check *check)
{
	uaef_check_read_fields(object, check);
	if (check->n_fields < 2)
		uaef_read_wrong(object, "fields", "an array of two paths or more");
}

/*
 * Each field names somebody, and nobody twice.
 */
void
uaef_check_segregation(CheckRun *run, UaefScope *scope)
{
	int			n = run->check->n_fields;
	JsonbValue *who = palloc(n * sizeof(JsonbValue));

	for (int i = 0; i < n; i++)
	{
		const char *text = uaef_path_text(run->check->fields[i]);

		if (!plain_value(run, scope, i, &who[i]))
			return;
		if (who[i].type != jbvString || who[i].val.string.len == 0)
		{
			uaef_check_fail(run, text, "nobody",
							psprintf("\"%s\" names nobody", text));
			return;
		}
	}
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			if (compare(&who[i], &who[j]) == 0)
				uaef_check_fail(run, uaef_path_text(run->check->fields[i]),
								"same_person",
								psprintf("\"%s\" is who \"%s\" is",
										 uaef_path_text(run->check->fields[i]),
										 uaef_path_text(run->check->fields[j])));
}

/*----------
 * freshness, attestation
 * ----------
 */

void
uaef_check_read_freshness(const UaefObject *object, Check *check)
{
	read_field(object, check, 0, "field");
	check->max_age_ms = uaef_read_duration(object, "max_age", 0);
	if (check->max_age_ms == 0)
		uaef_read_missing(object, "max_age");
}

static void
read_time(void *arg)
{
	Datum	   *datum = arg;

	*datum = DirectFunctionCall3(timestamptz_in, *datum,
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
}

/*
 * A time that says its zone, as ISO 8601 has it: what it means must not depend
 * on the session.
 */
static bool
parse_time(const char *text, TimestampTz *time)
{
	UaefEvalError error = {0};
	const char *clock = strchr(text, 'T');
	Datum		datum = CStringGetDatum(text);

	if (clock == NULL || strpbrk(clock, "Z+-") == NULL ||
		text[0] < '0' || text[0] > '9' ||
		!uaef_settlement_guard(read_time, &datum, &error))
		return false;
	*time = DatumGetTimestampTz(datum);
	return !TIMESTAMP_NOT_FINITE(*time);
}

/*
 * A time that is not longer ago than is allowed, and not to come.
 */
static void
check_age(CheckRun *run, const char *path, const JsonbValue *value)
{
	TimestampTz now = uaef_clock_now();
	TimestampTz time;

	if (value->type != jbvString || !parse_time(text_of(value), &time))
		uaef_check_fail(run, path, "not_a_time",
						psprintf("\"%s\" is not a time with its zone", path));
	else if (time > now)
		uaef_check_fail(run, path, "in_the_future",
						psprintf("\"%s\" is yet to come", path));
	else if (time < now - run->check->max_age_ms * 1000)
		uaef_check_fail(run, path, "too_old",
						psprintf("\"%s\" is too long ago", path));
}

void
uaef_check_freshness(CheckRun *run, UaefScope *scope)
{
	JsonbValue	value;

	if (plain_value(run, scope, 0, &value))
		check_age(run, uaef_path_text(run->check->fields[0]), &value);
}

void
uaef_check_read_attestation(const UaefObject *object, Check *check)
{
	read_field(object, check, 0, "field");
	check->n_by = uaef_read_texts(object, "by", &check->by);
	check->statement = uaef_read_text(object, "statement", false);
	check->max_age_ms = uaef_read_duration(object, "max_age", 0);
}

static bool
is_one_of(char *const *list, int n, const char *text)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return n < 0;
}

/*
 * {"by": who, "statement": what, "at": when}
 */
void
uaef_check_attestation(CheckRun *run, UaefScope *scope)
{
	const Check *check = run->check;
	const char *path = uaef_path_text(check->fields[0]);
	JsonbValue	value;
	JsonbValue	at;
	Jsonb	   *object;
	char	   *by;
	char	   *statement;

	if (!uaef_path_get(check->fields[0], scope, &value) ||
		value.type != jbvBinary)
	{
		uaef_check_fail(run, path, "missing",
						psprintf("\"%s\" is no attestation", path));
		return;
	}
	object = uaef_json_from_value(&value);
	by = uaef_json_get_text(object, "by");
	statement = uaef_json_get_text(object, "statement");
	if (by == NULL || by[0] == '\0')
		uaef_check_fail(run, psprintf("%s.by", path), "nobody",
						psprintf("nobody attests \"%s\"", path));
	else if (!is_one_of(check->by, check->n_by, by))
		uaef_check_fail(run, psprintf("%s.by", path), "not_listed",
						psprintf("who attests \"%s\" may not", path));
	if (statement == NULL || statement[0] == '\0' ||
		(check->statement != NULL && strcmp(statement, check->statement) != 0))
		uaef_check_fail(run, psprintf("%s.statement", path), "other_statement",
						psprintf("\"%s\" does not say what is asked for",
								 path));
	if (!uaef_json_get(object, "at", &at))
		uaef_check_fail(run, psprintf("%s.at", path), "missing",
						psprintf("\"%s.at\" is missing", path));
	else if (check->max_age_ms > 0)
		check_age(run, psprintf("%s.at", path), &at);
}

/*----------
 * expr
 * ----------
 */

/*
 * The amount language (docs/amounts.md), for what is a plain number.
 */
void
uaef_check_read_expr(const UaefObject *object, Check *check)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *text = uaef_read_text(object, "expr", true);

	check->min = uaef_check_number(object, "min");
	check->max = uaef_check_number(object, "max");
	if (check->min == NULL && check->max == NULL)
		uaef_read_missing(object, "min");
	PG_TRY();
	{
		check->expr = uaef_amount_compile(text, ANY_CURRENCY, true, NULL);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, psprintf("\"expr\" in %s", object->where),
						  NULL);
	}
	PG_END_TRY();
}

/*
 * Whether num/den is below a bound, which is exact.
 */
static int
against(const UaefRational *exact, Numeric bound)
{
	return uaef_numeric_compare(exact->num,
								uaef_numeric_op(numeric_mul, bound,
												exact->den));
}

void
uaef_check_expr(CheckRun *run, UaefScope *scope)
{
	const Check *check = run->check;
	UaefEvalError error = {0};
	UaefRational exact;
	const char *currency;

	if (!uaef_amount_eval(check->expr, scope, &exact, &currency, &error))
		uaef_check_fail(run, error.path, unpack_sql_state(error.sqlstate),
						error.message);
	else if (check->min != NULL && against(&exact, check->min) < 0)
		uaef_check_fail(run, NULL, "below_min",
						psprintf("the expression is less than %s",
								 uaef_numeric_text(check->min)));
	else if (check->max != NULL && against(&exact, check->max) > 0)
		uaef_check_fail(run, NULL, "above_max",
						psprintf("the expression is greater than %s",
								 uaef_numeric_text(check->max)));
}
