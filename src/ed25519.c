/*-------------------------------------------------------------------------
 *
 * ed25519.c
 *	  Signatures of RFC 8032, Ed25519.
 *
 * Memory: OpenSSL's, freed before each function returns or raises; OpenSSL
 * wipes the private key that it was given when it frees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "compat.h"
#include "ed25519.h"

pg_noreturn static void failed(const char *what);

static void
failed(const char *what)
{
	unsigned long code = ERR_get_error();

	ERR_clear_error();
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not %s with Ed25519", what),
			 errdetail("OpenSSL says: %s.", code == 0 ? "nothing"
					   : ERR_reason_error_string(code))));
}

void
uaef_ed25519_public(const uint8 *seed, uint8 *public_key)
{
	size_t		len = UAEF_ED25519_PUBLIC_LEN;
	EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
												   seed,
												   UAEF_ED25519_SEED_LEN);
	bool		done = key != NULL &&
		EVP_PKEY_get_raw_public_key(key, public_key, &len) == 1 &&
		len == UAEF_ED25519_PUBLIC_LEN;

	EVP_PKEY_free(key);
	if (!done)
		failed("derive a public key");
}

void
uaef_ed25519_sign(const uint8 *seed, const void *message, size_t len,
				  uint8 *signature)
{
	size_t		signature_len = UAEF_ED25519_SIGNATURE_LEN;
	EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
												   seed,
												   UAEF_ED25519_SEED_LEN);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		done = key != NULL && context != NULL &&
		EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(context, signature, &signature_len, message, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	if (!done)
		failed("sign");
}

/*
 * A public key that is no point of the curve has no signatures; OpenSSL may
 * say so at either step.
 */
bool
uaef_ed25519_verify(const uint8 *public_key, const void *message, size_t len,
					const uint8 *signature)
{
	EVP_PKEY   *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
												  public_key,
												  UAEF_ED25519_PUBLIC_LEN);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		good = key != NULL && context != NULL &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestVerify(context, signature, UAEF_ED25519_SIGNATURE_LEN,
						 message, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}
