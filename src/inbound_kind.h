/*-------------------------------------------------------------------------
 *
 * inbound_kind.h
 *	  The types of webhook sources: who signs how, and what is in a request.
 *
 * A type is a struct of callbacks in a file of its own, listed in
 * inbound_kind.c.  Nothing of a request is parsed before verify() has looked
 * at its bytes, but for what a signature is taken from; salesforce, which does
 * not sign, says so itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_KIND_H
#define UAEF_INBOUND_KIND_H

#include "datatype/timestamp.h"

#include "arrival_rule.h"
#include "definition_read.h"
#include "event_hash.h"
#include "http_headers.h"
#include "mac.h"

/* Active keys of a source: the new one and the old one. */
#define UAEF_INBOUND_MAX_KEYS 2

/* Longest id of a delivery that is kept as it is. */
#define UAEF_INBOUND_MAX_ID 255

/* Why a request is refused, and nothing of it is kept. */
typedef enum UaefInboundRefusal
{
	UAEF_REFUSAL_NONE,
	UAEF_REFUSAL_TOO_LARGE,
	UAEF_REFUSAL_BAD_HEADERS,
	UAEF_REFUSAL_NO_SIGNATURE,
	UAEF_REFUSAL_BAD_SIGNATURE,
	UAEF_REFUSAL_NO_TIMESTAMP,
	UAEF_REFUSAL_TOO_OLD,
	UAEF_REFUSAL_TOO_NEW,
	UAEF_REFUSAL_NO_ID,
	UAEF_REFUSAL_BAD_BODY,
	UAEF_REFUSAL_NOT_ALLOWED,
	UAEF_REFUSAL_NO_SECRET
} UaefInboundRefusal;

typedef struct UaefInboundKind UaefInboundKind;

/* How a source of the type hmac is signed. */
typedef struct UaefInboundHmac
{
	char	   *header;			/* names of headers in lower case */
	char	   *timestamp_header;	/* or NULL */
	char	   *id_header;		/* or NULL */
	UaefHash	hash;
	int			encoding;
	int			key_encoding;
	bool		milliseconds;
	char	   *prefix;			/* before the signature, may be "" */
	char	   *separator;		/* between signatures, or NULL */
	char	   *sign;			/* "{timestamp}.{body}" */
} UaefInboundHmac;

/* A source, and its config checked; config.c fills it. */
typedef struct UaefInboundSource
{
	int32		id;
	char	   *name;
	const UaefInboundKind *kind;
	Jsonb	   *config;
	bool		paused;
	Oid			owner;
	int			max_body;		/* bytes */
	int			tolerance_s;
	int64		keep_ms;		/* rows of the inbox */
	bool		keep_all;		/* contents of all, not only failed ones */
	bool		same_body;		/* equal signed bytes are another delivery */
	char	   *id_path;		/* of the delivery's id, or NULL */
	UaefInboundHmac hmac;
	int			n_organizations;	/* salesforce */
	char	  **organizations;
	Jsonb	   *require_headers;	/* or NULL */
	UaefArrivalRules *rules;
} UaefInboundSource;

/* What came, before it is believed. */
typedef struct UaefInboundRequest
{
	UaefHeaders headers;
	UaefBytes	body;
	int64		now;			/* Unix seconds */
} UaefInboundRequest;

/* Its secret, taken apart. */
typedef struct UaefInboundKeys
{
	int			n;
	char	   *keys[UAEF_INBOUND_MAX_KEYS];
} UaefInboundKeys;

/* What verify() found out. */
typedef struct UaefInboundProof
{
	const char *id;				/* of the delivery, or NULL: in the body */
	bool		id_is_signed;	/* and so cannot be made up */
	uint8		digest[UAEF_HASH_LEN];	/* if not: SHA-256 of what is */
} UaefInboundProof;

/* One thing that a request tells of. */
typedef struct UaefInboundMessage
{
	const char *id;				/* NULL: none */
	Jsonb	   *body;
} UaefInboundMessage;

struct UaefInboundKind
{
	const char *name;
	bool		signs;			/* needs a secret */
	bool		has_timestamp;	/* so that old requests are refused */

	/* Headers that no condition and no template sees; ends with NULL. */
	const char *const *secret_headers;

	/* Keys of its config besides those of all; ends with NULL. */
	const char *const *config_keys;

	/* Reads them, raising for what is wrong; or NULL. */
	void		(*configure) (const UaefObject *config,
							  UaefInboundSource *source);

	/* What is wrong with a key, in words, or NULL; or NULL: none is. */
	const char *(*check_key) (const UaefInboundSource *source,
							  const char *key);

	/* Whether the request may be believed. */
	UaefInboundRefusal (*verify) (const UaefInboundSource *source,
								  const UaefInboundRequest *request,
								  const UaefInboundKeys *keys,
								  UaefInboundProof *proof);

	/*
	 * The messages of a request that is believed, at least one, into an array
	 * that this allocates; 0: the body is not what it must be.
	 */
	int			(*read) (const UaefInboundSource *source,
						 const UaefInboundRequest *request,
						 const UaefInboundProof *proof,
						 UaefInboundMessage **messages);

	/* The answer to a message that only asks for one, or NULL; or NULL. */
	Jsonb	   *(*challenge) (const UaefInboundMessage *message);

	/*
	 * What the sender wants to hear, as text, and its content type in *type;
	 * NULL: {"status": ...}.  Or NULL.
	 */
	const char *(*acknowledge) (bool done, const char **type);
};

extern const UaefInboundKind uaef_inbound_github;
extern const UaefInboundKind uaef_inbound_stripe;
extern const UaefInboundKind uaef_inbound_standard;
extern const UaefInboundKind uaef_inbound_slack;
extern const UaefInboundKind uaef_inbound_hmac;
extern const UaefInboundKind uaef_inbound_salesforce;

/* The type of a name; raises 22023 with all names for another one. */
extern const UaefInboundKind *uaef_inbound_kind(const char *name);

/*----------
 * What several types share.
 * ----------
 */

/* A header's value, or NULL; *refusal is then this one. */
extern const char *uaef_inbound_header(const UaefInboundRequest *request,
									   const char *name, UaefInboundRefusal missing,
									   UaefInboundRefusal *refusal);

/*
 * Whether a time stamp (Unix seconds, digits only) is not too far from now, in
 * either direction.
 */
extern UaefInboundRefusal uaef_inbound_check_time(const UaefInboundSource *source,
												  const UaefInboundRequest *request,
												  const char *seconds);

/* Whether a text is a time stamp. */
extern bool uaef_inbound_is_time(const char *text);

/*
 * A body as its content type says; what declares nothing and looks like JSON
 * is JSON.  NULL: it is not what it says.
 */
extern Jsonb *uaef_inbound_body(const UaefInboundRequest *request);

/* One message with this body, whose id is that of the proof. */
extern int	uaef_inbound_read_one(const UaefInboundSource *source,
								  const UaefInboundRequest *request,
								  const UaefInboundProof *proof,
								  UaefInboundMessage **messages);

/* The same, with an id that a member of the body has, if there is one. */
extern int	uaef_inbound_read_id(const UaefInboundRequest *request,
								 const char *member,
								 UaefInboundMessage **messages);

/* Members of an array of headers' and configs' names: none. */
extern const char *const uaef_inbound_none[];

#endif							/* UAEF_INBOUND_KIND_H */
