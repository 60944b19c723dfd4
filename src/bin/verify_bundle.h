/*-------------------------------------------------------------------------
 *
 * verify_bundle.h
 *	  256 events of a tiles folder: their entries, payloads and tile.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_BUNDLE_H
#define VERIFY_BUNDLE_H

#include "verify_folder.h"
#include "verify_ledger.h"

/* An event of a bundle that was left out because others of it were retired. */
typedef struct Kept
{
	int64_t		leaf;
	size_t		arrival;
	EventRow	row;
	bool		tells;			/* of a redaction or retirement */
} Kept;

typedef LIST(Kept)
KeptList;

typedef struct Bundle
{
	int64_t		number;
	int			width;
	int64_t		from;			/* leaves before are only hashed into the tree */
	bool		complete;		/* the hashes of all leaves are known */
	bool		left_out;		/* there is no file of entries */
	EventRow	row[TILE_WIDTH];	/* event_id 0 where there is no entry */
	TileTree	tile;
} Bundle;

/* Memory that reading bundles uses again and again. */
typedef struct BundleScratch
{
	Buffer		entries;
	Buffer		tile;
	Buffer		payloads;
	Buffer		canonical;
	Json		json;
	Json		inner;
} BundleScratch;

/*
 * Read a bundle, whose number, width and from are set, and check all that can
 * be said of its events alone.  What is not there of one that is left out is
 * for the caller to judge; kept are the events that are known all the same,
 * sorted.
 */
extern void bundle_read(const Ledger *ledger, const char *folder,
						bool with_payloads, const KeptList *kept,
						Bundle *bundle, Found *found,
						BundleScratch *scratch);
extern void bundle_scratch_free(BundleScratch *scratch);

#endif							/* VERIFY_BUNDLE_H */
