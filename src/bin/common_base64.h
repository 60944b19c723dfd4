/*-------------------------------------------------------------------------
 *
 * common_base64.h
 *	  Base64 of RFC 4648, strict, for the programs of src/bin.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include <stddef.h>

/* Bytes of text, with its end, that n bytes become. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* Encode len bytes into a text of BASE64_SIZE(len) bytes. */
extern void base64_encode(const void *bytes, size_t len, char *text);

/*
 * Decode len characters, which must be the one encoding that some bytes have:
 * padded, no space, no stray bits.  Returns how many bytes, or -1 when it is
 * none or more than size.
 */
extern long base64_decode(const char *text, size_t len, void *bytes,
						  size_t size);

#endif							/* COMMON_BASE64_H */
