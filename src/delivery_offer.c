/*-------------------------------------------------------------------------
 *
 * delivery_offer.c
 *	  Deliveries that may be refused without an error.
 *
 * Each is queued in a subtransaction, since a refusal is raised from below.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "delivery_offer.h"
#include "failure.h"

ErrorData *
uaef_delivery_offer(const UaefDeliveryRequest *request, int64 *delivery_id)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile refusal = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*delivery_id = uaef_delivery_enqueue(request);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		refusal = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!uaef_failure_is_refusal(refusal))
			ReThrowError(refusal);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return refusal;
}
