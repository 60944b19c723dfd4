/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher: keeps a worker in every database with the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LAUNCHER_H
#define UAEF_LAUNCHER_H

#include "fmgr.h"

/* From _PG_init: register the launcher if the library is being preloaded. */
extern void uaef_launcher_init(void);

extern PGDLLEXPORT void uaef_launcher_main(Datum arg);

#endif							/* UAEF_LAUNCHER_H */
