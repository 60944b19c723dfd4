/*-------------------------------------------------------------------------
 *
 * verify_keeping.h
 *	  What is done to the ledger itself, and the events that tell of it
 *	  (docs/ledger-format.md, 6).
 *
 * Only events of the engine in the stream derived("keep", 0) are believed;
 * rows beside them help to find things, and must fit them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_KEEPING_H
#define VERIFY_KEEPING_H

#include "verify_block.h"
#include "verify_chain.h"
#include "verify_entry.h"

/* An event event_redacted. */
typedef struct Redacted
{
	int64_t		teller;			/* its own event_id */
	int64_t		event_id;
	uint8_t		payload_hash[HASH_LEN];
} Redacted;

/* An event events_retired. */
typedef struct Told
{
	int64_t		event_id;
	uint8_t		leaves_hash[HASH_LEN];
	bool		believed;		/* a retirement goes by it */
} Told;

/* Where in the tree an event of these stands. */
typedef struct Placed
{
	int64_t		event_id;
	int64_t		leaf;
} Placed;

/* Where a ledger was when a block was sealed. */
typedef struct Lineage
{
	char	   *incarnation;
	int64_t		timeline;
	int64_t		block_no;		/* the first one */
} Lineage;

/* An event signer_registered (with a key) or signer_revoked. */
typedef struct SignerNews
{
	int64_t		event_id;
	char	   *signer;			/* NUL-terminated, as no name has a NUL */
	char	   *public_key;		/* NULL: revoked */
} SignerNews;

/* A signed event. */
typedef struct Signed
{
	uint8_t		stream[UUID_LEN];
	int64_t		stream_seq;
	int64_t		event_id;
	char	   *signer;			/* NULL: the signature cannot be one */
	uint8_t    *signature;		/* of 64 bytes; behind it what is signed */
	size_t		len;			/* of what is signed */
} Signed;

typedef struct Keeping
{
	LIST(Redacted) redacted;
	LIST(Told) retired;
	LIST(int64_t) restored;		/* event_id of the retirement */
	LIST(Lineage) declared;
	LIST(SignerNews) signers;
	LIST(Signed) signatures;
	LIST(Placed) placed;
	bool		sorted;			/* redacted */
	bool		placed_sorted;
} Keeping;

/*
 * Take what an event of the stream says; leaf is where it stands, -1 if that
 * is not known.
 */
extern void keeping_says(Keeping *keeping, const Event *event, int64_t leaf,
						 const Json *json, const JsonNode *payload);

/* An event that tells of a redaction or retirement was found in the tree. */
extern void keeping_place(Keeping *keeping, int64_t event_id, int64_t leaf);

/* The leaf of such an event; INT64_MAX if it is none. */
extern int64_t keeping_leaf(Keeping *keeping, int64_t event_id);

/* An event with a signer or a signature, and its payload's text. */
extern void keeping_signed(Keeping *keeping, const Event *event,
						   const char *text, size_t len);

/* Move all of from behind what to has. */
extern void keeping_move(Keeping *to, Keeping *from);

/*
 * Whether it was told that a payload was erased; *leaf is that of the first
 * event that tells it, INT64_MAX if none is in the tree.
 */
extern bool keeping_redacted(Keeping *keeping, int64_t event_id,
							 const uint8_t *payload_hash, int64_t *leaf);

/* Whether it was told that these leaves were retired, and not restored. */
extern bool keeping_retired(Keeping *keeping, int64_t event_id,
							Slice leaves);

/* Whether it was told that the ledger went on there. */
extern bool keeping_declared(const Keeping *keeping, const Lineage *lineage);

/*
 * Check all signatures.  late: who was registered before the export's begin is
 * not known.
 */
extern void keeping_check_signatures(Keeping *keeping, bool late,
									 Report *report);

#endif							/* VERIFY_KEEPING_H */
