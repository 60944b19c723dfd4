/*-------------------------------------------------------------------------
 *
 * secret_key.c
 *	  The keys that secrets are sealed with, from a file or a command.
 *
 * Errors tell where the fault is, and never what stands there.
 *
 * Memory: keys are in static memory of each process, and wiped before others
 * are read; what they were read from is wiped at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "common/string.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errcodes.h"
#include "guc.h"
#include "hash256.h"
#include "key_file.h"
#include "secret_key.h"

#define MAX_KEYS		32
#define MAX_TEXT_LEN	8192

/* Of a key without an id: so many bytes of its hash. */
#define OWN_ID_BYTES	8
#define OWN_ID_LABEL	"uaef secret key"

/* The keys of this process, the newest first. */
static struct
{
	TimestampTz loaded_at;		/* the load of the settings they came with */
	int			n;				/* 0: not read */
	UaefSecretKey keys[MAX_KEYS];
}			ring;

/* What keys were read from. */
typedef struct KeyText
{
	size_t		len;
	char		text[MAX_TEXT_LEN + 1];
} KeyText;

pg_noreturn static void bad_keys(const char *problem, const char *hint);
static void check_file(const char *path, int fd);
static void read_file(const char *path, KeyText *read_to);
static void run_command(const char *command, KeyText *read_to);
static bool parse_hex(const char *text, uint8 *key);
static void make_id(UaefSecretKey *key);
static bool is_weak(const uint8 *key);
static const char *add_key(const char *id, size_t id_len,
						   const UaefSecretKey *key);
static const char *parse_line(const char *line, size_t len);
static const char *parse_lines(const KeyText *from, int *line_no);
static const char *parse_raw(const KeyText *from);
static void load(void);
static void require(void);
static const UaefSecretKey *find(const char *id);

void
uaef_secret_key_forget(void)
{
	explicit_bzero(&ring, sizeof(ring));
}

static void
bad_keys(const char *problem, const char *hint)
{
	uaef_secret_key_forget();
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SECRET_KEY),
			 errmsg("the key of the secrets cannot be used"),
			 errdetail_internal("%s", problem),
			 errhint("%s", hint)));
}

/*
 * As strict as the server is with the key of its certificate.
 */
static void
check_file(const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		bad_keys("It is not a regular file.",
				 "Let uaef.secret_key_file name a file.");
	if (status.st_uid != geteuid() && status.st_uid != 0)
		bad_keys("Its file belongs neither to the user that runs the server nor to root.",
				 "Run chown on it.");
	if ((status.st_mode & S_IRWXO) != 0 ||
		(status.st_mode & S_IRWXG & ~S_IRGRP) != 0)
		bad_keys("Others than the owner of its file may use it.",
				 "The file's mode must be 0600, or 0640 for a group of the server's user; make a new key if somebody may have read this one.");
	if (uaef_key_file_in_data(path))
		bad_keys("Its file is in the data directory, and so in every base backup.",
				 "Move it to a directory outside; make a new key if a backup may have it.");
}

/*
 * Without waiting for the writer of a pipe.
 */
static void
read_file(const char *path, KeyText *read_to)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK |
									   PG_BINARY);
	ssize_t		len;

	if (fd < 0)
		bad_keys(psprintf("Its file could not be opened: %s.", strerror(errno)),
				 "The file that uaef.secret_key_file names must belong to the user that runs the server.");
	check_file(path, fd);
	len = read(fd, read_to->text, MAX_TEXT_LEN + 1);
	if (len < 0)
		bad_keys(psprintf("Its file could not be read: %s.", strerror(errno)),
				 "See docs/secrets.md.");
	CloseTransientFile(fd);
	read_to->len = len;
}

/*
 * As the server runs ssl_passphrase_command; it is waited for.
 */
static void
run_command(const char *command, KeyText *read_to)
{
	FILE	   *pipe = OpenPipeStream(command, "r");
	int			status;

	if (pipe == NULL)
		bad_keys(psprintf("Could not run uaef.secret_key_command: %s.",
						  strerror(errno)), "Try it as the user that runs the server.");
	setvbuf(pipe, NULL, _IONBF, 0);
	read_to->len = fread(read_to->text, 1, MAX_TEXT_LEN + 1, pipe);
	status = ClosePipeStream(pipe);
	if (status != 0)
	{
		explicit_bzero(read_to, sizeof(*read_to));
		bad_keys(psprintf("uaef.secret_key_command failed: %s.",
						  status == -1 ? strerror(errno)
						  : wait_result_to_str(status)),
				 "Try it as the user that runs the server.");
	}
}

static bool
parse_hex(const char *text, uint8 *key)
{
	for (int i = 0; i < UAEF_SEAL_KEY_LEN; i++)
	{
		int			high = uaef_hex_digit(text[2 * i]);
		int			low = uaef_hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = high << 4 | low;
	}
	return true;
}

/*
 * An id that tells keys apart and tells nothing of the key.
 */
static void
make_id(UaefSecretKey *key)
{
	uint8		input[sizeof(OWN_ID_LABEL) - 1 + UAEF_SEAL_KEY_LEN];
	uint8		hash[EVP_MAX_MD_SIZE];

	memcpy(input, OWN_ID_LABEL, sizeof(OWN_ID_LABEL) - 1);
	memcpy(input + sizeof(OWN_ID_LABEL) - 1, key->key, UAEF_SEAL_KEY_LEN);
	if (EVP_Digest(input, sizeof(input), hash, NULL, EVP_sha256(), NULL) != 1)
		memset(hash, 0, sizeof(hash));
	for (int i = 0; i < OWN_ID_BYTES; i++)
		snprintf(key->id + 2 * i, 3, "%02x", hash[i]);
	explicit_bzero(input, sizeof(input));
}

/*
 * A key that is one byte again and again was not made at random.
 */
static bool
is_weak(const uint8 *key)
{
	return memcmp(key, key + 1, UAEF_SEAL_KEY_LEN - 1) == 0;
}

/*
 * Append a key, with this id or one of its own; returns what is wrong.
 */
static const char *
add_key(const char *id, size_t id_len, const UaefSecretKey *key)
{
	UaefSecretKey *added = &ring.keys[ring.n];

	if (ring.n == MAX_KEYS)
		return "there are too many keys";
	if (is_weak(key->key))
		return "the key is not random";
	*added = *key;
	if (id_len > UAEF_KEY_ID_LEN)
		return "the id of the key is too long";
	if (id_len > 0)
	{
		memcpy(added->id, id, id_len);
		added->id[id_len] = '\0';
		if (strspn(added->id, UAEF_KEY_ID_CHARS) != id_len)
			return "the id of the key has other characters than letters, digits and \"._-\"";
	}
	else
		make_id(added);
	for (int i = 0; i < ring.n; i++)
	{
		if (strcmp(ring.keys[i].id, added->id) == 0)
			return "another key has the same id";
	}
	ring.n++;
	return NULL;
}

/*
 * One line, without spaces around it; returns what is wrong.
 */
static const char *
parse_line(const char *line, size_t len)
{
	UaefSecretKey key = {{0}};
	const char *problem = "it is not an id and 64 hexadecimal digits";
	size_t		hex_len = 2 * UAEF_SEAL_KEY_LEN;
	size_t		id_len = 0;

	while (id_len < len && line[id_len] != ' ' && line[id_len] != '\t')
		id_len++;
	if (id_len == len)
		id_len = 0;
	if (len >= hex_len && parse_hex(line + len - hex_len, key.key) &&
		id_len + strspn(line + id_len, " \t") + hex_len == len)
		problem = add_key(line, id_len, &key);
	explicit_bzero(&key, sizeof(key));
	return problem;
}

/*
 * Lines; empty ones and those that begin with # say nothing.
 */
static const char *
parse_lines(const KeyText *from, int *line_no)
{
	const char *at = from->text;

	for (*line_no = 1; *at != '\0'; (*line_no)++)
	{
		size_t		len = strcspn(at, "\n");
		const char *line = at + strspn(at, " \t");
		const char *end = at + len;
		const char *problem = NULL;

		while (end > line && strchr(" \t\r", end[-1]) != NULL)
			end--;
		if (end > line && *line != '#')
			problem = parse_line(line, end - line);
		if (problem != NULL)
			return problem;
		at += len + (at[len] == '\n' ? 1 : 0);
	}
	return ring.n == 0 ? "there is no key" : NULL;
}

/*
 * The bytes of one key.
 */
static const char *
parse_raw(const KeyText *from)
{
	UaefSecretKey key = {{0}};
	const char *problem;
	int			digits = 0;

	while (digits < from->len && uaef_hex_digit(from->text[digits]) >= 0)
		digits++;
	if (digits == from->len)
		return "32 hexadecimal digits are 16 bytes, half of a key";
	memcpy(key.key, from->text, UAEF_SEAL_KEY_LEN);
	problem = add_key("", 0, &key);
	explicit_bzero(&key, sizeof(key));
	return problem;
}

/*
 * Read the keys anew.
 */
static void
load(void)
{
	KeyText		read_to;
	const char *problem = NULL;
	bool		is_file = uaef_secret_key_file && *uaef_secret_key_file;
	bool		is_command = uaef_secret_key_command &&
		*uaef_secret_key_command;
	int			line_no = 0;

	uaef_secret_key_forget();
	if (!is_file && !is_command)
		bad_keys("Neither uaef.secret_key_file nor uaef.secret_key_command is set.",
				 "Make a key, name it in postgresql.conf, and reload: see docs/secrets.md.");
	if (is_file && is_command)
		bad_keys("Both uaef.secret_key_file and uaef.secret_key_command are set.",
				 "Set one of them.");
	if (is_file)
		read_file(uaef_secret_key_file, &read_to);
	else
		run_command(uaef_secret_key_command, &read_to);

	if (read_to.len > MAX_TEXT_LEN)
		problem = "it is too long";
	else if (read_to.len == UAEF_SEAL_KEY_LEN)
		problem = parse_raw(&read_to);
	else
	{
		read_to.text[read_to.len] = '\0';
		problem = parse_lines(&read_to, &line_no);
	}
	explicit_bzero(&read_to, sizeof(read_to));
	if (problem != NULL)
		bad_keys(psprintf("In %s%s: %s.",
						  is_file ? "its file"
						  : "what uaef.secret_key_command prints",
						  line_no > 0 ? psprintf(", line %d", line_no) : "",
						  problem),
				 "A key is 32 random bytes, or 64 hexadecimal digits: see docs/secrets.md.");
	ring.loaded_at = PgReloadTime;
}

static void
require(void)
{
	if (ring.n == 0 || ring.loaded_at != PgReloadTime)
		load();
}

const UaefSecretKey *
uaef_secret_key_newest(void)
{
	require();
	return &ring.keys[0];
}

static const UaefSecretKey *
find(const char *id)
{
	for (int i = 0; i < ring.n; i++)
	{
		if (strcmp(ring.keys[i].id, id) == 0)
			return &ring.keys[i];
	}
	return NULL;
}

/*
 * A key that is not there may be newer than what this process has read.
 */
const UaefSecretKey *
uaef_secret_key_find(const char *id)
{
	require();
	if (find(id) == NULL)
		load();
	return find(id);
}
