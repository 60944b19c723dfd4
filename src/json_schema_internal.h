/*-------------------------------------------------------------------------
 *
 * json_schema_internal.h
 *	  A compiled JSON Schema: what json_schema.c makes and
 *	  json_schema_eval.c runs.
 *
 * Each schema object is a node with a field for each keyword, so that
 * keywords that act together find each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_JSON_SCHEMA_INTERNAL_H
#define UAEF_JSON_SCHEMA_INTERNAL_H

#include "utils/numeric.h"

#include "json_schema.h"

/* Types of values as bits; every integer is a number too. */
#define SCHEMA_NULL		0x01
#define SCHEMA_BOOLEAN	0x02
#define SCHEMA_NUMBER	0x04
#define SCHEMA_STRING	0x08
#define SCHEMA_ARRAY	0x10
#define SCHEMA_OBJECT	0x20
#define SCHEMA_INTEGER	0x40
#define SCHEMA_N_TYPES	7

/* The types by their names, in the order in which they are listed. */
typedef struct UaefSchemaType
{
	const char *name;
	uint32		type;
} UaefSchemaType;

extern const UaefSchemaType uaef_schema_types[SCHEMA_N_TYPES];

typedef struct SchemaNode SchemaNode;

typedef struct SchemaNodes
{
	int			n;
	SchemaNode **nodes;
} SchemaNodes;

/* Keys, in the order of jsonb, and the schema of each. */
typedef struct SchemaNamed
{
	int			n;
	JsonbValue *keys;
	text	  **patterns;		/* the keys, of patternProperties */
	SchemaNode **nodes;
} SchemaNamed;

/* Values; present tells an empty list from none. */
typedef struct SchemaValues
{
	bool		present;
	int			n;
	JsonbValue *values;
} SchemaValues;

/* dependentRequired: keys, and the keys that each needs. */
typedef struct SchemaNeeds
{
	int			n;
	JsonbValue *keys;
	SchemaValues *needs;
} SchemaNeeds;

/* The check of a format; NULL for one that only annotates. */
typedef bool (*SchemaFormat) (const char *text, int len);

struct SchemaNode
{
	bool		never;			/* the schema false */
	const void *source;			/* its container in the document, or NULL */

	/* of any value */
	uint32		types;			/* 0: any */
	SchemaValues allowed;		/* enum */
	SchemaValues constant;		/* const */

	/* of numbers */
	Numeric		multiple_of;
	Numeric		minimum;
	Numeric		maximum;
	Numeric		above;			/* exclusiveMinimum */
	Numeric		below;			/* exclusiveMaximum */

	/* of strings; counts are -1 when they are not given */
	int			min_length;
	int			max_length;
	text	   *pattern;
	const char *format_name;
	SchemaFormat format;

	/* of arrays */
	SchemaNodes prefix_items;
	SchemaNode *items;
	SchemaNode *contains;
	int			min_contains;
	int			max_contains;
	int			min_items;
	int			max_items;
	bool		unique_items;
	SchemaNode *unevaluated_items;

	/* of objects */
	SchemaNamed properties;
	SchemaNamed pattern_properties;
	SchemaNode *additional_properties;
	SchemaNode *property_names;
	SchemaValues required;
	SchemaNeeds dependent_required;
	SchemaNamed dependent_schemas;
	int			min_properties;
	int			max_properties;
	SchemaNode *unevaluated_properties;

	/* of the same value */
	SchemaNode *ref;
	SchemaNode *dynamic_ref;
	SchemaNodes all_of;
	SchemaNodes any_of;
	SchemaNodes one_of;
	SchemaNode *not;
	SchemaNode *if_schema;
	SchemaNode *then_schema;
	SchemaNode *else_schema;

	const char *ref_place;		/* of $ref or $dynamicRef */
	int			mark;			/* while looking for cycles */
};

struct UaefSchema
{
	SchemaNode *root;
};

/* Whether a key is among keys that are in the order of jsonb; where, or -1. */
extern int	uaef_schema_find_key(const JsonbValue *keys, int n,
								 const JsonbValue *key);

/* json_schema_format.c: the check of a format, NULL when it has none. */
extern SchemaFormat uaef_schema_format(const JsonbValue *name);

#endif							/* UAEF_JSON_SCHEMA_INTERNAL_H */
