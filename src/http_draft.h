/*-------------------------------------------------------------------------
 *
 * http_draft.h
 *	  HTTP requests while they take shape.
 *
 * Texts are given in the encoding of the database and kept as UTF-8.  All is
 * palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_DRAFT_H
#define UAEF_HTTP_DRAFT_H

#include "utils/jsonb.h"

typedef struct UaefHttpDraft
{
	int			n_headers;
	int			max_headers;
	char	  **headers;		/* "name: value" */
	char	   *content_type;	/* that a header has set; or NULL */
	const char *body;			/* or NULL */
	size_t		body_len;
	const char *aws_sigv4;		/* as in UaefHttpRequest */
	const char *user_password;
	char	   *tls_key;		/* of the client's certificate, or NULL */
} UaefHttpDraft;

/* Add a header; one of the same name that is there already is replaced. */
extern void uaef_draft_header(UaefHttpDraft *draft, const char *name,
							  const char *value);

/* The same for a line that another draft has. */
extern void uaef_draft_line(UaefHttpDraft *draft, const char *line);

extern bool uaef_draft_has_header(const UaefHttpDraft *draft,
								  const char *name);

/* Say that there is no content type. */
extern void uaef_draft_no_content_type(UaefHttpDraft *draft);

/* All headers of an object of strings, which may be NULL. */
extern void uaef_draft_headers(UaefHttpDraft *draft, Jsonb *headers);

/* The body: a text; a value as JSON; bytes.  Each sets a type if none is set. */
extern void uaef_draft_text(UaefHttpDraft *draft, char *text,
							const char *content_type);
extern void uaef_draft_json(UaefHttpDraft *draft, Jsonb *value);
extern void uaef_draft_bytes(UaefHttpDraft *draft, const bytea *bytes);

#endif							/* UAEF_HTTP_DRAFT_H */
