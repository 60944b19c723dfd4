/*-------------------------------------------------------------------------
 *
 * ledger_proof.c
 *	  Proofs of RFC 6962 over the ledger's tree, as documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base64.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_proof.h"
#include "ledger_published.h"
#include "ledger_tree.h"

static void add_hash(UaefJson *json, const char *key, const uint8 *hash);
static void add_root(UaefJson *json, const char *key, UaefTree *tree,
					 int64 size);
static void append_entry(void *arg, int64 place, const Datum *values,
						 const bool *nulls);
static void append_line(StringInfo text, const char *word, const void *bytes,
						size_t len);
static void add_proof(UaefJson *json, const UaefProof *proof);

static void
add_hash(UaefJson *json, const char *key, const uint8 *hash)
{
	uaef_json_text(json, key, uaef_hex(hash, UAEF_HASH_LEN));
}

/*
 * The root of a tree, or of its beginning.
 */
static void
add_root(UaefJson *json, const char *key, UaefTree *tree, int64 size)
{
	uint8		root[UAEF_HASH_LEN];

	uaef_merkle_root(uaef_tree_read, tree, size, root);
	add_hash(json, key, root);
}

static void
add_proof(UaefJson *json, const UaefProof *proof)
{
	char	   *hashes[UAEF_PROOF_MAX];

	for (int i = 0; i < proof->n; i++)
		hashes[i] = uaef_hex(proof->hash[i], UAEF_HASH_LEN);
	uaef_json_texts(json, "proof", hashes, proof->n);
}

int64
uaef_require_leaf(int64 event_id, int64 size)
{
	int64		leaf = uaef_leaf_of_event(event_id, NULL);

	if (leaf < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_SEALED),
				 errmsg("event %lld is not sealed", (long long) event_id),
				 errhint("The worker seals committed events; uaef.seal_ledger() does it now.")));
	if (leaf >= size)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_SEALED),
				 errmsg("event %lld is not among the first %lld that were sealed",
						(long long) event_id, (long long) size),
				 errdetail("It is leaf %lld of the tree, from 0.",
						   (long long) leaf)));
	return leaf;
}

/*
 * The way to the leaf reads its hash's neighbours, so the hash costs nothing
 * after it.
 */
Jsonb *
uaef_inclusion_proof(int64 event_id, int64 tree_size)
{
	int64		size = tree_size > 0 ? tree_size : uaef_tree_size();
	int64		leaf = uaef_require_leaf(event_id, size);
	UaefTree   *tree = uaef_tree_open(size);
	uint8		hash[UAEF_HASH_LEN];
	UaefProof	proof;
	UaefJson	json;

	uaef_merkle_inclusion(uaef_tree_read, tree, leaf, size, &proof);
	uaef_tree_nodes(tree, 0, leaf, 1, hash);

	uaef_json_begin(&json);
	uaef_json_int(&json, "event_id", event_id);
	uaef_json_int(&json, "leaf_index", leaf);
	uaef_json_int(&json, "tree_size", size);
	add_hash(&json, "leaf_hash", hash);
	add_root(&json, "root", tree, size);
	add_proof(&json, &proof);
	uaef_tree_close(tree);
	return uaef_json_end(&json);
}

Jsonb *
uaef_consistency_proof(int64 old_size, int64 new_size)
{
	int64		size = new_size > 0 ? new_size : uaef_tree_size();
	UaefTree   *tree = uaef_tree_open(size);
	UaefProof	proof;
	UaefJson	json;

	if (old_size < 0 || old_size > size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the old size must be between 0 and the new one")));
	uaef_merkle_consistency(uaef_tree_read, tree, old_size, size, &proof);

	uaef_json_begin(&json);
	uaef_json_int(&json, "old_size", old_size);
	uaef_json_int(&json, "new_size", size);
	add_root(&json, "old_root", tree, old_size);
	add_root(&json, "new_root", tree, size);
	add_proof(&json, &proof);
	uaef_tree_close(tree);
	return uaef_json_end(&json);
}

/*
 * A UaefEventReader.
 */
static void
append_entry(void *arg, int64 place, const Datum *values, const bool *nulls)
{
	(void) uaef_event_append((StringInfo) arg, uaef_ledger_id(), values, nulls);
}

static void
append_line(StringInfo text, const char *word, const void *bytes, size_t len)
{
	char	   *base64 = uaef_base64(bytes, len);

	appendStringInfo(text, "%s%s\n", word, base64);
	pfree(base64);
}

/*
 * The entry itself goes into the line "extra", unless it is retired: so the
 * proof also shows what it is that was logged.
 */
char *
uaef_tlog_proof(int64 event_id)
{
	UaefPublished published;
	UaefProof	proof;
	UaefTree   *tree;
	StringInfoData entry;
	StringInfoData text;
	int64		leaf;

	leaf = uaef_require_leaf(event_id, PG_INT64_MAX);
	if (!uaef_published_newest(&published) || leaf >= published.tree_size)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_SEALED),
				 errmsg("no signed checkpoint covers event %lld",
						(long long) event_id),
				 errhint("uaef.ledger_checkpoint() signs one, if there is a key.")));
	tree = uaef_tree_open(published.tree_size);
	uaef_published_check(&published, tree);
	uaef_merkle_inclusion(uaef_tree_read, tree, leaf, published.tree_size,
						  &proof);
	uaef_tree_close(tree);

	initStringInfo(&entry);
	(void) uaef_read_events(&event_id, 1, append_entry, &entry);
	initStringInfo(&text);
	appendStringInfoString(&text, "c2sp.org/tlog-proof@v1\n");
	if (entry.len > 0)
		append_line(&text, "extra ", entry.data, entry.len);
	appendStringInfo(&text, "index %lld\n", (long long) leaf);
	for (int i = 0; i < proof.n; i++)
		append_line(&text, "", proof.hash[i], UAEF_HASH_LEN);
	appendStringInfo(&text, "\n%s", published.note);

	return text.data;
}
