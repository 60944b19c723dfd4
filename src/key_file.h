/*-------------------------------------------------------------------------
 *
 * key_file.h
 *	  Where files with keys may lie.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_KEY_FILE_H
#define UAEF_KEY_FILE_H

/*
 * Whether a file is in the data directory, from where every base backup would
 * carry it away; true as well when that cannot be found out.
 */
extern bool uaef_key_file_in_data(const char *path);

#endif							/* UAEF_KEY_FILE_H */
