/*-------------------------------------------------------------------------
 *
 * ledger_proof.c
 *	  Proofs of RFC 6962 over the ledger's tree, as documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "json_util.h"
#include "ledger_proof.h"
#include "ledger_tree.h"

static void add_root(UaefJson *json, const char *key, int64 size);
static void add_proof(UaefJson *json, const UaefProof *proof);

static void
add_root(UaefJson *json, const char *key, int64 size)
{
	uint8		root[UAEF_HASH_LEN];

	uaef_tree_root(size, root);
	uaef_json_text(json, key, uaef_hex(root, UAEF_HASH_LEN));
}

static void
add_proof(UaefJson *json, const UaefProof *proof)
{
	char	   *hashes[UAEF_PROOF_MAX];

	for (int i = 0; i < proof->n; i++)
		hashes[i] = uaef_hex(proof->hash[i], UAEF_HASH_LEN);
	uaef_json_texts(json, "proof", hashes, proof->n);
}

Jsonb *
uaef_inclusion_proof(int64 event_id, int64 tree_size)
{
	int64		size = tree_size > 0 ? tree_size : uaef_tree_size();
	int64		leaf = uaef_leaf_of_event(event_id, NULL);
	uint8		hash[UAEF_HASH_LEN];
	UaefProof	proof;
	UaefJson	json;

	if (leaf < 0 || leaf >= size)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_SEALED),
				 leaf < 0 ?
				 errmsg("event %lld is not sealed", (long long) event_id) :
				 errmsg("event %lld is not among the first %lld that were sealed",
						(long long) event_id, (long long) size),
				 leaf < 0 ?
				 errhint("The worker seals committed events; uaef.seal_ledger() does it now.") :
				 errdetail("It is leaf %lld of the tree, from 0.",
						   (long long) leaf)));
	uaef_tree_leaf(leaf, hash);
	uaef_tree_inclusion(leaf, size, &proof);

	uaef_json_begin(&json);
	uaef_json_int(&json, "event_id", event_id);
	uaef_json_int(&json, "leaf_index", leaf);
	uaef_json_int(&json, "tree_size", size);
	uaef_json_text(&json, "leaf_hash", uaef_hex(hash, UAEF_HASH_LEN));
	add_root(&json, "root", size);
	add_proof(&json, &proof);
	return uaef_json_end(&json);
}

Jsonb *
uaef_consistency_proof(int64 old_size, int64 new_size)
{
	int64		size = new_size > 0 ? new_size : uaef_tree_size();
	UaefProof	proof;
	UaefJson	json;

	uaef_tree_consistency(old_size, size, &proof);

	uaef_json_begin(&json);
	uaef_json_int(&json, "old_size", old_size);
	uaef_json_int(&json, "new_size", size);
	add_root(&json, "old_root", old_size);
	add_root(&json, "new_root", size);
	add_proof(&json, &proof);
	return uaef_json_end(&json);
}
