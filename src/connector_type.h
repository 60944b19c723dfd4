/*-------------------------------------------------------------------------
 *
 * connector_type.h
 *	  What the types of connectors do: one struct of callbacks for each type.
 *
 * A type is a file of its own that exports its struct; connector_type.c lists
 * them.  A delivery goes through these steps:
 *
 *	parse		when the connector is made, and whenever it is loaded
 *	address		when the delivery is queued, as the role that sends: where the
 *				request goes.  The egress rules are asked about that address,
 *				so it is final: a build cannot change it
 *	build		in the worker, right before it is sent, with the secret
 *	judge		in the worker, of a complete answer
 *	output		in the worker, of a success
 *
 * parse and address raise what is wrong.  build may raise: then the delivery
 * fails and nothing was sent.  judge and output must not raise for anything that
 * a server could answer.  All allocate in the current memory context and read
 * no tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_TYPE_H
#define UAEF_CONNECTOR_TYPE_H

#include "utils/jsonb.h"

#include "compat.h"
#include "definition.h"
#include "http_draft.h"
#include "http_message.h"

typedef struct UaefConnectorType UaefConnectorType;
typedef struct UaefSessionType UaefSessionType;
typedef struct UaefAuth UaefAuth;
typedef struct UaefReceiveConfig UaefReceiveConfig;
typedef struct UaefReceiverType UaefReceiverType;

/* What a gate lets through (delivery_gate.h). */
typedef struct UaefGateLimits
{
	int			max_concurrent; /* 0: uaef.http_max_per_gate */
	int64		rate_us;		/* a request may pass so often; 0: no rate */
	int			burst;			/* of the rate: so many at once */
	int			failures;		/* in a row that open its breaker; 0: none */
	int64		open_ms;		/* how long it then stays open */
} UaefGateLimits;

#define UAEF_GATE_DEFAULTS {0, 0, 0, 10, 30000}

/* What the configs of all types may say. */
typedef struct UaefConnectorConfig
{
	char	   *url;
	char	   *method;			/* upper case; NULL: the type's */
	Jsonb	   *headers;		/* checked, or NULL */
	int64		timeout_ms;		/* 0: the default */
	UaefRetry	retry;
	bool		idempotent;
	UaefGateLimits limits;
	UaefTransport transport;	/* its key is in the secret */
	UaefAuth   *auth;			/* connector_auth.h */
	UaefReceiveConfig *receive; /* receive_rule.h; or NULL */
} UaefConnectorConfig;

typedef struct UaefConnector
{
	int32		connector_id;
	char	   *name;
	Oid			created_by;
	const UaefConnectorType *type;
	Jsonb	   *document;		/* its config, checked */
	UaefConnectorConfig config;
	void	   *own;			/* what the type's parse made of it, or NULL */
	bool		has_secret;
	bool		pays;			/* a payout channel sends by it */
	Jsonb	   *secret;			/* opened; only for build; NULL: has none */
	const char *problem_code;	/* NULL, or it could not be read, then only */
	const char *problem;		/* its name is set */
	char	   *session_key;	/* of delivery_session.c */
} UaefConnector;

/* What is asked of a connector. */
typedef struct UaefCall
{
	const char *operation;		/* one of the type's */
	const char *method;
	const char *url;
	Jsonb	   *headers;		/* or NULL */
	Jsonb	   *body;			/* the payload, or NULL */
	bytea	   *bytes;			/* instead of it; or NULL */
	const char *idempotency_key;	/* NULL in address */
	int			attempt;		/* 0 in address */
	bool		idempotent;		/* may be sent again when in doubt */
} UaefCall;

/* An answer as jsonb. */
typedef struct UaefResponse
{
	Jsonb	   *headers;		/* names in lower case; NULL: no answer */
	Jsonb	   *body;			/* NULL: none */
} UaefResponse;

/* What a complete answer means. */
typedef enum UaefAnswer
{
	UAEF_ANSWER_SUCCESS,
	UAEF_ANSWER_TRANSIENT,		/* it had no effect; later may go better */
	UAEF_ANSWER_PERMANENT,		/* it had no effect, and never will */
	UAEF_ANSWER_UNCERTAIN		/* it says not whether it had an effect */
} UaefAnswer;

typedef struct UaefAnswerVerdict
{
	UaefAnswer	answer;
	const char *code;			/* of a failure; NULL: "http_" and the status */
	const char *message;		/* NULL: that the server answered so */
	int64		delay_ms;		/* at least so long until the next attempt */
} UaefAnswerVerdict;

struct UaefConnectorType
{
	const char *name;

	/* Ends with NULL; the first is done when none is named. */
	const char *const *operations;

	/* Keys of its config besides those of all types, and of its secret. */
	const char *const *keys;
	const char *const *secret_keys;

	/* Whether the config must have a url. */
	bool		needs_url;

	/* Read the config's own keys; NULL: there is nothing to read. */
	void	   *(*parse) (Jsonb *config);

	/*
	 * Set what the call leaves open of method, url and idempotent.  The url
	 * comes with the connector's already.  NULL: POST to that.
	 */
	void		(*address) (const UaefConnector *connector, UaefCall *call);

	/*
	 * Set body and headers, besides those of the delivery, which are set.
	 * NULL: the payload, as JSON.
	 */
	void		(*build) (const UaefConnector *connector, const UaefCall *call,
						  UaefHttpDraft *draft);

	/* NULL, or no verdict (false): the status decides. */
	bool		(*judge) (const UaefConnector *connector, const UaefCall *call,
						  const UaefHttpResult *result,
						  const UaefResponse *response,
						  UaefAnswerVerdict *verdict);

	/* What must be fetched before a call; NULL: nothing. */
	const UaefSessionType *session;

	/* How messages are received; NULL: they are not. */
	const UaefReceiverType *receiver;

	/* The output of a task.  NULL: {"status","headers","body"}. */
	Jsonb	   *(*output) (const UaefConnector *connector, const UaefCall *call,
						   const UaefHttpResult *result,
						   const UaefResponse *response);
};

/* What a fetch gave, and how long it holds. */
typedef struct UaefSessionPart
{
	UaefHttpDraft headers;		/* to add to each request; no body */
	int64		life_ms;
} UaefSessionPart;

/*
 * Something that calls need and that must be fetched first: a token, cookies.
 * It is kept in the worker's memory for all calls of a connector, until it ends
 * or an answer says that it does not hold any more.
 */
struct UaefSessionType
{
	const char *name;			/* for messages: "token" */
	const char *method;
	const char *(*url) (const UaefConnector *connector);

	/* Whether a call needs it; NULL: each does. */
	bool		(*wanted) (const UaefConnector *connector,
						   const UaefCall *call);

	/*
	 * Set the headers and body of the request that fetches it.  What auth and
	 * other sessions of the connector add is there already.
	 */
	void		(*ask) (const UaefConnector *connector, UaefHttpDraft *draft);

	/* Read a complete answer; false: there is nothing in it, and why. */
	bool		(*read) (const UaefConnector *connector,
						 const UaefHttpResult *result,
						 const UaefResponse *response, UaefSessionPart *part,
						 UaefAnswerVerdict *verdict);

	/* Whether an answer to a call says that it does not hold any more. */
	bool		(*refused) (const UaefHttpResult *result,
							const UaefResponse *response);
};

/* A message of a queue. */
typedef struct UaefMessage
{
	char	   *id;
	char	   *handle;			/* by which it is taken away */
	int			receives;		/* how often the queue has sent it */
	Jsonb	   *body;			/* what is no JSON is a string */
	Jsonb	   *attributes;		/* or NULL */
} UaefMessage;

/* Where a request of a receiver goes. */
typedef struct UaefReceiveCall
{
	const char *method;
	const char *url;
} UaefReceiveCall;

struct UaefReceiverType
{
	/* The request that waits for messages. */
	void		(*poll) (const UaefConnector *connector, UaefReceiveCall *call,
						 UaefHttpDraft *draft);

	/* Messages of a complete answer; returns how many, or -1 and why. */
	int			(*read) (const UaefConnector *connector,
						 const UaefHttpResult *result,
						 const UaefResponse *response, UaefMessage **messages,
						 UaefAnswerVerdict *verdict);

	/* The request that takes messages away from the queue, all at once. */
	void		(*settle) (const UaefConnector *connector,
						   const UaefMessage *messages, int n,
						   UaefReceiveCall *call, UaefHttpDraft *draft);
};

/* Raise that a key is not in a config that needs it. */
pg_noreturn extern void uaef_connector_lacks(const char *key);

/* Raise that a key of a config is not what is wanted: "It must be WANTED." */
pg_noreturn extern void uaef_connector_bad_config(const char *key,
												  const char *wanted);

/* The type of that name; raises when there is none. */
extern const UaefConnectorType *uaef_connector_type(const char *name);

extern const UaefConnectorType uaef_webhook_connector;
extern const UaefConnectorType uaef_sqs_connector;
extern const UaefConnectorType uaef_servicebus_connector;
extern const UaefConnectorType uaef_sap_connector;
extern const UaefConnectorType uaef_oracle_connector;
extern const UaefConnectorType uaef_anthropic_connector;
extern const UaefConnectorType uaef_openai_connector;
extern const UaefConnectorType uaef_langserve_connector;
extern const UaefConnectorType uaef_agent_http_connector;
extern const UaefConnectorType uaef_payout_connector;

#endif							/* UAEF_CONNECTOR_TYPE_H */
