/*-------------------------------------------------------------------------
 *
 * wait_event.c
 *	  What our processes wait for, as pg_stat_activity shows it.
 *
 * Names are kept by the server since 17; before, all is "Extension".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "wait_event.h"

uint32
uaef_wait_event(UaefWaitEvent event)
{
	static const char *const names[] = {
		[UAEF_WAIT_LAUNCHER] = "UaefLauncher",
		[UAEF_WAIT_WORKER] = "UaefWorker",
		[UAEF_WAIT_EXECUTOR] = "UaefExecutor",
		[UAEF_WAIT_EXECUTION] = "UaefExecution",
		[UAEF_WAIT_CLAIM] = "UaefClaim",
		[UAEF_WAIT_WORKER_CONTROL] = "UaefWorkerControl",
		[UAEF_WAIT_SIGNER] = "UaefSigner"
	};

	/* What the server gave for each; 0: it has not been asked. */
	static uint32 known[lengthof(names)];

	if (known[event] == 0)
		known[event] = uaef_new_wait_event(names[event]);
	return known[event];
}
