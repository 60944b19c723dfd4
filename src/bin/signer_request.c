/*-------------------------------------------------------------------------
 *
 * signer_request.c
 *	  One request to sign, and its answer.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common_base64.h"
#include "signer_request.h"
#include "signer_tree.h"

typedef struct Request
{
	int64_t		old_size;
	Proof		proof;
	const char *text;
	size_t		text_len;
	Checkpoint	checkpoint;
} Request;

static const char *parse_request(const char *body, size_t len,
								 Request *request);
static int	check_history(const Request *request, const Signed *last,
						  Answer *answer);
static void sign(const Service *service, const Request *request,
				 const Signed *last, Answer *answer);

static void
say(Answer *answer, int code, const char *format,...)
{
	va_list		args;

	answer->code = code;
	va_start(args, format);
	vsnprintf(answer->body, sizeof(answer->body) - 1, format, args);
	va_end(args);
	strcat(answer->body, "\n");
}

void
answer_add_checkpoint(const Service *service, const char *body, size_t len,
					  Answer *answer)
{
	Request		request;
	const Signed *last;
	const char *problem = parse_request(body, len, &request);

	if (problem != NULL)
	{
		say(answer, 400, "%s", problem);
		return;
	}
	if (service->origin != NULL &&
		strcmp(service->origin, request.checkpoint.origin) != 0)
	{
		say(answer, 403, "this signer signs for no other origin than \"%.300s\"",
			service->origin);
		return;
	}
	last = state_find(service->state, request.checkpoint.origin);
	if (check_history(&request, last, answer))
		sign(service, &request, last, answer);
}

/*
 * "old SIZE", lines of the proof, an empty line, the text.
 */
static const char *
parse_request(const char *body, size_t len, Request *request)
{
	const char *end = body + len;
	const char *stop = memchr(body, '\n', len);

	if (stop == NULL || stop - body < 4 || memcmp(body, "old ", 4) != 0)
		return "the first line is not \"old SIZE\"";
	request->old_size = parse_size(body + 4, stop - body - 4);
	if (request->old_size < 0)
		return "the old size, in line 1, is not a number";

	for (request->proof.n = 0;; request->proof.n++)
	{
		body = stop + 1;
		stop = memchr(body, '\n', end - body);
		if (stop == NULL)
			return "no empty line parts the proof from the checkpoint";
		if (stop == body)
			break;
		if (request->proof.n == MAX_PROOF)
			return "the proof is longer than 63 hashes";
		if (base64_decode(body, stop - body,
						  request->proof.hash[request->proof.n],
						  HASH_LEN) != HASH_LEN)
			return "a line of the proof is not the base64 of 32 bytes";
	}
	request->text = stop + 1;
	request->text_len = end - request->text;
	if (memchr(request->text, '\0', request->text_len) != NULL)
		return "the checkpoint has a zero byte";
	return checkpoint_parse(request->text, request->text_len,
							&request->checkpoint);
}

/*
 * Whether the checkpoint continues what was signed; says why not.
 */
static int
check_history(const Request *request, const Signed *last, Answer *answer)
{
	int64_t		signed_size = last == NULL ? 0 : last->checkpoint.size;
	int64_t		size = request->checkpoint.size;

	if (size == 0)
		say(answer, 400, "an empty tree is not signed");
	else if (request->old_size > size)
		say(answer, 400, "the old size is above the new one");
	else if (request->old_size != signed_size)
		say(answer, 409, "%" PRId64, signed_size);
	else if (signed_size == 0)
	{
		if (request->proof.n == 0)
			return 1;
		say(answer, 422, "an empty tree needs no proof");
	}
	else if (!tree_is_consistent(&request->proof, signed_size,
								 last->checkpoint.root, size,
								 request->checkpoint.root))
		say(answer, 422, "the tree of size %" PRId64 " does not continue the tree of size %" PRId64 " that was signed",
			size, signed_size);
	else
		return 1;
	return 0;
}

/*
 * Sign, have it on disk, and only then give it away.
 */
static void
sign(const Service *service, const Request *request, const Signed *last,
	 Answer *answer)
{
	char		line[SIGNATURE_LINE_SIZE];
	char	   *note;
	const char *problem = note_sign(service->key, request->text,
									request->text_len, line);

	if (problem != NULL)
	{
		say(answer, 500, "%s", problem);
		return;
	}
	note = malloc(request->text_len + 1 + strlen(line) + 1);
	if (note == NULL)
	{
		say(answer, 500, "out of memory");
		return;
	}
	memcpy(note, request->text, request->text_len);
	note[request->text_len] = '\n';
	strcpy(note + request->text_len + 1, line);

	if ((last == NULL || strcmp(last->note, note) != 0) &&
		state_save(service->state, &request->checkpoint, note) != 0)
		say(answer, 500, "%s", service->state->error);
	else
	{
		line[strlen(line) - 1] = '\0';
		say(answer, 200, "%s", line);
	}
	free(note);
}
