/*-------------------------------------------------------------------------
 *
 * verify_json.h
 *	  A strict reader of JSON (RFC 8259), into an array of nodes.
 *
 * Strict: UTF-8 without surrogates, no key twice, nothing behind the value,
 * no deeper than JSON_DEPTH.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_JSON_H
#define VERIFY_JSON_H

#include "verify_util.h"

#define JSON_DEPTH 10000

typedef enum JsonType
{
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonType;

/*
 * A value, followed by the values in it; of an object these are keys (strings)
 * and values in turns.
 */
typedef struct JsonNode
{
	JsonType	type;
	uint32_t	count;			/* elements or members */
	uint32_t	next;			/* index of the node behind this value */
	Slice		text;			/* of a number as written, of a string decoded */
} JsonNode;

/*
 * A document.  Its nodes point into the text that was read and into strings;
 * all is valid until the next one is read into the same struct.  All zero is
 * an empty one.
 */
typedef struct Json
{
	JsonNode   *nodes;
	uint32_t	count;
	uint32_t	size;
	uint32_t	row;			/* node whose columns row_...() read */
	char	   *strings;		/* decoded strings; as large as the text */
	size_t		strings_len;
	size_t		strings_size;
	const char *start;
	const char *p;
	const char *end;
	const char *error;			/* what is wrong */
	size_t		error_at;		/* and at which byte of the text, from 0 */
} Json;

/* False when the text is no JSON; then error and error_at say why. */
extern bool json_read(Json *json, const char *text, size_t len);

/* The member of an object, or NULL if there is none or it is no object. */
extern const JsonNode *json_member(const Json *json, const JsonNode *object,
								   const char *key);

extern void json_free(Json *json);

#endif							/* VERIFY_JSON_H */
