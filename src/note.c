/*-------------------------------------------------------------------------
 *
 * note.c
 *	  Signed notes and checkpoints, as c2sp.org has them: signed-note,
 *	  tlog-checkpoint, tlog-cosignature.
 *
 * A note is a text that ends in a newline, an empty line, and lines of
 * signatures, each "EM-DASH SPACE name SPACE base64(key id || signature)".
 * The text may have empty lines itself, so the last one parts the two.
 *
 * A key id is only four bytes of a hash, so another key may have the same:
 * a signature is tried with every key of its name and id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

#include "base64.h"
#include "note.h"

/* What a line of signature opens with: U+2014 and a space. */
#define DASH		"\xE2\x80\x94 "
#define DASH_LEN	4

#define ID_LEN		4
#define TIME_LEN	8

static const char *check_characters(const char *bytes, size_t len);
static const char *check_name(const char *name, size_t len);
static bool is_space(pg_wchar c);
static const char *parse_signatures(const char *bytes, const char *end,
									UaefNote *note);
static uint32 key_id(const char *name, uint8 kind, const uint8 *public_key);
static bool verify_with(UaefNoteSignature *signature, const char *text,
						const UaefNoteKey *key);
static char *cosigned_text(const char *text, uint64 time);
static const char *parse_key_text(const char *text, char **name, uint32 *id,
								  uint8 **bytes, size_t *len);
static const char *next_line(const char *at, size_t *len);

const char *
uaef_note_parse(const char *bytes, size_t len, UaefNote *note)
{
	const char *problem;
	const char *end = bytes + len;
	const char *cut = NULL;

	memset(note, 0, sizeof(*note));
	if (len > UAEF_NOTE_MAX_LEN)
		return psprintf("it has %zu bytes, %d at most", len,
						UAEF_NOTE_MAX_LEN);
	problem = check_characters(bytes, len);
	if (problem != NULL)
		return problem;
	if (len == 0 || end[-1] != '\n')
		return "it does not end in a newline";

	for (const char *at = bytes; at + 1 < end; at++)
	{
		if (at[0] == '\n' && at[1] == '\n')
			cut = at + 1;
	}
	if (cut == NULL)
		return "no empty line parts its text from its signatures";
	if (cut + 1 == end)
		return "it has no signature";

	note->text = pnstrdup(bytes, cut - bytes);
	return parse_signatures(cut + 1, end, note);
}

/*
 * Valid UTF-8 without control characters but newlines.
 */
static const char *
check_characters(const char *bytes, size_t len)
{
	int			line = 1;

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = bytes[i];
		int			width = 1;

		if (c == '\n')
			line++;
		else if (c < 0x20)
			return psprintf("line %d has a control character (0x%02x)", line,
							c);
		else if (c >= 0x80)
		{
			width = pg_utf_mblen((const unsigned char *) bytes + i);
			if (i + width > len ||
				!pg_utf8_islegal((const unsigned char *) bytes + i, width))
				return psprintf("line %d is not UTF-8", line);
		}
		i += width - 1;
	}
	return NULL;
}

/*
 * The lines from bytes to end, each with its newline.
 */
static const char *
parse_signatures(const char *bytes, const char *end, UaefNote *note)
{
	int			n = 0;

	for (const char *at = bytes; at < end; at++)
		n += *at == '\n';
	if (n > UAEF_NOTE_MAX_SIGNATURES)
		return psprintf("it has %d signatures, %d at most", n,
						UAEF_NOTE_MAX_SIGNATURES);

	note->signatures = palloc0(n * sizeof(UaefNoteSignature));
	for (int i = 0; i < n; i++)
	{
		const char *stop = memchr(bytes, '\n', end - bytes);
		const char *problem = uaef_note_parse_signature(bytes, stop - bytes,
														&note->signatures[i]);

		if (problem != NULL)
			return psprintf("signature %d: %s", i + 1, problem);
		bytes = stop + 1;
	}
	note->nsignatures = n;
	return NULL;
}

const char *
uaef_note_parse_signature(const char *line, size_t len,
						  UaefNoteSignature *signature)
{
	const char *end = line + len;
	const char *problem;
	const char *space;
	uint8	   *bytes;
	size_t		nbytes;
	uint32		id;

	memset(signature, 0, sizeof(*signature));
	problem = check_characters(line, len);
	if (problem != NULL)
		return "it has a control character, or is not UTF-8";
	if (len < DASH_LEN || memcmp(line, DASH, DASH_LEN) != 0)
		return "it does not open with an em dash and a space";
	line += DASH_LEN;
	space = memchr(line, ' ', end - line);
	if (space == NULL)
		return "no space parts the name of its key from the signature";
	problem = check_name(line, space - line);
	if (problem != NULL)
		return problem;

	bytes = uaef_base64_bytes(space + 1, end - space - 1, &nbytes);
	if (bytes == NULL)
		return "it is not base64";
	if (nbytes <= ID_LEN)
		return psprintf("it has %zu bytes, which is too short", nbytes);
	memcpy(&id, bytes, ID_LEN);
	signature->name = pnstrdup(line, space - line);
	signature->key_id = pg_ntoh32(id);
	signature->bytes = bytes + ID_LEN;
	signature->len = nbytes - ID_LEN;
	return NULL;
}

const char *
uaef_note_verify(UaefNote *note, const UaefNoteKey *keys, int nkeys)
{
	for (int i = 0; i < note->nsignatures; i++)
	{
		UaefNoteSignature *signature = &note->signatures[i];
		bool		known;

		if (!uaef_note_verify_signature(signature, note->text, keys, nkeys,
										&known) && known)
			return psprintf("signature %d: key \"%s\" (%08x) did not make it for this text",
							i + 1, signature->name, signature->key_id);
	}
	return NULL;
}

bool
uaef_note_verify_signature(UaefNoteSignature *signature, const char *text,
						   const UaefNoteKey *keys, int nkeys, bool *known)
{
	*known = false;
	signature->key = NULL;
	for (int i = 0; i < nkeys; i++)
	{
		if (keys[i].id != signature->key_id ||
			strcmp(keys[i].name, signature->name) != 0)
			continue;
		*known = true;
		if (verify_with(signature, text, &keys[i]))
		{
			signature->key = &keys[i];
			return true;
		}
	}
	return false;
}

static bool
verify_with(UaefNoteSignature *signature, const char *text,
			const UaefNoteKey *key)
{
	uint64		time;
	char	   *message;
	bool		good;

	if (key->kind == UAEF_KEY_ED25519)
		return signature->len == UAEF_ED25519_SIGNATURE_LEN &&
			uaef_ed25519_verify(key->public_key, text, strlen(text),
								signature->bytes);

	if (signature->len != TIME_LEN + UAEF_ED25519_SIGNATURE_LEN)
		return false;
	memcpy(&time, signature->bytes, TIME_LEN);
	time = pg_ntoh64(time);
	message = cosigned_text(text, time);
	good = uaef_ed25519_verify(key->public_key, message, strlen(message),
							   signature->bytes + TIME_LEN);
	pfree(message);
	if (good)
		signature->time = time;
	return good;
}

/*
 * What a cosignature signs.
 */
static char *
cosigned_text(const char *text, uint64 time)
{
	return psprintf("cosignature/v1\ntime " UINT64_FORMAT "\n%s", time, text);
}

bool
uaef_note_has(const UaefNote *note, const UaefNoteKey *key)
{
	for (int i = 0; i < note->nsignatures; i++)
	{
		const UaefNoteKey *its = note->signatures[i].key;

		if (its != NULL && its->kind == key->kind &&
			strcmp(its->name, key->name) == 0 &&
			memcmp(its->public_key, key->public_key,
				   UAEF_ED25519_PUBLIC_LEN) == 0)
			return true;
	}
	return false;
}

char *
uaef_note_format(const char *text, const char *lines)
{
	return psprintf("%s\n%s", text, lines);
}

char *
uaef_note_sign(const UaefNoteSigner *signer, const char *text, uint64 time)
{
	uint8		bytes[ID_LEN + TIME_LEN + UAEF_ED25519_SIGNATURE_LEN];
	uint8	   *at = bytes;
	uint32		id = pg_hton32(signer->key.id);

	memcpy(at, &id, ID_LEN);
	at += ID_LEN;
	if (signer->key.kind == UAEF_KEY_COSIGNATURE)
	{
		uint64		sent = pg_hton64(time);

		text = cosigned_text(text, time);
		memcpy(at, &sent, TIME_LEN);
		at += TIME_LEN;
	}
	uaef_ed25519_sign(signer->seed, text, strlen(text), at);
	at += UAEF_ED25519_SIGNATURE_LEN;
	return psprintf(DASH "%s %s\n", signer->key.name,
					uaef_base64(bytes, at - bytes));
}

const char *
uaef_note_check_name(const char *name)
{
	const char *problem = check_characters(name, strlen(name));

	if (problem == NULL)
		problem = check_name(name, strlen(name));
	return problem;
}

/*
 * A name of valid characters: not empty, without space and plus.
 */
static const char *
check_name(const char *name, size_t len)
{
	if (len == 0)
		return "the name of its key is empty";
	for (size_t i = 0; i < len;
		 i += pg_utf_mblen((const unsigned char *) name + i))
	{
		if (name[i] == '+')
			return "the name of its key has a plus sign";
		if (is_space(utf8_to_unicode((const unsigned char *) name + i)))
			return "the name of its key has a space";
	}
	return NULL;
}

/*
 * What Unicode calls white space.
 */
static bool
is_space(pg_wchar c)
{
	return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 ||
		c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
		c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/*
 * The first four bytes of SHA-256(name || newline || kind || key).
 */
static uint32
key_id(const char *name, uint8 kind, const uint8 *public_key)
{
	uint8		hash[UAEF_HASH_LEN];
	uint32		id;

	uaef_hash_begin();
	uaef_hash_add(name, strlen(name));
	uaef_hash_add("\n", 1);
	uaef_hash_add(&kind, 1);
	uaef_hash_add(public_key, UAEF_ED25519_PUBLIC_LEN);
	uaef_hash_end(hash);
	memcpy(&id, hash, ID_LEN);
	return pg_ntoh32(id);
}

/*
 * Take NAME+HASH+BASE64 apart; the base64 may have a plus sign itself.
 */
static const char *
parse_key_text(const char *text, char **name, uint32 *id, uint8 **bytes,
			   size_t *len)
{
	const char *hash = strchr(text, '+');
	const char *key = hash == NULL ? NULL : strchr(hash + 1, '+');
	const char *problem;

	if (key == NULL)
		return "it does not have the form NAME+HASH+KEY";
	*name = pnstrdup(text, hash - text);
	problem = uaef_note_check_name(*name);
	if (problem != NULL)
		return problem;
	if (key - hash != 9 || strspn(hash + 1, "0123456789abcdef") != 8)
		return "the hash in its middle is not 8 hexadecimal digits";
	*id = strtoul(hash + 1, NULL, 16);
	*bytes = uaef_base64_bytes(key + 1, strlen(key + 1), len);
	if (*bytes == NULL)
		return "the key at its end is not base64";
	if (*len != 1 + UAEF_ED25519_PUBLIC_LEN)
		return psprintf("the key at its end has %zu bytes instead of %d", *len,
						1 + UAEF_ED25519_PUBLIC_LEN);
	return NULL;
}

const char *
uaef_note_parse_key(const char *vkey, UaefNoteKey *key)
{
	const char *problem;
	uint8	   *bytes;
	size_t		len;

	memset(key, 0, sizeof(*key));
	if (strncmp(vkey, "PRIVATE+", 8) == 0)
		return "it is a private key, which nobody else may see";
	problem = parse_key_text(vkey, &key->name, &key->id, &bytes, &len);
	if (problem != NULL)
		return problem;
	key->kind = bytes[0];
	memcpy(key->public_key, bytes + 1, UAEF_ED25519_PUBLIC_LEN);
	if (key->kind != UAEF_KEY_ED25519 && key->kind != UAEF_KEY_COSIGNATURE)
		return psprintf("it is of kind 0x%02x, which is not known", key->kind);
	if (key->id != key_id(key->name, key->kind, key->public_key))
		return "its hash is not that of its name and key";
	return NULL;
}

char *
uaef_note_key_text(const UaefNoteKey *key)
{
	uint8		bytes[1 + UAEF_ED25519_PUBLIC_LEN];

	bytes[0] = key->kind;
	memcpy(bytes + 1, key->public_key, UAEF_ED25519_PUBLIC_LEN);
	return psprintf("%s+%08x+%s", key->name, key->id,
					uaef_base64(bytes, sizeof(bytes)));
}

const char *
uaef_note_parse_signer(const char *text, UaefNoteSigner *signer)
{
	static const char prefix[] = "PRIVATE+KEY+";
	const char *problem;
	uint8	   *bytes;
	size_t		len;
	UaefNoteKey *key = &signer->key;

	memset(signer, 0, sizeof(*signer));
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return "it does not open with PRIVATE+KEY+";
	problem = parse_key_text(text + strlen(prefix), &key->name, &key->id,
							 &bytes, &len);
	if (problem != NULL)
		return problem;
	key->kind = bytes[0];
	memcpy(signer->seed, bytes + 1, UAEF_ED25519_SEED_LEN);
	explicit_bzero(bytes, len);
	if (key->kind != UAEF_KEY_ED25519 && key->kind != UAEF_KEY_COSIGNATURE)
		return "it is of a kind that is not known";
	uaef_ed25519_public(signer->seed, key->public_key);
	if (key->id != key_id(key->name, key->kind, key->public_key))
		return "its hash is not that of its name and key";
	return NULL;
}

char *
uaef_checkpoint_text(const char *origin, int64 size, const uint8 *root)
{
	return psprintf("%s\n" INT64_FORMAT "\n%s\n", origin, size,
					uaef_base64(root, UAEF_HASH_LEN));
}

/*
 * The line at a place, which ends in a newline: its length, and where the next
 * one is; NULL when there is none.
 */
static const char *
next_line(const char *at, size_t *len)
{
	const char *stop = strchr(at, '\n');

	if (stop == NULL)
		return NULL;
	*len = stop - at;
	return stop + 1;
}

const char *
uaef_checkpoint_parse(const char *text, UaefCheckpoint *checkpoint)
{
	const char *lines[3];
	size_t		lens[3];
	const char *at = text;
	uint8	   *root;
	size_t		len;

	memset(checkpoint, 0, sizeof(*checkpoint));
	for (int i = 0; i < 3; i++)
	{
		lines[i] = at;
		at = next_line(at, &lens[i]);
		if (at == NULL)
			return psprintf("a checkpoint has at least 3 lines, this has %d",
							i);
	}
	checkpoint->origin = pnstrdup(lines[0], lens[0]);
	if (lens[0] == 0)
		return "line 1, its origin, is empty";
	if (!uaef_parse_size(lines[1], lens[1], &checkpoint->size))
		return "line 2 is not a size: decimal digits without leading zeros";
	root = uaef_base64_bytes(lines[2], lens[2], &len);
	if (root == NULL || len != UAEF_HASH_LEN)
		return psprintf("line 3, its root, is not the base64 of %d bytes",
						UAEF_HASH_LEN);
	memcpy(checkpoint->root, root, UAEF_HASH_LEN);

	while (*at != '\0')
	{
		at = next_line(at, &len);
		if (at == NULL || len == 0)
			return psprintf("line %d is empty or has no end",
							checkpoint->nextensions + 4);
		checkpoint->nextensions++;
	}
	return NULL;
}

/*
 * It must be a line of its own that is not taken for a signature where notes
 * follow each other.
 */
const char *
uaef_checkpoint_check_origin(const char *origin)
{
	const char *problem = check_characters(origin, strlen(origin));

	if (problem != NULL)
		return problem;
	if (*origin == '\0')
		return "it is empty";
	if (strchr(origin, '\n') != NULL)
		return "it has more than one line";
	if (strncmp(origin, DASH, DASH_LEN) == 0)
		return "it opens as a signature does";
	return NULL;
}

bool
uaef_parse_size(const char *digits, size_t len, int64 *size)
{
	int64		value = 0;

	if (len == 0 || len > 19 || (digits[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		int			digit = digits[i] - '0';

		if (digit < 0 || digit > 9 ||
			value > (PG_INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*size = value;
	return true;
}
