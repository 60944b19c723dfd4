/*-------------------------------------------------------------------------
 *
 * settlement_rule_index.c
 *	  Many rules of one workflow, found by texts of the data.
 *
 * Rules whose conditions have keys of one shape (the same path, the same
 * paths and types before it) make a group with a hash table of texts.  When
 * the data has what the group's conditions look at first, only the rules under
 * the text that is there can be true; otherwise all of the group are.
 *
 * Locking: none.  Memory: the context that was current when it was made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

#include "settlement_rule_index.h"

/* Rules of further shapes are always looked at. */
#define MAX_GROUPS	64

/* The rules under one text. */
typedef struct Bucket
{
	JsonbValue	text;			/* hash key: a string */
	int			n;
	int			size;
	int		   *numbers;
} Bucket;

typedef struct Group
{
	UaefConditionKey key;		/* its values mean nothing */
	HTAB	   *buckets;
	int			n;				/* all rules of the group */
	int		   *numbers;
} Group;

struct UaefRuleIndex
{
	int			n_rules;
	int			n_groups;
	Group		groups[MAX_GROUPS];
	int			n_rest;			/* rules that have no key */
	int		   *rest;
};

static uint32 hash_text(const void *key, Size size);
static int	match_text(const void *a, const void *b, Size size);
static bool same_shape(const UaefConditionKey *a, const UaefConditionKey *b);
static Group *find_group(UaefRuleIndex *index, const UaefConditionKey *key);
static void add_rule(Group *group, const UaefConditionKey *key, int number);
static bool answers(const UaefConditionKey *key, UaefScope *scope,
					JsonbValue *value);
static int	compare_numbers(const void *a, const void *b);

static uint32
hash_text(const void *key, Size size)
{
	const JsonbValue *text = key;

	return hash_bytes((const unsigned char *) text->val.string.val,
					  text->val.string.len);
}

static int
match_text(const void *a, const void *b, Size size)
{
	const JsonbValue *left = a;
	const JsonbValue *right = b;

	return left->val.string.len != right->val.string.len ||
		memcmp(left->val.string.val, right->val.string.val,
			   left->val.string.len) != 0;
}

static bool
same_shape(const UaefConditionKey *a, const UaefConditionKey *b)
{
	if (a->nbefore != b->nbefore ||
		strcmp(uaef_path_text(a->path), uaef_path_text(b->path)) != 0)
		return false;
	for (int i = 0; i < a->nbefore; i++)
	{
		if (a->before[i].types != b->before[i].types ||
			strcmp(uaef_path_text(a->before[i].path),
				   uaef_path_text(b->before[i].path)) != 0)
			return false;
	}
	return true;
}

/* The group of a key's shape, made at its first rule; NULL: too many. */
static Group *
find_group(UaefRuleIndex *index, const UaefConditionKey *key)
{
	HASHCTL		control = {0};
	Group	   *group;

	for (int i = 0; i < index->n_groups; i++)
	{
		if (same_shape(&index->groups[i].key, key))
			return &index->groups[i];
	}
	if (index->n_groups == MAX_GROUPS)
		return NULL;
	group = &index->groups[index->n_groups++];
	group->key = *key;
	group->numbers = palloc(index->n_rules * sizeof(int));
	control.keysize = sizeof(JsonbValue);
	control.entrysize = sizeof(Bucket);
	control.hash = hash_text;
	control.match = match_text;
	control.hcxt = CurrentMemoryContext;
	group->buckets = hash_create("uaef rules by text", 1024, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
								 HASH_CONTEXT);
	return group;
}

static void
add_rule(Group *group, const UaefConditionKey *key, int number)
{
	group->numbers[group->n++] = number;
	for (int i = 0; i < key->nvalues; i++)
	{
		bool		found;
		Bucket	   *bucket = hash_search(group->buckets, &key->values[i],
										 HASH_ENTER, &found);

		if (!found)
		{
			bucket->n = 0;
			bucket->size = 2;
			bucket->numbers = palloc(bucket->size * sizeof(int));
		}
		if (bucket->n > 0 && bucket->numbers[bucket->n - 1] == number)
			continue;
		if (bucket->n == bucket->size)
		{
			bucket->size *= 2;
			bucket->numbers = repalloc(bucket->numbers,
									   bucket->size * sizeof(int));
		}
		bucket->numbers[bucket->n++] = number;
	}
}

UaefRuleIndex *
uaef_rule_index_make(const UaefSettlementRule *const *rules, int n)
{
	UaefRuleIndex *index = palloc0(sizeof(UaefRuleIndex));

	index->n_rules = n;
	index->rest = palloc(n * sizeof(int));
	for (int i = 0; i < n; i++)
	{
		UaefConditionKey key;
		Group	   *group = NULL;

		if (rules[i]->broken.sqlstate == 0 && rules[i]->when != NULL &&
			uaef_condition_key(rules[i]->when, &key))
			group = find_group(index, &key);
		if (group != NULL)
			add_rule(group, &key, i);
		else
			index->rest[index->n_rest++] = i;
	}
	return index;
}

/* Do the data answer all that a group's conditions look at first? */
static bool
answers(const UaefConditionKey *key, UaefScope *scope, JsonbValue *value)
{
	for (int i = 0; i < key->nbefore; i++)
	{
		if (!uaef_path_get(key->before[i].path, scope, value) ||
			(uaef_value_type_bit(value) & key->before[i].types) == 0)
			return false;
	}
	return uaef_path_get(key->path, scope, value) &&
		value->type == jbvString;
}

static int
compare_numbers(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

int
uaef_rule_index_find(const UaefRuleIndex *index, UaefScope *scope,
					 int **numbers)
{
	int		   *found = palloc(index->n_rules * sizeof(int));
	int			n = index->n_rest;

	memcpy(found, index->rest, n * sizeof(int));
	for (int i = 0; i < index->n_groups; i++)
	{
		const Group *group = &index->groups[i];
		JsonbValue	value;
		const Bucket *bucket;

		if (!answers(&group->key, scope, &value))
		{
			memcpy(found + n, group->numbers, group->n * sizeof(int));
			n += group->n;
			continue;
		}
		bucket = hash_search(group->buckets, &value, HASH_FIND, NULL);
		if (bucket != NULL)
		{
			memcpy(found + n, bucket->numbers, bucket->n * sizeof(int));
			n += bucket->n;
		}
	}
	qsort(found, n, sizeof(int), compare_numbers);
	*numbers = found;
	return n;
}
