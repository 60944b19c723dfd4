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

#include "guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	uaef_guc_init();
}
