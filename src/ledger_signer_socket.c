/*-------------------------------------------------------------------------
 *
 * ledger_signer_socket.c
 *	  Having checkpoints signed by a process behind a Unix socket.
 *
 * The process (uaef-signer, or any other that speaks the protocol of
 * docs/checkpoints.md) has the key and its own memory.  What it answers is
 * checked like anything that comes from outside.
 *
 * Waits can be interrupted, and end when the time is up.  The socket is closed
 * when the conversation ends, on an error too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base64.h"
#include "errcodes.h"
#include "ledger_signer.h"
#include "ledger_tree.h"

/* For the whole conversation. */
#define TIMEOUT_MS		5000

/* The longest header of an answer, and the longest body. */
#define MAX_HEADER		64
#define MAX_ANSWER		16384

/* A signer that names one old size after the other is not asked for ever. */
#define MAX_TRIES		3

typedef struct Conversation
{
	const char *path;
	pgsocket	fd;
	TimestampTz end;
} Conversation;

static void open_socket(Conversation *talk);
static char *converse(Conversation *talk, const UaefSignRequest *request,
					  UaefNoteKey *key);
static void ask_key(Conversation *talk, UaefNoteKey *key);
static char *add_checkpoint_body(const UaefSignRequest *request, int64 old);
static int64 old_size_of(Conversation *talk, const char *answer,
						 const UaefSignRequest *request);
static char *check_line(Conversation *talk, const char *answer,
						const UaefSignRequest *request,
						const UaefNoteKey *key);
static int	ask(Conversation *talk, const char *verb, const char *body,
				char **answer);
static void send_all(Conversation *talk, const char *bytes, size_t len);
static size_t receive(Conversation *talk, char *bytes, size_t size);
static void wait_for(Conversation *talk, int events);
pg_noreturn static void refused(Conversation *talk, int code,
								const char *answer);
static char *printable(const char *text);
pg_noreturn static void broken(Conversation *talk, const char *how);

char *
uaef_signer_socket_sign(const char *path, const UaefSignRequest *request,
						UaefNoteKey *key)
{
	Conversation talk = {path, PGINVALID_SOCKET};
	char	   *volatile line = NULL;

	talk.end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TIMEOUT_MS);
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no file descriptor is left for the signer")));
	PG_TRY();
	{
		open_socket(&talk);
		line = converse(&talk, request, key);
	}
	PG_FINALLY();
	{
		if (talk.fd != PGINVALID_SOCKET)
			closesocket(talk.fd);
		ReleaseExternalFD();
	}
	PG_END_TRY();
	return line;
}

static void
open_socket(Conversation *talk)
{
	struct sockaddr_un address = {0};

	address.sun_family = AF_UNIX;
	strlcpy(address.sun_path, talk->path, sizeof(address.sun_path));
	talk->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (talk->fd == PGINVALID_SOCKET || !pg_set_noblock(talk->fd) ||
		connect(talk->fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not connect to the signer at \"%s\": %m",
						talk->path),
				 errhint("Is \"uaef-signer serve\" running there, and may the server's user open its socket?")));
}

/*
 * Tell the signer which tree it should have signed last; it knows better.
 */
static char *
converse(Conversation *talk, const UaefSignRequest *request,
		 UaefNoteKey *key)
{
	int64		old = request->last_size;

	ask_key(talk, key);
	for (int tries = 0; tries < MAX_TRIES; tries++)
	{
		char	   *answer;
		int			code = ask(talk, "add-checkpoint",
							   add_checkpoint_body(request, old), &answer);

		if (code == 200)
			return check_line(talk, answer, request, key);
		if (code == 422)
			uaef_signer_contradicted("the signer", request->origin, old,
									 request->size);
		if (code != 409)
			refused(talk, code, answer);
		old = old_size_of(talk, answer, request);
	}
	broken(talk, "it names another old size each time");
}

static void
ask_key(Conversation *talk, UaefNoteKey *key)
{
	char	   *answer;
	int			code = ask(talk, "vkey", "", &answer);

	if (code != 200)
		refused(talk, code, answer);
	answer[strcspn(answer, "\n")] = '\0';
	if (uaef_note_parse_key(answer, key) != NULL ||
		key->kind != UAEF_KEY_ED25519)
		broken(talk, "it does not name a public key");
}

/*
 * "old SIZE", the proof, an empty line, the checkpoint.
 */
static char *
add_checkpoint_body(const UaefSignRequest *request, int64 old)
{
	StringInfoData body;
	UaefProof	proof = {0};

	initStringInfo(&body);
	appendStringInfo(&body, "old " INT64_FORMAT "\n", old);
	if (old > 0 && old < request->size)
		uaef_tree_consistency(old, request->size, &proof);
	for (int i = 0; i < proof.n; i++)
		appendStringInfo(&body, "%s\n",
						 uaef_base64(proof.hash[i], UAEF_HASH_LEN));
	appendStringInfo(&body, "\n%s", request->text);
	return body.data;
}

/*
 * The size that the signer has signed last.
 */
static int64
old_size_of(Conversation *talk, const char *answer,
			const UaefSignRequest *request)
{
	int64		size;

	if (!uaef_parse_size(answer, strcspn(answer, "\n"), &size))
		broken(talk, "it does not name the size that it has signed");
	if (size > request->size)
		uaef_signer_contradicted("the signer", request->origin, size,
								 request->size);
	return size;
}

static char *
check_line(Conversation *talk, const char *answer,
		   const UaefSignRequest *request, const UaefNoteKey *key)
{
	UaefNoteSignature signature;
	size_t		len = strcspn(answer, "\n");
	bool		known;

	if (answer[len] != '\n' || answer[len + 1] != '\0' ||
		uaef_note_parse_signature(answer, len, &signature) != NULL ||
		!uaef_note_verify_signature(&signature, request->text, key, 1,
									&known))
		broken(talk, "its signature is not that of its key for this checkpoint");
	return pstrdup(answer);
}

/*
 * Send a request and take the answer, which ends in a zero byte; returns its
 * code.
 */
static int
ask(Conversation *talk, const char *verb, const char *body, char **answer)
{
	char	   *request = psprintf("%s %zu\n%s", verb, strlen(body), body);
	char	   *buffer = palloc(MAX_HEADER + MAX_ANSWER + 1);
	char	   *stop = NULL;
	char	   *space;
	size_t		got = 0;
	int64		code;
	int64		len = -1;

	send_all(talk, request, strlen(request));
	while (len < 0 || got < stop + 1 + len - buffer)
	{
		got += receive(talk, buffer + got, MAX_HEADER + MAX_ANSWER - got);
		buffer[got] = '\0';
		if (len >= 0)
			continue;
		stop = memchr(buffer, '\n', got);
		if (stop == NULL && got < MAX_HEADER)
			continue;
		space = memchr(buffer, ' ', Min(got, MAX_HEADER));
		if (stop == NULL || space == NULL || space > stop ||
			!uaef_parse_size(buffer, space - buffer, &code) ||
			code < 100 || code > 599 ||
			!uaef_parse_size(space + 1, stop - space - 1, &len) ||
			len > MAX_ANSWER)
			broken(talk, "its answer does not open with \"CODE LENGTH\"");
	}
	if (got > stop + 1 + len - buffer || strlen(stop + 1) != len)
		broken(talk, "its answer is longer than it says, or has a zero byte");
	*answer = stop + 1;
	return (int) code;
}

static void
send_all(Conversation *talk, const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		n = send(talk->fd, bytes, len, MSG_NOSIGNAL);

		if (n > 0)
		{
			bytes += n;
			len -= n;
		}
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_for(talk, WL_SOCKET_WRITEABLE);
		else if (errno != EINTR)
			ereport(ERROR,
					(errcode_for_socket_access(),
					 errmsg("could not write to the signer at \"%s\": %m",
							talk->path)));
	}
}

/*
 * At least one byte.
 */
static size_t
receive(Conversation *talk, char *bytes, size_t size)
{
	for (;;)
	{
		ssize_t		n = recv(talk->fd, bytes, size, 0);

		if (n > 0)
			return n;
		if (n == 0)
			broken(talk, "it has ended the conversation");
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_for(talk, WL_SOCKET_READABLE);
		else if (errno != EINTR)
			ereport(ERROR,
					(errcode_for_socket_access(),
					 errmsg("could not read from the signer at \"%s\": %m",
							talk->path)));
	}
}

static void
wait_for(Conversation *talk, int events)
{
	if (!uaef_signer_wait(talk->fd, events, talk->end))
		broken(talk, psprintf("it does not answer within %d seconds",
							  TIMEOUT_MS / 1000));
}

static void
refused(Conversation *talk, int code, const char *answer)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SIGNER),
			 errmsg("the signer at \"%s\" refuses to sign", talk->path),
			 errdetail_internal("It says %d: %s", code, printable(answer))));
}

/*
 * The beginning of an answer that may be anything.
 */
static char *
printable(const char *text)
{
	char	   *shown = pnstrdup(text, 300);

	shown[strcspn(shown, "\n")] = '\0';
	for (char *at = shown; *at != '\0'; at++)
	{
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
	return shown;
}

static void
broken(Conversation *talk, const char *how)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SIGNER),
			 errmsg("the signer at \"%s\" cannot be used", talk->path),
			 errdetail_internal("Its fault: %s.", how)));
}
