/*-------------------------------------------------------------------------
 *
 * eval_error.h
 *	  Errors of evaluation, as values.
 *
 * What paths, templates, conditions and amounts do at run time can fail on the
 * data that they meet.  Such a failure is a value that the caller stores (a
 * task's error, a held settlement) or raises; it never becomes a result.
 * What is wrong with the text of a condition, expression or template is found
 * when it is compiled, and raised there by ereport().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EVAL_ERROR_H
#define UAEF_EVAL_ERROR_H

#include "compat.h"

typedef struct UaefEvalError
{
	int			sqlstate;		/* ERRCODE_UAEF_...; 0: no error */
	char	   *message;		/* lower case, no period */
	char	   *path;			/* "in.order.amount", or NULL */
	char	   *detail;			/* operator and operand, or NULL */
} UaefEvalError;

/*
 * Fill *error; always returns false, so that callers can write
 * "return uaef_eval_fail(...)".  The texts are palloc'd here.
 */
extern bool uaef_eval_fail(UaefEvalError *error, int sqlstate,
						   const char *path, const char *detail,
						   const char *message_format,...)
			__attribute__((format(printf, 5, 6)));

/*
 * A copy of a text for a message: what is long is cut, between characters.
 */
extern char *uaef_eval_clip(const char *text, int len);

/* Raise it as an ERROR. */
pg_noreturn extern void uaef_eval_raise(const UaefEvalError *error);

#endif							/* UAEF_EVAL_ERROR_H */
