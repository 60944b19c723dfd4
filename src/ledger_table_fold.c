/*-------------------------------------------------------------------------
 *
 * ledger_table_fold.c
 *	  What the events of a row amount to.
 *
 * An update's event holds only what it changed, so the present row is all its
 * events, one upon the other, with what happened to the table in between:
 * columns that came, went or were renamed, and what took all rows away.
 *
 * Memory: the current context, which the caller resets after each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "ledger_table_fold.h"
#include "spi_util.h"

typedef enum StepKind
{
	STEP_RESET,					/* no row is left, in a partition or at all */
	STEP_RENAME_PARTITION,
	STEP_ADD_COLUMN,
	STEP_DROP_COLUMN,
	STEP_RENAME_COLUMN
} StepKind;

typedef struct TableStep
{
	int64		event_id;
	StepKind	kind;
	char	   *name;			/* of the column or partition; NULL: all */
	char	   *to;
	Jsonb	   *value;			/* of a new column */
} TableStep;

static bool step_kind(const char *what, StepKind *kind);
static Jsonb *with_member(Jsonb *image, const char *name, Jsonb *value);
static Jsonb *without_member(Jsonb *image, const char *name);
static Jsonb *renamed_member(Jsonb *image, const char *name, const char *to);
static void take_step(UaefRowState *state, const TableStep *step);
static Jsonb *member(Jsonb *payload, const char *key);

static bool
step_kind(const char *what, StepKind *kind)
{
	static const struct
	{
		const char *what;
		StepKind	kind;
	}			kinds[] = {
		{"reset", STEP_RESET},
		{"detach_partition", STEP_RESET},
		{"drop_partition", STEP_RESET},
		{"rename_partition", STEP_RENAME_PARTITION},
		{"add_column", STEP_ADD_COLUMN},
		{"drop_column", STEP_DROP_COLUMN},
		{"rename_column", STEP_RENAME_COLUMN}
	};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].what, what) != 0)
			continue;
		*kind = kinds[i].kind;
		return true;
	}
	return false;
}

/*
 * Each change of an event is a step, in the order in which they are recorded.
 * After a rewrite all rows are recorded again, so it takes away what was known.
 * An event whose payload was erased may have said anything; so may those before
 * the first, if that is not the attaching, because they were retired.
 */
void
uaef_table_history(const UaefLedgerTable *table, UaefTableHistory *history)
{
	static UaefQuery query = {
		"SELECT e.event_id, c.change, coalesce(c.\"column\", c.partition),"
		" c.\"to\", c.value, e.event_type = 'table_attached'"
		"  AND (e.payload->>'existing')::boolean OR e.event_type <>"
		"  'table_attached' AND c.change = 'reset' AND c.partition IS NULL,"
		" e.event_type = 'table_attached', e.payload IS NULL"
		" FROM uaef.ledger_event AS e CROSS JOIN LATERAL ("
		"  SELECT x.ordinality AS place, x.c->>'change' AS change,"
		"   x.c->>'column' AS column, x.c->>'partition' AS partition,"
		"   x.c->>'to' AS to, x.c->'value' AS value FROM jsonb_array_elements("
		"   coalesce(e.payload->'changes', '[]')) WITH ORDINALITY AS x (c)"
		"  UNION ALL SELECT 1000000, CASE WHEN e.payload IS NULL THEN 'erased'"
		"   ELSE 'reset' END, NULL, e.payload->>'partition',"
		"   NULL, NULL WHERE e.event_type IN ('table_attached',"
		"   'table_truncated') OR (e.payload->>'rewrite')::boolean"
		"   OR e.payload IS NULL) AS c"
		" WHERE e.stream = $1 ORDER BY e.stream_seq, c.place",
		1, {UUIDOID}
	};
	pg_uuid_t	stream;
	Datum		args[1];
	uint64		rows;

	uaef_table_stream(table->table_id, &stream);
	args[0] = UUIDPGetDatum(&stream);
	rows = uaef_spi_read(&query, args);
	history->steps = palloc0(Max(rows, 1) * sizeof(TableStep));
	history->n = 0;
	history->complete = false;
	history->first_event = rows == 0 ? 0 : uaef_spi_int64(0, 1);
	history->known_from = rows == 0 ? PG_INT64_MAX : 0;
	for (uint64 row = 0; row < rows; row++)
	{
		TableStep  *step = &history->steps[history->n];
		bool		isnull;
		Datum		complete = uaef_spi_value(row, 6, &isnull);

		history->complete |= !isnull && DatumGetBool(complete);
		if ((row == 0 && !uaef_spi_bool(row, 7)) || uaef_spi_bool(row, 8))
			history->known_from = uaef_spi_int64(row, 1);
		if (!step_kind(uaef_spi_text(row, 2), &step->kind))
			continue;
		step->event_id = uaef_spi_int64(row, 1);
		step->name = uaef_spi_text(row, 3);
		step->to = uaef_spi_text(row, 4);
		step->value = uaef_spi_jsonb(row, 5);
		history->n++;
	}
}

static Jsonb *
with_member(Jsonb *image, const char *name, Jsonb *value)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_members(&json, image);
	uaef_json_jsonb(&json, name, value);
	return uaef_json_end(&json);
}

static Jsonb *
without_member(Jsonb *image, const char *name)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
											  JsonbPGetDatum(image),
											  CStringGetTextDatum(name)));
}

static Jsonb *
renamed_member(Jsonb *image, const char *name, const char *to)
{
	JsonbValue	value;

	if (!uaef_json_get(image, name, &value))
		return image;
	return with_member(without_member(image, name), to,
					   JsonbValueToJsonb(&value));
}

static void
take_step(UaefRowState *state, const TableStep *step)
{
	if (!state->alive || (state->image == NULL && step->kind != STEP_RESET))
		return;
	switch (step->kind)
	{
		case STEP_RESET:
			if (step->name == NULL || (state->partition != NULL &&
									   strcmp(step->name, state->partition) == 0))
				uaef_row_begin(state);
			break;
		case STEP_RENAME_PARTITION:
			if (state->partition != NULL &&
				strcmp(step->name, state->partition) == 0)
				state->partition = step->to;
			break;
		case STEP_ADD_COLUMN:
			state->image = with_member(state->image, step->name, step->value);
			break;
		case STEP_DROP_COLUMN:
			state->image = without_member(state->image, step->name);
			break;
		case STEP_RENAME_COLUMN:
			state->image = renamed_member(state->image, step->name, step->to);
			break;
	}
}

/*
 * Forget what is known of a row, but not where in the table's history we are.
 */
void
uaef_row_begin(UaefRowState *state)
{
	state->event_id = 0;
	state->alive = false;
	state->known = true;
	state->full = false;
	state->image = NULL;
	state->partition = NULL;
}

static Jsonb *
member(Jsonb *payload, const char *key)
{
	JsonbValue	value;

	return uaef_json_get(payload, key, &value) ? JsonbValueToJsonb(&value) :
		NULL;
}

void
uaef_row_skip(UaefRowState *state, const UaefTableHistory *history,
			  int64 event_id)
{
	while (state->next_step < history->n &&
		   history->steps[state->next_step].event_id < event_id)
		take_step(state, &history->steps[state->next_step++]);
}

void
uaef_row_apply(UaefRowState *state, const UaefTableHistory *history,
			   const UaefRowChange *change)
{
	bool		update = strcmp(change->type, UAEF_ROW_UPDATED) == 0;
	Jsonb	   *new;
	bool		partial;

	uaef_row_skip(state, history, change->event_id);
	state->event_id = change->event_id;
	if (change->payload == NULL)
	{
		state->known = false;
		state->alive = strcmp(change->type, UAEF_ROW_DELETED) != 0;
		return;
	}
	if (strcmp(change->type, UAEF_ROW_DELETED) == 0 ||
		member(change->payload, "new_key") != NULL)
	{
		uaef_row_begin(state);
		state->event_id = change->event_id;
		return;
	}
	new = member(change->payload, "new");
	if (new == NULL)
		new = uaef_json_empty();
	partial = update && member(change->payload, "old_key") == NULL;
	if (!partial)
		state->known = true;
	if (change->event_id < history->known_from)
		state->known = false;
	state->full = !partial || state->full;
	if (partial && state->image != NULL)
		new = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
												 JsonbPGetDatum(state->image),
												 JsonbPGetDatum(new)));
	state->image = new;
	state->alive = true;
	state->partition = uaef_json_get_text(change->payload, "partition");
}

void
uaef_row_end(UaefRowState *state, const UaefTableHistory *history)
{
	int64		event_id = state->event_id;

	while (state->next_step < history->n)
		take_step(state, &history->steps[state->next_step++]);
	if (event_id < history->known_from)
		state->known = false;
}
