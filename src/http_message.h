/*-------------------------------------------------------------------------
 *
 * http_message.h
 *	  Requests that are to be sent, and what came of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_MESSAGE_H
#define UAEF_HTTP_MESSAGE_H

#include "lib/ilist.h"

#include "net_address.h"

/* How far a request got.  Before SENT, no byte of it left this machine. */
typedef enum UaefHttpPhase
{
	UAEF_HTTP_NOT_SENT,
	UAEF_HTTP_SENT,				/* at least begun; no complete answer */
	UAEF_HTTP_ANSWERED
} UaefHttpPhase;

/*
 * By what ways a request goes, besides its URL.  Texts are PEM, files are of the
 * server; of a text and a file of the same thing there is one at most.
 */
typedef struct UaefTransport
{
	const char *proxy;			/* "http://host:port"; NULL: none */
	const char *ca;				/* who may sign the server's certificate */
	const char *ca_file;		/* both NULL: whom the system trusts */
	const char *cert;			/* the client's certificate */
	const char *cert_file;		/* both NULL: none */
	const char *key;			/* of the client's certificate; a secret */
	const char *key_file;
} UaefTransport;

/* What to send.  Everything is copied. */
typedef struct UaefHttpRequest
{
	int64		id;				/* the caller's; they come back with the
								 * result */
	int			attempt;
	const char *method;
	const char *url;
	bool		tls;			/* its scheme is https */
	int			n_headers;
	char	  **headers;		/* "name: value" */
	const char *body;			/* or NULL */
	size_t		body_len;
	bool		body_secret;	/* the body is wiped once it is sent */
	bool		may_reuse;		/* may go over a connection that stands open */
	int			connect_timeout_ms;
	int			timeout_ms;
	size_t		max_response;	/* bytes of the decoded body */
	int			n_networks;		/* allowed besides global addresses */
	const UaefNetwork *networks;
	const char *aws_sigv4;		/* "aws:amz:REGION:SERVICE": signed so with
								 * user_password; or NULL */
	const char *user_password;	/* "ACCESS_KEY:SECRET_KEY" */
	UaefTransport transport;
	void	   *tag;			/* the caller's, comes back with the result */
} UaefHttpRequest;

/* Microseconds since the request began; 0: not reached. */
typedef struct UaefHttpTimes
{
	int64		dns;
	int64		connect;
	int64		tls;
	int64		first_byte;
	int64		total;
} UaefHttpTimes;

typedef struct UaefHttpResult
{
	int64		id;
	int			attempt;
	UaefHttpPhase phase;
	char		code[24];		/* "http_timeout"; empty when answered */
	char		message[256];	/* printable ASCII */
	bool		transient;		/* another attempt may go better */
	int			status;			/* 0: none came */
	char	   *head;			/* header lines of the answer, CR LF after
								 * each */
	size_t		head_len;
	char	   *body;			/* not kept when it was larger than the limit */
	size_t		body_len;
	int64		bytes_sent;		/* of head and body */
	int64		bytes_received; /* of the decoded body */
	int64		retry_after_ms; /* what the server asks for; 0: nothing */
	UaefHttpTimes times;
	void	   *tag;			/* of the request; NULL: it was never sent */
	dlist_node	node;
} UaefHttpResult;

#endif							/* UAEF_HTTP_MESSAGE_H */
