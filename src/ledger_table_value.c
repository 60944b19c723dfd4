/*-------------------------------------------------------------------------
 *
 * ledger_table_value.c
 *	  Values of an app's columns as JSON, the same under any settings.
 *
 * What a reader of the ledger sees, and what is hashed, must not depend on the
 * session that wrote the row: on its TimeZone, DateStyle, client_encoding and
 * so on.  Common types are written by code that heeds no setting; the others
 * by their output functions, with those settings pinned that such functions
 * heed.  A json is kept as its text, which every json can be; a jsonb could
 * not hold each of them.
 *
 * Memory: results and what was detoasted for them stay in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "canonical.h"
#include "event_hash.h"
#include "ledger_table_value.h"

static void pin(UaefPinned *pinned);
static UaefValueKind kind_of(Oid type);
static char *output_text(UaefValueType *type, Datum value,
						 UaefPinned *pinned);
static void string_value(JsonbValue *json, const char *bytes, int len);
static void numeric_value(JsonbValue *json, Numeric number);
static void float_value(JsonbValue *json, double number, char *shortest);
static void bytea_value(JsonbValue *json, bytea *bytes);
static void text_value(JsonbValue *json, text * value);
static void array_value(UaefValueType *type, Datum value, UaefPinned *pinned,
						JsonbValue *json);
static JsonbValue *push_dimension(JsonbParseState **state,
								  UaefValueType *type, Datum **values,
								  bool **nulls, const int *dims, int ndims,
								  UaefPinned *pinned);
static void composite_value(Datum value, UaefPinned *pinned,
							JsonbValue *json);
static void jsonb_value(JsonbValue *json, Jsonb *document);

/*
 * The settings that output functions of the server, and of common extensions,
 * heed.  They are undone by uaef_unpin() or by the abort of the transaction.
 */
static void
pin(UaefPinned *pinned)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "iso_8601"},
		{"TimeZone", "UTC"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
		{"lc_monetary", "C"},
		{"quote_all_identifiers", "off"},
		{"xmlbinary", "base64"},
		{"search_path", "pg_catalog, pg_temp"}
	};

	if (*pinned != 0)
		return;
	*pinned = NewGUCNestLevel();
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

void
uaef_unpin(UaefPinned *pinned)
{
	if (*pinned != 0)
		AtEOXact_GUC(true, *pinned);
	*pinned = 0;
}

/*
 * The kind of a type that is no domain, array or composite.
 */
static UaefValueKind
kind_of(Oid type)
{
	static const struct
	{
		Oid			type;
		UaefValueKind kind;
	}			kinds[] = {
		{BOOLOID, UAEF_VALUE_BOOL},
		{INT2OID, UAEF_VALUE_INT2},
		{INT4OID, UAEF_VALUE_INT4},
		{INT8OID, UAEF_VALUE_INT8},
		{OIDOID, UAEF_VALUE_OID},
		{NUMERICOID, UAEF_VALUE_NUMERIC},
		{FLOAT4OID, UAEF_VALUE_FLOAT4},
		{FLOAT8OID, UAEF_VALUE_FLOAT8},
		{TEXTOID, UAEF_VALUE_TEXT},
		{VARCHAROID, UAEF_VALUE_TEXT},
		{BPCHAROID, UAEF_VALUE_TEXT},
		{JSONOID, UAEF_VALUE_TEXT},
		{JSONBOID, UAEF_VALUE_JSONB},
		{BYTEAOID, UAEF_VALUE_BYTEA},
		{DATEOID, UAEF_VALUE_TIME},
		{TIMEOID, UAEF_VALUE_TIME},
		{TIMETZOID, UAEF_VALUE_TIME},
		{TIMESTAMPOID, UAEF_VALUE_TIME},
		{TIMESTAMPTZOID, UAEF_VALUE_TIME},
		{NAMEOID, UAEF_VALUE_PLAIN},
		{CHAROID, UAEF_VALUE_PLAIN},
		{UUIDOID, UAEF_VALUE_PLAIN},
		{INETOID, UAEF_VALUE_PLAIN},
		{CIDROID, UAEF_VALUE_PLAIN},
		{MACADDROID, UAEF_VALUE_PLAIN},
		{MACADDR8OID, UAEF_VALUE_PLAIN},
		{BITOID, UAEF_VALUE_PLAIN},
		{VARBITOID, UAEF_VALUE_PLAIN},
		{TSVECTOROID, UAEF_VALUE_PLAIN},
		{LSNOID, UAEF_VALUE_PLAIN}
	};

	for (int i = 0; i < lengthof(kinds); i++)
		if (kinds[i].type == type)
			return kinds[i].kind;
	return type_is_enum(type) ? UAEF_VALUE_PLAIN : UAEF_VALUE_OUTPUT;
}

void
uaef_value_find_type(UaefValueType *type, Oid oid, MemoryContext context)
{
	Oid			element;
	Oid			output;
	bool		is_varlena;

	check_stack_depth();
	type->type = getBaseType(oid);
	type->element = NULL;
	get_typlenbyvalalign(type->type, &type->length, &type->by_value,
						 &type->align);
	getTypeOutputInfo(type->type, &output, &is_varlena);
	fmgr_info_cxt(output, &type->output, context);

	element = get_element_type(type->type);
	if (OidIsValid(element))
	{
		type->kind = UAEF_VALUE_ARRAY;
		type->element = MemoryContextAlloc(context, sizeof(UaefValueType));
		uaef_value_find_type(type->element, element, context);
	}
	else if (get_typtype(type->type) == TYPTYPE_COMPOSITE)
		type->kind = UAEF_VALUE_COMPOSITE;
	else
		type->kind = kind_of(type->type);
}

/*
 * What the output function says, under our settings.
 */
static char *
output_text(UaefValueType *type, Datum value, UaefPinned *pinned)
{
	if (type->kind != UAEF_VALUE_PLAIN)
		pin(pinned);
	return OutputFunctionCall(&type->output, value);
}

static void
string_value(JsonbValue *json, const char *bytes, int len)
{
	json->type = jbvString;
	json->val.string.val = unconstify(char *, bytes);
	json->val.string.len = len;
}

void
uaef_json_string(JsonbValue *json, const char *text)
{
	string_value(json, text, strlen(text));
}

/*
 * JSON has no word for what is no finite number.
 */
static void
numeric_value(JsonbValue *json, Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number))
	{
		uaef_json_string(json,
						 DatumGetCString(DirectFunctionCall1(numeric_out,
															 NumericGetDatum(number))));
		return;
	}
	json->type = jbvNumeric;
	json->val.numeric = number;
}

static void
float_value(JsonbValue *json, double number, char *shortest)
{
	if (isnan(number))
		uaef_json_string(json, "NaN");
	else if (isinf(number))
		uaef_json_string(json, number > 0 ? "Infinity" : "-Infinity");
	else
		numeric_value(json,
					  DatumGetNumeric(DirectFunctionCall3(numeric_in,
														  CStringGetDatum(shortest),
														  ObjectIdGetDatum(InvalidOid),
														  Int32GetDatum(-1))));
}

static void
bytea_value(JsonbValue *json, bytea *bytes)
{
	int			len = VARSIZE_ANY_EXHDR(bytes);
	char	   *hex = palloc((Size) len * 2 + 3);

	hex[0] = '\\';
	hex[1] = 'x';
	hex_encode(VARDATA_ANY(bytes), len, hex + 2);
	string_value(json, hex, len * 2 + 2);
}

/*
 * A database of encoding SQL_ASCII can hold texts that are of no encoding, and
 * JSON cannot; such a one is written as its bytes.
 */
static void
text_value(JsonbValue *json, text * value)
{
	if (GetDatabaseEncoding() == PG_SQL_ASCII &&
		!pg_verify_mbstr(PG_UTF8, VARDATA_ANY(value),
						 VARSIZE_ANY_EXHDR(value), true))
		bytea_value(json, value);
	else
		string_value(json, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static void
jsonb_value(JsonbValue *json, Jsonb *document)
{
	if (JB_ROOT_IS_SCALAR(document))
		(void) JsonbExtractScalar(&document->root, json);
	else
		JsonbToJsonbValue(document, json);
}

/*
 * An array of any dimensions, whose elements are taken as they come.
 */
static JsonbValue *
push_dimension(JsonbParseState **state, UaefValueType *type, Datum **values,
			   bool **nulls, const int *dims, int ndims, UaefPinned *pinned)
{
	JsonbValue	json;

	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < dims[0]; i++)
	{
		if (ndims > 1)
		{
			(void) push_dimension(state, type, values, nulls, dims + 1,
								  ndims - 1, pinned);
			continue;
		}
		if (**nulls)
			json.type = jbvNull;
		else
			uaef_value_json(type, **values, pinned, &json);
		(void) pushJsonbValue(state, WJB_ELEM, &json);
		(*values)++;
		(*nulls)++;
	}
	return pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/*
 * An array whose subscripts do not begin with 1 is written as its text, which
 * tells them.
 */
static void
array_value(UaefValueType *type, Datum value, UaefPinned *pinned,
			JsonbValue *json)
{
	static const int empty[] = {0};
	ArrayType  *array = DatumGetArrayTypeP(value);
	JsonbParseState *state = NULL;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		if (ARR_LBOUND(array)[i] != 1)
		{
			uaef_json_string(json, output_text(type, PointerGetDatum(array),
											   pinned));
			return;
		}
	}
	deconstruct_array(array, type->element->type, type->element->length,
					  type->element->by_value, type->element->align, &values,
					  &nulls, &n);
	*json = *push_dimension(&state, type->element, &values, &nulls,
							n == 0 ? empty : ARR_DIMS(array),
							ARR_NDIM(array), pinned);
}

static void
composite_value(Datum value, UaefPinned *pinned, JsonbValue *json)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(row),
												   HeapTupleHeaderGetTypMod(row));
	JsonbParseState *state = NULL;
	HeapTupleData tuple = {0};

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		UaefValueType type;
		JsonbValue	member;
		bool		isnull;
		Datum		field;

		if (attribute->attisdropped)
			continue;
		uaef_json_string(&member, NameStr(attribute->attname));
		(void) pushJsonbValue(&state, WJB_KEY, &member);
		field = heap_getattr(&tuple, i + 1, desc, &isnull);
		member.type = jbvNull;
		if (!isnull)
		{
			uaef_value_find_type(&type, attribute->atttypid, CurrentMemoryContext);
			uaef_value_json(&type, field, pinned, &member);
		}
		(void) pushJsonbValue(&state, WJB_VALUE, &member);
	}
	*json = *pushJsonbValue(&state, WJB_END_OBJECT, NULL);
}

void
uaef_value_json(UaefValueType *type, Datum value, UaefPinned *pinned,
				JsonbValue *json)
{
	static const int utc = 0;
	char		buffer[DOUBLE_SHORTEST_DECIMAL_LEN];

	check_stack_depth();
	switch (type->kind)
	{
		case UAEF_VALUE_BOOL:
			json->type = jbvBool;
			json->val.boolean = DatumGetBool(value);
			break;
		case UAEF_VALUE_INT2:
			numeric_value(json, int64_to_numeric(DatumGetInt16(value)));
			break;
		case UAEF_VALUE_INT4:
			numeric_value(json, int64_to_numeric(DatumGetInt32(value)));
			break;
		case UAEF_VALUE_INT8:
			numeric_value(json, int64_to_numeric(DatumGetInt64(value)));
			break;
		case UAEF_VALUE_OID:
			numeric_value(json, int64_to_numeric(DatumGetObjectId(value)));
			break;
		case UAEF_VALUE_NUMERIC:
			numeric_value(json, DatumGetNumeric(value));
			break;
		case UAEF_VALUE_FLOAT4:
			float_to_shortest_decimal_buf(DatumGetFloat4(value), buffer);
			float_value(json, DatumGetFloat4(value), buffer);
			break;
		case UAEF_VALUE_FLOAT8:
			double_to_shortest_decimal_buf(DatumGetFloat8(value), buffer);
			float_value(json, DatumGetFloat8(value), buffer);
			break;
		case UAEF_VALUE_TEXT:
			text_value(json, DatumGetTextPP(value));
			break;
		case UAEF_VALUE_JSONB:
			jsonb_value(json, DatumGetJsonbP(value));
			break;
		case UAEF_VALUE_BYTEA:
			bytea_value(json, DatumGetByteaPP(value));
			break;
		case UAEF_VALUE_TIME:
			uaef_json_string(json,
							 JsonEncodeDateTime(NULL, value, type->type,
												type->type == TIMESTAMPTZOID ?
												&utc : NULL));
			break;
		case UAEF_VALUE_ARRAY:
			array_value(type, value, pinned, json);
			break;
		case UAEF_VALUE_COMPOSITE:
			composite_value(value, pinned, json);
			break;
		case UAEF_VALUE_PLAIN:
		case UAEF_VALUE_OUTPUT:
			uaef_json_string(json, output_text(type, value, pinned));
			break;
	}
}

/*
 * A small number in an array becomes a numeric with a header, so arrays, and
 * what we do not know, may take several times what they take in a row.
 */
uint64
uaef_value_size(const UaefValueType *type, Datum value)
{
	uint64		raw;

	if (type->length != -1)
		return 32;
	raw = toast_raw_datum_size(value);
	switch (type->kind)
	{
		case UAEF_VALUE_TEXT:
		case UAEF_VALUE_JSONB:
		case UAEF_VALUE_NUMERIC:
			return raw;
		case UAEF_VALUE_BYTEA:
			return 2 * raw;
		default:
			return 8 * raw;
	}
}

/*
 * The digest is that of the bytes of a bytea, of a text in UTF-8, of the
 * canonical text of a jsonb, or of the type's output.
 */
void
uaef_value_digest(UaefValueType *type, Datum value, UaefPinned *pinned,
				  JsonbValue *json)
{
	StringInfoData canonical;
	UaefValueType plain = *type;
	struct varlena *packed;
	char	   *bytes;
	size_t		len;
	uint8		hash[UAEF_HASH_LEN];
	JsonbParseState *state = NULL;
	JsonbValue	member;

	if (type->kind == UAEF_VALUE_JSONB)
	{
		initStringInfo(&canonical);
		(void) uaef_canonical_append(&canonical, DatumGetJsonbP(value));
		bytes = canonical.data;
		len = canonical.len;
	}
	else if (type->kind == UAEF_VALUE_BYTEA || type->kind == UAEF_VALUE_TEXT)
	{
		packed = PG_DETOAST_DATUM_PACKED(value);
		bytes = VARDATA_ANY(packed);
		len = VARSIZE_ANY_EXHDR(packed);
	}
	else
	{
		plain.kind = type->kind == UAEF_VALUE_PLAIN ? UAEF_VALUE_PLAIN :
			UAEF_VALUE_OUTPUT;
		bytes = output_text(&plain, value, pinned);
		len = strlen(bytes);
	}
	if (type->kind != UAEF_VALUE_BYTEA && type->kind != UAEF_VALUE_JSONB &&
		GetDatabaseEncoding() != PG_UTF8 &&
		GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		bytes = pg_server_to_any(bytes, len, PG_UTF8);
		len = strlen(bytes);
	}

	uaef_hash_begin();
	uaef_hash_add(bytes, len);
	uaef_hash_end(hash);

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	uaef_json_string(&member, "bytes");
	(void) pushJsonbValue(&state, WJB_KEY, &member);
	numeric_value(&member, int64_to_numeric(len));
	(void) pushJsonbValue(&state, WJB_VALUE, &member);
	uaef_json_string(&member, "sha256");
	(void) pushJsonbValue(&state, WJB_KEY, &member);
	uaef_json_string(&member, uaef_hex(hash, sizeof(hash)));
	(void) pushJsonbValue(&state, WJB_VALUE, &member);
	*json = *pushJsonbValue(&state, WJB_END_OBJECT, NULL);
}
