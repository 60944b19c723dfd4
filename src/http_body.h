/*-------------------------------------------------------------------------
 *
 * http_body.h
 *	  Bodies of requests and answers as jsonb, whatever bytes they hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_BODY_H
#define UAEF_HTTP_BODY_H

#include "utils/jsonb.h"

/*
 * Can the bytes be text of this database as they are?  HTTP text is UTF-8; a
 * database of another encoding takes ASCII only.
 */
extern bool uaef_http_is_text(const char *data, size_t len);

/* Whether a content type is JSON: one that ends so, or that of Amazon. */
extern bool uaef_http_is_json(const char *content_type);

/*
 * The document of a text that is what jsonb can hold, else NULL.  Needs a
 * transaction, because it tries the parse in a subtransaction; an error that
 * is not the text's fault is raised.
 */
extern Jsonb *uaef_http_parse_json(char *text);

/*
 * A body as a value: its document where it is declared as JSON, and is JSON;
 * any other text a string; what is no text {"base64": "..."}.
 */
extern Jsonb *uaef_http_body(const char *data, size_t len, bool declared_json);

/*
 * A form (application/x-www-form-urlencoded) as an object of strings, and of
 * arrays of strings where a name comes several times; NULL when it is
 * malformed, or no text.
 */
extern Jsonb *uaef_http_form(const char *data, size_t len);

#endif							/* UAEF_HTTP_BODY_H */
