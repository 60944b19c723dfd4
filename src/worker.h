/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The background worker of a database: one event loop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKER_H
#define UAEF_WORKER_H

#include "fmgr.h"

/* The process; worker_control.h starts it. */
extern PGDLLEXPORT void uaef_worker_main(Datum arg);

#endif							/* UAEF_WORKER_H */
