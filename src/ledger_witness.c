/*-------------------------------------------------------------------------
 *
 * ledger_witness.c
 *	  The protocol of witnesses: c2sp.org/tlog-witness, add-checkpoint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base64.h"
#include "ledger_witness.h"

/* The protocol's limit; a tree of less than 2^63 leaves needs no more. */
#define MAX_PROOF_LINES 63

static const char *read_line(const UaefNoteKey *key, const char *text,
							 const char *line, size_t len,
							 UaefCosignature *cosignature);

char *
uaef_witness_request(int64 old_size, const UaefProof *proof, const char *note)
{
	StringInfoData body;

	if (proof->n > MAX_PROOF_LINES)
		elog(ERROR, "a consistency proof has %d hashes", proof->n);
	initStringInfo(&body);
	appendStringInfo(&body, "old " INT64_FORMAT "\n", old_size);
	for (int i = 0; i < proof->n; i++)
		appendStringInfo(&body, "%s\n",
						 uaef_base64(proof->hash[i], UAEF_HASH_LEN));
	appendStringInfo(&body, "\n%s", note);
	return body.data;
}

/*
 * One line of the answer; sets the cosignature if it is the key's.
 */
static const char *
read_line(const UaefNoteKey *key, const char *text, const char *line,
		  size_t len, UaefCosignature *cosignature)
{
	UaefNoteSignature signature;
	const char *problem;
	bool		known = false;

	problem = uaef_note_parse_signature(line, len, &signature);
	if (problem != NULL)
		return psprintf("the witness answered with a malformed cosignature: %s",
						problem);
	if (uaef_note_verify_signature(&signature, text, key, 1, &known))
	{
		cosignature->line = pnstrdup(line, len);
		cosignature->time = signature.time;
	}
	else if (known)
		return psprintf("the cosignature of \"%s\" does not verify for this checkpoint: it is of another one, or made by another key",
						key->name);
	return NULL;
}

const char *
uaef_witness_read(const UaefNoteKey *key, const char *note, const char *answer,
				  size_t len, UaefCosignature *cosignature)
{
	const char *end = answer + len;
	const char *problem;
	UaefNote	parsed;
	int			lines = 0;

	memset(cosignature, 0, sizeof(*cosignature));
	problem = uaef_note_parse(note, strlen(note), &parsed);
	while (problem == NULL && answer < end)
	{
		const char *newline = memchr(answer, '\n', end - answer);

		if (newline == NULL)
			return "the witness answered with a line without its end";
		if (++lines > UAEF_NOTE_MAX_SIGNATURES)
			return "the witness answered with too many lines";
		problem = read_line(key, parsed.text, answer, newline - answer,
							cosignature);
		answer = newline + 1;
	}
	if (problem == NULL && cosignature->line == NULL)
		problem = psprintf("the witness answered without a cosignature by its key \"%s\" (%08x)",
						   key->name, key->id);
	return problem;
}

const char *
uaef_witness_read_size(const char *answer, size_t len, int64 *size)
{
	if (len < 2 || answer[len - 1] != '\n' ||
		!uaef_parse_size(answer, len - 1, size))
		return "the witness answered with status 409 and no size of a tree";
	return NULL;
}
