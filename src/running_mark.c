/*-------------------------------------------------------------------------
 *
 * running_mark.c
 *	  Which SQL task each executor is at, as it is known after a crash.
 *
 * A task whose SQL kills its backend takes the server's shared memory with it,
 * and its own transaction; so what it was can stand in neither.  It stands in
 * a file of the data directory, one record for each executor slot, which survives
 * the death of processes because the kernel keeps it.  Each database has its own
 * file: after a crash the slots are given out anew, and another database may be
 * first.  The folder is one that backups leave out: what runs elsewhere is no task
 * of a copy.  The file is not synced: a power failure is nothing that a task brings
 * about, and so a mark costs one short system call.
 *
 * Locking: none; an executor writes its own record, and the database's worker
 * reads the records of those that are gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#include "compat.h"
#include "running_mark.h"

#define MARK_FILE PG_STAT_TMP_DIR "/uaef.running.%u"
#define MARK_MAGIC 0x75616566

typedef struct Mark
{
	uint32		magic;			/* 0: none runs */
	UaefTaskRef ref;
} Mark;

/* This executor's slot and the file, once attached; and what it is at. */
static int	my_slot = -1;
static int	mark_fd = -1;
static UaefTaskRef current;
static bool is_running = false;

static const char *
file_of(Oid database)
{
	static char path[MAXPGPATH];

	snprintf(path, sizeof(path), MARK_FILE, database);
	return path;
}

static int
open_file(int flags)
{
	return BasicOpenFile(file_of(MyDatabaseId), O_RDWR | PG_BINARY | flags);
}

/*
 * A mark that cannot be written is no reason not to run the task.
 */
static void
write_mark(int fd, int slot, const Mark *mark)
{
	if (pg_pwrite(fd, mark, sizeof(Mark), slot * sizeof(Mark)) != sizeof(Mark))
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m",
						file_of(MyDatabaseId))));
}

void
uaef_running_attach(int slot)
{
	mark_fd = open_file(O_CREAT);
	if (mark_fd < 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m",
						file_of(MyDatabaseId))));
	my_slot = slot;
}

void
uaef_running_mark(const UaefTaskRef *ref)
{
	Mark		mark;

	if (mark_fd < 0 || (ref == NULL && !is_running))
		return;
	memset(&mark, 0, sizeof(mark));
	is_running = ref != NULL;
	if (ref != NULL)
	{
		current = *ref;
		mark.magic = MARK_MAGIC;
		mark.ref = *ref;
	}
	write_mark(mark_fd, my_slot, &mark);
}

bool
uaef_running_current(UaefTaskRef *ref)
{
	*ref = current;
	return is_running;
}

bool
uaef_running_left(int slot, UaefTaskRef *ref)
{
	Mark		mark;
	int			fd = open_file(0);
	bool		found = fd >= 0 &&
		pg_pread(fd, &mark, sizeof(mark), slot * sizeof(mark)) == sizeof(mark) &&
		mark.magic == MARK_MAGIC;

	if (fd >= 0)
		close(fd);
	if (found)
		*ref = mark.ref;
	return found;
}

void
uaef_running_forget(int slot)
{
	Mark		mark;
	int			fd = open_file(0);

	memset(&mark, 0, sizeof(mark));
	if (fd < 0)
		return;
	write_mark(fd, slot, &mark);
	close(fd);
}

void
uaef_running_remove(Oid database)
{
	(void) unlink(file_of(database));
}
