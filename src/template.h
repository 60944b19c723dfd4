/*-------------------------------------------------------------------------
 *
 * template.h
 *	  JSON documents with {{path}} in their strings.
 *
 * A string that is exactly {{path}} becomes the value with its type; inside a
 * longer string the value becomes text.  "{{{{" writes a literal "{{".
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TEMPLATE_H
#define UAEF_TEMPLATE_H

#include "path.h"

typedef struct UaefTemplate UaefTemplate;

/* How a value is written into a longer string. */
typedef enum UaefEncoding
{
	UAEF_ENCODE_TEXT,			/* as it is */
	UAEF_ENCODE_URL,			/* percent-encoded */
	UAEF_ENCODE_HEADER			/* CR, LF and NUL are a failure */
} UaefEncoding;

/* Compile a document; raises UA222 naming the place of a bad path. */
extern UaefTemplate *uaef_template_compile(Jsonb *document);

/* The same, with paths of any first name. */
extern UaefTemplate *uaef_template_compile_any_root(Jsonb *document);

/* The same for one string, which is what URLs and headers are. */
extern UaefTemplate *uaef_template_compile_text(const char *text);

/*
 * Call visit for each path in it, for checks when a definition is made.
 */
extern void uaef_template_paths(const UaefTemplate *tmpl,
								void (*visit) (const UaefPath *path, void *arg),
								void *arg);

/* Fill it in; NULL on failure (a missing path is UA202). */
extern Jsonb *uaef_template_fill(const UaefTemplate *tmpl, UaefScope *scope,
								 UaefEvalError *error);
extern char *uaef_template_fill_text(const UaefTemplate *tmpl,
									 UaefScope *scope, UaefEncoding encoding,
									 UaefEvalError *error);

#endif							/* UAEF_TEMPLATE_H */
