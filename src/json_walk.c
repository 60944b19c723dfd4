/*-------------------------------------------------------------------------
 *
 * json_walk.c
 *	  Walking through a document: where we are, and what is there.
 *
 * Locking: none.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "json_walk.h"

static void append_place(StringInfo out, const UaefPlace *place);

UaefPlace
uaef_place_below(const UaefPlace *up, const JsonbValue *key, int index)
{
	UaefPlace	place = {up, NULL, 0, index};

	if (key != NULL)
	{
		place.key = key->val.string.val;
		place.len = key->val.string.len;
	}
	return place;
}

static void
append_place(StringInfo out, const UaefPlace *place)
{
	if (place == NULL)
		return;
	append_place(out, place->up);
	appendStringInfoChar(out, '/');
	if (place->key == NULL)
	{
		appendStringInfo(out, "%d", place->index);
		return;
	}
	for (int i = 0; i < place->len; i++)
	{
		if (place->key[i] == '~')
			appendStringInfoString(out, "~0");
		else if (place->key[i] == '/')
			appendStringInfoString(out, "~1");
		else
			appendStringInfoChar(out, place->key[i]);
	}
}

char *
uaef_place_text(const UaefPlace *place)
{
	StringInfoData pointer;

	initStringInfo(&pointer);
	append_place(&pointer, place);
	return pointer.data;
}

UaefMembers
uaef_members(const JsonbValue *container)
{
	int			size = JsonContainerSize(container->val.binary.data);
	JsonbIterator *it = JsonbIteratorInit(container->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	value;
	UaefMembers members = {0};

	if (JsonContainerIsObject(container->val.binary.data))
		members.keys = palloc(Max(1, size) * sizeof(JsonbValue));
	members.values = palloc(Max(1, size) * sizeof(JsonbValue));

	(void) JsonbIteratorNext(&it, &value, false);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			members.keys[members.n] = value;
		else if (token == WJB_VALUE || token == WJB_ELEM)
			members.values[members.n++] = value;
	}
	return members;
}

bool
uaef_key_is(const JsonbValue *key, const char *name)
{
	return key->val.string.len == strlen(name) &&
		memcmp(key->val.string.val, name, key->val.string.len) == 0;
}
