/*-------------------------------------------------------------------------
 *
 * api_checkpoint.c
 *	  SQL entry points of checkpoints: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ledger_checkpoint.h"
#include "note_json.h"

/*
 * uaef.read_note(note text, keys text[]) returns jsonb
 */
PG_FUNCTION_INFO_V1(uaef_read_note);
Datum
uaef_read_note(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_note_json(PG_GETARG_TEXT_PP(0),
									 PG_GETARG_ARRAYTYPE_P(1)));
}

/*
 * uaef.ledger_checkpoint() returns text
 */
PG_FUNCTION_INFO_V1(uaef_ledger_checkpoint);
Datum
uaef_ledger_checkpoint(PG_FUNCTION_ARGS)
{
	char	   *note = uaef_checkpoint_newest();

	if (note == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(note));
}
