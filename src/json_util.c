/*-------------------------------------------------------------------------
 *
 * json_util.c
 *	  Building and reading jsonb objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "json_util.h"
#include "uuid7.h"

static void push_key(UaefJson *json, const char *key);

void
uaef_json_begin(UaefJson *json)
{
	json->state = NULL;
	(void) pushJsonbValue(&json->state, WJB_BEGIN_OBJECT, NULL);
}

static void
push_key(UaefJson *json, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(&json->state, WJB_KEY, &value);
}

void
uaef_json_text(UaefJson *json, const char *key, const char *text)
{
	JsonbValue	value;

	if (text == NULL)
		return;
	push_key(json, key);
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(&json->state, WJB_VALUE, &value);
}

void
uaef_json_int(UaefJson *json, const char *key, int64 number)
{
	uaef_json_numeric(json, key, int64_to_numeric(number));
}

void
uaef_json_numeric(UaefJson *json, const char *key, Numeric number)
{
	JsonbValue	value;

	if (number == NULL)
		return;
	push_key(json, key);
	value.type = jbvNumeric;
	value.val.numeric = number;
	(void) pushJsonbValue(&json->state, WJB_VALUE, &value);
}

void
uaef_json_bool(UaefJson *json, const char *key, bool boolean)
{
	JsonbValue	value;

	push_key(json, key);
	value.type = jbvBool;
	value.val.boolean = boolean;
	(void) pushJsonbValue(&json->state, WJB_VALUE, &value);
}

void
uaef_json_uuid(UaefJson *json, const char *key, const pg_uuid_t *uuid)
{
	if (uuid != NULL)
		uaef_json_text(json, key, uaef_uuid_text(uuid));
}

void
uaef_json_time(UaefJson *json, const char *key, TimestampTz time)
{
	if (time != 0)
		uaef_json_text(json, key, uaef_time_text(time));
}

void
uaef_json_jsonb(UaefJson *json, const char *key, Jsonb *document)
{
	JsonbValue	value;

	if (document == NULL)
		return;
	push_key(json, key);
	if (JB_ROOT_IS_SCALAR(document))
		(void) JsonbExtractScalar(&document->root, &value);
	else
		JsonbToJsonbValue(document, &value);
	(void) pushJsonbValue(&json->state, WJB_VALUE, &value);
}

void
uaef_json_texts(UaefJson *json, const char *key, char *const *values, int n)
{
	push_key(json, key);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value;

		value.type = jbvString;
		value.val.string.val = values[i];
		value.val.string.len = strlen(values[i]);
		(void) pushJsonbValue(&json->state, WJB_ELEM, &value);
	}
	(void) pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

void
uaef_json_list(UaefJson *json, const char *key)
{
	push_key(json, key);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
}

void
uaef_json_list_object(UaefJson *json)
{
	(void) pushJsonbValue(&json->state, WJB_BEGIN_OBJECT, NULL);
}

void
uaef_json_list_object_end(UaefJson *json)
{
	(void) pushJsonbValue(&json->state, WJB_END_OBJECT, NULL);
}

void
uaef_json_list_end(UaefJson *json)
{
	(void) pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

void
uaef_json_members(UaefJson *json, Jsonb *object)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (object == NULL)
		return;
	iterator = JsonbIteratorInit(&object->root);
	/* Members come as a key and a whole value; only the outer braces go. */
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			(void) pushJsonbValue(&json->state, token, &value);
}

Jsonb *
uaef_json_end(UaefJson *json)
{
	return JsonbValueToJsonb(pushJsonbValue(&json->state, WJB_END_OBJECT,
											NULL));
}

Jsonb *
uaef_json_empty(void)
{
	UaefJson	json;

	uaef_json_begin(&json);
	return uaef_json_end(&json);
}

Jsonb *
uaef_json_from_value(JsonbValue *value)
{
	return JsonbValueToJsonb(value);
}

bool
uaef_json_get(Jsonb *object, const char *key, JsonbValue *value)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return false;
	return getKeyJsonValueFromContainer(&object->root, key, strlen(key),
										value) != NULL;
}

char *
uaef_json_get_text(Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(object, key, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

char *
uaef_time_text(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
					tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
}

bool
uaef_is_one_of(const char *const *list, const char *text, int len)
{
	for (; *list != NULL; list++)
	{
		if (strlen(*list) == len && memcmp(*list, text, len) == 0)
			return true;
	}
	return false;
}
