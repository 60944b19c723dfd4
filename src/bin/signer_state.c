/*-------------------------------------------------------------------------
 *
 * signer_state.c
 *	  What a signer has signed last, of each origin, in a file.
 *
 * The file is replaced as a whole: written beside, fsync, rename, fsync of the
 * directory.  So it is always that of before or that of after.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signer_state.h"

/* A state is never larger. */
#define MAX_STATE (16 * 1024 * 1024)

static char *read_file(State *state, size_t *len);
static int	parse_notes(State *state, const char *at, const Key *key);
static const char *parse_note(State *state, const char *at, const Key *key);
static int	remember(State *state, const Checkpoint *checkpoint,
					 const char *note, size_t len);
static int	write_file(State *state, const char *path, int skip,
					   const char *note);
static int	sync_directory(State *state);
static int	failed(State *state, const char *what, const char *path);

static int
failed(State *state, const char *what, const char *path)
{
	snprintf(state->error, sizeof(state->error), "could not %s \"%.150s\": %.60s",
			 what, path, strerror(errno));
	return -1;
}

int
state_load(State *state, const char *path, const Key *key)
{
	char	   *text;
	size_t		len;
	int			result;

	memset(state, 0, sizeof(*state));
	state->path = path;
	text = read_file(state, &len);
	if (text == NULL)
		return errno == ENOENT && state->error[0] == '\0' ? 1 : -1;
	if (len == 0 || strlen(text) != len)
	{
		snprintf(state->error, sizeof(state->error),
				 "state \"%.200s\" %s", path,
				 len == 0 ? "is empty" : "has a zero byte");
		result = -1;
	}
	else
		result = parse_notes(state, text, key);
	free(text);
	return result;
}

/*
 * The whole file, malloc'd and with a zero byte at its end.
 */
static char *
read_file(State *state, size_t *len)
{
	FILE	   *file = fopen(state->path, "r");
	char	   *text;

	if (file == NULL)
	{
		if (errno != ENOENT)
			failed(state, "open state", state->path);
		return NULL;
	}
	text = malloc(MAX_STATE + 1);
	*len = text == NULL ? 0 : fread(text, 1, MAX_STATE, file);
	if (text == NULL || ferror(file) || !feof(file))
	{
		if (text != NULL && !ferror(file))
			errno = EFBIG;
		failed(state, "read state", state->path);
		free(text);
		text = NULL;
	}
	else
		text[*len] = '\0';
	fclose(file);
	return text;
}

static int
parse_notes(State *state, const char *at, const Key *key)
{
	for (int no = 1; *at != '\0'; no++)
	{
		char		problem[sizeof(state->error)];
		const char *next = parse_note(state, at, key);

		if (next == NULL)
		{
			memcpy(problem, state->error, sizeof(problem));
			snprintf(state->error, sizeof(state->error),
					 "state \"%.100s\" is damaged at note %d: %.100s",
					 state->path, no, problem);
			return -1;
		}
		at = next;
	}
	return 0;
}

/*
 * One note: a text up to an empty line, then lines of signatures.  Returns
 * where the next one begins, NULL on an error.
 */
static const char *
parse_note(State *state, const char *at, const Key *key)
{
	Checkpoint	checkpoint;
	char		ours[SIGNATURE_LINE_SIZE];
	size_t		ours_len = strlen(key->name) + 4 + 1 + 5;
	const char *cut = strstr(at, "\n\n");
	const char *end = cut == NULL ? NULL : cut + 2;
	const char *problem = "it is not a signed checkpoint";

	if (cut != NULL)
		problem = checkpoint_parse(at, cut + 1 - at, &checkpoint);
	if (problem == NULL)
		problem = note_sign(key, at, cut + 1 - at, ours);
	if (problem == NULL &&
		strncmp(end, SIGNATURE_DASH, strlen(SIGNATURE_DASH)) != 0)
		problem = "it has no signature";
	while (problem == NULL &&
		   strncmp(end, SIGNATURE_DASH, strlen(SIGNATURE_DASH)) == 0)
	{
		const char *stop = strchr(end, '\n');

		if (stop == NULL)
			problem = "its last line is cut";

		/* The same name and, in base64, most of the same key id. */
		else if (strncmp(end, ours, ours_len) == 0 &&
				 strncmp(end, ours, stop + 1 - end) != 0)
			problem = "the key did not make its signature";
		else
			end = stop + 1;
	}
	if (problem == NULL && state_find(state, checkpoint.origin) != NULL)
		problem = "its origin has another note";
	if (problem == NULL && remember(state, &checkpoint, at, end - at) != 0)
		problem = "out of memory";
	if (problem == NULL)
		return end;
	snprintf(state->error, sizeof(state->error), "%s", problem);
	return NULL;
}

const Signed *
state_find(const State *state, const char *origin)
{
	for (int i = 0; i < state->n; i++)
	{
		if (strcmp(state->last[i].checkpoint.origin, origin) == 0)
			return &state->last[i];
	}
	return NULL;
}

/*
 * Put a note in the place of the last one of its origin, in memory.
 */
static int
remember(State *state, const Checkpoint *checkpoint, const char *note,
		 size_t len)
{
	Signed	   *last = (Signed *) state_find(state, checkpoint->origin);
	char	   *copy = strndup(note, len);

	if (copy == NULL)
		return -1;
	if (last == NULL)
	{
		Signed	   *more = realloc(state->last,
								   (state->n + 1) * sizeof(Signed));

		if (more == NULL)
		{
			free(copy);
			return -1;
		}
		state->last = more;
		last = &more[state->n++];
	}
	else
		free(last->note);
	last->checkpoint = *checkpoint;
	last->note = copy;
	return 0;
}

int
state_save(State *state, const Checkpoint *checkpoint, const char *note)
{
	char		path[PATH_MAX];
	const Signed *old = state_find(state, checkpoint->origin);

	if (snprintf(path, sizeof(path), "%s.new", state->path) >=
		(int) sizeof(path))
	{
		errno = ENAMETOOLONG;
		return failed(state, "write", state->path);
	}
	if (write_file(state, path, old == NULL ? -1 : (int) (old - state->last),
				   note) != 0)
		return -1;
	if (rename(path, state->path) != 0)
		return failed(state, "replace", state->path);
	if (sync_directory(state) != 0)
		return -1;
	if (remember(state, checkpoint, note, strlen(note)) != 0)
		return failed(state, "remember", state->path);
	return 0;
}

/*
 * All notes but one, and a new one, safely on disk.
 */
static int
write_file(State *state, const char *path, int skip, const char *note)
{
	FILE	   *file = NULL;
	int			fd = -1;
	int			bad;

	/* What a crash has left, or a link to another file, is not written to. */
	if (unlink(path) == 0 || errno == ENOENT)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		file = fdopen(fd, "w");
	if (file == NULL)
		return failed(state, "create", path);
	for (int i = 0; i < state->n; i++)
	{
		if (i != skip)
			fputs(state->last[i].note, file);
	}
	fputs(note, file);
	bad = fflush(file) != 0 || ferror(file) || fsync(fd) != 0;
	if (bad)
		failed(state, "write", path);
	if (fclose(file) != 0 && !bad)
		bad = failed(state, "write", path);
	return bad ? -1 : 0;
}

static int
sync_directory(State *state)
{
	char	   *copy = strdup(state->path);
	int			fd = copy == NULL ? -1
		: open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int			result = 0;

	free(copy);
	if (fd < 0 || fsync(fd) != 0)
		result = failed(state, "sync the directory of", state->path);
	if (fd >= 0)
		close(fd);
	return result;
}
