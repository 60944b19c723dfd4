/*-------------------------------------------------------------------------
 *
 * model_answer.h
 *	  What connectors to models share: requests, tools, tokens and prices.
 *
 * "prices" of a config is {"input","output","currency"}, for a million tokens.
 * The output of a call is {"text","content","tool_calls","stop_reason","model",
 * "usage":{"input_tokens","output_tokens"},"cost","currency","id","request_id"},
 * each if it is known.  Nothing here raises for what a server answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MODEL_ANSWER_H
#define UAEF_MODEL_ANSWER_H

#include "utils/numeric.h"

#include "connector_type.h"
#include "path.h"

typedef struct UaefPrices
{
	Numeric		input;			/* NULL: no prices are known */
	Numeric		output;
	char	   *currency;		/* or NULL */
} UaefPrices;

typedef struct UaefModelAnswer
{
	char	   *text;			/* all of these may be missing */
	Jsonb	   *content;
	Jsonb	   *tool_calls;		/* array of {"id","name","input"} */
	char	   *stop_reason;
	char	   *model;
	char	   *id;
	char	   *request_id;
	int64		input_tokens;	/* -1: not known */
	int64		output_tokens;
} UaefModelAnswer;

#define UAEF_MODEL_ANSWER_NONE {.input_tokens = -1, .output_tokens = -1}

/* Read "prices" of a config; raises what is wrong with it. */
extern void uaef_prices_parse(Jsonb *config, UaefPrices *prices);

/* A path into an answer; NULL: the config has no such key. */
extern UaefPath *uaef_config_path(Jsonb *config, const char *key);

/* The value at a path of an answer; false: there is none. */
extern bool uaef_answer_get(const UaefPath *path, Jsonb *body,
							JsonbValue *value);

/* The same as text; NULL when it is no string and no number. */
extern char *uaef_answer_text(const UaefPath *path, Jsonb *body);

/*
 * The request to a chat: the payload, which is an object with "messages" or the
 * text of the user's only one, with what the config says of other members
 * where the payload does not.  Raises UA426.
 */
extern Jsonb *uaef_chat_request(const UaefCall *call, Jsonb *defaults);

/*
 * What the status alone says of a call.  A gateway that gave up does not know
 * what the server behind it did.
 */
extern UaefAnswer uaef_answer_by_status(const UaefCall *call, int status);

/* An object in an object, NULL when it is none; an array likewise. */
extern Jsonb *uaef_answer_object(Jsonb *object, const char *key);
extern Jsonb *uaef_answer_array(Jsonb *object, const char *key);

/* A count of tokens, or -1. */
extern int64 uaef_answer_count(Jsonb *object, const char *key);

/* An error's words and the number under which its server knows the request. */
extern char *uaef_request_message(const char *message,
								  const char *request_id);

/* What tokens cost, exactly; NULL when it is not known. */
extern Numeric uaef_tokens_cost(const UaefPrices *prices, int64 input,
								int64 output);

/* The answer as an object, and more members of it, which may be NULL. */
extern Jsonb *uaef_model_output(const UaefModelAnswer *answer,
								const UaefPrices *prices, Jsonb *more);

#endif							/* UAEF_MODEL_ANSWER_H */
