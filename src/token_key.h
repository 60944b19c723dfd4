/*-------------------------------------------------------------------------
 *
 * token_key.h
 *	  The keys that tokens are signed with.
 *
 * A key is 256 random bits in the store of secrets, under an id that stands in
 * the tokens.  The newest one signs; older ones verify until they are retired.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TOKEN_KEY_H
#define UAEF_TOKEN_KEY_H

#define UAEF_TOKEN_KEY_LEN	32

typedef struct UaefTokenKey
{
	char	   *id;
	uint8		bytes[UAEF_TOKEN_KEY_LEN];
} UaefTokenKey;

/*
 * Make a new key, and retire the others after so many microseconds.  Returns
 * its id.  An event.
 */
extern char *uaef_token_key_rotate(int64 overlap_us);

/* The newest key; raises UA454 when there is none. */
extern void uaef_token_key_newest(UaefTokenKey *key);

/* The key of an id; false when there is none, or it is retired. */
extern bool uaef_token_key_find(const char *id, UaefTokenKey *key);

extern void uaef_token_key_wipe(UaefTokenKey *key);

#endif							/* UAEF_TOKEN_KEY_H */
