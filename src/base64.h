/*-------------------------------------------------------------------------
 *
 * base64.h
 *	  Base64 of RFC 4648, strict.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BASE64_H
#define UAEF_BASE64_H

/* Bytes as new text. */
extern char *uaef_base64(const void *bytes, size_t len);

/*
 * The bytes of a text, palloc'd; NULL unless the text is the one that
 * uaef_base64() makes of them: padded, no space, no stray bits.
 */
extern uint8 *uaef_base64_bytes(const char *text, size_t len,
								size_t *nbytes);

/* The same in the alphabet for URLs, and without padding (base64url). */
extern char *uaef_base64url(const void *bytes, size_t len);
extern uint8 *uaef_base64url_bytes(const char *text, size_t len,
								   size_t *nbytes);

#endif							/* UAEF_BASE64_H */
