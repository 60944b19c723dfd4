/*-------------------------------------------------------------------------
 *
 * settlement_terms.c
 *	  Times of a settlement rule: when it is paid, how long approvals may take.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "definition_read.h"
#include "json_util.h"
#include "path.h"
#include "schedule.h"
#include "settlement_terms.h"

/* Most days of work that a payment waits. */
#define MAX_BUSINESS_DAYS	366

/* So far apart that two ticks never meet on one day. */
#define FAR_US	(2 * UAEF_MAX_FREE_DAYS * USECS_PER_DAY)

static const char *const schedule_keys[] = {
	"delay", "business_days", "calendar", "timezone", NULL
};

/*
 * Of "approval" the rule itself reads the rest.
 */
static void
read_expiry(UaefSettlementTerms *terms, Jsonb *definition)
{
	static const char *const keys[] = {"bands", "expires", "on_expiry", NULL};
	static const char *const words[] = {"expire", "reject", NULL};
	JsonbValue	value;
	UaefObject	object;

	if (!uaef_json_get(definition, "approval", &value))
		return;
	object = uaef_read_object(NULL, &value, keys, "\"approval\" of the rule");
	terms->expires_ms = uaef_read_duration(&object, "expires", 0);
	terms->reject_expired = uaef_read_choice(&object, "on_expiry", words,
											 0) == 1;
}

void
uaef_settlement_terms_read(UaefSettlementTerms *terms, Jsonb *definition)
{
	JsonbValue	value;
	UaefObject	object;

	memset(terms, 0, sizeof(*terms));
	read_expiry(terms, definition);
	if (!uaef_json_get(definition, "schedule", &value))
		return;
	object = uaef_read_object(NULL, &value, schedule_keys,
							  "\"schedule\" of the rule");
	terms->delay_ms = uaef_read_duration(&object, "delay", 0);
	terms->business_days = uaef_read_int(&object, "business_days", 0, 0,
										 MAX_BUSINESS_DAYS);
	terms->calendar = uaef_read_text(&object, "calendar", false);
	terms->timezone = uaef_read_text(&object, "timezone", false);
	if (terms->timezone != NULL)
		(void) uaef_schedule_zone(terms->timezone);
	if (terms->business_days > 0 && terms->calendar == NULL)
		uaef_read_missing(&object, "calendar");
}

/*
 * The same time of day, on this day or the next one with work.
 */
static TimestampTz
on_day_with_work(UaefTicks *ticks, TimestampTz when)
{
	ticks->anchor = when;
	return uaef_tick_after(ticks, when - 1);
}

TimestampTz
uaef_settlement_due(const UaefSettlementTerms *terms, TimestampTz from)
{
	TimestampTz due = from + terms->delay_ms * 1000;
	UaefTicks	ticks = {
		.every_us = FAR_US,
		.starts_at = DT_NOBEGIN,
		.ends_at = DT_NOEND,
		.move = true
	};

	if (terms->calendar == NULL)
		return due;
	ticks.calendar = uaef_calendar_load(terms->calendar);
	ticks.zone = uaef_schedule_zone(terms->timezone ? terms->timezone : "UTC");
	due = on_day_with_work(&ticks, due);
	for (int i = 0; i < terms->business_days; i++)
		due = on_day_with_work(&ticks, due + USECS_PER_DAY);
	return due;
}
