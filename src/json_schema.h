/*-------------------------------------------------------------------------
 *
 * json_schema.h
 *	  JSON Schema: documents that say what other documents must look like.
 *
 * Draft 2020-12: the core, applicator, unevaluated and validation
 * vocabularies, within one document.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_JSON_SCHEMA_H
#define UAEF_JSON_SCHEMA_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "path.h"

typedef struct UaefSchema UaefSchema;

/* One thing that is wrong with a value. */
typedef struct UaefSchemaFailure
{
	const char *path;			/* in the value, as a JSON pointer; "": all */
	const char *keyword;		/* "minimum" */
	const char *message;		/* lower case, no period; without data */
} UaefSchemaFailure;

/*
 * Compile, in the current context.  Raises UA230 with the place in the schema
 * and what is wrong there; where, if it is not NULL, comes first in the
 * message: "input_schema".
 */
extern UaefSchema *uaef_schema_compile(Jsonb *document, const char *where);

/*
 * Whether a value is what the schema asks for.  If not, *error is UA231 with
 * the path and keyword of the first failure; or UA211, when finding out would
 * take too long.
 */
extern bool uaef_schema_valid(const UaefSchema *schema, Jsonb *value,
							  UaefEvalError *error);

/*
 * The same, with up to max failures, as a list of UaefSchemaFailure.  A false
 * result without failures is UA211.
 */
extern bool uaef_schema_failures(const UaefSchema *schema, Jsonb *value,
								 int max, List **failures,
								 UaefEvalError *error);

/*
 * The types (UAEF_TYPE_...) of what a path can lead to in a value that the
 * schema allows, from one of its steps on; 0: nothing.
 */
extern uint32 uaef_schema_path_types(const UaefSchema *schema,
									 const UaefPath *path, int first_step);

/* One failure a line, for the DETAIL of an error. */
extern char *uaef_schema_failures_text(const List *failures);

#endif							/* UAEF_JSON_SCHEMA_H */
