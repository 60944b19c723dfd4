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

typedef struct Bundle
{
	int64_t		number;
	int			width;
	int64_t		from;			/* leaves before are only hashed into the tree */
	bool		complete;		/* the hashes of all leaves are known */
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
 * be said of its events alone.
 */
extern void bundle_read(const Ledger *ledger, const char *folder,
						bool with_payloads, Bundle *bundle, Found *found,
						BundleScratch *scratch);
extern void bundle_scratch_free(BundleScratch *scratch);

#endif							/* VERIFY_BUNDLE_H */
