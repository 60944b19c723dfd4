/*-------------------------------------------------------------------------
 *
 * json_walk.h
 *	  Walking through a document: where we are, and what is there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_JSON_WALK_H
#define UAEF_JSON_WALK_H

#include "utils/jsonb.h"

/* Where in a document we are: a chain on the stack; NULL is the root. */
typedef struct UaefPlace
{
	const struct UaefPlace *up;
	const char *key;			/* NULL: an element */
	int			len;
	int			index;
} UaefPlace;

/* The place of a member of an object, or, without key, of an element. */
extern UaefPlace uaef_place_below(const UaefPlace *up, const JsonbValue *key,
								  int index);

/* As a JSON pointer (RFC 6901), palloc'd: "/lines/0/price"; "" for the root. */
extern char *uaef_place_text(const UaefPlace *place);

/* The pairs of an object, or, without keys, the elements of an array. */
typedef struct UaefMembers
{
	int			n;
	JsonbValue *keys;
	JsonbValue *values;
} UaefMembers;

/* The members of an object or array (jbvBinary), in stored order. */
extern UaefMembers uaef_members(const JsonbValue *container);

extern bool uaef_key_is(const JsonbValue *key, const char *name);

#endif							/* UAEF_JSON_WALK_H */
