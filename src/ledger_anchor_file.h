/*-------------------------------------------------------------------------
 *
 * ledger_anchor_file.h
 *	  Notes appended to a file of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_ANCHOR_FILE_H
#define UAEF_LEDGER_ANCHOR_FILE_H

/*
 * Raise unless the role may write server files and the path is absolute and
 * leads to a folder outside of the data directory.
 */
extern void uaef_anchor_file_require(Oid role, const char *path);

/*
 * The same, then append the note with an empty line behind it, and return when
 * it is on disk.  Raises when it is not.
 */
extern void uaef_anchor_file_append(Oid role, const char *path,
									const char *note);

#endif							/* UAEF_LEDGER_ANCHOR_FILE_H */
