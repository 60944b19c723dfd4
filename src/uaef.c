/*-------------------------------------------------------------------------
 *
 * uaef.c
 *	  Module entry: everything the server calls when it loads the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "data_access.h"
#include "guc.h"
#include "launcher.h"
#include "ledger_head_shared.h"
#include "ledger_table_pending.h"
#include "shmem.h"
#include "wake.h"
#include "worker_hook.h"
#include "workflow_stat.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*
 * pg_upgrade moves our tables; nothing of ours may run meanwhile.
 */
void
_PG_init(void)
{
	uaef_guc_init();
	if (IsBinaryUpgrade)
		return;
	uaef_shmem_init();
	uaef_shared_heads_init();
	uaef_stat_init();
	uaef_wake_init();
	uaef_worker_hook_init();
	uaef_launcher_init();
	uaef_data_access_init();

	/* Last, so that it is asked first when a transaction ends: it may wake. */
	uaef_pending_rows_init();
}
