/*-------------------------------------------------------------------------
 *
 * workflow_export.c
 *	  Workflows as scripts, and what differs between two versions.
 *
 * Tasks are compared by their ids and edges by their ends and label, so that
 * one that was put in between others is one difference.
 *
 * Locking: none.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "errcodes.h"
#include "json_util.h"
#include "json_walk.h"
#include "path.h"
#include "set_result.h"
#include "spi_util.h"
#include "workflow_export.h"

/* A stored version. */
typedef struct Version
{
	int32		version;
	Jsonb	   *definition;
	char	   *description;	/* or NULL */
} Version;

/* What rows are put about. */
typedef struct Comparison
{
	FunctionCallInfo fcinfo;
	const char *part;			/* "task score", "edge a -> b", "definition" */
} Comparison;

static Version read_version(const char *name, int32 version);
static char *dollar_quoted(const char *text);
static JsonbValue *member(const JsonbValue *object, const char *key,
						  JsonbValue *value);
static char *text_member(const JsonbValue *object, const char *key);
static char *part_name(const JsonbValue *element, bool edges);
static void put(Comparison *comparison, const UaefPlace *place,
				const char *change, const JsonbValue *old,
				const JsonbValue *new);
static bool same(const JsonbValue *a, const JsonbValue *b);
static bool both(const JsonbValue *a, const JsonbValue *b, bool array);
static void compare(Comparison *comparison, const UaefPlace *place,
					const JsonbValue *old, const JsonbValue *new);
static bool is_parts(const Comparison *comparison, const JsonbValue *key);
static void compare_objects(Comparison *comparison, const UaefPlace *place,
							const JsonbValue *old, const JsonbValue *new);
static void compare_arrays(Comparison *comparison, const UaefPlace *place,
						   const JsonbValue *old, const JsonbValue *new);
static UaefMembers elements(const JsonbValue *definition, const char *key);
static void compare_parts(Comparison *comparison, const JsonbValue *old,
						  const JsonbValue *new, const char *key);

static Version
read_version(const char *name, int32 version)
{
	static UaefQuery find = {
		"SELECT version, definition, description FROM uaef.workflow_definition"
		" WHERE name = $1 AND ($2 = 0 OR version = $2)"
		" ORDER BY version DESC LIMIT 1",
		2, {TEXTOID, INT4OID}
	};
	Datum		args[] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	UaefCaller	caller = uaef_spi_begin();
	Version		found = {0};
	bool		isnull;

	if (uaef_spi_read(&find, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
				 version == 0 ?
				 errmsg("workflow \"%s\" does not exist", name) :
				 errmsg("workflow \"%s\" has no version %d", name, version)));
	found.version = uaef_spi_int32(0, 1);
	found.definition = uaef_spi_jsonb(0, 2);
	(void) uaef_spi_value(0, 3, &isnull);
	if (!isnull)
		found.description = uaef_spi_text(0, 3);
	uaef_spi_end(caller);
	return found;
}

/* As a literal that every setting reads alike; its first tag is its end. */
static char *
dollar_quoted(const char *text)
{
	char	   *tag = "$uaef$";
	char	   *rest = psprintf("%s%s", text, tag);

	for (int i = 1; strstr(rest, tag) != rest + strlen(text); i++)
	{
		tag = psprintf("$uaef%d$", i);
		rest = psprintf("%s%s", text, tag);
	}
	return psprintf("%s%s", tag, rest);
}

char *
uaef_export_workflow(const char *name, int32 version)
{
	Version		found = read_version(name, version);
	char	   *pretty = TextDatumGetCString(DirectFunctionCall1(jsonb_pretty,
																 JsonbPGetDatum(found.definition)));
	StringInfoData script;

	initStringInfo(&script);
	appendStringInfo(&script, "-- version %d\nSELECT uaef.create_workflow(%s, %s",
					 found.version, dollar_quoted(name),
					 dollar_quoted(pretty));
	if (found.description != NULL)
		appendStringInfo(&script, ", %s", dollar_quoted(found.description));
	appendStringInfoString(&script, ");\n");
	return script.data;
}

static JsonbValue *
member(const JsonbValue *object, const char *key, JsonbValue *value)
{
	if (object->type != jbvBinary ||
		!JsonContainerIsObject(object->val.binary.data))
		return NULL;
	return getKeyJsonValueFromContainer(object->val.binary.data, key,
										strlen(key), value);
}

static char *
text_member(const JsonbValue *object, const char *key)
{
	JsonbValue	value;

	if (member(object, key, &value) == NULL || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* "task score", "edge score -> pay [approve]" */
static char *
part_name(const JsonbValue *element, bool edges)
{
	char	   *label;

	if (!edges)
		return psprintf("task %s", text_member(element, "id"));
	label = text_member(element, "on");
	return psprintf("edge %s -> %s%s", text_member(element, "from"),
					text_member(element, "to"),
					label ? psprintf(" [%s]", label) : "");
}

static void
put(Comparison *comparison, const UaefPlace *place, const char *change,
	const JsonbValue *old, const JsonbValue *new)
{
	JsonbValue	copy;
	Datum		values[5];
	bool		nulls[5] = {false, false, false, old == NULL, new == NULL};

	values[0] = CStringGetTextDatum(comparison->part);
	values[1] = CStringGetTextDatum(uaef_place_text(place));
	values[2] = CStringGetTextDatum(change);
	for (int i = 0; i < 2; i++)
		if (!nulls[3 + i])
		{
			copy = i == 0 ? *old : *new;
			values[3 + i] = JsonbPGetDatum(uaef_json_from_value(&copy));
		}
	uaef_put_row(comparison->fcinfo, values, nulls);
}

/* To the byte of their text: 1.0 is not 1. */
static bool
same(const JsonbValue *a, const JsonbValue *b)
{
	JsonbValue	copies[] = {*a, *b};
	Jsonb	   *documents[2];

	for (int i = 0; i < 2; i++)
		documents[i] = uaef_json_from_value(&copies[i]);
	return VARSIZE(documents[0]) == VARSIZE(documents[1]) &&
		memcmp(documents[0], documents[1], VARSIZE(documents[0])) == 0;
}

static bool
both(const JsonbValue *a, const JsonbValue *b, bool array)
{
	return a->type == jbvBinary && b->type == jbvBinary &&
		JsonContainerIsArray(a->val.binary.data) == array &&
		JsonContainerIsArray(b->val.binary.data) == array;
}

/* Two values in one place; NULL: there is none. */
static void
compare(Comparison *comparison, const UaefPlace *place, const JsonbValue *old,
		const JsonbValue *new)
{
	if (old == NULL)
		put(comparison, place, "added", NULL, new);
	else if (new == NULL)
		put(comparison, place, "removed", old, NULL);
	else if (same(old, new))
		return;
	else if (both(old, new, false))
		compare_objects(comparison, place, old, new);
	else if (both(old, new, true))
		compare_arrays(comparison, place, old, new);
	else
		put(comparison, place, "changed", old, new);
}

/* The members of the definition that compare_parts() is for. */
static bool
is_parts(const Comparison *comparison, const JsonbValue *key)
{
	return strcmp(comparison->part, "definition") == 0 &&
		(uaef_key_is(key, "tasks") || uaef_key_is(key, "edges"));
}

static void
compare_objects(Comparison *comparison, const UaefPlace *place,
				const JsonbValue *old, const JsonbValue *new)
{
	UaefMembers members[] = {uaef_members(old), uaef_members(new)};

	for (int which = 0; which < 2; which++)
		for (int i = 0; i < members[which].n; i++)
		{
			JsonbValue *key = &members[which].keys[i];
			const JsonbValue *other = which == 0 ? new : old;
			JsonbValue	buffer;
			JsonbValue *found = getKeyJsonValueFromContainer(other->val.binary.data,
															 key->val.string.val,
															 key->val.string.len,
															 &buffer);
			UaefPlace	here = uaef_place_below(place, key, 0);

			if (place == NULL && is_parts(comparison, key))
				continue;
			if (which == 0)
				compare(comparison, &here, &members[0].values[i], found);
			else if (found == NULL)
				compare(comparison, &here, NULL, &members[1].values[i]);
		}
}

/* Element by element if they are as many, else as a whole. */
static void
compare_arrays(Comparison *comparison, const UaefPlace *place,
			   const JsonbValue *old, const JsonbValue *new)
{
	UaefMembers before = uaef_members(old);
	UaefMembers after = uaef_members(new);

	if (before.n != after.n)
	{
		put(comparison, place, "changed", old, new);
		return;
	}
	for (int i = 0; i < before.n; i++)
	{
		UaefPlace	here = uaef_place_below(place, NULL, i);

		compare(comparison, &here, &before.values[i], &after.values[i]);
	}
}

/* Tasks or edges of a definition; none when the key is missing. */
static UaefMembers
elements(const JsonbValue *definition, const char *key)
{
	UaefMembers none = {0};
	JsonbValue	value;

	if (member(definition, key, &value) == NULL || value.type != jbvBinary)
		return none;
	return uaef_members(&value);
}

/* Tasks or edges, by their names. */
static void
compare_parts(Comparison *comparison, const JsonbValue *old,
			  const JsonbValue *new, const char *key)
{
	bool		edges = strcmp(key, "edges") == 0;
	UaefMembers sides[] = {elements(old, key), elements(new, key)};
	char	  **names[2];
	bool		moved = false;
	int			last = -1;

	for (int side = 0; side < 2; side++)
	{
		names[side] = palloc(Max(1, sides[side].n) * sizeof(char *));
		for (int i = 0; i < sides[side].n; i++)
			names[side][i] = part_name(&sides[side].values[i], edges);
	}
	for (int side = 0; side < 2; side++)
		for (int i = 0; i < sides[side].n; i++)
		{
			int			other = 0;

			while (other < sides[1 - side].n &&
				   strcmp(names[side][i], names[1 - side][other]) != 0)
				other++;
			comparison->part = names[side][i];
			CHECK_FOR_INTERRUPTS();
			if (other == sides[1 - side].n)
				compare(comparison, NULL,
						side == 0 ? &sides[0].values[i] : NULL,
						side == 0 ? NULL : &sides[1].values[i]);
			else if (side == 0)
			{
				compare(comparison, NULL, &sides[0].values[i],
						&sides[1].values[other]);
				moved = moved || other < last;
				last = other;
			}
		}
	comparison->part = "definition";
	if (moved)
	{
		UaefPlace	place = {NULL, key, strlen(key), 0};

		put(comparison, &place, "reordered", NULL, NULL);
	}
}

void
uaef_compare_workflow(FunctionCallInfo fcinfo, const char *name,
					  int32 old_version, int32 new_version)
{
	Comparison	comparison = {fcinfo, "definition"};
	Version		new = read_version(name, new_version);
	Version		old = read_version(name, old_version > 0 ? old_version :
								   Max(1, new.version - 1));
	JsonbValue	documents[2];
	static const char *const parts[] = {"tasks", "edges"};

	uaef_document_value(old.definition, &documents[0]);
	uaef_document_value(new.definition, &documents[1]);
	for (int i = 0; i < lengthof(parts); i++)
		compare_parts(&comparison, &documents[0], &documents[1], parts[i]);

	compare_objects(&comparison, NULL, &documents[0], &documents[1]);
}
