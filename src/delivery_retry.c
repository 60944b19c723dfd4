/*-------------------------------------------------------------------------
 *
 * delivery_retry.c
 *	  When a delivery is tried again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "delivery_retry.h"
#include "json_util.h"

#define MAX_ATTEMPTS	100
#define MAX_DELAY_MS	((int64) 7 * 24 * 3600 * 1000)

pg_noreturn static void bad_value(const char *key, const char *wanted);
static void check_keys(Jsonb *document);
static double number(Jsonb *document, const char *key, double otherwise,
					 double min, double max);
static int64 duration(Jsonb *document, const char *key, int64 otherwise);
static int	read_codes(Jsonb *document, const char *key, char ***read);
static bool code_matches(const char *pattern, const char *code);
static double random_share(void);

static void
bad_value(const char *key, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\" in a retry policy", key),
			 errdetail("It must be %s.", wanted)));
}

static void
check_keys(Jsonb *document)
{
	static const char *const known[] = {
		"max_attempts", "backoff", "initial", "factor", "max", "jitter", "on",
		"not_on"
	};
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a retry policy must be an object")));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		bool		found = token != WJB_KEY;

		for (int i = 0; !found && i < lengthof(known); i++)
			found = strlen(known[i]) == value.val.string.len &&
				strncmp(known[i], value.val.string.val,
						value.val.string.len) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\" in a retry policy",
							pnstrdup(value.val.string.val,
									 value.val.string.len))));
	}
}

static double
number(Jsonb *document, const char *key, double otherwise, double min,
	   double max)
{
	JsonbValue	value;
	double		result;

	if (!uaef_json_get(document, key, &value))
		return otherwise;
	if (value.type != jbvNumeric)
		bad_value(key, "a number");
	result = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
												NumericGetDatum(value.val.numeric)));
	if (!(result >= min && result <= max))
		bad_value(key, psprintf("between %g and %g", min, max));
	return result;
}

static int64
duration(Jsonb *document, const char *key, int64 otherwise)
{
	JsonbValue	value;
	int64		ms;

	if (!uaef_json_get(document, key, &value))
		return otherwise;
	if (value.type != jbvString)
		bad_value(key, "an interval such as \"30s\"");
	ms = uaef_duration_ms(pnstrdup(value.val.string.val,
								   value.val.string.len),
						  psprintf("\"%s\" of retry", key));
	if (ms < 0 || ms > MAX_DELAY_MS)
		bad_value(key, "an interval of at most seven days");
	return ms;
}

static int
read_codes(Jsonb *document, const char *key, char ***read)
{
	JsonbValue	codes;
	JsonbContainer *list;

	int			n = 0;

	*read = NULL;
	if (!uaef_json_get(document, key, &codes))
		return 0;
	if (codes.type != jbvBinary ||
		!JsonContainerIsArray(codes.val.binary.data))
		bad_value(key, "an array of codes");
	list = codes.val.binary.data;
	*read = palloc0(sizeof(char *) * (JsonContainerSize(list) + 1));
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbValue *code = getIthJsonbValueFromContainer(list, i);

		if (code->type != jbvString)
			bad_value(key, "an array of codes");
		(*read)[n++] = pnstrdup(code->val.string.val, code->val.string.len);
	}
	return n;
}

void
uaef_delivery_retry_parse(Jsonb *document, UaefRetry *retry)
{
	char	   *backoff;
	JsonbValue	value;

	if (document == NULL)
		document = uaef_json_empty();
	check_keys(document);
	retry->max_attempts = (int) number(document, "max_attempts", 5, 1,
									   MAX_ATTEMPTS);
	backoff = uaef_json_get_text(document, "backoff");
	if (backoff == NULL && uaef_json_get(document, "backoff", &value))
		bad_value("backoff", "\"exponential\" or \"fixed\"");
	retry->exponential = backoff == NULL || strcmp(backoff, "fixed") != 0;
	if (backoff != NULL && retry->exponential &&
		strcmp(backoff, "exponential") != 0)
		bad_value("backoff", "\"exponential\" or \"fixed\"");
	retry->initial_ms = duration(document, "initial", 1000);
	retry->factor = number(document, "factor", 2, 1, 100);
	retry->max_ms = duration(document, "max", 300000);
	retry->jitter = number(document, "jitter", 0.2, 0, 1);
	retry->n_on = read_codes(document, "on", &retry->on);
	retry->n_not_on = read_codes(document, "not_on", &retry->not_on);
}

Jsonb *
uaef_delivery_retry_document(const UaefRetry *retry)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "max_attempts", Min(retry->max_attempts, MAX_ATTEMPTS));
	uaef_json_text(&json, "backoff", retry->exponential ? "exponential" : "fixed");
	uaef_json_text(&json, "initial",
				   psprintf("%lldms", (long long) Min(retry->initial_ms, MAX_DELAY_MS)));
	uaef_json_numeric(&json, "factor",
					  DatumGetNumeric(DirectFunctionCall1(float8_numeric,
														  Float8GetDatum(Min(Max(retry->factor, 1), 100)))));
	uaef_json_text(&json, "max",
				   psprintf("%lldms", (long long) Min(retry->max_ms, MAX_DELAY_MS)));
	uaef_json_numeric(&json, "jitter",
					  DatumGetNumeric(DirectFunctionCall1(float8_numeric,
														  Float8GetDatum(retry->jitter))));
	if (retry->n_on > 0)
		uaef_json_texts(&json, "on", retry->on, retry->n_on);
	if (retry->n_not_on > 0)
		uaef_json_texts(&json, "not_on", retry->not_on, retry->n_not_on);
	return uaef_json_end(&json);
}

static bool
code_matches(const char *pattern, const char *code)
{
	size_t		len = strlen(pattern);

	if (strcmp(pattern, code) == 0)
		return true;
	if (len == 2)
		return strlen(code) == 5 && strncmp(pattern, code, 2) == 0;
	return len > 2 && strcmp(pattern + len - 2, "xx") == 0 &&
		strlen(code) == len && strncmp(pattern, code, len - 2) == 0;
}

static bool
in_list(char *const *codes, int n, const char *code)
{
	for (int i = 0; i < n; i++)
		if (code_matches(codes[i], code))
			return true;
	return false;
}

bool
uaef_delivery_retry_wanted(const UaefRetry *retry, int attempt,
						   const char *code, bool transient)
{
	if (attempt >= retry->max_attempts ||
		in_list(retry->not_on, retry->n_not_on, code))
		return false;
	return retry->n_on == 0 ? transient :
		in_list(retry->on, retry->n_on, code);
}

/*
 * Between 0 and 1.
 */
static double
random_share(void)
{
	uint32		bits;

	if (!pg_strong_random(&bits, sizeof(bits)))
		return 0.5;
	return bits / (double) PG_UINT32_MAX;
}

int64
uaef_delivery_retry_delay_ms(const UaefRetry *retry, int attempt,
							 int64 at_least_ms)
{
	double		delay = retry->initial_ms;

	if (retry->exponential)
		delay *= pow(retry->factor, Min(attempt - 1, 1000));
	delay = Min(delay, (double) retry->max_ms);
	delay -= delay * retry->jitter * random_share();
	return Max((int64) delay, at_least_ms);
}
