/*-------------------------------------------------------------------------
 *
 * ledger_signer_file.c
 *	  Signing checkpoints with a key in a file of the server's user.
 *
 * Beside the key lies its state: the last note of each origin, one after the
 * other, as a person would keep them.  It is replaced as a whole, and safely
 * on disk, before a signature is given away.  It lies outside of the data
 * directory, so restoring that does not take it back.
 *
 * Locking: flock() of the key, which uaef-signer takes too, from reading the
 * state to writing it.
 *
 * Memory: the private key is wiped when we are done with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "key_file.h"
#include "ledger_signer.h"
#include "ledger_tree.h"

/* No key is longer, and no state is larger. */
#define MAX_KEY_LEN		1024
#define MAX_STATE_LEN	(16 * 1024 * 1024)

/* What a line of signature opens with. */
#define DASH			"\xE2\x80\x94 "

/* How long another process may hold the key. */
#define LOCK_TIMEOUT_MS 5000
#define LOCK_PAUSE_MS	10

/* The last note of our origin, and all others. */
typedef struct State
{
	char	   *note;			/* NULL: none */
	UaefCheckpoint checkpoint;
	StringInfoData others;
} State;

static int	open_key(const char *path, UaefNoteSigner *signer);
static void parse_key(const char *path, int fd, UaefNoteSigner *signer);
static void lock_key(const char *path, int fd);
static char *sign(const char *path, const UaefNoteSigner *signer,
				  const UaefSignRequest *request);
static void load_state(const char *path, const UaefNoteKey *key,
					   const char *origin, State *state);
static char *read_state(const char *path);
static const char *read_note(const char *at, const UaefNoteKey *key,
							 const char *origin, State *state,
							 const char **next);
static void check_state(const char *path, const State *state,
						const UaefNoteKey *key,
						const UaefSignRequest *request);
static void save_state(const char *path, const State *state,
					   const char *note);
pg_noreturn static void bad_key(const char *path, const char *problem,
								const char *hint);

char *
uaef_signer_file_sign(const char *path, const UaefSignRequest *request,
					  UaefNoteKey *key)
{
	UaefNoteSigner signer;
	char	   *volatile line = NULL;
	int			fd = open_key(path, &signer);

	PG_TRY();
	{
		lock_key(path, fd);
		line = sign(path, &signer, request);
		*key = signer.key;
	}
	PG_FINALLY();
	{
		explicit_bzero(signer.seed, sizeof(signer.seed));
	}
	PG_END_TRY();
	CloseTransientFile(fd);
	return line;
}

static void
bad_key(const char *path, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SIGNER),
			 errmsg("file \"%s\" is no usable key", path),
			 errdetail_internal("Its fault: %s.", problem),
			 errhint("%s", hint)));
}

/*
 * Open and read the key, without waiting for the writer of a pipe; the
 * descriptor is closed at an error.
 */
static int
open_key(const char *path, UaefNoteSigner *signer)
{
	struct stat status;
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK |
									   PG_BINARY);

	if (fd < 0 || fstat(fd, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open key file \"%s\": %m", path),
				 errhint("Make it with \"uaef-signer keygen\"; it must belong to the user that runs the server.")));
	if (!S_ISREG(status.st_mode))
		bad_key(path, "it is not a file",
				"Let uaef.ledger_key_file name a file that \"uaef-signer keygen\" made.");
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		bad_key(path, "others than its owner may use it",
				"Run chmod 0600 on it; make a new key if somebody may have read it.");

	/* A restore would take the state back too, with the ledger it guards. */
	if (uaef_key_file_in_data(path))
		bad_key(path, "it is in the data directory, and so in every base backup",
				"Move it, and its state, to a directory outside; make a new key if a backup may have it.");
	parse_key(path, fd, signer);
	return fd;
}

static void
parse_key(const char *path, int fd, UaefNoteSigner *signer)
{
	char		text[MAX_KEY_LEN + 1];
	ssize_t		len = read(fd, text, MAX_KEY_LEN);
	const char *problem;

	if (len < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read key file \"%s\": %m", path)));
	if (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	problem = uaef_note_parse_signer(text, signer);
	explicit_bzero(text, sizeof(text));
	if (problem == NULL && signer->key.kind != UAEF_KEY_ED25519)
		problem = "it is a key for cosignatures";
	if (problem != NULL)
		bad_key(path, problem, "Make a key with \"uaef-signer keygen\".");
}

static void
lock_key(const char *path, int fd)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  LOCK_TIMEOUT_MS);

	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (errno != EWOULDBLOCK && errno != EINTR)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not lock key file \"%s\": %m", path)));
		if (now >= end)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_SIGNER),
					 errmsg("another process holds key file \"%s\"", path),
					 errhint("If \"uaef-signer serve\" has this key, set uaef.ledger_signer_socket.")));
		(void) uaef_signer_wait(PGINVALID_SOCKET, 0,
								TimestampTzPlusMilliseconds(now,
															LOCK_PAUSE_MS));
	}
}

/*
 * Sign unless the state forbids it, and write the state first.
 */
static char *
sign(const char *path, const UaefNoteSigner *signer,
	 const UaefSignRequest *request)
{
	char	   *state_path = psprintf("%s.state", path);
	State		state;
	char	   *line;
	char	   *note;

	load_state(state_path, &signer->key, request->origin, &state);
	check_state(state_path, &state, &signer->key, request);
	line = uaef_note_sign(signer, request->text, 0);
	note = uaef_note_format(request->text, line);
	if (state.note == NULL || strcmp(state.note, note) != 0)
		save_state(state_path, &state, note);
	return line;
}

/*
 * Read a state, take our origin's note out, and verify what is the key's.
 */
static void
load_state(const char *path, const UaefNoteKey *key, const char *origin,
		   State *state)
{
	const char *at = read_state(path);

	memset(state, 0, sizeof(*state));
	initStringInfo(&state->others);
	for (int no = 1; at != NULL && *at != '\0'; no++)
	{
		const char *problem = read_note(at, key, origin, state, &at);

		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_SIGNER),
					 errmsg("the state of the signer, \"%s\", is damaged at note %d",
							path, no),
					 errdetail_internal("Its fault: %s.", problem),
					 errhint("Restore it, or make it of the last note that the key has signed: see docs/checkpoints.md.")));
	}
}

/*
 * The whole file; NULL when there is none.  An empty one is never written: it
 * was cut, and to take it for the first one would forget all that was signed.
 */
static char *
read_state(const char *path)
{
	struct stat status;
	char	   *text;
	ssize_t		len;
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || fstat(fd, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	if (status.st_size > MAX_STATE_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SIGNER),
				 errmsg("the state of the signer, \"%s\", is larger than %d bytes",
						path, MAX_STATE_LEN)));
	text = palloc0(status.st_size + 1);
	len = read(fd, text, status.st_size);
	if (len != status.st_size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	CloseTransientFile(fd);
	if (len == 0 || strlen(text) != len)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SIGNER),
				 errmsg("the state of the signer, \"%s\", is damaged", path),
				 len == 0 ? errdetail("It is empty.")
				 : errdetail("It has a zero byte."),
				 errhint("Restore it, or make it of the last note that the key has signed: see docs/checkpoints.md.")));
	return text;
}

/*
 * Read one note: a text up to an empty line, and lines of signatures.  Returns
 * what is wrong with it; *next is where the next one begins.
 */
static const char *
read_note(const char *at, const UaefNoteKey *key, const char *origin,
		  State *state, const char **next)
{
	UaefNote	note;
	UaefCheckpoint checkpoint;
	const char *end = strstr(at, "\n\n");
	const char *problem;

	if (end == NULL)
		return "it has no signature";
	for (end += 2; strncmp(end, DASH, strlen(DASH)) == 0; end++)
	{
		end = strchr(end, '\n');
		if (end == NULL)
			return "its last line is cut";
	}
	*next = end;

	problem = uaef_note_parse(at, end - at, &note);
	if (problem == NULL)
		problem = uaef_note_verify(&note, key, 1);
	if (problem == NULL)
		problem = uaef_checkpoint_parse(note.text, &checkpoint);
	if (problem != NULL)
		return problem;

	if (strcmp(checkpoint.origin, origin) != 0)
		appendBinaryStringInfo(&state->others, at, end - at);
	else if (state->note != NULL)
		return "its origin has another note";
	else
	{
		state->note = pnstrdup(at, end - at);
		state->checkpoint = checkpoint;
	}
	return NULL;
}

/*
 * Raise unless the checkpoint continues what was signed.  A state that is gone
 * could let through what it has forbidden.
 */
static void
check_state(const char *path, const State *state, const UaefNoteKey *key,
			const UaefSignRequest *request)
{
	uint8		root[UAEF_HASH_LEN];

	if (state->note != NULL)
	{
		int64		size = state->checkpoint.size;

		if (size <= request->size)
			uaef_tree_root(size, root);
		if (size > request->size ||
			memcmp(root, state->checkpoint.root, UAEF_HASH_LEN) != 0)
			uaef_signer_contradicted("the signer's state", request->origin,
									 size, request->size);
	}
	else if (request->last_note != NULL)
	{
		UaefNote	note;

		if (uaef_note_parse(request->last_note, strlen(request->last_note),
							&note) == NULL &&
			uaef_note_verify(&note, key, 1) == NULL &&
			uaef_note_has(&note, key))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_SIGNER),
					 errmsg("the state of the signer, \"%s\", is gone", path),
					 errdetail("The key has signed a tree of %lld leaves, which the state does not have.",
							   (long long) request->last_size),
					 errhint("Restore it, or make it of the last note that the key has signed: see docs/checkpoints.md.")));
	}
}

/*
 * Replace the state by one with a new note of our origin.
 */
static void
save_state(const char *path, const State *state, const char *note)
{
	char	   *new_path = psprintf("%s.new", path);
	char	   *text = psprintf("%s%s", state->others.data, note);
	size_t		len = strlen(text);
	int			fd = -1;

	/* What a crash has left, or a link to another file, is not written to. */
	if (unlink(new_path) == 0 || errno == ENOENT)
		fd = OpenTransientFilePerm(new_path,
								   O_WRONLY | O_CREAT | O_EXCL | PG_BINARY,
								   S_IRUSR | S_IWUSR);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", new_path),
				 errhint("The directory of the key must let the server write the state beside it.")));
	errno = 0;
	if (write(fd, text, len) != (ssize_t) len)
	{
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", new_path)));
	}
	if (CloseTransientFile(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", new_path)));
	(void) durable_rename(new_path, path, ERROR);
}
