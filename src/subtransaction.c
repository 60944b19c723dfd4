/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  Work that may fail without the transaction around it.
 *
 * Locking: what the work takes is given back when it fails.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "error_class.h"
#include "subtransaction.h"

ErrorData *
uaef_try(void (*work) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

ErrorData *
uaef_attempt(void (*work) (void *arg), void *arg)
{
	ErrorData  *error = uaef_try(work, arg);

	if (error != NULL && uaef_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	return error;
}
