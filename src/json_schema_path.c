/*-------------------------------------------------------------------------
 *
 * json_schema_path.c
 *	  What a path can lead to in a value that a JSON Schema allows.
 *
 * The answer errs on the side of more: what is not understood here, such as
 * "not" or "if", rules nothing out.  A schema that names the properties of an
 * object, and says nothing of others, allows them; that a path leads to one is
 * told all the same, because it is likely to be misspelt.
 *
 * Locking: none.  Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "json_schema_internal.h"

/* $ref can go round in circles. */
#define MAX_DEPTH	64

static uint32 own_types(const SchemaNode *node);
static uint32 property_types(const SchemaNode *node, const UaefPath *path,
							 int step, int depth);
static uint32 element_types(const SchemaNode *node, const UaefPath *path,
							int step, int depth);
static uint32 any_types(const SchemaNodes *nodes, const UaefPath *path,
						int step, int depth);
static uint32 node_types(const SchemaNode *node, const UaefPath *path,
						 int step, int depth);
static bool is_open(const SchemaNode *node);

static uint32
own_types(const SchemaNode *node)
{
	uint32		types = node->types & UAEF_TYPE_ANY;

	if (node->types & SCHEMA_INTEGER)
		types |= UAEF_TYPE_NUMBER;
	return node->types == 0 ? UAEF_TYPE_ANY : types;
}

/* Does a schema say nothing of what else an object may have? */
static bool
is_open(const SchemaNode *node)
{
	return node->properties.n == 0 && node->additional_properties == NULL;
}

static uint32
property_types(const SchemaNode *node, const UaefPath *path, int step,
			   int depth)
{
	JsonbValue	key = {.type = jbvString};
	uint32		index;
	int			len;
	int			no;

	key.val.string.val = unconstify(char *, uaef_path_step(path, step, &len,
														   &index));
	key.val.string.len = len;
	no = uaef_schema_find_key(node->properties.keys, node->properties.n, &key);
	if (no >= 0)
		return node_types(node->properties.nodes[no], path, step + 1, depth);
	if (node->pattern_properties.n > 0 || is_open(node))
		return UAEF_TYPE_ANY;
	if (node->additional_properties == NULL)
		return UAEF_TYPE_ANY | UAEF_TYPE_UNDECLARED;
	return node_types(node->additional_properties, path, step + 1, depth);
}

static uint32
element_types(const SchemaNode *node, const UaefPath *path, int step,
			  int depth)
{
	uint32		index;
	int			len;

	(void) uaef_path_step(path, step, &len, &index);
	if (node->max_items >= 0 && index >= node->max_items)
		return 0;
	if (index < node->prefix_items.n)
		return node_types(node->prefix_items.nodes[index], path, step + 1,
						  depth);
	return node->items == NULL ? UAEF_TYPE_ANY :
		node_types(node->items, path, step + 1, depth);
}

/* One of several schemas must hold. */
static uint32
any_types(const SchemaNodes *nodes, const UaefPath *path, int step, int depth)
{
	uint32		types = 0;

	for (int i = 0; i < nodes->n; i++)
		types |= node_types(nodes->nodes[i], path, step, depth);
	return nodes->n == 0 ? UAEF_TYPE_ANY | UAEF_TYPE_UNDECLARED : types;
}

static uint32
node_types(const SchemaNode *node, const UaefPath *path, int step, int depth)
{
	uint32		types = own_types(node);
	uint32		index;
	int			len;
	bool		is_composed = node->ref != NULL || node->dynamic_ref != NULL ||
		node->all_of.n + node->any_of.n + node->one_of.n > 0 ||
		node->if_schema != NULL || node->dependent_schemas.n > 0;

	if (node->never || depth > MAX_DEPTH)
		return node->never ? 0 : UAEF_TYPE_ANY;
	if (step < uaef_path_steps(path))
	{
		bool		is_name = uaef_path_step(path, step, &len, &index) != NULL;

		if ((types & (is_name ? UAEF_TYPE_OBJECT : UAEF_TYPE_ARRAY)) == 0)
			return 0;
		types = is_name ? property_types(node, path, step, depth + 1) :
			element_types(node, path, step, depth + 1);
		if (is_composed && (types & UAEF_TYPE_UNDECLARED))
			types = UAEF_TYPE_ANY;
	}
	if (node->ref != NULL)
		types &= node_types(node->ref, path, step, depth + 1);
	for (int i = 0; i < node->all_of.n; i++)
		types &= node_types(node->all_of.nodes[i], path, step, depth + 1);
	types &= any_types(&node->any_of, path, step, depth + 1);
	types &= any_types(&node->one_of, path, step, depth + 1);
	return types;
}

uint32
uaef_schema_path_types(const UaefSchema *schema, const UaefPath *path,
					   int first_step)
{
	return node_types(schema->root, path, first_step, 0);
}
