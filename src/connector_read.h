/*-------------------------------------------------------------------------
 *
 * connector_read.h
 *	  Reading what the configs, secrets and payloads of connectors hold.
 *
 * Texts are palloc'd.  A config's mistakes raise 22023, a payload's UA426, a
 * secret's UA425; none of the messages has a value in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_READ_H
#define UAEF_CONNECTOR_READ_H

#include "compat.h"
#include "connector_type.h"

/* A string that is not empty; NULL: missing, and not required. */
extern char *uaef_config_text(Jsonb *config, const char *key, bool required);

extern bool uaef_config_bool(Jsonb *config, const char *key, bool fallback);
extern int	uaef_config_int(Jsonb *config, const char *key, int fallback,
							int min, int max);

/* The number of the word in the NULL-terminated list. */
extern int	uaef_config_choice(Jsonb *config, const char *key,
							   const char *const *words, int fallback);

/* An object, or NULL when it is missing. */
extern Jsonb *uaef_config_object(Jsonb *config, const char *key);

/* Raise for a key of an object that is not in the NULL-terminated list. */
extern void uaef_config_keys(Jsonb *object, const char *const *known,
							 const char *what);

/* Raise unless it is the name of a header that a request may set. */
extern void uaef_config_header(const char *name);

/* A template whose paths begin with payload; NULL: missing. */
extern UaefTemplate *uaef_config_template(Jsonb *config, const char *key);

/* Fill one in, as a value and as a text. */
extern Jsonb *uaef_payload_fill(const UaefTemplate *template, Jsonb *payload);
extern char *uaef_payload_fill_text(const UaefTemplate *template,
									Jsonb *payload);

/* Raise that a payload is not what an operation needs. */
pg_noreturn extern void uaef_payload_wrong(const char *operation,
										   const char *wanted);

/* A payload as the text that queues take: a string as it is, else JSON. */
extern char *uaef_payload_text(Jsonb *payload);

/* The body of a message: JSON if it is, else a string.  In a transaction. */
extern Jsonb *uaef_message_body(char *text);

/* A key of the secret. */
extern char *uaef_secret_text(const UaefConnector *connector, const char *key,
							  bool required);

/* The same, for a header. */
extern char *uaef_secret_header(const UaefConnector *connector,
								const char *key, bool required);

/*
 * Percent-encode the UTF-8 of a text, but for letters, digits, "-._~" and what
 * is in also.
 */
extern char *uaef_percent_encode(const char *text, const char *also);

/* A text that identifies a message: as it is, or its digest if it is long. */
extern char *uaef_short_id(const char *text, int max);

/* Whether bytes that a server sent contain a text. */
extern bool uaef_bytes_contain(const char *bytes, size_t len,
							   const char *text);

/* A word for a retry policy out of the name that a server has for an error. */
extern char *uaef_error_word(const char *name);

/* Whether a request that was answered so may go better later. */
extern bool uaef_http_status_passes(int status);

/* A text of a server's, cut to what an error may take of it. */
extern char *uaef_error_text(Jsonb *body, const char *key);
extern char *uaef_clip_text(const char *text);

#endif							/* UAEF_CONNECTOR_READ_H */
