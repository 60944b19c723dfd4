/*-------------------------------------------------------------------------
 *
 * verify_folder.c
 *	  The files of a tiles folder: C2SP tlog-tiles and, in uaef/, what is ours.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify_folder.h"

#define READ_SIZE 65536

void
tile_path(char *path, const char *folder, const char *kind, int64_t number,
		  int width)
{
	int			groups = 1;
	int64_t		unit = 1;
	size_t		len;

	for (int64_t left = number / 1000; left > 0; left /= 1000)
	{
		groups++;
		unit *= 1000;
	}
	len = (size_t) snprintf(path, PATH_SIZE, "%s/%s", folder, kind);
	for (; groups > 0 && len < PATH_SIZE; groups--, unit /= 1000)
		len += (size_t) snprintf(path + len, PATH_SIZE - len, "/%s%03d",
								 groups > 1 ? "x" : "",
								 (int) (number / unit % 1000));
	if (width > 0 && width < TILE_WIDTH && len < PATH_SIZE)
		len += (size_t) snprintf(path + len, PATH_SIZE - len, ".p/%d", width);
	if (len >= PATH_SIZE)
		fatal("the path of a file in \"%s\" is too long", folder);
}

/*
 * A descriptor of an ordinary file; -1 if there is none.
 */
static int
open_file(const char *path)
{
	int			fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ENXIO)
		fatal("could not open \"%s\": %s", path, strerror(errno));
	if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
		return fd;
	close(fd);
	return -1;
}

FILE *
file_open(const char *path)
{
	int			fd = open_file(path);

	return fd < 0 ? NULL : fdopen(fd, "r");
}

bool
file_read(const char *path, Buffer *buffer)
{
	int			fd = open_file(path);
	ssize_t		got;

	if (fd < 0)
		return false;
	do
	{
		buffer_reserve(buffer, READ_SIZE);
		got = read(fd, buffer->data + buffer->len, buffer->size - buffer->len);
		if (got > 0)
			buffer->len += (size_t) got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		fatal("could not read \"%s\": %s", path, strerror(errno));
	close(fd);
	return true;
}

int
tile_read(const char *folder, const char *kind, int64_t number, int width,
		  Buffer *buffer)
{
	char		path[PATH_SIZE];

	buffer->len = 0;
	tile_path(path, folder, kind, number, width);
	if (file_read(path, buffer))
		return width;
	if (width == TILE_WIDTH)
		return 0;
	tile_path(path, folder, kind, number, TILE_WIDTH);
	return file_read(path, buffer) ? TILE_WIDTH : 0;
}

bool
tile_there(const char *folder, const char *kind, int64_t number, int width)
{
	char		path[PATH_SIZE];
	struct stat status;

	tile_path(path, folder, kind, number, width);
	if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
		return true;
	return width < TILE_WIDTH &&
		tile_there(folder, kind, number, TILE_WIDTH);
}
