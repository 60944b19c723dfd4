/*-------------------------------------------------------------------------
 *
 * verify_receipt.c
 *	  Receipts of executions: their events, and one proof for all of them
 *	  (docs/ledger-format.md, 10).
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_anchor.h"
#include "verify_event_row.h"
#include "verify_proof.h"
#include "verify_sha256.h"

/* A leaf of the tree that the receipt has. */
typedef struct Leaf
{
	int64_t		index;
	int64_t		block_no;		/* as stated */
	uint8_t		hash[HASH_LEN];
} Leaf;

typedef struct Receipt
{
	Ledger	   *ledger;
	const char *name;
	Ledger		own;			/* the receipt's events as a ledger */
	Json		json;
	Buffer		scratch;
	uint8_t		stream[UUID_LEN];
				LIST(Leaf) leaves;
	int64_t		size;
	uint8_t		root[HASH_LEN];
	uint8_t		(*proof)[HASH_LEN];
	size_t		proof_count;
	size_t		proof_used;
} Receipt;

static bool
wrong(Receipt *receipt, const char *what)
{
	report_finding(&receipt->ledger->found.report, "PROOF_MISMATCH", NULL,
				   "%s: %s", receipt->name, what);
	return false;
}

static const JsonNode *
find_array(const Receipt *receipt, const char *name)
{
	const JsonNode *node = json_member(&receipt->json, receipt->json.nodes, name);

	return node != NULL && node->type == JSON_ARRAY ? node : NULL;
}

static int
compare_leaves(const void *a, const void *b)
{
	const Leaf *left = a;
	const Leaf *right = b;

	return left->index < right->index ? -1 : left->index > right->index;
}

/*
 * The root of the n leaves from start on, of which count are the receipt's:
 * the proof has the roots of all subtrees that have none of these.
 */
static bool
subtree_root(Receipt *receipt, int64_t start, int64_t n, const Leaf *leaves,
			 size_t count, uint8_t *root)
{
	uint8_t		right[HASH_LEN];
	int64_t		split = 1;
	size_t		before = 0;

	if (count == 0)
	{
		if (receipt->proof_used == receipt->proof_count)
			return false;
		memcpy(root, receipt->proof[receipt->proof_used++], HASH_LEN);
		return true;
	}
	if (n == 1)
	{
		memcpy(root, leaves->hash, HASH_LEN);
		return count == 1;
	}
	while (split < n - split)
		split *= 2;
	while (before < count && leaves[before].index < start + split)
		before++;
	if (!subtree_root(receipt, start, split, leaves, before, root) ||
		!subtree_root(receipt, start + split, n - split, leaves + before,
					  count - before, right))
		return false;
	sha256_node(root, right, root);
	return true;
}

static bool
check_tree(Receipt *receipt)
{
	uint8_t		root[HASH_LEN];
	size_t		n = receipt->leaves.count;

	qsort(receipt->leaves.item, n, sizeof(Leaf), compare_leaves);
	if (receipt->leaves.item[n - 1].index >= receipt->size ||
		!subtree_root(receipt, 0, receipt->size, receipt->leaves.item, n, root) ||
		receipt->proof_used != receipt->proof_count ||
		memcmp(root, receipt->root, HASH_LEN) != 0)
		return wrong(receipt, "the proof does not lead to the root");
	return true;
}

/*
 * All events of the execution, from the first on, each with its leaf.
 */
static bool
check_events(Receipt *receipt)
{
	const JsonNode *events = find_array(receipt, "events");
	Json	   *json = &receipt->json;
	Ledger	   *own = &receipt->own;
	uint32_t	node;

	if (events == NULL || events->count == 0)
		return wrong(receipt, "the receipt has no events");
	node = (uint32_t) (events - json->nodes) + 1;
	for (uint32_t i = 0; i < events->count; i++)
	{
		EventRow	row;
		Leaf	   *leaf;
		bool		placed;
		int64_t		index;
		int64_t		block_no;

		json->row = node;
		if (!event_row_read(own, json, 1, &receipt->scratch, &own->found, &row,
							&placed) || !placed || !row.decoded)
			return wrong(receipt, "an event is malformed");
		if (memcmp(row.stream, receipt->stream, UUID_LEN) != 0 ||
			row.stream_seq != (int64_t) i + 1)
			return wrong(receipt, "an event is not in its place of the execution");
		if (!row_number(json, "leaf_index", &index) || index < 0)
			return wrong(receipt, "an event has no leaf_index");
		if (!row_number(json, "block_no", &block_no))
			return wrong(receipt, "an event has no block_no");
		chains_add(own->chains, &row, &own->found.report);
		leaf = list_add(&receipt->leaves);
		leaf->index = index;
		leaf->block_no = block_no;
		memcpy(leaf->hash, row.computed, HASH_LEN);
		node = json->nodes[node].next;
	}
	json->row = 0;
	return true;
}

/*
 * How many of the events a block holds; -1 when its header makes no sense.
 * before is the block before it in the receipt.
 */
static int
events_in_block(const Receipt *receipt, const Block *block,
				const Block *before)
{
	uint8_t		hash[HASH_LEN];
	int			events = 0;

	block_hash(block, receipt->own.id, hash);
	if (memcmp(hash, block->hash, HASH_LEN) != 0 ||
		block->tree_size != block->first_leaf + block->leaf_count ||
		block->no <= before->no ||
		(block->no == before->no + 1 && before->no > 0 &&
		 (memcmp(block->prev_hash, before->hash, HASH_LEN) != 0 ||
		  block->first_leaf != before->tree_size)) ||
		(block->tree_size == receipt->size &&
		 memcmp(block->tree_root, receipt->root, HASH_LEN) != 0))
		return -1;
	for (size_t i = 0; i < receipt->leaves.count; i++)
	{
		const Leaf *leaf = &receipt->leaves.item[i];

		events += leaf->block_no == block->no &&
			leaf->index >= block->first_leaf && leaf->index < block->tree_size;
	}
	return events;
}

/*
 * The blocks that hold the events, in their order.
 */
static bool
check_blocks(Receipt *receipt)
{
	const JsonNode *blocks = find_array(receipt, "blocks");
	Json	   *json = &receipt->json;
	Block		before = {.no = 0};
	size_t		events = 0;
	bool		good = blocks != NULL;
	uint32_t	node = good ? (uint32_t) (blocks - json->nodes) + 1 : 0;

	for (uint32_t i = 0; good && i < blocks->count; i++)
	{
		Block		block;
		int			held;

		json->row = node;
		node = json->nodes[node].next;
		if (block_read(json, true, &block) != NULL)
		{
			good = false;
			break;
		}
		held = events_in_block(receipt, &block, &before);
		good = held >= 0;
		events += (size_t) Max(held, 0);
		block_free(&before);
		before = block;
	}
	block_free(&before);
	json->row = 0;
	if (good && events == receipt->leaves.count)
		return true;
	return wrong(receipt, "the blocks are not those of the events, or are not what their hashes say");
}

static bool
read_proof(Receipt *receipt)
{
	const JsonNode *proof = find_array(receipt, "proof");

	if (proof == NULL)
		return wrong(receipt, "the receipt has no proof");
	receipt->proof = get_memory(proof->count * HASH_LEN);
	for (uint32_t i = 0; i < proof->count; i++)
		if (proof[i + 1].type != JSON_STRING ||
			!hex_decode(proof[i + 1].text.data, proof[i + 1].text.len,
						receipt->proof[receipt->proof_count++], HASH_LEN))
			return wrong(receipt, "the proof is not of hashes");
	return true;
}

static bool
read_head(Receipt *receipt, const char *text, size_t len)
{
	Json	   *json = &receipt->json;
	Slice		row;
	uint8_t		id[UUID_LEN];
	int64_t		format;

	if (!json_read(json, text, len))
		return wrong(receipt, json->error);
	if (!row_text(json, "row", &row) || !slice_is(row, "receipt") ||
		!row_number(json, "format", &format) || format != 1)
		return wrong(receipt, "this is no receipt of format 1");
	if (!row_uuid(json, "ledger_id", id) ||
		!row_uuid(json, "execution_id", receipt->stream))
		return wrong(receipt, "ledger_id or execution_id is no UUID");
	if (!row_number(json, "tree_size", &receipt->size) ||
		receipt->size < 1 || receipt->size > LEAVES_MOST ||
		!row_hash(json, "root", receipt->root))
		return wrong(receipt, "tree_size or root is missing");
	if ((receipt->ledger->id_known &&
		 memcmp(receipt->ledger->id, id, UUID_LEN) != 0) ||
		(receipt->ledger->policy != NULL && receipt->ledger->policy->ledger_known &&
		 memcmp(receipt->ledger->policy->ledger, id, UUID_LEN) != 0))
		return wrong(receipt, "the receipt is of another ledger");
	ledger_begin(&receipt->own, id, false);
	return true;
}

/*
 * What the receipt's checkpoint is worth.
 */
static bool
check_checkpoint(Receipt *receipt, Anchor *anchor)
{
	Note		note = {.name = (char *) receipt->name,.outside = true};
	Checkpoint	checkpoint = {.signature = NULL};
	Slice		text;
	bool		good;

	if (!row_text(&receipt->json, "checkpoint", &text))
		return !row_has(&receipt->json, "checkpoint") ||
			wrong(receipt, "the checkpoint is no text");
	note.data = (char *) text.data;
	note.len = text.len;
	good = anchor_read(receipt->ledger, &note, &checkpoint, anchor);
	if (good && (checkpoint.size != receipt->size ||
				 memcmp(checkpoint.root, receipt->root, HASH_LEN) != 0))
		good = wrong(receipt, "the checkpoint is not that of the proof's tree");
	free(checkpoint.signature);
	return good;
}

static void
say(const Receipt *receipt, const Anchor *anchor, Buffer *summary)
{
	const Policy *policy = receipt->ledger->policy;
	char		uuid[40];

	if (summary->len > 0)
		buffer_char(summary, '\n');
	buffer_print(summary, "%s: %zu events of execution %s are leaves of the tree of size %lld",
				 receipt->name, receipt->leaves.count,
				 uuid_encode(receipt->stream, uuid), (long long) receipt->size);
	if (anchor->size == 0)
		buffer_print(summary, ", which no checkpoint has: internally consistent only");
	else if (anchor->signer != NULL)
		buffer_print(summary, ", signed by %s", anchor->signer);
	else
		buffer_print(summary, ", whose signatures no policy let me check");
	if (anchor->size > 0 && policy != NULL && policy_witnesses(policy) > 0)
		buffer_print(summary, ", cosigned by %d of %d witnesses",
					 anchor->cosigned, policy_witnesses(policy));
}

bool
receipt_check(Ledger *ledger, const char *name, const char *text, size_t len,
			  Buffer *summary)
{
	Receipt		receipt = {.ledger = ledger,.name = name};
	Anchor		anchor = {0};
	Report	   *report = &receipt.own.found.report;
	bool		good;

	receipt.own.options = ledger->options;
	good = read_head(&receipt, text, len) && read_proof(&receipt) &&
		check_events(&receipt) && check_blocks(&receipt) &&
		check_tree(&receipt) &&
		check_checkpoint(&receipt, &anchor);

	/* What erased a payload is told in another stream. */
	for (size_t i = 0; i < receipt.own.found.gone.count; i++)
	{
		const Gone *gone = &receipt.own.found.gone.item[i];
		Place		place = {.stream = gone->stream,
		.stream_seq = gone->stream_seq,.event_id = gone->event_id};

		report_finding(report, "REDACTED", &place,
					   "the payload is not there; a receipt cannot tell why");
	}
	good = good && report->errors == 0;
	report_move(&ledger->found.report, report);
	if (good)
		say(&receipt, &anchor, summary);
	if (good && ledger->policy != NULL && !anchor.quorum &&
		ledger->policy->quorum >= 0)
	{
		Place		place = {.tree_size = receipt.size};

		report_finding(&ledger->found.report, "COSIG_MISSING", &place,
					   "%s: no quorum of the policy's witnesses has cosigned it", name);
	}
	free(receipt.leaves.item);
	free(receipt.proof);
	json_free(&receipt.json);
	buffer_free(&receipt.scratch);
	return ledger->policy == NULL || ledger->policy->quorum < 0 || anchor.quorum;
}
