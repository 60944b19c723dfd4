/*-------------------------------------------------------------------------
 *
 * start_trigger.c
 *	  Starting executions from rows of an app's tables.
 *
 * The execution belongs to the role that wrote the row, and is part of that
 * role's transaction.
 *
 * The arguments of the trigger are the workflow, the key (a column, or a
 * template), and the template of the input; what is empty or left out is
 * absent.  For a row the templates read "row" and, of an update, "old"; for a
 * statement "rows" and "old_rows".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "engine.h"
#include "eval_error.h"
#include "json_util.h"
#include "start_trigger.h"
#include "template.h"

/*
 * The row as an object by column name.
 */
static Jsonb *
row_to_jsonb(HeapTuple row, TupleDesc desc)
{
	Datum		composite = heap_copy_tuple_as_datum(row, desc);
	Datum		json = DirectFunctionCall1(row_to_json, composite);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(TextDatumGetCString(json))));
}

/*
 * The rows of a transition table as an array.
 */
static Jsonb *
rows_to_jsonb(Tuplestorestate *rows, TupleDesc desc)
{
	JsonbParseState *state = NULL;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc,
													&TTSOpsMinimalTuple);
	JsonbValue	value;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		must_free;
		HeapTuple	row = ExecFetchSlotHeapTuple(slot, true, &must_free);

		JsonbToJsonbValue(row_to_jsonb(row, desc), &value);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	ExecDropSingleTupleTableSlot(slot);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static char *
key_of_row(HeapTuple row, Relation relation, const char *column)
{
	int			attnum = SPI_fnumber(RelationGetDescr(relation), column);
	char	   *key;

	if (attnum == SPI_ERROR_NOATTRIBUTE)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist",
						column, RelationGetRelationName(relation)),
				 errdetail("It is the key of the trigger that starts a workflow.")));
	key = SPI_getvalue(row, RelationGetDescr(relation), attnum);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" is the key of a workflow's start and cannot be null",
						column)));
	return key;
}

/*
 * A template filled in with what was written.
 */
static Jsonb *
fill(Jsonb *template, Jsonb *data)
{
	UaefScope	scope = {.document = data};
	UaefEvalError error = {0};
	Jsonb	   *filled =
		uaef_template_fill(uaef_template_compile_any_root(template), &scope,
						   &error);

	if (filled == NULL)
		uaef_eval_raise(&error);
	return filled;
}

/*
 * A key by its template; what it gives must say something.
 */
static char *
key_of_template(const char *key, Jsonb *data)
{
	UaefJson	json;
	JsonbValue	value;
	Jsonb	   *filled;

	uaef_json_begin(&json);
	uaef_json_text(&json, "key", key);
	filled = fill(uaef_json_end(&json), data);
	(void) uaef_json_get(filled, "key", &value);
	if (value.type == jbvString && value.val.string.len > 0)
		return pnstrdup(value.val.string.val, value.val.string.len);
	if (value.type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key \"%s\" of a workflow's start gives no text",
						key)));
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value.val.numeric)));
}

/*
 * An argument of the trigger, or NULL.
 */
static const char *
argument(const TriggerData *trigger, int no)
{
	const Trigger *definition = trigger->tg_trigger;

	if (definition->tgnargs <= no || definition->tgargs[no][0] == '\0')
		return NULL;
	return definition->tgargs[no];
}

static HeapTuple
written_row(const TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
		: trigger->tg_trigtuple;
}

/*
 * What was written, as the templates read it.
 */
static Jsonb *
row_data(const TriggerData *trigger, Jsonb *row)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "row", row);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		uaef_json_jsonb(&json, "old",
						row_to_jsonb(trigger->tg_trigtuple,
									 RelationGetDescr(trigger->tg_relation)));
	return uaef_json_end(&json);
}

/*
 * NULL when the statement wrote nothing.
 */
static Jsonb *
statement_data(const TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	bool		delete = TRIGGER_FIRED_BY_DELETE(trigger->tg_event);
	Tuplestorestate *rows = delete ? trigger->tg_oldtable
		: trigger->tg_newtable;
	UaefJson	json;

	if (tuplestore_tuple_count(rows) == 0)
		return NULL;
	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "rows", rows_to_jsonb(rows, desc));
	if (!delete && trigger->tg_oldtable != NULL)
		uaef_json_jsonb(&json, "old_rows",
						rows_to_jsonb(trigger->tg_oldtable, desc));
	return uaef_json_end(&json);
}

static void
check_call(const TriggerData *trigger)
{
	bool		has_rows = TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ?
		trigger->tg_oldtable != NULL : trigger->tg_newtable != NULL;

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) ||
		(!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) && !has_rows) ||
		argument(trigger, 0) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function \"%s\" was not called as it must be",
						"start_workflow_trigger"),
				 errhint("Use it AFTER INSERT, UPDATE or DELETE, with the workflow's name; FOR EACH STATEMENT with a transition table; or use uaef.attach_workflow().")));
}

void
uaef_start_from_row(TriggerData *trigger)
{
	bool		by_row = TRIGGER_FIRED_FOR_ROW(trigger->tg_event);
	UaefStart	start = {0};
	const char *key;
	const char *input;
	Jsonb	   *row = NULL;
	Jsonb	   *data = NULL;

	check_call(trigger);
	key = argument(trigger, 1);
	input = argument(trigger, 2);
	if (by_row)
		row = row_to_jsonb(written_row(trigger),
						   RelationGetDescr(trigger->tg_relation));
	if (!by_row)
		data = statement_data(trigger);
	else if (input != NULL || (key != NULL && strstr(key, "{{") != NULL))
		data = row_data(trigger, row);
	if (!by_row && data == NULL)
		return;

	start.workflow = argument(trigger, 0);
	if (input != NULL)
		start.input =
			fill(DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													CStringGetDatum(input))),
				 data);
	else
		start.input = by_row ? row : data;
	if (key != NULL)
		start.idempotency_key = strstr(key, "{{") != NULL ?
			key_of_template(key, data) :
			key_of_row(written_row(trigger), trigger->tg_relation, key);
	(void) uaef_engine_start(&start);
}
