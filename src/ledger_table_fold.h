/*-------------------------------------------------------------------------
 *
 * ledger_table_fold.h
 *	  What the events of a row amount to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_FOLD_H
#define UAEF_LEDGER_TABLE_FOLD_H

#include "utils/jsonb.h"

#include "ledger_table.h"

/* What happened to a table as a whole, in order. */
typedef struct UaefTableHistory
{
	struct TableStep *steps;
	int			n;
	bool		complete;		/* each row has been recorded once */
	int64		first_event;	/* of the table that is there; 0: none */
	int64		known_from;		/* event before which some may be gone */
} UaefTableHistory;

/* A row as its events leave it. */
typedef struct UaefRowState
{
	int			next_step;		/* of the table's history */
	int64		event_id;		/* the last that was applied */
	bool		alive;
	bool		known;			/* no event of it was erased */
	bool		full;			/* image has every column */
	Jsonb	   *image;			/* NULL: nothing is known */
	char	   *partition;
} UaefRowState;

/* An event of a row. */
typedef struct UaefRowChange
{
	int64		event_id;
	const char *type;
	Jsonb	   *payload;		/* NULL: it was erased */
} UaefRowChange;

/*
 * Read the events of a table as a whole that the active snapshot sees.  As the
 * owner, within SPI.
 */
extern void uaef_table_history(const UaefLedgerTable *table,
							   UaefTableHistory *history);

extern void uaef_row_begin(UaefRowState *state);

/* Apply what happened to the table before an event. */
extern void uaef_row_skip(UaefRowState *state,
						  const UaefTableHistory *history, int64 event_id);

/* Apply one event of the row, after what happened to the table before it. */
extern void uaef_row_apply(UaefRowState *state,
						   const UaefTableHistory *history,
						   const UaefRowChange *change);

/* Apply what happened to the table since the last event. */
extern void uaef_row_end(UaefRowState *state,
						 const UaefTableHistory *history);

#endif							/* UAEF_LEDGER_TABLE_FOLD_H */
