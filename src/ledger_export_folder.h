/*-------------------------------------------------------------------------
 *
 * ledger_export_folder.h
 *	  Writing the ledger's files into a folder of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_EXPORT_FOLDER_H
#define UAEF_LEDGER_EXPORT_FOLDER_H

/* What an export wrote. */
typedef struct UaefFolder
{
	int64		files;
	int64		bytes;
	int64		tree_size;
} UaefFolder;

/*
 * Bring a folder up to date; it is made if only its last part is missing.
 * Raises 42501 unless the caller may write files of the server, 42602 for a
 * path that is not absolute, 55000 for a folder of other things, in the data
 * directory, not the server's own or with a newer export, 55006 when another
 * export writes into it, UA102 when what it has is no earlier state of this
 * ledger.
 */
extern void uaef_export_folder(const char *directory, UaefFolder *folder);

#endif							/* UAEF_LEDGER_EXPORT_FOLDER_H */
