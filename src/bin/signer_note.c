/*-------------------------------------------------------------------------
 *
 * signer_note.c
 *	  Keys, checkpoints and signed notes, as uaef-signer has them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common_base64.h"
#include "signer_note.h"

#define KIND_ED25519	1
#define PRIVATE_PREFIX	"PRIVATE+KEY+"

static const char *check_name(const char *name);
static const char *derive(Key *key);
static int	valid_utf8(const char *text, size_t len);

/*
 * NULL when a name can be that of a key.
 */
static const char *
check_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0)
		return "the name of the key is empty";
	if (len > MAX_NAME)
		return "the name of the key is longer than 255 bytes";
	if (!valid_utf8(name, len))
		return "the name of the key is not UTF-8";
	for (size_t i = 0; i < len; i++)
	{
		const char *at = name + i;

		if ((unsigned char) *at <= ' ' || *at == '+')
			return "the name of the key has a space, a control character or a plus sign";

		/* The spaces of Unicode, of two and of three bytes. */
		if (strncmp(at, "\xC2\x85", 2) == 0 ||
			strncmp(at, "\xC2\xA0", 2) == 0 ||
			strncmp(at, "\xE1\x9A\x80", 3) == 0 ||
			strncmp(at, "\xE3\x80\x80", 3) == 0 ||
			strncmp(at, "\xE2\x81\x9F", 3) == 0 ||
			(strncmp(at, "\xE2\x80", 2) == 0 &&
			 (((unsigned char) at[2] <= 0x8A) ||
			  (unsigned char) at[2] == 0xA8 ||
			  (unsigned char) at[2] == 0xA9 ||
			  (unsigned char) at[2] == 0xAF)))
			return "the name of the key has a space";
	}
	return NULL;
}

/*
 * Whether a text is UTF-8: no cut or overlong sequence, no surrogate.
 */
static int
valid_utf8(const char *text, size_t len)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *at = (const unsigned char *) text;
	const unsigned char *end = at + len;

	while (at < end)
	{
		int			more = *at < 0x80 ? 0 : *at < 0xC0 ? -1 : *at < 0xE0 ? 1
			: *at < 0xF0 ? 2 : *at < 0xF8 ? 3 : -1;
		uint32_t	code;

		if (more < 0 || end - at <= more)
			return 0;
		code = more == 0 ? *at : *at & (0x3F >> more);
		for (int i = 1; i <= more; i++)
		{
			if ((at[i] & 0xC0) != 0x80)
				return 0;
			code = code << 6 | (at[i] & 0x3F);
		}
		if (code < least[more] || code > 0x10FFFF ||
			(code >= 0xD800 && code <= 0xDFFF))
			return 0;
		at += more + 1;
	}
	return 1;
}

/*
 * Fill in the public key and the id of a key with name and seed.
 */
static const char *
derive(Key *key)
{
	unsigned char bytes[MAX_NAME + 2 + PUBLIC_LEN];
	unsigned char hash[HASH_LEN];
	size_t		name_len = strlen(key->name);
	size_t		len = PUBLIC_LEN;
	EVP_PKEY   *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
													key->seed, SEED_LEN);
	int			done = pkey != NULL &&
		EVP_PKEY_get_raw_public_key(pkey, key->public_key, &len) == 1;

	EVP_PKEY_free(pkey);
	if (!done)
		return "OpenSSL cannot derive its public key";

	memcpy(bytes, key->name, name_len);
	bytes[name_len] = '\n';
	bytes[name_len + 1] = KIND_ED25519;
	memcpy(bytes + name_len + 2, key->public_key, PUBLIC_LEN);
	if (EVP_Digest(bytes, name_len + 2 + PUBLIC_LEN, hash, NULL, EVP_sha256(),
				   NULL) != 1)
		return "OpenSSL cannot compute SHA-256";
	memcpy(key->id, hash, sizeof(key->id));
	return NULL;
}

const char *
key_generate(const char *name, Key *key)
{
	const char *problem = check_name(name);

	if (problem != NULL)
		return problem;
	strcpy(key->name, name);
	if (RAND_priv_bytes(key->seed, SEED_LEN) != 1)
		return "OpenSSL has no random bytes";
	return derive(key);
}

const char *
key_parse(const char *text, Key *key)
{
	unsigned char bytes[1 + SEED_LEN];
	char		id[9];
	const char *problem;
	const char *hash;
	const char *base64;
	size_t		prefix_len = strlen(PRIVATE_PREFIX);
	long		n;

	if (strncmp(text, PRIVATE_PREFIX, prefix_len) != 0)
		return "it does not open with " PRIVATE_PREFIX;
	text += prefix_len;
	hash = strchr(text, '+');
	base64 = hash == NULL ? NULL : strchr(hash + 1, '+');
	if (base64 == NULL || base64 - hash != 9)
		return "it does not have the form PRIVATE+KEY+NAME+HASH+KEY";
	if (hash - text > MAX_NAME)
		return "the name of the key is longer than 255 bytes";
	memcpy(key->name, text, hash - text);
	key->name[hash - text] = '\0';
	problem = check_name(key->name);
	if (problem != NULL)
		return problem;

	n = base64_decode(base64 + 1, strlen(base64 + 1), bytes, sizeof(bytes));
	if (n != sizeof(bytes) || bytes[0] != KIND_ED25519)
		return "what stands at its end is not the base64 of an Ed25519 key";
	memcpy(key->seed, bytes + 1, SEED_LEN);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	problem = derive(key);
	if (problem != NULL)
		return problem;
	sprintf(id, "%02x%02x%02x%02x", key->id[0], key->id[1], key->id[2],
			key->id[3]);
	if (memcmp(id, hash + 1, 8) != 0)
		return "its hash is not that of its name and key";
	return NULL;
}

/*
 * [PRIVATE+KEY+]NAME+HASH+BASE64
 */
static void
key_text(const Key *key, const char *prefix, const unsigned char *half,
		 char *text)
{
	unsigned char bytes[1 + SEED_LEN];

	bytes[0] = KIND_ED25519;
	memcpy(bytes + 1, half, SEED_LEN);
	text += sprintf(text, "%s%s+%02x%02x%02x%02x+", prefix, key->name,
					key->id[0], key->id[1], key->id[2], key->id[3]);
	base64_encode(bytes, sizeof(bytes), text);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

void
key_private_text(const Key *key, char *text)
{
	key_text(key, PRIVATE_PREFIX, key->seed, text);
}

void
key_public_text(const Key *key, char *text)
{
	key_text(key, "", key->public_key, text);
}

int64_t
parse_size(const char *digits, size_t len)
{
	int64_t		value = 0;

	if (len == 0 || len > 19 || (digits[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++)
	{
		int			digit = digits[i] - '0';

		if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	return value;
}

const char *
checkpoint_parse(const char *text, size_t len, Checkpoint *checkpoint)
{
	const char *lines[4] = {text};

	for (int i = 1; i <= 3; i++)
	{
		const char *stop = memchr(lines[i - 1], '\n',
								  text + len - lines[i - 1]);

		if (stop == NULL)
			return "a checkpoint has three lines";
		lines[i] = stop + 1;
	}
	if (lines[3] != text + len)
		return "a checkpoint with more than three lines is not signed";

	len = lines[1] - lines[0] - 1;
	if (len == 0 || len > MAX_ORIGIN)
		return "the origin, in line 1, is empty or too long";
	memcpy(checkpoint->origin, text, len);
	checkpoint->origin[len] = '\0';
	if (!valid_utf8(text, len))
		return "the origin, in line 1, is not UTF-8";
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] < ' ')
			return "the origin, in line 1, has a control character";
	}
	if (strncmp(checkpoint->origin, SIGNATURE_DASH, 4) == 0)
		return "the origin, in line 1, opens as a signature does";

	checkpoint->size = parse_size(lines[1], lines[2] - lines[1] - 1);
	if (checkpoint->size < 0)
		return "the size, in line 2, is not a number";
	if (base64_decode(lines[2], lines[3] - lines[2] - 1, checkpoint->root,
					  HASH_LEN) != HASH_LEN)
		return "the root, in line 3, is not the base64 of 32 bytes";
	return NULL;
}

const char *
note_sign(const Key *key, const char *text, size_t len, char *line)
{
	unsigned char bytes[sizeof(key->id) + SIGNATURE_LEN];
	size_t		signature_len = SIGNATURE_LEN;
	EVP_PKEY   *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
													key->seed, SEED_LEN);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int			done = pkey != NULL && context != NULL &&
		EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
		EVP_DigestSign(context, bytes + sizeof(key->id), &signature_len,
					   (const unsigned char *) text, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pkey);
	if (!done)
		return "OpenSSL cannot sign";
	memcpy(bytes, key->id, sizeof(key->id));
	line += sprintf(line, SIGNATURE_DASH "%s ", key->name);
	base64_encode(bytes, sizeof(bytes), line);
	strcat(line, "\n");
	return NULL;
}
