/*-------------------------------------------------------------------------
 *
 * agent_key.h
 *	  The keys by which agents say who they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_KEY_H
#define UAEF_AGENT_KEY_H

#define UAEF_AGENT_HASH_LEN	32

/* "uaef_", 12 digits to look it up by, "_", 64 digits of 256 random bits. */
#define UAEF_AGENT_PREFIX_LEN	12
#define UAEF_AGENT_KEY_LEN		(5 + UAEF_AGENT_PREFIX_LEN + 1 + 64)

typedef struct UaefAgentKey
{
	char		text[UAEF_AGENT_KEY_LEN + 1];
	char		prefix[UAEF_AGENT_PREFIX_LEN + 1];
	uint8		hash[UAEF_AGENT_HASH_LEN];
} UaefAgentKey;

/* A new key. */
extern void uaef_agent_key_make(UaefAgentKey *key);

/* Take a key apart; false when the text has not the form of one. */
extern bool uaef_agent_key_read(const char *text, UaefAgentKey *key);

/* Whether the key is the one of this hash, in a time that tells nothing. */
extern bool uaef_agent_key_is(const UaefAgentKey *key, const void *hash);

#endif							/* UAEF_AGENT_KEY_H */
