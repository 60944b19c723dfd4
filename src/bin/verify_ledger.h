/*-------------------------------------------------------------------------
 *
 * verify_ledger.h
 *	  A ledger as it is checked: what both readers of exports feed.
 *
 * Events are read in batches, several at a time; what is here is done by one
 * thread at a time, batch by batch in the order of the input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_LEDGER_H
#define VERIFY_LEDGER_H

#include "verify_block.h"
#include "verify_chain.h"
#include "verify_entry.h"
#include "verify_keeping.h"
#include "verify_policy.h"
#include "verify_tree.h"

/* What the command line says. */
typedef struct Options
{
	const char *export;
	const char *policy_path;
	const char **checkpoints;	/* paths of notes from outside */
	int			checkpoint_count;
	const char **proofs;
	int			proof_count;
	const char **receipts;
	int			receipt_count;
	int64_t		from;			/* leaves that are trusted, 0 for none */
	int			jobs;
	bool		quiet;
} Options;

/* What an event ledger_sealed tells of a block. */
typedef struct News
{
	int64_t		block_no;
	uint8_t		block_hash[HASH_LEN];
	uint8_t		tree_root[HASH_LEN];
} News;

/* An event whose payload is not there. */
typedef struct Gone
{
	uint8_t		stream[UUID_LEN];
	bool		placed;			/* these are known */
	int64_t		stream_seq;
	int64_t		event_id;
	uint8_t		payload_hash[HASH_LEN];
} Gone;

/* A block that has been looked at: where the tree was given a root. */
typedef struct Mark
{
	int64_t		block_no;
	int64_t		size;
	int64_t		sealed_at;
	uint8_t		root[HASH_LEN]; /* as stored */
	uint8_t		hash[HASH_LEN];
} Mark;

/* A signed note that came with the export or from outside. */
typedef struct Note
{
	char	   *name;			/* of the file, for people */
	bool		outside;
	char	   *data;
	size_t		len;
} Note;

/* What a batch of events gives besides the events themselves. */
typedef struct Found
{
	Report		report;
				LIST(News) news;
				LIST(Gone) gone;
	Keeping		keeping;
	int64_t		without_payload;	/* events whose payload was not exported */
} Found;

typedef struct Ledger
{
	const Options *options;
	Policy	   *policy;
	uint8_t		id[UUID_LEN];
	bool		id_known;
	char	   *origin;
	char	   *incarnation;	/* of the server that exported, or NULL */
	uint8_t		seal_stream[UUID_LEN];
	uint8_t		keep_stream[UUID_LEN];
	bool		late;			/* the export does not begin where it does */
	Chains	   *chains;
	Found		found;
				LIST(Note) notes;
				LIST(Mark) marks;	/* rising */
				LIST(Lineage) lineages; /* each of the blocks' once */
	int64_t		events;
	int64_t		leaves;			/* that were looked at */
	int64_t		tree_size;		/* that the export states, or 0 */
	int64_t		blocks;
	bool		blocks_there;	/* the export has blocks */
	int64_t		unknown_rows;
	int64_t		unsealed;		/* events that no block has */

	/*
	 * The block before the one that is looked at, and that of the sealing
	 * before.
	 */
	Block		before;
	bool		before_known;
	Snapshot	sealing;		/* of the sealing before this block's */
	bool		sealing_known;
	Snapshot	current;		/* of this block's sealing */
	bool		current_known;
	char	   *current_text;
	char	   *current_incarnation;

	/* The root of the tree of any size; false when it cannot be had. */
	bool		(*root_of) (struct Ledger *ledger, int64_t size,
							uint8_t *root);

	/* The hash of a leaf; NULL when there is no export. */
	bool		(*leaf_of) (struct Ledger *ledger, int64_t index,
							uint8_t *hash);
	void	   *reader;
} Ledger;

/*
 * Set what depends on the ledger's id; once, before any event.  late: the
 * export does not begin where the ledger does.
 */
extern void ledger_begin(Ledger *ledger, const uint8_t *id, bool late);

/* Take over what a batch found, and write its report. */
extern void ledger_take(Ledger *ledger, Found *found);

/*
 * An event that has been decoded: what its payload says to us.  The payload
 * may be NULL; leaf is where the event stands, -1 if that is not known.
 */
extern void event_says(const Ledger *ledger, Found *found, const Event *event,
					   int64_t leaf, const Json *json,
					   const JsonNode *payload);

/*
 * The payload of an event that has a payload_hash is not there; placed: stream
 * and stream_seq are known.
 */
extern void payload_gone(Found *found, const Event *event, bool placed);

/*
 * An event that is signed, and whose payload has this text, if any: its
 * signature is to be checked at the end, when the keys are known.
 */
extern void event_signed(Found *found, const Event *event,
						 const char *text, size_t len);

/*
 * Check a block's header against the block before; then its leaves are looked
 * at, then block_done() is called, which takes it over.  The blocks come in
 * the order of their numbers.
 */
extern void block_begin(Ledger *ledger, const Block *block);
extern void block_sees(Ledger *ledger, const Block *block, int64_t event_id,
					   uint64_t tx);
extern void block_done(Ledger *ledger, Block *block, const uint8_t *root,
					   bool known);
extern void block_malformed(Ledger *ledger, int64_t no, const char *column);

/* The trust in a tree's beginning: where --from begins. */
extern bool ledger_skips(const Ledger *ledger, const Block *block);

/* What can only be said when all is read. */
extern void ledger_end(Ledger *ledger);

/*
 * What stands outside: compare checkpoints with the tree.  Appends to summary
 * what the ledger was found to be consistent with; returns whether the policy
 * is met.
 */
extern bool anchors_check(Ledger *ledger, Buffer *summary);

/* The root of the checkpoint from outside that --from trusts. */
extern void anchors_trusted(Ledger *ledger, uint8_t *root);

/* Add a note; data is copied. */
extern void ledger_add_note(Ledger *ledger, const char *name, bool outside,
							const char *data, size_t len);

/* The readers. */
extern void lines_read(Ledger *ledger);
extern void tiles_read(Ledger *ledger);

#endif							/* VERIFY_LEDGER_H */
