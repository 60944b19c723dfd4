/*-------------------------------------------------------------------------
 *
 * verify_proof.c
 *	  Proofs of single events (c2sp.org/tlog-proof@v1) and receipts.
 *
 * The extra data of a proof is the entry E of its event, so that the proof
 * says by itself of what it is one.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common_base64.h"
#include "verify_anchor.h"
#include "verify_proof.h"

#define MAGIC "c2sp.org/tlog-proof@v1"
#define PROOF_MOST 63
#define ENTRY_MOST 65535

typedef struct Proof
{
	char		entry[ENTRY_MOST];
	size_t		entry_len;		/* 0 if there is none */
	int64_t		index;
	size_t		count;
	uint8_t		hash[PROOF_MOST][HASH_LEN];
	const char *note;
	size_t		note_len;
} Proof;

static bool
take_line(const char **p, const char *end, Slice *line)
{
	const char *newline = *p >= end ? NULL :
		memchr(*p, '\n', (size_t) (end - *p));

	if (newline == NULL)
		return false;
	line->data = *p;
	line->len = (size_t) (newline - *p);
	*p = newline + 1;
	return true;
}

/*
 * What follows a word at the begin of a line.
 */
static bool
after_word(Slice line, const char *word, Slice *rest)
{
	size_t		len = strlen(word);

	if (line.len < len || memcmp(line.data, word, len) != 0)
		return false;
	rest->data = line.data + len;
	rest->len = line.len - len;
	return true;
}

/*
 * Take a proof's text apart; returns NULL or what is wrong.
 */
static const char *
proof_read(const char *text, size_t len, Proof *proof)
{
	const char *p = text;
	const char *end = text + len;
	Slice		line;
	Slice		rest;

	proof->entry_len = proof->count = 0;
	if (!take_line(&p, end, &line) || !slice_is(line, MAGIC))
		return "the first line is not " MAGIC;
	if (!take_line(&p, end, &line))
		return "the proof is cut off";
	if (after_word(line, "extra ", &rest))
	{
		long		n = base64_decode(rest.data, rest.len, proof->entry,
									  sizeof(proof->entry));

		if (n <= 0)
			return "the extra data is no base64 or too long";
		proof->entry_len = (size_t) n;
		if (!take_line(&p, end, &line))
			return "the proof is cut off";
	}
	if (!after_word(line, "index ", &rest) ||
		!decimal_decode(rest.data, rest.len, &proof->index) ||
		proof->index >= LEAVES_MOST)
		return "the proof has no index, or one that no tree has";
	while (true)
	{
		if (!take_line(&p, end, &line))
			return "the proof is cut off";
		if (line.len == 0)
			break;
		if (proof->count == PROOF_MOST)
			return "the proof has too many hashes";
		if (base64_decode(line.data, line.len, proof->hash[proof->count++],
						  HASH_LEN) != HASH_LEN)
			return "a hash of the proof is not of 32 bytes in base64";
	}
	proof->note = p;
	proof->note_len = (size_t) (end - p);
	return NULL;
}

/*
 * What a proof is about: its own entry, or a leaf of the export.
 */
static bool
find_leaf(Ledger *ledger, const char *name, const Proof *proof, Event *event,
		  uint8_t *leaf)
{
	Place		place = {.leaf_plus_one = proof->index + 1};
	const char *wrong;
	size_t		at;

	if (proof->entry_len > 0)
	{
		leaf_hash(proof->entry, proof->entry_len, leaf);
		wrong = entry_decode(proof->entry, proof->entry_len, event, &at);
		if (wrong == NULL)
			return true;
		report_finding(&ledger->found.report, "PROOF_MISMATCH", &place,
					   "%s: the entry is malformed at byte %zu: %s", name, at, wrong);
		return false;
	}
	memset(event, 0, sizeof(Event));
	if (ledger->leaf_of != NULL && ledger->leaf_of(ledger, proof->index, leaf))
		return true;
	report_finding(&ledger->found.report, "PROOF_MISMATCH", &place,
				   "%s: the proof has no entry, and no export has its leaf", name);
	return false;
}

/*
 * The export, if there is one, has the same leaf there.
 */
static void
check_export(Ledger *ledger, const char *name, const Proof *proof,
			 const uint8_t *leaf)
{
	Place		place = {.leaf_plus_one = proof->index + 1};
	uint8_t		there[HASH_LEN];

	if (ledger->leaf_of == NULL)
		return;
	if (!ledger->leaf_of(ledger, proof->index, there) ||
		memcmp(there, leaf, HASH_LEN) != 0)
		report_finding(&ledger->found.report, "LEAF_MISSING", &place,
					   "%s: the export has another leaf there, or none", name);
}

static void
say(Buffer *summary, const char *name, const Proof *proof,
	const Event *event, const Anchor *anchor, const Policy *policy)
{
	if (summary->len > 0)
		buffer_char(summary, '\n');
	buffer_print(summary, "%s: ", name);
	if (proof->entry_len > 0)
		buffer_print(summary, "event %lld (%.*s) ", (long long) event->event_id,
					 (int) event->field[TAG_EVENT_TYPE].len,
					 event->field[TAG_EVENT_TYPE].data);
	else
		buffer_print(summary, "the event ");
	buffer_print(summary, "is leaf %lld of the tree of size %lld",
				 (long long) proof->index, (long long) anchor->size);
	if (anchor->signer != NULL)
		buffer_print(summary, ", signed by %s", anchor->signer);
	else
		buffer_print(summary, ", whose signatures no policy let me check");
	if (policy != NULL && policy_witnesses(policy) > 0)
		buffer_print(summary, ", cosigned by %d of %d witnesses",
					 anchor->cosigned, policy_witnesses(policy));
}

static bool
check_proof(Ledger *ledger, const char *name, const char *text, size_t len,
			Buffer *summary)
{
	Report	   *report = &ledger->found.report;
	Proof	   *proof = get_memory(sizeof(Proof));
	const char *wrong = proof_read(text, len, proof);
	Note		note = {.name = (char *) name,.outside = true};
	Checkpoint	checkpoint = {.signature = NULL};
	Anchor		anchor = {0};
	Event		event;
	uint8_t		leaf[HASH_LEN];
	uint8_t		root[HASH_LEN];
	Place		place = {0};

	if (wrong != NULL)
	{
		report_finding(report, "PROOF_MISMATCH", NULL, "%s: %s", name, wrong);
		free(proof);
		return false;
	}
	note.data = (char *) proof->note;
	note.len = proof->note_len;
	place.leaf_plus_one = proof->index + 1;
	if (anchor_read(ledger, &note, &checkpoint, &anchor) &&
		find_leaf(ledger, name, proof, &event, leaf))
	{
		if (!inclusion_root(proof->index, checkpoint.size, leaf,
							(const uint8_t (*)[HASH_LEN]) proof->hash,
							proof->count, root) ||
			memcmp(root, checkpoint.root, HASH_LEN) != 0)
			report_finding(report, "PROOF_MISMATCH", &place,
						   "%s: the proof does not lead to the checkpoint's root", name);
		else
		{
			check_export(ledger, name, proof, leaf);
			say(summary, name, proof, &event, &anchor, ledger->policy);
			if (ledger->policy != NULL && !anchor.quorum)
			{
				place.tree_size = checkpoint.size;
				report_finding(report, "COSIG_MISSING", &place,
							   "%s: no quorum of the policy's witnesses has cosigned it",
							   name);
			}
		}
	}
	free(checkpoint.signature);
	free(proof);
	return ledger->policy == NULL || anchor.quorum;
}

bool
proofs_check(Ledger *ledger, Buffer *summary)
{
	const Options *options = ledger->options;
	bool		met = true;

	for (int i = 0; i < options->proof_count; i++)
	{
		Buffer		file = {0};

		if (!read_note_file(options->proofs[i], &file))
			fatal("could not read proof \"%s\": %s", options->proofs[i],
				  strerror(errno));
		met &= check_proof(ledger, options->proofs[i], file.data, file.len,
						   summary);
		buffer_free(&file);
	}
	for (int i = 0; i < options->receipt_count; i++)
	{
		Buffer		file = {0};

		if (!read_file(options->receipts[i], &file))
			fatal("could not read receipt \"%s\": %s", options->receipts[i],
				  strerror(errno));
		met &= receipt_check(ledger, options->receipts[i], file.data, file.len,
							 summary);
		buffer_free(&file);
	}
	report_write(&ledger->found.report);
	return met;
}
