/*-------------------------------------------------------------------------
 *
 * key_file.c
 *	  Where files with keys may lie.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <stdlib.h>

#include "miscadmin.h"

#include "key_file.h"

bool
uaef_key_file_in_data(const char *path)
{
	char		data[PATH_MAX];
	char		key[PATH_MAX];

	return realpath(DataDir, data) == NULL || realpath(path, key) == NULL ||
		path_is_prefix_of_path(data, key);
}
