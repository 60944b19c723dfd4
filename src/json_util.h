/*-------------------------------------------------------------------------
 *
 * json_util.h
 *	  Building and reading jsonb objects.
 *
 *		UaefJson	json;
 *
 *		uaef_json_begin(&json);
 *		uaef_json_text(&json, "task", "score");
 *		uaef_json_int(&json, "attempt", 2);
 *		payload = uaef_json_end(&json);
 *
 * Setters skip a NULL value; a key is given once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_JSON_UTIL_H
#define UAEF_JSON_UTIL_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

typedef struct UaefJson
{
	JsonbParseState *state;
} UaefJson;

extern void uaef_json_begin(UaefJson *json);
extern void uaef_json_text(UaefJson *json, const char *key, const char *value);
extern void uaef_json_int(UaefJson *json, const char *key, int64 value);
extern void uaef_json_numeric(UaefJson *json, const char *key, Numeric value);
extern void uaef_json_bool(UaefJson *json, const char *key, bool value);
extern void uaef_json_uuid(UaefJson *json, const char *key,
						   const pg_uuid_t *value);

/* ISO 8601 in UTC with microseconds; skipped when 0. */
extern void uaef_json_time(UaefJson *json, const char *key, TimestampTz value);
extern void uaef_json_jsonb(UaefJson *json, const char *key, Jsonb *value);
extern void uaef_json_texts(UaefJson *json, const char *key,
							char *const *values, int n);

/*
 * A list of objects: uaef_json_list(), then for each of them
 * uaef_json_list_object(), its members and uaef_json_list_object_end(), and
 * uaef_json_list_end().
 */
extern void uaef_json_list(UaefJson *json, const char *key);
extern void uaef_json_list_object(UaefJson *json);
extern void uaef_json_list_object_end(UaefJson *json);
extern void uaef_json_list_end(UaefJson *json);

/* All members of another object, which may be NULL. */
extern void uaef_json_members(UaefJson *json, Jsonb *object);
extern Jsonb *uaef_json_end(UaefJson *json);

/* {} */
extern Jsonb *uaef_json_empty(void);

/* Any value as a document. */
extern Jsonb *uaef_json_from_value(JsonbValue *value);

/* A key's value of an object; false when it is missing, or not an object. */
extern bool uaef_json_get(Jsonb *object, const char *key, JsonbValue *value);

/* A string value's palloc'd C string, or NULL when missing or no string. */
extern char *uaef_json_get_text(Jsonb *object, const char *key);

/* Is a text of that length in a list that ends with NULL? */
extern bool uaef_is_one_of(const char *const *list, const char *text, int len);

/* ISO 8601 in UTC with microseconds: 2026-01-31T12:00:00.000000Z; palloc'd. */
extern char *uaef_time_text(TimestampTz value);

#endif							/* UAEF_JSON_UTIL_H */
