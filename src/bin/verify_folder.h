/*-------------------------------------------------------------------------
 *
 * verify_folder.h
 *	  The files of a tiles folder: C2SP tlog-tiles and, in uaef/, what is ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_FOLDER_H
#define VERIFY_FOLDER_H

#include <stdio.h>

#include "verify_tree.h"

#define PATH_SIZE 4096

/*
 * Read a file whole, or open it; false or NULL if there is none, or no ordinary
 * one: who writes into a pipe would have us wait.
 */
extern bool file_read(const char *path, Buffer *buffer);
extern FILE *file_open(const char *path);

/*
 * The path of a tile: kind is a level, "entries" or a folder beside them;
 * width 0 or 256 for a full one.
 */
extern void tile_path(char *path, const char *folder, const char *kind,
					  int64_t number, int width);

/*
 * Read a tile, or the full one if there is no partial one.  Returns the width
 * of what was read, 0 if there is neither.
 */
extern int	tile_read(const char *folder, const char *kind, int64_t number,
					  int width, Buffer *buffer);

/* Whether tile_read() would find something. */
extern bool tile_there(const char *folder, const char *kind, int64_t number,
					   int width);

/*
 * The levels above the leaves' tiles, as they are completed from the left.
 */
typedef struct Upper
{
	TileTree	tile;			/* width of them are known */
	int64_t		number;			/* of the tile in its level */
} Upper;

#define UPPER_LEVELS 7

#endif							/* VERIFY_FOLDER_H */
