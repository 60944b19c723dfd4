/*-------------------------------------------------------------------------
 *
 * verify_block.c
 *	  Rows as JSON objects: blocks, and how columns are read.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_block.h"
#include "verify_sha256.h"
#include "verify_tree.h"

/* A number as JSON or, as PostgreSQL writes xid8, as a string. */
static bool
node_number(const JsonNode *node, int64_t *value)
{
	Slice		text;

	if (node == NULL ||
		(node->type != JSON_NUMBER && node->type != JSON_STRING))
		return false;
	text = node->text;
	if (text.len > 1 && text.data[0] == '-' && text.data[1] != '0' &&
		decimal_decode(text.data + 1, text.len - 1, value))
	{
		*value = -*value;
		return true;
	}
	return decimal_decode(text.data, text.len, value);
}

static const JsonNode *
find(const Json *json, const char *column)
{
	return json_member(json, json->nodes + json->row, column);
}

bool
row_number(const Json *json, const char *column, int64_t *value)
{
	return node_number(find(json, column), value);
}

bool
row_xid(const Json *json, const char *column, uint64_t *value)
{
	int64_t		number;

	if (!row_number(json, column, &number) || number < 0)
		return false;
	*value = (uint64_t) number;
	return true;
}

bool
row_text(const Json *json, const char *column, Slice *text)
{
	const JsonNode *node = find(json, column);

	if (node == NULL || node->type != JSON_STRING)
		return false;
	*text = node->text;
	return true;
}

bool
row_time(const Json *json, const char *column, int64_t *us)
{
	Slice		text;

	return row_text(json, column, &text) && time_decode(text, us);
}

bool
row_uuid(const Json *json, const char *column, uint8_t *uuid)
{
	Slice		text;

	return row_text(json, column, &text) && uuid_decode(text, uuid);
}

/*
 * The hexadecimal digits of a hash or bytea.
 */
static bool
row_hex(const Json *json, const char *column, Slice *text)
{
	if (!row_text(json, column, text))
		return false;
	if (text->len >= 2 && text->data[0] == '\\' && text->data[1] == 'x')
	{
		text->data += 2;
		text->len -= 2;
	}
	return true;
}

bool
row_hash(const Json *json, const char *column, uint8_t *hash)
{
	Slice		text;

	return row_hex(json, column, &text) &&
		hex_decode(text.data, text.len, hash, HASH_LEN);
}

bool
row_bytes(const Json *json, const char *column, Buffer *bytes)
{
	Slice		text;
	size_t		len;

	if (!row_hex(json, column, &text))
		return false;
	len = text.len / 2;
	buffer_reserve(bytes, len);
	if (!hex_decode(text.data, text.len, bytes->data + bytes->len, len))
		return false;
	bytes->len += len;
	return true;
}

bool
row_has(const Json *json, const char *column)
{
	const JsonNode *node = find(json, column);

	return node != NULL && node->type != JSON_NULL;
}

static char *
row_string(const Json *json, const char *column)
{
	Slice		text;
	char	   *string;

	if (!row_text(json, column, &text) ||
		memchr(text.data, '\0', text.len) != NULL)
		return NULL;
	string = get_memory(text.len + 1);
	memcpy(string, text.data, text.len);
	string[text.len] = '\0';
	return string;
}

static int
compare_xids(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

/*
 * Digits up to a character that ends them; moves on behind it.
 */
static bool
take_xid(const char **p, char end, uint64_t *xid)
{
	const char *stop = strchr(*p, end);
	int64_t		number;

	if (stop == NULL || !decimal_decode(*p, (size_t) (stop - *p), &number))
		return false;
	*xid = (uint64_t) number;
	*p = stop + 1;
	return true;
}

/*
 * xmin:xmax:xip,xip,...
 */
static bool
snapshot_read(const char *text, Snapshot *snapshot)
{
	const char *p = text;
	uint64_t	xmin;
	size_t		most = 1;

	if (!take_xid(&p, ':', &xmin) || !take_xid(&p, ':', &snapshot->xmax))
		return false;
	for (const char *c = p; *c != '\0'; c++)
		most += *c == ',';
	snapshot->xip = get_memory(most * sizeof(uint64_t));
	while (*p != '\0')
	{
		bool		last = strchr(p, ',') == NULL;

		if (!take_xid(&p, last ? '\0' : ',', &snapshot->xip[snapshot->xips++]))
			return false;
		if (last)
			break;
	}
	qsort(snapshot->xip, snapshot->xips, sizeof(uint64_t), compare_xids);
	return true;
}

bool
snapshot_sees(const Snapshot *snapshot, uint64_t tx)
{
	return tx < snapshot->xmax &&
		(snapshot->xips == 0 ||
		 bsearch(&tx, snapshot->xip, snapshot->xips, sizeof(uint64_t),
				 compare_xids) == NULL);
}

static bool
read_event_ids(const Json *json, Block *block)
{
	const JsonNode *array = find(json, "event_ids");
	const JsonNode *node;

	if (array == NULL || array->type != JSON_ARRAY)
		return false;
	block->event_ids = get_memory(array->count * sizeof(int64_t));
	node = array + 1;
	for (uint32_t i = 0; i < array->count; i++)
	{
		if (!node_number(node, &block->event_ids[i]))
			return false;
		node = json->nodes + node->next;
	}
	block->ids = array->count;
	return true;
}

static bool
read_frontier(const Json *json, Block *block)
{
	Buffer		bytes = {0};
	bool		good = row_bytes(json, "frontier", &bytes);

	buffer_reserve(&bytes, 1);
	block->frontier = (uint8_t *) bytes.data;
	block->frontier_len = bytes.len;
	return good;
}

/*
 * How many leaves, or which one.
 */
static bool
row_leaves(const Json *json, const char *column, int64_t *value)
{
	return row_number(json, column, value) && *value >= 0 &&
		*value <= LEAVES_MOST;
}

static const char *
read_columns(const Json *json, bool brief, Block *block)
{
	if (!row_number(json, "block_no", &block->no) || block->no < 1)
	{
		block->no = 0;
		return "block_no";
	}
	if (!row_leaves(json, "first_leaf", &block->first_leaf))
		return "first_leaf";
	if (!row_leaves(json, "leaf_count", &block->leaf_count))
		return "leaf_count";
	if (!row_leaves(json, "tree_size", &block->tree_size))
		return "tree_size";
	if (!row_hash(json, "tree_root", block->tree_root))
		return "tree_root";
	if (!row_hash(json, "prev_block_hash", block->prev_hash))
		return "prev_block_hash";
	if (!row_hash(json, "block_hash", block->hash))
		return "block_hash";
	if (brief && !row_has(json, "event_ids"))
		block->ids = (size_t) block->leaf_count;
	else if (!read_event_ids(json, block))
		return "event_ids";
	else if (!row_number(json, "first_event_id", &block->first_event_id))
		return "first_event_id";
	else if (!row_number(json, "last_event_id", &block->last_event_id))
		return "last_event_id";
	if (!(brief && !row_has(json, "frontier")) && !read_frontier(json, block))
		return "frontier";
	block->snapshot_text = row_string(json, "snapshot");
	if (block->snapshot_text == NULL ||
		!snapshot_read(block->snapshot_text, &block->snapshot))
		return "snapshot";
	block->incarnation = row_string(json, "incarnation");
	if (block->incarnation == NULL)
		return "incarnation";
	if (!row_number(json, "timeline", &block->timeline) ||
		block->timeline < 0 || block->timeline > UINT32_MAX)
		return "timeline";
	if (!row_number(json, "foreign_event_id", &block->foreign_event_id) ||
		block->foreign_event_id < 0)
		return "foreign_event_id";
	if (!row_time(json, "sealed_at", &block->sealed_at))
		return "sealed_at";
	return NULL;
}

const char *
block_read(const Json *json, bool brief, Block *block)
{
	const char *wrong;

	memset(block, 0, sizeof(Block));
	wrong = read_columns(json, brief, block);
	if (wrong != NULL)
	{
		int64_t		no = block->no;

		block_free(block);
		block->no = no;
	}
	return wrong;
}

void
block_free(Block *block)
{
	free(block->event_ids);
	free(block->frontier);
	free(block->snapshot_text);
	free(block->snapshot.xip);
	free(block->incarnation);
	memset(block, 0, sizeof(Block));
}

static void
add_number(Sha256 *sha, int len, uint64_t number)
{
	uint8_t		bytes[8];

	put_number(bytes, len, number);
	sha256_add(sha, bytes, (size_t) len);
}

static void
add_text(Sha256 *sha, const char *text)
{
	add_number(sha, 4, strlen(text));
	sha256_add(sha, text, strlen(text));
}

void
block_hash(const Block *block, const uint8_t *ledger, uint8_t *hash)
{
	static const char domain[] = "uaef/block/v1";
	Sha256		sha;

	sha256_begin(&sha);
	sha256_add(&sha, domain, sizeof(domain));
	sha256_add(&sha, ledger, UUID_LEN);
	add_number(&sha, 8, (uint64_t) block->no);
	add_number(&sha, 8, (uint64_t) block->first_leaf);
	add_number(&sha, 8, (uint64_t) block->leaf_count);
	add_number(&sha, 8, (uint64_t) block->tree_size);
	sha256_add(&sha, block->tree_root, HASH_LEN);
	sha256_add(&sha, block->prev_hash, HASH_LEN);
	add_number(&sha, 8, (uint64_t) block->sealed_at);
	add_text(&sha, block->snapshot_text);
	add_text(&sha, block->incarnation);
	add_number(&sha, 4, (uint64_t) block->timeline);
	add_number(&sha, 8, (uint64_t) block->foreign_event_id);
	sha256_end(&sha, hash);
}

bool
member_number(const Json *json, const JsonNode *object, const char *key,
			  int64_t *number)
{
	const JsonNode *node = json_member(json, object, key);

	return node != NULL && node->type == JSON_NUMBER &&
		decimal_decode(node->text.data, node->text.len, number);
}

bool
member_hash(const Json *json, const JsonNode *object, const char *key,
			uint8_t *hash)
{
	Slice		text;

	return member_text(json, object, key, &text) &&
		hex_decode(text.data, text.len, hash, HASH_LEN);
}

bool
member_text(const Json *json, const JsonNode *object, const char *key,
			Slice *text)
{
	const JsonNode *node = json_member(json, object, key);

	if (node == NULL || node->type != JSON_STRING)
		return false;
	*text = node->text;
	return true;
}
