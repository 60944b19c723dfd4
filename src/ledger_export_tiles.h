/*-------------------------------------------------------------------------
 *
 * ledger_export_tiles.h
 *	  The ledger as files: tiles of the tree, entries, and what belongs to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_EXPORT_TILES_H
#define UAEF_LEDGER_EXPORT_TILES_H

#include "lib/stringinfo.h"

/* How long a file's content stays what it is. */
typedef enum UaefFileKind
{
	UAEF_FILE_FINAL,			/* for ever */
	UAEF_FILE_PAYLOAD,			/* until one of its events is redacted */
	UAEF_FILE_CHANGING
} UaefFileKind;

typedef struct UaefFile
{
	char		path[128];		/* in the folder, with slashes */
	UaefFileKind kind;
	int64		no;				/* which of its sort, of 256 things each */
	int64		size;			/* in bytes, or -1: read it to know */
} UaefFile;

/* The files of the ledger, one after another; the checkpoint is the last. */
typedef struct UaefFiles UaefFiles;

/*
 * Begin with those that have something beyond the first from_size leaves.
 * All of them are what the active snapshot sees.  Raises 22023 for a bad size.
 */
extern UaefFiles *uaef_files_begin(int64 from_size);

/* The size of the tree that they are of. */
extern int64 uaef_files_tree_size(const UaefFiles *files);

/* Stand on the next file; false after the last. */
extern bool uaef_files_next(UaefFiles *files, UaefFile *file);

/*
 * The content of the file that is stood on, in *content, which is emptied
 * first.  False when there is no such file: its events were retired.
 */
extern bool uaef_files_read(UaefFiles *files, StringInfo content);

#endif							/* UAEF_LEDGER_EXPORT_TILES_H */
