/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Encryption that shows every change: AES-256-GCM.
 *
 * Memory: OpenSSL's, which it wipes, freed before each function returns or
 * raises.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

#include "seal.h"

#define FORMAT		1
#define LABEL		"uaef seal 1"
#define PART_LEN	12
#define TAG_LEN		16

static bool message_key(const uint8 *key, const uint8 *part, uint8 *derived);
static bool set_up(EVP_CIPHER_CTX *context, const uint8 *key,
				   const uint8 *nonce, const void *beside, size_t beside_len,
				   bool encrypt);

static bool
message_key(const uint8 *key, const uint8 *part, uint8 *derived)
{
	uint8		input[sizeof(LABEL) - 1 + PART_LEN];
	unsigned int len = 0;

	memcpy(input, LABEL, sizeof(LABEL) - 1);
	memcpy(input + sizeof(LABEL) - 1, part, PART_LEN);
	return HMAC(EVP_sha256(), key, UAEF_SEAL_KEY_LEN, input, sizeof(input),
				derived, &len) != NULL && len == UAEF_SEAL_KEY_LEN;
}

/*
 * Key, nonce and bytes beside; the length of the nonce is GCM's own default.
 */
static bool
set_up(EVP_CIPHER_CTX *context, const uint8 *key, const uint8 *nonce,
	   const void *beside, size_t beside_len, bool encrypt)
{
	uint8		format = FORMAT;
	int			n;

	return context != NULL &&
		EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce,
						  encrypt) == 1 &&
		EVP_CipherUpdate(context, NULL, &n, &format, 1) == 1 &&
		EVP_CipherUpdate(context, NULL, &n, beside, beside_len) == 1;
}

void
uaef_seal(const uint8 *key, const void *beside, size_t beside_len,
		  const void *plain, size_t len, uint8 *sealed)
{
	EVP_CIPHER_CTX *context;
	uint8		derived[UAEF_SEAL_KEY_LEN];
	uint8	   *part = sealed + 1;
	uint8	   *body = part + 2 * PART_LEN;
	int			n = 0;
	bool		done;

	sealed[0] = FORMAT;
	if (!pg_strong_random(part, 2 * PART_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));

	context = EVP_CIPHER_CTX_new();
	done = message_key(key, part, derived) &&
		set_up(context, derived, part + PART_LEN, beside, beside_len, true) &&
		EVP_CipherUpdate(context, body, &n, plain, len) == 1 && n == len &&
		EVP_CipherFinal_ex(context, body + len, &n) == 1 && n == 0 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_LEN,
							body + len) == 1;
	EVP_CIPHER_CTX_free(context);
	OPENSSL_cleanse(derived, sizeof(derived));
	if (!done)
	{
		ERR_clear_error();
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not encrypt with AES-256-GCM")));
	}
}

bool
uaef_seal_open(const uint8 *key, const void *beside, size_t beside_len,
			   const uint8 *sealed, size_t len, void *plain)
{
	EVP_CIPHER_CTX *context;
	uint8		derived[UAEF_SEAL_KEY_LEN];
	const uint8 *part = sealed + 1;
	const uint8 *body = part + 2 * PART_LEN;
	size_t		body_len = len - UAEF_SEAL_OVERHEAD;
	int			n = 0;
	bool		good;

	if (len < UAEF_SEAL_OVERHEAD || sealed[0] != FORMAT)
		return false;
	context = EVP_CIPHER_CTX_new();
	good = message_key(key, part, derived) &&
		set_up(context, derived, part + PART_LEN, beside, beside_len, false) &&
		EVP_CipherUpdate(context, plain, &n, body, body_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_LEN,
							unconstify(uint8 *, body + body_len)) == 1 &&
		EVP_CipherFinal_ex(context, (uint8 *) plain + body_len, &n) == 1;
	EVP_CIPHER_CTX_free(context);
	OPENSSL_cleanse(derived, sizeof(derived));
	if (!good)
	{
		OPENSSL_cleanse(plain, body_len);
		ERR_clear_error();
	}
	return good;
}

void
uaef_seal_put_beside(StringInfo beside, const char *text)
{
	char	   *utf8 = pg_server_to_any(unconstify(char *, text),
										strlen(text), PG_UTF8);
	uint32		len = pg_hton32((uint32) strlen(utf8));

	appendBinaryStringInfo(beside, (const char *) &len, sizeof(len));
	appendBinaryStringInfo(beside, utf8, strlen(utf8));
}
