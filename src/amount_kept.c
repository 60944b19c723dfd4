/*-------------------------------------------------------------------------
 *
 * amount_kept.c
 *	  The amount language: functions that read tables kept for rules.
 *
 * rate, convert, lookup and pool_points ask the scope, which whoever
 * evaluates has filled: nothing here reads a table itself.  What a table does
 * not hold is a failure that names it.
 *
 * Locking: none.  Memory: as for amount_eval.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datetime.h"

#include "amount_internal.h"
#include "errcodes.h"
#include "numeric_util.h"

#define MAX_KEYS	8

static bool begin_reading(AmountEvaluation *eval, const AmountNode *node);
static bool eval_text(AmountEvaluation *eval, const AmountNode *node,
					  const char *wanted, char **text);
static bool eval_currency(AmountEvaluation *eval, const AmountNode *node,
						  char **currency);
static bool parse_instant(const char *text, TimestampTz *at);
static bool eval_time(AmountEvaluation *eval, const AmountNode *node, int arg,
					  TimestampTz *at);
static char *time_text(TimestampTz at);
static bool find_rate(AmountEvaluation *eval, const char *source,
					  const char *base, const char *quote, TimestampTz at,
					  UaefFraction *rate);
static bool eval_rate(AmountEvaluation *eval, const AmountNode *node,
					  AmountValue *value);
static bool eval_convert(AmountEvaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool eval_key(AmountEvaluation *eval, const AmountNode *node,
					 char **key);
static char *keys_text(char *const *keys, int n);
static bool eval_look_up(AmountEvaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool eval_points(AmountEvaluation *eval, const AmountNode *node,
						AmountValue *value);

/* Are there tables to read, and steps left to do it? */
static bool
begin_reading(AmountEvaluation *eval, const AmountNode *node)
{
	eval->steps += UAEF_AMOUNT_TABLE_STEPS - 1;
	if (eval->steps > UAEF_AMOUNT_MAX_STEPS)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT, NULL, NULL,
							  "amount needs more than %d steps",
							  UAEF_AMOUNT_MAX_STEPS);
	if (eval->scope->tables == NULL)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_NO_TABLES, NULL,
							  "Use evaluate_amount_at().",
							  "%s() reads a table, which cannot be done here",
							  node->name);
	return true;
}

static bool
eval_text(AmountEvaluation *eval, const AmountNode *node, const char *wanted,
		  char **text)
{
	AmountValue value;

	if (!uaef_amount_eval_as(eval, node, AMOUNT_TEXT, wanted, &value))
		return false;
	*text = pnstrdup(value.json.val.string.val, value.json.val.string.len);
	return true;
}

static bool
eval_currency(AmountEvaluation *eval, const AmountNode *node, char **currency)
{
	if (!eval_text(eval, node, "a currency", currency))
		return false;
	if (uaef_currency_exponent(*currency) < 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY,
							  uaef_amount_node_path(node), NULL,
							  "unknown currency \"%s\"",
							  uaef_eval_clip(*currency, strlen(*currency)));
	return true;
}

/* YYYY-MM-DD, which is its midnight, or YYYY-MM-DDTHH:MM:SS[.ffffff]Z */
static bool
parse_instant(const char *text, TimestampTz *at)
{
	int			year,
				month,
				day,
				hour = 0,
				minute = 0,
				second = 0;
	int			micros = 0;
	int			len = strlen(text);

	if (len < 10 || strspn(text, "0123456789-") < 10 || text[4] != '-' ||
		text[7] != '-' ||
		sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 ||
		month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return false;
	if (len > 10)
	{
		const char *rest = text + 19;

		if (len < 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
			strspn(text + 11, "0123456789:") < 8 ||
			sscanf(text + 11, "%2d:%2d:%2d", &hour, &minute, &second) != 3 ||
			hour > 23 || minute > 59 || second > 60)
			return false;
		if (*rest == '.')
		{
			int			scale = 100000;

			for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
				micros += (*rest - '0') * scale;
		}
		if (strcmp(rest, "Z") != 0)
			return false;
	}
	*at = ((int64) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) *
		   SECS_PER_DAY + hour * 3600 + minute * 60 + second) * USECS_PER_SEC +
		micros;
	return true;
}

/* The time that an argument says; without it, the scope's. */
static bool
eval_time(AmountEvaluation *eval, const AmountNode *node, int arg,
		  TimestampTz *at)
{
	char	   *text;

	*at = eval->scope->at;
	if (arg >= node->nargs)
		return true;
	if (!eval_text(eval, node->args[arg], "a time", &text))
		return false;
	if (!parse_instant(text, at))
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE,
							  uaef_amount_node_path(node->args[arg]), NULL,
							  "\"%s\" is not a date or a UTC time",
							  uaef_eval_clip(text, strlen(text)));
	return true;
}

/* For messages: to the second, in UTC. */
static char *
time_text(TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		return "that time";
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year, tm.tm_mon,
					tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Units of quote for one of base; a currency is worth itself. */
static bool
find_rate(AmountEvaluation *eval, const char *source, const char *base,
		  const char *quote, TimestampTz at, UaefFraction *rate)
{
	Numeric		found;

	if (strcmp(base, quote) == 0)
	{
		uaef_fraction_from_int(1, rate);
		return true;
	}
	found = eval->scope->tables->rate(eval->scope, source, base, quote, at);
	if (found == NULL)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_NO_RATE, NULL, NULL,
							  "\"%s\" has no rate from %s to %s at %s",
							  uaef_eval_clip(source, strlen(source)), base,
							  quote, time_text(at));
	return uaef_fraction_from_numeric(found, rate, eval->error);
}

/* rate("ECB", "JPY", "USD" [, time]) */
static bool
eval_rate(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	char	   *source;
	char	   *base;
	char	   *quote;
	TimestampTz at;

	value->type = AMOUNT_NUMBER;
	return eval_text(eval, node->args[0], "the name of a source", &source) &&
		eval_currency(eval, node->args[1], &base) &&
		eval_currency(eval, node->args[2], &quote) &&
		eval_time(eval, node, 3, &at) &&
		find_rate(eval, source, base, quote, at, &value->number);
}

/* convert(money, "USD", "ECB" [, time]): exact, not rounded */
static bool
eval_convert(AmountEvaluation *eval, const AmountNode *node,
			 AmountValue *value)
{
	char	   *source;
	char	   *quote;
	TimestampTz at;
	UaefFraction rate;

	if (!uaef_amount_eval_as(eval, node->args[0], AMOUNT_MONEY, "money",
							 value) ||
		!eval_currency(eval, node->args[1], &quote) ||
		!eval_text(eval, node->args[2], "the name of a source", &source) ||
		!eval_time(eval, node, 3, &at) ||
		!find_rate(eval, source, value->currency, quote, at, &rate) ||
		!uaef_fraction_mul(&value->number, &rate, &value->number, eval->error))
		return false;
	strlcpy(value->currency, quote, sizeof(value->currency));
	return true;
}

/* A key is a text, or a whole number as text. */
static bool
eval_key(AmountEvaluation *eval, const AmountNode *node, char **key)
{
	AmountValue value;
	UaefRational number;

	if (!uaef_amount_eval_node(eval, node, &value))
		return false;
	if (value.type == AMOUNT_TEXT)
	{
		*key = pnstrdup(value.json.val.string.val, value.json.val.string.len);
		return true;
	}
	if (value.type != AMOUNT_NUMBER)
		return uaef_amount_fail_type(eval, node, &value,
									 "a text or a whole number");
	uaef_fraction_to_rational(&value.number, &number);
	if (uaef_numeric_compare(number.den, int64_to_numeric(1)) != 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE,
							  uaef_amount_node_path(node), NULL,
							  "a key must be a text or a whole number");
	*key = uaef_numeric_text(number.num);
	return true;
}

/* "DE", "food": for messages */
static char *
keys_text(char *const *keys, int n)
{
	char	   *text = "";

	for (int i = 0; i < n; i++)
		text = psprintf("%s%s\"%s\"", text, i > 0 ? ", " : "",
						uaef_eval_clip(keys[i], strlen(keys[i])));
	return text;
}

bool
uaef_amount_find_kept(AmountEvaluation *eval, const AmountNode *node,
					  JsonbValue *json, bool *found)
{
	char	   *table;
	char	   *keys[MAX_KEYS];
	int			n = node->nargs - 1;
	Jsonb	   *document;

	if (!begin_reading(eval, node) ||
		!eval_text(eval, node->args[0], "the name of a table", &table))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (!eval_key(eval, node->args[i + 1], &keys[i]))
			return false;
	}
	document = eval->scope->tables->look_up(eval->scope, table, keys, n,
											eval->scope->at);
	*found = document != NULL;
	if (*found)
		uaef_document_value(document, json);
	else
		(void) uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH, NULL,
							  NULL, "table \"%s\" has no %s",
							  uaef_eval_clip(table, strlen(table)),
							  keys_text(keys, n));
	return true;
}

/* lookup("vat", in.country, ...) */
static bool
eval_look_up(AmountEvaluation *eval, const AmountNode *node,
			 AmountValue *value)
{
	JsonbValue	json;
	bool		found;

	return uaef_amount_find_kept(eval, node, &json, &found) && found &&
		uaef_amount_from_json(eval, node, &json, value);
}

/* pool_points("reviewers"), pool_points("reviewers", in.reviewer) */
static bool
eval_points(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	char	   *pool;
	char	   *member = NULL;
	Numeric		points;

	if (!eval_text(eval, node->args[0], "the name of a pool", &pool) ||
		(node->nargs > 1 &&
		 !eval_text(eval, node->args[1], "a member of a pool", &member)))
		return false;
	points = eval->scope->tables->points(eval->scope, pool, member,
										 eval->scope->at);
	if (points == NULL)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH, NULL,
							  NULL, "pool \"%s\" has no %s",
							  uaef_eval_clip(pool, strlen(pool)),
							  member == NULL ? "members" :
							  psprintf("member \"%s\"",
									   uaef_eval_clip(member,
													  strlen(member))));
	value->type = AMOUNT_NUMBER;
	return uaef_fraction_from_numeric(points, &value->number, eval->error);
}

bool
uaef_amount_eval_kept(AmountEvaluation *eval, const AmountNode *node,
					  AmountValue *value)
{
	if (node->kind == NODE_LOOK_UP)
		return eval_look_up(eval, node, value);
	if (!begin_reading(eval, node))
		return false;
	if (node->kind == NODE_RATE)
		return eval_rate(eval, node, value);
	if (node->kind == NODE_CONVERT)
		return eval_convert(eval, node, value);
	return eval_points(eval, node, value);
}
