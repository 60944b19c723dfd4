/*-------------------------------------------------------------------------
 *
 * verify_anchor.c
 *	  What stands outside the ledger: signed checkpoints, and what they make
 *	  of a ledger that is consistent with itself.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_anchor.h"

/* Seconds that clocks may differ. */
#define CLOCK_SKEW 300

static bool
slices_equal(Slice a, Slice b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/*
 * The origin that checkpoints must have, if it is known.
 */
static const char *
expected_origin(const Ledger *ledger)
{
	if (ledger->policy != NULL && ledger->policy->origin != NULL)
		return ledger->policy->origin;
	return ledger->origin;
}

/*
 * The signatures of the policy's logs: one must be there, and none be wrong.
 */
static bool
check_logs(Ledger *ledger, const char *name, const Checkpoint *checkpoint,
		   Anchor *anchor)
{
	const Policy *policy = ledger->policy;
	Place		place = {.tree_size = checkpoint->size};
	bool		good = true;
	int64_t		time;

	if (policy == NULL || policy->logs == 0)
		return true;
	for (int i = 0; i < policy->logs; i++)
	{
		const Key  *key = &policy->log[i];

		if (!slice_is(checkpoint->origin, key->name))
			continue;
		switch (checkpoint_signed(checkpoint, key, &time))
		{
			case SIGNATURE_GOOD:
				anchor->signer = key->name;
				break;
			case SIGNATURE_BAD:
				report_finding(&ledger->found.report, "SIG_BAD", &place,
							   "%s: the signature of %s is wrong", name, key->name);
				good = false;
				break;
			case SIGNATURE_NONE:
				break;
		}
	}
	if (good && anchor->signer == NULL)
	{
		report_finding(&ledger->found.report, "SIG_BAD", &place,
					   "%s: no log of the policy has signed it", name);
		good = false;
	}
	return good;
}

/*
 * The cosignatures of the policy's witnesses.
 */
static bool
check_witnesses(Ledger *ledger, const char *name,
				const Checkpoint *checkpoint, Anchor *anchor)
{
	const Policy *policy = ledger->policy;
	Place		place = {.tree_size = checkpoint->size};
	bool		signed_by[POLICY_NAMES] = {false};
	bool		good = true;

	if (policy == NULL)
		return true;
	for (int i = 0; i < policy->names; i++)
	{
		int64_t		time = 0;

		if (!policy->name[i].witness)
			continue;
		switch (checkpoint_signed(checkpoint, &policy->name[i].key, &time))
		{
			case SIGNATURE_GOOD:
				signed_by[i] = true;
				anchor->cosigned++;
				if (anchor->time == 0 || time < anchor->time)
					anchor->time = time;
				break;
			case SIGNATURE_BAD:
				report_finding(&ledger->found.report, "SIG_BAD", &place,
							   "%s: the cosignature of %s is wrong", name,
							   policy->name[i].name);
				good = false;
				break;
			case SIGNATURE_NONE:
				break;
		}
	}
	anchor->quorum = policy_quorum(policy, signed_by);
	return good;
}

/*
 * The last block that ends at a size or before, or NULL.
 */
static const Mark *
find_mark(const Ledger *ledger, int64_t size)
{
	size_t		low = 0;
	size_t		high = ledger->marks.count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (ledger->marks.item[middle].size <= size)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : &ledger->marks.item[low - 1];
}

static int64_t
tree_size(const Ledger *ledger)
{
	int64_t		size = ledger->tree_size;

	return Max(size, ledger->before.tree_size);
}

/*
 * The tree of a checkpoint's size must have its root.
 */
static bool
check_tree(Ledger *ledger, const char *name, const Checkpoint *checkpoint)
{
	Report	   *report = &ledger->found.report;
	Place		place = {.tree_size = checkpoint->size};
	const Mark *mark = find_mark(ledger, checkpoint->size);
	Frontier	empty = {0};
	uint8_t		root[HASH_LEN];
	bool		known = true;

	if (checkpoint->size > tree_size(ledger))
	{
		report_finding(report, "ANCHOR_AHEAD", &place,
					   "%s: the ledger has only %lld leaves: its end was cut off",
					   name, (long long) tree_size(ledger));
		return false;
	}
	if (checkpoint->size < ledger->options->from)
		return true;
	if (checkpoint->size == 0)
		frontier_root(&empty, root);
	else if (mark != NULL && mark->size == checkpoint->size)
		memcpy(root, mark->root, HASH_LEN);
	else if (checkpoint->size == ledger->options->from)
		anchors_trusted(ledger, root);
	else
		known = ledger->root_of(ledger, checkpoint->size, root);
	if (known && memcmp(root, checkpoint->root, HASH_LEN) == 0)
		return true;
	report_finding(report, "ANCHOR_DIVERGED", &place,
				   known ? "%s: the tree of this size has another root: history was rewritten" :
				   "%s: the tree of this size cannot be computed", name);
	return false;
}

/*
 * What a witness has seen was there at that time.
 */
static bool
check_time(Ledger *ledger, const char *name, const Checkpoint *checkpoint,
		   const Anchor *anchor)
{
	const Mark *mark = find_mark(ledger, checkpoint->size);
	char		sealed[64];
	char		seen[64];
	Place		place = {.tree_size = checkpoint->size};

	if (anchor->time == 0 || anchor->time > INT64_MAX / 2000000 || mark == NULL ||
		mark->sealed_at <= (anchor->time + CLOCK_SKEW) * 1000000)
		return true;
	place.block_no = mark->block_no;
	report_finding(&ledger->found.report, "TIME_OUTSIDE_ANCHOR", &place,
				   "%s: the block was sealed at %s, but witnessed at %s", name,
				   time_encode(mark->sealed_at, sealed),
				   time_encode(anchor->time * 1000000, seen));
	return false;
}

bool
anchor_read(Ledger *ledger, const Note *note, Checkpoint *checkpoint,
			Anchor *anchor)
{
	Report	   *report = &ledger->found.report;
	const char *wrong = checkpoint_read(note->data, note->len, checkpoint);
	const char *origin = expected_origin(ledger);
	bool		good;
	Place		place = {0};

	memset(anchor, 0, sizeof(Anchor));
	if (wrong != NULL)
	{
		report_finding(report, "SIG_BAD", NULL, "%s: %s", note->name, wrong);
		return false;
	}
	place.tree_size = anchor->size = checkpoint->size;
	if (origin != NULL && !slice_is(checkpoint->origin, origin))
	{
		report_finding(report, "ANCHOR_DIVERGED", &place,
					   "%s: the checkpoint is of another origin: %.*s",
					   note->name, (int) Min(checkpoint->origin.len, 200),
					   checkpoint->origin.data);
		return false;
	}
	good = check_logs(ledger, note->name, checkpoint, anchor);
	good &= check_witnesses(ledger, note->name, checkpoint, anchor);

	/* A note that came with the export counts only by its signatures. */
	anchor->outside = note->outside;
	anchor->trusted = good && (note->outside || anchor->signer != NULL);
	return good;
}

/*
 * Look at one note; the best of those that are trusted is kept.
 */
static void
check_note(Ledger *ledger, const Note *note, Anchor *best)
{
	Checkpoint	checkpoint;
	Anchor		anchor;

	if (anchor_read(ledger, note, &checkpoint, &anchor))
	{
		bool		good = check_tree(ledger, note->name, &checkpoint);

		good &= check_time(ledger, note->name, &checkpoint, &anchor);
		if (good && anchor.trusted &&
			(!best->trusted || anchor.quorum > best->quorum ||
			 (anchor.quorum == best->quorum &&
			  (anchor.size > best->size ||
			   (anchor.size == best->size &&
				(anchor.cosigned > best->cosigned ||
				 (anchor.cosigned == best->cosigned &&
				  anchor.outside && !best->outside)))))))
			*best = anchor;
	}
	free(checkpoint.signature);
}

/*
 * Checkpoints from outside must not contradict each other.
 */
static void
check_fork(Ledger *ledger)
{
	for (size_t i = 0; i < ledger->notes.count; i++)
		for (size_t j = 0; j < i; j++)
		{
			const Note *one = &ledger->notes.item[i];
			const Note *two = &ledger->notes.item[j];
			Checkpoint	a;
			Checkpoint	b;

			if (!one->outside || !two->outside)
				continue;
			if (checkpoint_read(one->data, one->len, &a) == NULL)
			{
				if (checkpoint_read(two->data, two->len, &b) == NULL &&
					slices_equal(a.origin, b.origin) && a.size == b.size &&
					memcmp(a.root, b.root, HASH_LEN) != 0)
				{
					Place		place = {.tree_size = a.size};

					report_finding(&ledger->found.report, "ANCHOR_DIVERGED", &place,
								   "%s and %s are of two histories", one->name,
								   two->name);
				}
				free(b.signature);
			}
			free(a.signature);
		}
}

/*
 * What redactions and retirements are told by events that a trusted checkpoint
 * of this size does not have: whoever had the file can have added those.
 */
static void
check_told(Ledger *ledger, int64_t size)
{
	Found	   *found = &ledger->found;
	int64_t		leaf;

	for (size_t i = 0; i < found->gone.count; i++)
	{
		const Gone *gone = &found->gone.item[i];
		Place		place = {.stream = gone->placed ? gone->stream : NULL,
		.stream_seq = gone->stream_seq,.event_id = gone->event_id};

		if (keeping_redacted(&found->keeping, gone->event_id,
							 gone->payload_hash, &leaf) && leaf >= size)
			report_finding(&found->report, "UNANCHORED", &place,
						   "the redaction is told by an event that the checkpoint of size %lld does not cover",
						   (long long) size);
	}
	for (size_t i = 0; i < found->keeping.retired.count; i++)
	{
		const Told *told = &found->keeping.retired.item[i];
		Place		place = {.event_id = told->event_id};

		if (told->believed &&
			keeping_leaf(&found->keeping, told->event_id) >= size)
			report_finding(&found->report, "UNANCHORED", &place,
						   "the retirement is told by an event that the checkpoint of size %lld does not cover",
						   (long long) size);
	}
}

void
anchors_trusted(Ledger *ledger, uint8_t *root)
{
	for (size_t i = 0; i < ledger->notes.count; i++)
	{
		const Note *note = &ledger->notes.item[i];
		Checkpoint	checkpoint;
		bool		found = note->outside &&
			checkpoint_read(note->data, note->len, &checkpoint) == NULL &&
			checkpoint.size == ledger->options->from;

		if (found)
			memcpy(root, checkpoint.root, HASH_LEN);
		if (note->outside)
			free(checkpoint.signature);
		if (found)
			return;
	}
	fatal("--from %lld needs a --checkpoint of that size",
		  (long long) ledger->options->from);
}

bool
anchors_check(Ledger *ledger, Buffer *summary)
{
	const Policy *policy = ledger->policy;
	Anchor		best = {0};
	int64_t		behind;

	if (policy != NULL && policy->ledger_known &&
		memcmp(policy->ledger, ledger->id, UUID_LEN) != 0)
		report_finding(&ledger->found.report, "ANCHOR_DIVERGED", NULL,
					   "this is another ledger than that of the policy");
	if (policy != NULL && policy->origin != NULL && ledger->origin != NULL &&
		strcmp(policy->origin, ledger->origin) != 0)
		report_finding(&ledger->found.report, "ANCHOR_DIVERGED", NULL,
					   "this ledger has another origin than that of the policy");
	for (size_t i = 0; i < ledger->notes.count; i++)
		check_note(ledger, &ledger->notes.item[i], &best);
	check_fork(ledger);
	if (policy != NULL && policy->quorum >= 0 && !best.quorum)
	{
		Place		place = {.tree_size = best.size};

		report_finding(&ledger->found.report, "COSIG_MISSING", &place,
					   best.trusted ? "no quorum of the policy's witnesses has cosigned it" :
					   "there is no checkpoint that a quorum of the policy's witnesses has cosigned");
	}
	if (best.trusted)
		check_told(ledger, best.size);
	report_write(&ledger->found.report);

	if (!best.trusted)
	{
		buffer_print(summary, "internally consistent only: no checkpoint from outside was given");
		return policy == NULL || policy->quorum < 0;
	}
	buffer_print(summary, "consistent with checkpoint of size %lld%s",
				 (long long) best.size,
				 best.outside ? "" : " that came with the export");
	if (best.signer != NULL)
		buffer_print(summary, ", signed by %s", best.signer);
	else
		buffer_print(summary, " that was given, whose signatures no policy let me check");
	if (policy != NULL && policy_witnesses(policy) > 0)
		buffer_print(summary, ", cosigned by %d of %d witnesses", best.cosigned,
					 policy_witnesses(policy));
	behind = tree_size(ledger) - best.size;
	if (behind > 0)
		buffer_print(summary, "; the %lld leaves after it are internally consistent only",
					 (long long) behind);
	return policy == NULL || best.quorum;
}
