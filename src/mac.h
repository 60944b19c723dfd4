/*-------------------------------------------------------------------------
 *
 * mac.h
 *	  Message authentication codes (HMAC), and comparing what is secret.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MAC_H
#define UAEF_MAC_H

typedef enum UaefHash
{
	UAEF_SHA1,
	UAEF_SHA256,
	UAEF_SHA512
} UaefHash;

#define UAEF_MAC_MAX_LEN	64

/* Bytes that somebody else owns. */
typedef struct UaefBytes
{
	const void *data;
	size_t		len;
} UaefBytes;

/* "sha256" and so on; false for another name. */
extern bool uaef_hash_by_name(const char *name, UaefHash *hash);

/*
 * The code of some parts, one after the other; returns its length, which is
 * at most UAEF_MAC_MAX_LEN.
 */
extern size_t uaef_mac(UaefHash hash, UaefBytes key, const UaefBytes *parts,
					   int n, uint8 *mac);

/*
 * Whether a text is the expected one, in a time that depends only on its
 * length.
 */
extern bool uaef_same_secret(const char *expected, const char *text);

#endif							/* UAEF_MAC_H */
