/*-------------------------------------------------------------------------
 *
 * path.h
 *	  Dotted paths into a scope: in.order.lines[0].price
 *
 * Pure: no SPI, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PATH_H
#define UAEF_PATH_H

#include "eval_error.h"
#include "scope.h"

typedef struct UaefPath UaefPath;

/*
 * Compile a path.  Raises UA222 naming the text when its form is wrong.  A
 * path compiled for workflows must begin with in, task, item, ctx, sys, last or
 * signal;
 * with any_root it may begin with any name.
 */
extern UaefPath *uaef_path_compile(const char *text, int len, bool any_root);

/*
 * The same, but returns NULL for a path whose form is wrong, and says what is
 * wrong in a sentence.
 */
extern UaefPath *uaef_path_parse(const char *text, int len, bool any_root,
								 const char **problem);

/* As it was written. */
extern const char *uaef_path_text(const UaefPath *path);

/* The task id of a path "task.<id>...", else NULL. */
extern const char *uaef_path_task(const UaefPath *path);

/* The first name. */
extern const char *uaef_path_root(const UaefPath *path);

/*
 * The name that follows on the first one; NULL when there is none, or an
 * index.
 */
extern const char *uaef_path_second(const UaefPath *path);

/*
 * Look it up.  Returns false when it is missing; a JSON null is not missing.
 * Containers come as jbvBinary.
 */
extern bool uaef_path_get(const UaefPath *path, UaefScope *scope,
						  JsonbValue *value);

/* The same, but missing is a failure (UA202). */
extern bool uaef_path_require(const UaefPath *path, UaefScope *scope,
							  JsonbValue *value, UaefEvalError *error);

/*
 * Look the path up below base, from its first step on, or from a later one.
 */
extern bool uaef_path_get_below(const UaefPath *path, int first_step,
								const JsonbValue *base, JsonbValue *value);

/* How many names and indexes it has; one of them: name is NULL of an index. */
extern int	uaef_path_steps(const UaefPath *path);
extern const char *uaef_path_step(const UaefPath *path, int no, int *len,
								  uint32 *index);

/* Types of values as bits. */
#define UAEF_TYPE_NULL		0x01
#define UAEF_TYPE_BOOLEAN	0x02
#define UAEF_TYPE_NUMBER	0x04
#define UAEF_TYPE_STRING	0x08
#define UAEF_TYPE_ARRAY		0x10
#define UAEF_TYPE_OBJECT	0x20
#define UAEF_TYPE_ANY		0x3f

/* Beside them: the schema has no word of it, and does not forbid it. */
#define UAEF_TYPE_UNDECLARED	0x80

/* What is known of the data that paths will read, before there are any. */
typedef struct UaefTyping
{
	/* The types that a path can lead to; 0: it can lead nowhere. */
	uint32		(*types) (const UaefPath *path, void *arg);
	void	   *arg;
} UaefTyping;

/* The type of a value as one of the bits. */
extern uint32 uaef_value_type_bit(const JsonbValue *value);

/* "a string or a number" */
extern char *uaef_types_text(uint32 types);

/* A document as a value; containers as jbvBinary that points into it. */
extern void uaef_document_value(Jsonb *document, JsonbValue *value);

/* "object", "array", "string", "number", "boolean", "null" */
extern const char *uaef_value_type(const JsonbValue *value);

#endif							/* UAEF_PATH_H */
