/*-------------------------------------------------------------------------
 *
 * start_trigger.c
 *	  Starting executions from rows of an app's tables.
 *
 * The execution belongs to the role that wrote the row, and is part of that
 * role's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#include "engine.h"
#include "start_trigger.h"

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

void
uaef_start_from_row(TriggerData *trigger)
{
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newtuple : trigger->tg_trigtuple;
	UaefStart	start = {0};

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ||
		trigger->tg_trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function \"%s\" was not called as it must be",
						"start_workflow_trigger"),
				 errhint("Use it AFTER INSERT OR UPDATE FOR EACH ROW, with the workflow's name, or use uaef.attach_workflow().")));

	start.workflow = trigger->tg_trigger->tgargs[0];
	start.input = row_to_jsonb(row, RelationGetDescr(trigger->tg_relation));
	if (trigger->tg_trigger->tgnargs > 1 &&
		trigger->tg_trigger->tgargs[1][0] != '\0')
		start.idempotency_key = key_of_row(row, trigger->tg_relation,
										   trigger->tg_trigger->tgargs[1]);
	(void) uaef_engine_start(&start);
}
