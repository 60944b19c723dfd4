/*-------------------------------------------------------------------------
 *
 * verify_note.c
 *	  Signed notes and checkpoints of C2SP: signed-note, tlog-checkpoint,
 *	  tlog-cosignature.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common_base64.h"
#include "verify_note.h"
#include "verify_sha256.h"
#include "verify_tree.h"

#define DASH "\xe2\x80\x94 "	/* an em dash and a space */
#define DASH_LEN 4
#define SIGNATURE_LEN 64
#define ID_LEN 4
#define TIME_LEN 8

bool
ed25519_verify(const uint8_t *public_key, const void *message, size_t len,
			   const uint8_t *signature)
{
	EVP_PKEY   *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
												  public_key, 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		good = false;

	if (key != NULL && context != NULL &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1)
		good = EVP_DigestVerify(context, signature, SIGNATURE_LEN,
								message, len) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return good;
}

/*
 * The id of a key: the first bytes of SHA-256(name, newline, type, key).
 */
static void
key_id(const char *name, size_t name_len, const uint8_t *key, size_t len,
	   uint8_t *id)
{
	uint8_t		hash[HASH_LEN];
	Sha256		sha;

	sha256_begin(&sha);
	sha256_add(&sha, name, name_len);
	sha256_add(&sha, "\n", 1);
	sha256_add(&sha, key, len);
	sha256_end(&sha, hash);
	memcpy(id, hash, ID_LEN);
}

/*
 * Whether a name may be that of a key.
 */
static bool
name_valid(const char *name, size_t len)
{
	if (len == 0 || !utf8_valid(name, len))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) name[i] <= ' ' || name[i] == '+')
			return false;
	return true;
}

const char *
key_read(const char *text, Key *key)
{
	const char *hash = strchr(text, '+');
	const char *code = hash == NULL ? NULL : strchr(hash + 1, '+');
	uint8_t		stated[ID_LEN];
	uint8_t		bytes[33];

	if (code == NULL || !name_valid(text, (size_t) (hash - text)))
		return "a key is not of the form NAME+HASH+BASE64";
	if (!hex_decode(hash + 1, (size_t) (code - hash - 1), stated, ID_LEN))
		return "the hash of a key is not of 8 hexadecimal digits";
	if (base64_decode(code + 1, strlen(code + 1), bytes, sizeof(bytes)) != 33)
		return "a key is not of 33 bytes in base64: a type and an Ed25519 key";
	key->type = bytes[0];
	if (key->type != KEY_ED25519 && key->type != KEY_COSIGNATURE)
		return "a key is of a type that is not supported (01 and 04 are)";
	key_id(text, (size_t) (hash - text), bytes, sizeof(bytes), key->id);
	if (memcmp(stated, key->id, ID_LEN) != 0)
		return "the hash of a key does not fit its name and key";
	memcpy(key->public_key, bytes + 1, 32);
	key->name = get_memory((size_t) (hash - text) + 1);
	memcpy(key->name, text, (size_t) (hash - text));
	key->name[hash - text] = '\0';
	return NULL;
}

/*
 * A line without its end, which must be there; moves on behind it.
 */
static bool
take_line(const char **p, const char *end, Slice *line)
{
	const char *newline = memchr(*p, '\n', (size_t) (end - *p));

	if (newline == NULL)
		return false;
	line->data = *p;
	line->len = (size_t) (newline - *p);
	*p = newline + 1;
	return true;
}

static const char *
read_body(Checkpoint *checkpoint)
{
	const char *p = checkpoint->text.data;
	const char *end = p + checkpoint->text.len;
	Slice		line;

	if (!take_line(&p, end, &checkpoint->origin) ||
		checkpoint->origin.len == 0)
		return "the checkpoint has no origin";
	if (!take_line(&p, end, &line) ||
		!decimal_decode(line.data, line.len, &checkpoint->size) ||
		checkpoint->size > LEAVES_MOST)
		return "the checkpoint's tree size is no number, or too large";
	if (!take_line(&p, end, &line) ||
		base64_decode(line.data, line.len, checkpoint->root, HASH_LEN) != HASH_LEN)
		return "the checkpoint's root is not of 32 bytes in base64";
	while (p < end)
		if (!take_line(&p, end, &line) || line.len == 0)
			return "the checkpoint has an empty line";
	return NULL;
}

static const char *
read_signature(Slice line, NoteSignature *signature)
{
	const char *space;
	uint8_t		bytes[ID_LEN + sizeof(signature->bytes)];
	long		len;

	if (line.len < DASH_LEN || memcmp(line.data, DASH, DASH_LEN) != 0)
		return "a signature line does not begin with a dash";
	line.data += DASH_LEN;
	line.len -= DASH_LEN;
	space = memchr(line.data, ' ', line.len);
	if (space == NULL || !name_valid(line.data, (size_t) (space - line.data)))
		return "a signature line has no valid name";
	signature->name.data = line.data;
	signature->name.len = (size_t) (space - line.data);
	space++;

	/* Of other kinds of keys a signature may be longer than we can use. */
	if (line.data + line.len - space > (long) BASE64_SIZE(sizeof(bytes)) - 1)
	{
		memset(signature->id, 0, ID_LEN);
		signature->name.len = 0;
		return NULL;
	}
	len = base64_decode(space, (size_t) (line.data + line.len - space), bytes,
						sizeof(bytes));
	if (len <= ID_LEN)
		return "a signature is no base64 or too short";
	memcpy(signature->id, bytes, ID_LEN);
	signature->len = (size_t) len - ID_LEN;
	memcpy(signature->bytes, bytes + ID_LEN, signature->len);
	return NULL;
}

const char *
checkpoint_read(const char *note, size_t len, Checkpoint *checkpoint)
{
	const char *p = note;
	const char *end = note + len;
	const char *split = NULL;
	const char *wrong;
	Slice		line;

	memset(checkpoint, 0, sizeof(Checkpoint));
	if (len > NOTE_MAX)
		return "the note is too long";
	if (!utf8_valid(note, len))
		return "the note is not UTF-8";
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) note[i] < 0x20 && note[i] != '\n')
			return "the note contains a control character";

		/* The last empty line stands before the signatures. */
		if (note[i] == '\n' && i > 0 && note[i - 1] == '\n')
			split = note + i;
	}
	if (split == NULL || split + 1 == end)
		return "the note has no signatures";
	checkpoint->text.data = note;
	checkpoint->text.len = (size_t) (split - note);
	wrong = read_body(checkpoint);
	if (wrong != NULL)
		return wrong;
	checkpoint->signature = get_memory(NOTE_SIGNATURES * sizeof(NoteSignature));
	for (p = split + 1; p < end;)
	{
		if (!take_line(&p, end, &line))
			return "the last line of the note does not end";
		if (checkpoint->signatures == NOTE_SIGNATURES)
			return "the note has too many signatures";
		wrong = read_signature(line, &checkpoint->signature[checkpoint->signatures++]);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

/*
 * Whether these bytes are a key's signature of a checkpoint.
 */
static bool
signature_good(const Checkpoint *checkpoint, const Key *key,
			   const NoteSignature *signature, int64_t *time)
{
	Buffer		message = {0};
	bool		good;

	if (key->type == KEY_ED25519)
		return signature->len == SIGNATURE_LEN &&
			ed25519_verify(key->public_key, checkpoint->text.data,
						   checkpoint->text.len, signature->bytes);
	if (signature->len != TIME_LEN + SIGNATURE_LEN)
		return false;
	*time = (int64_t) get_number(signature->bytes, TIME_LEN);
	if (*time < 0)
		return false;
	buffer_print(&message, "cosignature/v1\ntime %lld\n", (long long) *time);
	buffer_add(&message, checkpoint->text.data, checkpoint->text.len);
	good = ed25519_verify(key->public_key, message.data, message.len,
						  signature->bytes + TIME_LEN);
	buffer_free(&message);
	return good;
}

SignatureState
checkpoint_signed(const Checkpoint *checkpoint, const Key *key, int64_t *time)
{
	SignatureState state = SIGNATURE_NONE;

	for (int i = 0; i < checkpoint->signatures; i++)
	{
		const NoteSignature *signature = &checkpoint->signature[i];

		if (!slice_is(signature->name, key->name) ||
			memcmp(signature->id, key->id, ID_LEN) != 0)
			continue;
		if (!signature_good(checkpoint, key, signature, time))
			return SIGNATURE_BAD;
		state = SIGNATURE_GOOD;
	}
	return state;
}
