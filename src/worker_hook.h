/*-------------------------------------------------------------------------
 *
 * worker_hook.h
 *	  Commands of others that concern the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKER_HOOK_H
#define UAEF_WORKER_HOOK_H

/* From _PG_init: install the hooks. */
extern void uaef_worker_hook_init(void);

#endif							/* UAEF_WORKER_HOOK_H */
