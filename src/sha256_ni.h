/*-------------------------------------------------------------------------
 *
 * sha256_ni.h
 *	  SHA-256 by the instructions that x86-64 processors have for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SHA256_NI_H
#define UAEF_SHA256_NI_H

/* Bytes that lie together, and where their hash goes. */
typedef struct UaefHashed
{
	const void *data;
	size_t		len;
	uint8	   *hash;
} UaefHashed;

/*
 * SHA-256 of bytes that lie together.  False, and hash is as it was, where the
 * processor has no such instructions.
 */
extern bool uaef_sha256_ni(const void *data, size_t len, uint8 *hash);

/* The same of two, side by side. */
extern bool uaef_sha256_ni_two(const UaefHashed *first,
							   const UaefHashed *second);

#endif							/* UAEF_SHA256_NI_H */
