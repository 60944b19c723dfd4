/*-------------------------------------------------------------------------
 *
 * api_anchor.c
 *	  SQL entry points of anchors: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "ledger_anchor.h"
#include "ledger_anchor_config.h"

PG_FUNCTION_INFO_V1(uaef_create_anchor);
PG_FUNCTION_INFO_V1(uaef_drop_anchor);
PG_FUNCTION_INFO_V1(uaef_pause_anchor);
PG_FUNCTION_INFO_V1(uaef_resume_anchor);
PG_FUNCTION_INFO_V1(uaef_max_unanchored_age);
PG_FUNCTION_INFO_V1(uaef_anchored_checkpoint);

/*
 * uaef.create_anchor(name text, kind text, target text, config jsonb) -> void
 */
Datum
uaef_create_anchor(PG_FUNCTION_ARGS)
{
	uaef_anchor_create(uaef_arg_text(fcinfo, 0, "name"),
					   uaef_arg_text(fcinfo, 1, "kind"),
					   uaef_arg_text(fcinfo, 2, "target"),
					   uaef_arg_jsonb(fcinfo, 3, "config"));
	PG_RETURN_VOID();
}

/* uaef.drop_anchor(name text) -> void */
Datum
uaef_drop_anchor(PG_FUNCTION_ARGS)
{
	uaef_anchor_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/* uaef.pause_anchor(name text) -> void */
Datum
uaef_pause_anchor(PG_FUNCTION_ARGS)
{
	uaef_anchor_pause(uaef_arg_text(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

/* uaef.resume_anchor(name text) -> void */
Datum
uaef_resume_anchor(PG_FUNCTION_ARGS)
{
	uaef_anchor_pause(uaef_arg_text(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

/* uaef.max_unanchored_age() -> interval */
Datum
uaef_max_unanchored_age(PG_FUNCTION_ARGS)
{
	Interval   *age = palloc0(sizeof(Interval));

	age->time = uaef_anchor_max_age();
	PG_RETURN_INTERVAL_P(age);
}

/* uaef.anchored_checkpoint() -> text */
Datum
uaef_anchored_checkpoint(PG_FUNCTION_ARGS)
{
	char	   *note = uaef_anchor_covered_note();

	if (note == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(note));
}
