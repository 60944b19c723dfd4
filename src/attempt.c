/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  Running code that may raise, in a subtransaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "attempt.h"
#include "error_class.h"
#include "subtransaction.h"

ErrorData *
uaef_attempt(void (*run) (void *arg), void *arg)
{
	ErrorData  *error = uaef_try(run, arg);

	if (error != NULL && uaef_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	return error;
}
