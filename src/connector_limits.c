/*-------------------------------------------------------------------------
 *
 * connector_limits.c
 *	  What a connector's config says of how much may go through it.
 *
 *	"max_concurrent": 20, "rate": "100/min", "burst": 10,
 *	"breaker": {"failures": 10, "open": "30s"}, or "breaker": false
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "connector_limits.h"
#include "json_util.h"

#define MAX_COUNT 10000

static int	read_count(Jsonb *object, const char *key, int missing);
static void read_rate(Jsonb *config, UaefGateLimits *limits);
static void read_breaker(Jsonb *config, UaefGateLimits *limits);

static int
read_count(Jsonb *object, const char *key, int missing)
{
	JsonbValue	value;
	bool		error = false;
	int			count = 0;

	if (!uaef_json_get(object, key, &value))
		return missing;
	if (value.type == jbvNumeric)
		count = numeric_int4_opt_error(value.val.numeric, &error);
	if (value.type != jbvNumeric || error || count < 1 || count > MAX_COUNT ||
		!DatumGetBool(DirectFunctionCall2(numeric_eq,
										  NumericGetDatum(value.val.numeric),
										  NumericGetDatum(int64_to_numeric(count)))))
		uaef_connector_bad_config(key, psprintf("a whole number from 1 to %d",
												MAX_COUNT));
	return count;
}

static void
read_rate(Jsonb *config, UaefGateLimits *limits)
{
	char	   *rate = uaef_json_get_text(config, "rate");
	JsonbValue	value;

	if (rate == NULL && uaef_json_get(config, "rate", &value))
		uaef_connector_bad_config("rate", "a rate such as \"100/min\"");
	if (rate == NULL && uaef_json_get(config, "burst", &value))
		uaef_connector_bad_config("burst", "beside a \"rate\"");
	if (rate != NULL && !uaef_rate_parse(rate, &limits->rate_us))
		uaef_connector_bad_config("rate",
								  "a number of requests in a unit of time, such as \"100/min\" (s, min, h, d)");
	limits->burst = read_count(config, "burst", 1);
}

static void
read_breaker(Jsonb *config, UaefGateLimits *limits)
{
	JsonbValue	value;
	Jsonb	   *breaker;
	char	   *open;

	if (!uaef_json_get(config, "breaker", &value))
		return;
	if (value.type == jbvBool && !value.val.boolean)
	{
		limits->failures = 0;
		return;
	}
	breaker = uaef_json_from_value(&value);
	if (!JB_ROOT_IS_OBJECT(breaker))
		uaef_connector_bad_config("breaker",
								  "false or an object {\"failures\",\"open\"}");
	limits->failures = read_count(breaker, "failures", limits->failures);
	open = uaef_json_get_text(breaker, "open");
	if (open == NULL && uaef_json_get(breaker, "open", &value))
		uaef_connector_bad_config("open", "an interval such as \"30s\"");
	if (open != NULL)
		limits->open_ms = uaef_duration_ms(open,
										   "\"open\" of the breaker");
	if (limits->open_ms <= 0)
		uaef_connector_bad_config("open", "more than zero");
}

void
uaef_gate_limits_parse(Jsonb *config, UaefGateLimits *limits)
{
	static const UaefGateLimits defaults = UAEF_GATE_DEFAULTS;

	*limits = defaults;
	limits->max_concurrent = read_count(config, "max_concurrent", 0);
	read_rate(config, limits);
	read_breaker(config, limits);
}
