/*-------------------------------------------------------------------------
 *
 * connector_auth.h
 *	  How a connector says who it is, whatever its type.
 *
 * "auth" of a config:
 *
 *	{"type":"none"}
 *	{"type":"basic","username":...}				secret: password
 *	{"type":"bearer"}							secret: token
 *	{"type":"header","header":...}				secret: value
 *	{"type":"oauth2","token_url":...,"client_id":...,"scope":...,
 *	 "audience":...,"client":"basic"|"post"}	secret: client_secret
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_AUTH_H
#define UAEF_CONNECTOR_AUTH_H

#include "connector_type.h"

typedef enum UaefAuthKind
{
	UAEF_AUTH_NONE,
	UAEF_AUTH_BASIC,
	UAEF_AUTH_BEARER,
	UAEF_AUTH_HEADER,
	UAEF_AUTH_OAUTH2
} UaefAuthKind;

struct UaefAuth
{
	UaefAuthKind kind;
	char	   *username;
	char	   *header;
	char	   *token_url;		/* checked */
	char	   *client_id;
	char	   *scope;			/* or NULL */
	char	   *audience;		/* or NULL */
	bool		in_body;		/* the client's secret goes in the body */
};

/* Read "auth" of a config; raises what is wrong with it.  Never NULL. */
extern UaefAuth *uaef_auth_parse(Jsonb *config);

/* Set the header that needs nothing but the secret. */
extern void uaef_auth_headers(const UaefConnector *connector,
							  UaefHttpDraft *draft);

/* The token of OAuth 2.0, for those that need one; else NULL. */
extern const UaefSessionType *uaef_auth_session(const UaefAuth *auth);

#endif							/* UAEF_CONNECTOR_AUTH_H */
