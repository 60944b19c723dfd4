/*-------------------------------------------------------------------------
 *
 * shmem_area.c
 *	  Shared memory that the library asks for when the server starts.
 *
 * The server makes its shared memory at its start, and again after a crash of
 * one of its processes; each time what was asked for is made anew.
 *
 * Locking: none.  Memory: what was asked for is known to the postmaster, and to
 * processes that were made without a fork.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "shmem_area.h"

#define MAX_AREAS 4

static struct
{
	Size		size;
	UaefShmemStartup startup;
}			areas[MAX_AREAS];
static int	n_areas = 0;

static shmem_startup_hook_type previous_startup_hook = NULL;
#ifdef UAEF_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request_hook = NULL;
#endif

static void
startup(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	for (int i = 0; i < n_areas; i++)
		areas[i].startup();
}

#ifdef UAEF_HAVE_SHMEM_REQUEST_HOOK
static void
request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	for (int i = 0; i < n_areas; i++)
		RequestAddinShmemSpace(areas[i].size);
}
#endif

static void
install_hooks(void)
{
#ifdef UAEF_HAVE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request;
#endif
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

void
uaef_shmem_area(Size size, UaefShmemStartup make)
{
	Assert(process_shared_preload_libraries_in_progress);
	Assert(n_areas < MAX_AREAS);
	if (n_areas == 0)
		install_hooks();
#ifndef UAEF_HAVE_SHMEM_REQUEST_HOOK
	RequestAddinShmemSpace(size);
#endif
	areas[n_areas].size = size;
	areas[n_areas].startup = make;
	n_areas++;
}
