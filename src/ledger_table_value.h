/*-------------------------------------------------------------------------
 *
 * ledger_table_value.h
 *	  Values of an app's columns as JSON, the same under any settings.
 *
 * docs/ledgered-tables.md lists how each type is written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_VALUE_H
#define UAEF_LEDGER_TABLE_VALUE_H

#include "fmgr.h"
#include "utils/jsonb.h"

/* Values that may be shorter than this are never replaced by their digest. */
#define UAEF_DIGEST_MIN_BYTES 256

/* How a type is written. */
typedef enum UaefValueKind
{
	UAEF_VALUE_BOOL,
	UAEF_VALUE_INT2,
	UAEF_VALUE_INT4,
	UAEF_VALUE_INT8,
	UAEF_VALUE_OID,
	UAEF_VALUE_NUMERIC,
	UAEF_VALUE_FLOAT4,
	UAEF_VALUE_FLOAT8,
	UAEF_VALUE_TEXT,
	UAEF_VALUE_JSONB,
	UAEF_VALUE_BYTEA,
	UAEF_VALUE_TIME,			/* dates and times, but intervals */
	UAEF_VALUE_ARRAY,
	UAEF_VALUE_COMPOSITE,
	UAEF_VALUE_PLAIN,			/* its output, which no setting changes */
	UAEF_VALUE_OUTPUT			/* its output, under our settings */
} UaefValueKind;

typedef struct UaefValueType
{
	Oid			type;			/* never a domain */
	UaefValueKind kind;
	FmgrInfo	output;			/* set for the last four kinds */
	int16		length;			/* as in pg_type */
	bool		by_value;
	char		align;
	struct UaefValueType *element;	/* of an array */
} UaefValueType;

/*
 * Settings that output functions heed are pinned when the first value needs
 * it: begin with 0, and let uaef_unpin() undo it.
 */
typedef int UaefPinned;

extern void uaef_unpin(UaefPinned *pinned);

/* Find out how a type is written; what it needs lives in context. */
extern void uaef_value_find_type(UaefValueType *type, Oid oid,
								 MemoryContext context);

/* A value as JSON, in the current context. */
extern void uaef_value_json(UaefValueType *type, Datum value,
							UaefPinned *pinned, JsonbValue *json);

/* About the bytes that a value takes in a jsonb, told without detoasting. */
extern uint64 uaef_value_size(const UaefValueType *type, Datum value);

/* What stands for a value that is too large: {"bytes", "sha256"}. */
extern void uaef_value_digest(UaefValueType *type, Datum value,
							  UaefPinned *pinned, JsonbValue *json);

/* A text as a JSON string. */
extern void uaef_json_string(JsonbValue *json, const char *text);

#endif							/* UAEF_LEDGER_TABLE_VALUE_H */
