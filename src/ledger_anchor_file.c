/*-------------------------------------------------------------------------
 *
 * ledger_anchor_file.c
 *	  Notes appended to a file of the server.
 *
 * The file is opened for appending only, so that a file system that allows
 * nothing else (chattr +a, WORM) will do.  An append that failed half way, or
 * whose transaction was rolled back, is followed by a whole one: notes may
 * stand in the file twice, but none is missing that counts as anchored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"

#include "compat.h"
#include "ledger_anchor_file.h"

static char *folder_of(const char *path);
static int	open_file(const char *path);
static void write_note(int fd, const char *path, const char *text);

/*
 * The folder of a file, with no symbolic links in it.
 */
static char *
folder_of(const char *path)
{
	char	   *folder = pstrdup(path);
	char		real[PATH_MAX];

	get_parent_directory(folder);
	if (realpath(folder, real) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not find the folder \"%s\": %m", folder)));
	return pstrdup(real);
}

void
uaef_anchor_file_require(Oid role, const char *path)
{
	char		data[PATH_MAX];
	struct stat file;

	if (!has_privs_of_role(role, ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to anchor in a file"),
				 errdetail("Only roles with privileges of the role \"pg_write_server_files\" may write files of the server.")));
	if (!is_absolute_path(path) || path[strlen(path) - 1] == '/')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not the absolute path of a file", path)));
	if (realpath(DataDir, data) == NULL ||
		path_is_prefix_of_path(data, folder_of(path)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is in the data directory", path),
				 errdetail("Whoever changes the ledger there would change its anchor as well.")));
	if (lstat(path, &file) == 0 && !S_ISREG(file.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path)));
}

/*
 * Not to follow a link, nor to wait for the reader of a pipe.
 */
static int
open_file(const char *path)
{
	int			fd = OpenTransientFilePerm(path, O_WRONLY | O_APPEND |
										   O_CREAT | O_NOFOLLOW | O_NONBLOCK |
										   PG_BINARY,
										   S_IRUSR | S_IWUSR);
	struct stat file;

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\" for appending: %m", path)));
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path)));
	return fd;
}

static void
write_note(int fd, const char *path, const char *text)
{
	size_t		len = strlen(text);
	ssize_t		written;

	errno = 0;
	written = write(fd, text, len);
	if (written != (ssize_t) len)
	{
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not append to file \"%s\": %m", path)));
	}
	if (pg_fsync(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", path)));
}

void
uaef_anchor_file_append(Oid role, const char *path, const char *note)
{
	int			fd;

	uaef_anchor_file_require(role, path);
	fd = open_file(path);
	write_note(fd, path, psprintf("%s\n", note));
	if (CloseTransientFile(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", path)));

	/* The file may be new: its name must last, too. */
	(void) fsync_fname_ext(folder_of(path), true, true, ERROR);
}
