/*-------------------------------------------------------------------------
 *
 * connector_rest.h
 *	  What connectors to services with resources share.
 *
 * Their payload is an object that names a resource and holds its data.  What is
 * wrong with it raises UA426.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_REST_H
#define UAEF_CONNECTOR_REST_H

#include "connector_type.h"

/* Raise unless the payload is an object with these keys only. */
extern void uaef_rest_check(const UaefCall *call, const char *const *keys);

/* A string of the payload; raises when it is required and not there. */
extern char *uaef_rest_text(const UaefCall *call, const char *key,
							bool required);

/* Any value of the payload; NULL: missing, and not required. */
extern Jsonb *uaef_rest_value(const UaefCall *call, const char *key,
							  bool required);

/*
 * The part of the payload that names a resource, or what the config says when
 * the payload does not: names with slashes between them.
 */
extern char *uaef_rest_path(const UaefCall *call, const char *key,
							const char *otherwise);

/* The connector's URL without a slash at its end, and a path behind it. */
extern char *uaef_rest_url(const char *base, const char *path);

/* The URL with the payload's "query", an object of scalars. */
extern char *uaef_rest_query(const UaefCall *call, const char *url);

/* A scalar as text; NULL when it is none. */
extern char *uaef_rest_scalar(const JsonbValue *value);

/* If-Match with the payload's "etag", or with otherwise, which may be NULL. */
extern void uaef_rest_if_match(const UaefCall *call, const char *otherwise,
							   UaefHttpDraft *draft);

/* Set the payload's data as the body. */
extern void uaef_rest_body(UaefHttpDraft *draft, Jsonb *data,
						   const char *content_type);

/*
 * What an answer says, before one looks for its error.  A gateway that gave up
 * does not know what the server behind it did, and a good status over something
 * else than JSON, such as the page of a proxy, says nothing.
 */
extern void uaef_rest_judge(const UaefCall *call,
							const UaefHttpResult *result,
							const UaefResponse *response,
							UaefAnswerVerdict *verdict);

/* {"status","etag","location","data"} */
extern Jsonb *uaef_rest_output(const UaefHttpResult *result,
							   const UaefResponse *response, Jsonb *data);

#endif							/* UAEF_CONNECTOR_REST_H */
