/*-------------------------------------------------------------------------
 *
 * ledger_export_folder.c
 *	  Writing the ledger's files into a folder of the server.
 *
 * A reader may look at any time, and the process may be killed at any time.  So
 * a file comes into being whole: it is written under another name, flushed and
 * renamed.  The checkpoint comes last, when the names of all that it covers are
 * flushed too; a reader never sees one beyond the tiles.  What an earlier run
 * left is taken as done: files that never change are not written again.
 *
 * A folder is ours when a file in it names our ledger.  We write into no other
 * that has anything in it, follow no symbolic link in it, and do not put an
 * older or another history in the place of the checkpoint that it has.
 *
 * Locking: a lock of the system on the folder, which ends with the process.
 * Memory: one file at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errcodes.h"
#include "ledger.h"
#include "ledger_export_folder.h"
#include "ledger_export_tiles.h"
#include "ledger_tree.h"
#include "note.h"
#include "spi_util.h"

#define OWNER_FILE	".uaef-ledger-id"
#define NEW_SUFFIX	".uaef-new"

/* A folder that is written. */
typedef struct Writer
{
	const char *root;
	char		last[MAXPGPATH];	/* directory that was written to last */
	int64	   *redacted;		/* leaves of redacted events, sorted */
	int			nredacted;
	UaefFolder *folder;
} Writer;

static void require_right(void);
static char *resolve(const char *directory);
static void require_outside(const char *path);
static bool is_empty(const char *path);
static int	lock_folder(const char *path);
static void own_folder(const char *path);
static char *read_small_file(const char *path, int max_len);
static void check_checkpoint(const char *path, int64 tree_size);
static void read_redacted(Writer *writer);
static bool is_redacted(const Writer *writer, int64 no);
static bool is_redacted_leaf(const Writer *writer, int64 leaf);
static int	compare_numbers(const void *a, const void *b);
static int	compare_bundles(const void *a, const void *b);
static void remove_partial(const char *path);
static void flush_directory(const char *path);
static void flush_parent(const char *path);
static void enter_directory(Writer *writer, const char *path);
static void write_file(const char *path, const char *data, size_t len);
static bool is_done(const Writer *writer, const char *path,
					const UaefFile *file, const StringInfoData *content);
static void put_file(Writer *writer, const char *name, const char *data,
					 size_t len);
static bool read_erased(const Writer *writer, const char *path, int64 no,
						StringInfo content);
static void export_file(Writer *writer, UaefFiles *files,
						const UaefFile *file, StringInfo content);

/* ----------
 * Whose folder it is
 * ----------
 */

static void
require_right(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write files of the server"),
				 errdetail("Only members of role \"pg_write_server_files\" may."),
				 errhint("uaef.tile_files() gives the same files to a client.")));
}

/*
 * The path of a directory without symbolic links; it, or at least the one that
 * it is in, must be there.
 */
static char *
resolve(const char *directory)
{
	char		path[MAXPGPATH];
	char		resolved[PATH_MAX];
	char	   *name = NULL;

	if (!is_absolute_path(directory) || strlen(directory) >= MAXPGPATH / 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not an absolute path of a directory",
						directory)));
	strlcpy(path, directory, sizeof(path));
	canonicalize_path(path);
	if (access(path, F_OK) != 0)
	{
		name = pstrdup(last_dir_separator(path) + 1);
		get_parent_directory(path);
	}
	if (realpath(path, resolved) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not find directory \"%s\": %m", path)));
	if (strlen(resolved) >= MAXPGPATH / 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("the path of directory \"%s\" is too long", path)));
	return name == NULL ? pstrdup(resolved) :
		psprintf("%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, name);
}

/*
 * Neither the server's directory nor one in it nor one around it will do.
 */
static void
require_outside(const char *path)
{
	char		data[PATH_MAX];

	if (realpath(DataDir, data) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not find directory \"%s\": %m", DataDir)));
	if (path_is_prefix_of_path(data, path) ||
		path_is_prefix_of_path(path, data))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" belongs to the server", path),
				 errhint("Give one of its own, outside of the data directory.")));
}

/*
 * Whether there is nothing in a directory, but perhaps an owner's file that
 * was not finished.
 */
static bool
is_empty(const char *path)
{
	DIR		   *dir = AllocateDir(path);
	struct dirent *entry;
	bool		empty = true;

	while (empty && (entry = ReadDir(dir, path)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			strcmp(entry->d_name, OWNER_FILE NEW_SUFFIX) == 0 ||
			strcmp(entry->d_name, "lost+found") == 0;
	FreeDir(dir);
	return empty;
}

/*
 * The text of a file; NULL when there is none.
 */
static char *
read_small_file(const char *path, int max_len)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | PG_BINARY);
	char	   *text;
	int			len;

	if (fd < 0 && errno == ENOENT)
		return NULL;
	text = palloc(max_len + 1);
	if (fd < 0 || (len = read(fd, text, max_len)) < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	text[len] = '\0';
	CloseTransientFile(fd);
	return text;
}

/*
 * Make the folder if it is not there, and lock it; returns the descriptor that
 * has the lock.  Whoever else may rename what is in it could lead us to write
 * elsewhere, so it must be the server's own.
 */
static int
lock_folder(const char *path)
{
	struct stat st;
	int			fd;

	if (MakePGDirectory(path) < 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", path)));
	fd = OpenTransientFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", path)));
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" is not the server's own", path),
				 errdetail("It must belong to the user that the server runs as, and nobody else may write into it."),
				 errhint("Take the right to write from its group and from others, as chmod go-w does.")));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another export writes into directory \"%s\"", path)));
	return fd;
}

/*
 * Make the locked folder ours if nobody's.
 */
static void
own_folder(const char *path)
{
	char	   *file = psprintf("%s/%s", path, OWNER_FILE);
	Datum		id = UUIDPGetDatum(uaef_ledger_id());
	char	   *ours = psprintf("%s\n", DatumGetCString(DirectFunctionCall1(uuid_out,
																			id)));
	char	   *theirs = read_small_file(file, 64);

	if (theirs == NULL)
	{
		if (!is_empty(path))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("directory \"%s\" has other things in it", path),
					 errhint("Give an empty one, or one that this ledger was exported to before.")));
		write_file(file, ours, strlen(ours));
	}
	else if (strcmp(theirs, ours) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" has another ledger in it", path),
				 errdetail("File \"%s\" does not name this ledger.", file)));
}

/*
 * Raise unless the checkpoint that the folder has is of an earlier state of
 * this ledger, as it is now: our snapshot may be older than the last export.
 * Nor must it be of more than what we are about to write.  A torn or foreign
 * one says nothing.
 */
static void
check_checkpoint(const char *path, int64 tree_size)
{
	char	   *bytes = read_small_file(psprintf("%s/checkpoint", path),
										UAEF_NOTE_MAX_LEN);
	UaefNote	note;
	UaefCheckpoint checkpoint;
	uint8		root[UAEF_HASH_LEN];
	int64		now;

	if (bytes == NULL ||
		uaef_note_parse(bytes, strlen(bytes), &note) != NULL ||
		uaef_checkpoint_parse(note.text, &checkpoint) != NULL)
		return;
	PushActiveSnapshot(GetLatestSnapshot());
	now = uaef_tree_size();
	if (checkpoint.size <= now)
		uaef_tree_root(checkpoint.size, root);
	PopActiveSnapshot();
	if (checkpoint.size > now ||
		memcmp(root, checkpoint.root, UAEF_HASH_LEN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("directory \"%s\" has a checkpoint that this ledger does not continue",
						path),
				 errdetail("It is of %lld events; this ledger has %lld, or others.",
						   (long long) checkpoint.size, (long long) now),
				 errhint("Keep it: it is evidence. Was the database restored from a backup?")));
	if (checkpoint.size > tree_size)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" has a newer export", path),
				 errdetail("It is of %lld events; this transaction exports %lld.",
						   (long long) checkpoint.size, (long long) tree_size),
				 errhint("Export in a new transaction, under the same uaef.ledger_origin.")));
}

/* ----------
 * What need not be written again
 * ----------
 */

static int
compare_numbers(const void *a, const void *b)
{
	int64		l = *(const int64 *) a;
	int64		r = *(const int64 *) b;

	return (l > r) - (l < r);
}

/*
 * The number of a bundle, and a leaf.
 */
static int
compare_bundles(const void *a, const void *b)
{
	int64		no = *(const int64 *) b / UAEF_TILE_WIDTH;

	return compare_numbers(a, &no);
}

/*
 * The leaves whose payloads must not be in the folder.
 */
static void
read_redacted(Writer *writer)
{
	static UaefQuery query = {
		"SELECT event_id FROM uaef.ledger_redaction", 0
	};
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	uint64		rows = uaef_spi_read(&query, NULL);

	writer->redacted = MemoryContextAllocHuge(context,
											  (rows + 1) * sizeof(int64));
	for (uint64 i = 0; i < rows; i++)
	{
		int64		leaf = uaef_leaf_of_event(uaef_spi_int64(i, 1), NULL);

		if (leaf >= 0)
			writer->redacted[writer->nredacted++] = leaf;
	}
	uaef_spi_end(caller);
	qsort(writer->redacted, writer->nredacted, sizeof(int64),
		  compare_numbers);
}

/*
 * Whether a bundle of payloads has to be looked at again.
 */
static bool
is_redacted(const Writer *writer, int64 no)
{
	return writer->nredacted > 0 &&
		bsearch(&no, writer->redacted, writer->nredacted, sizeof(int64),
				compare_bundles) != NULL;
}

static bool
is_redacted_leaf(const Writer *writer, int64 leaf)
{
	return bsearch(&leaf, writer->redacted, writer->nredacted, sizeof(int64),
				   compare_numbers) != NULL;
}

/*
 * Whether a file is there as it should be.  Before its content was read, only
 * a file that never changes can be told to be.
 */
static bool
is_done(const Writer *writer, const char *path, const UaefFile *file,
		const StringInfoData *content)
{
	struct stat st;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	if (content != NULL)
	{
		char	   *there;
		bool		same;

		if (st.st_size != content->len)
			return false;
		there = read_small_file(path, content->len);
		same = there != NULL && memcmp(there, content->data, content->len) == 0;
		if (there != NULL)
			pfree(there);
		return same;
	}
	if (file->kind == UAEF_FILE_PAYLOAD)
		return !is_redacted(writer, file->no);
	return file->kind == UAEF_FILE_FINAL &&
		(file->size < 0 || st.st_size == file->size);
}

/* ----------
 * Writing
 * ----------
 */

/*
 * What cannot be flushed fails this export, not the server, as it would by
 * fsync_fname().
 */
static void
flush_directory(const char *path)
{
	(void) fsync_fname_ext(path, true, false, ERROR);
}

/*
 * Let a new name in a directory last.
 */
static void
flush_parent(const char *path)
{
	char		directory[MAXPGPATH];

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	flush_directory(directory);
}

/*
 * Make the directories of a file.  When they are others than before, the names
 * in the one before are all there, and flushed.
 */
static void
enter_directory(Writer *writer, const char *path)
{
	char		directory[MAXPGPATH];

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	if (strcmp(directory, writer->last) == 0)
		return;
	if (writer->last[0] != '\0')
		flush_directory(writer->last);
	strlcpy(writer->last, directory, sizeof(writer->last));

	for (char *p = directory + strlen(writer->root); *p == '/';)
	{
		char	   *end = p + 1 + strcspn(p + 1, "/");
		char		after = *end;
		struct stat st;

		*end = '\0';
		if (MakePGDirectory(directory) == 0)
			flush_parent(directory);
		else if (errno != EEXIST || lstat(directory, &st) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not create directory \"%s\": %m",
							directory)));
		else if (!S_ISDIR(st.st_mode))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("\"%s\" is not a directory", directory),
					 errdetail("Symbolic links are not followed.")));
		*end = after;
		p = end;
	}
}

/*
 * A file under its name all at once.
 */
static void
write_file(const char *path, const char *data, size_t len)
{
	char	   *new_path = psprintf("%s" NEW_SUFFIX, path);
	int			fd;

	(void) unlink(new_path);
	fd = OpenTransientFile(new_path,
						   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", new_path)));
	errno = 0;
	if (write(fd, data, len) != (ssize_t) len)
	{
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", new_path)));
	}
	if (pg_fsync(fd) != 0 || CloseTransientFile(fd) != 0 ||
		rename(new_path, path) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", path)));
	pfree(new_path);
}

static void
put_file(Writer *writer, const char *path, const char *data, size_t len)
{
	enter_directory(writer, path);
	write_file(path, data, len);
	writer->folder->files++;
	writer->folder->bytes += len;
}

/*
 * Remove what a file had when its bundle was smaller: N.p/W, for N or for N.p
 * with another W.
 */
static void
remove_partial(const char *path)
{
	char		directory[MAXPGPATH];
	struct stat st;
	DIR		   *dir;
	struct dirent *entry;

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	if (strcmp(directory + strlen(directory) - 2, ".p") != 0)
		snprintf(directory, sizeof(directory), "%s.p", path);
	if (lstat(directory, &st) != 0 || !S_ISDIR(st.st_mode))
		return;

	dir = AllocateDir(directory);
	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		char	   *old = psprintf("%s/%s", directory, entry->d_name);

		if (strcmp(old, path) != 0 && strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0 && unlink(old) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", old)));
		pfree(old);
	}
	FreeDir(dir);
	flush_directory(directory);
}

/*
 * What a file of payloads has, without those that were redacted; false when
 * there is none.  Which line is whose is known only while none is lost, so of
 * a damaged file nothing stays.
 */
static bool
read_erased(const Writer *writer, const char *path, int64 no,
			StringInfo content)
{
	struct stat st;
	char	   *there;
	char	   *line;
	int			lines = 0;

	(void) unlink(psprintf("%s" NEW_SUFFIX, path));
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	there = read_small_file(path, (int) Min(st.st_size, MaxAllocSize - 1));
	line = there;
	resetStringInfo(content);
	for (char *end; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1)
	{
		if (is_redacted_leaf(writer, no * UAEF_TILE_WIDTH + lines++))
			appendStringInfoString(content, "null\n");
		else
			appendBinaryStringInfo(content, line, (int) (end - line + 1));
	}
	if (lines == UAEF_TILE_WIDTH && *line == '\0')
		return true;
	resetStringInfo(content);
	for (int i = 0; i < UAEF_TILE_WIDTH; i++)
		appendStringInfoString(content, "null\n");
	return true;
}

/*
 * A payload that was redacted must not stay in a file of fewer events either,
 * nor in one that cannot be made anew, since other events of it were retired.
 */
static void
export_file(Writer *writer, UaefFiles *files, const UaefFile *file,
			StringInfo content)
{
	char	   *path = psprintf("%s/%s", writer->root, file->path);
	bool		redacted = file->kind == UAEF_FILE_PAYLOAD &&
		is_redacted(writer, file->no);

	if (redacted)
		remove_partial(path);
	if (is_done(writer, path, file, NULL))
		return;
	if (!uaef_files_read(files, content) &&
		!(redacted && read_erased(writer, path, file->no, content)))
		return;
	if (!is_done(writer, path, file, content))
		put_file(writer, path, content->data, content->len);
}

void
uaef_export_folder(const char *directory, UaefFolder *folder)
{
	Writer		writer = {.folder = folder};
	int			lock;
	UaefFiles  *files;
	UaefFile	file;
	StringInfoData content;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;

	require_right();
	writer.root = resolve(directory);
	require_outside(writer.root);
	lock = lock_folder(writer.root);
	own_folder(writer.root);
	memset(folder, 0, sizeof(UaefFolder));
	initStringInfo(&content);
	files = uaef_files_begin(0);
	folder->tree_size = uaef_files_tree_size(files);
	check_checkpoint(writer.root, folder->tree_size);
	read_redacted(&writer);

	context = AllocSetContextCreate(caller, "uaef export of a file",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	while (uaef_files_next(files, &file))
	{
		export_file(&writer, files, &file, &content);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (writer.last[0] != '\0')
		flush_directory(writer.last);
	CloseTransientFile(lock);
}
