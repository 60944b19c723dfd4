/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Secrets: documents that are kept sealed, and opened only in memory.
 *
 * A secret is a JSON object that belongs to something of a kind and a name.
 * No SQL function gives one back.  Each change is an event, which tells what
 * was changed and never to what.
 *
 * The functions work in the caller's transaction and become the owner; who may
 * change a secret is decided by whoever calls them.  They are called as the
 * role that does it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SECRET_H
#define UAEF_SECRET_H

#include "utils/jsonb.h"

/*
 * Put a secret in place of the one before; NULL removes it, if there is one.
 * Raises 22023 for what is no object, UA001 for a large one, UA410 when there
 * is no key.
 */
extern void uaef_secret_put(const char *kind, const char *name,
							Jsonb *secret);

/*
 * A secret, palloc'd in the current context; NULL when there is none.  Raises
 * UA410 when there is no key, UA411 when its key is not among them, UA412 when
 * the key does not open it.
 */
extern Jsonb *uaef_secret_get(const char *kind, const char *name);

/* Overwrite it, and free it; NULL does nothing. */
extern void uaef_secret_wipe(Jsonb *secret);

/* Remove a secret; raises UA413 when there is none. */
extern void uaef_secret_drop(const char *kind, const char *name);

/* Seal all with the newest key that are not; returns how many were not. */
extern int64 uaef_secret_rotate(void);

/*
 * What a file of the server holds.  Raises 42501 unless the role may read files
 * of the server, 22023 when the file holds no JSON.
 */
extern Jsonb *uaef_secret_read_file(const char *path);

#endif							/* UAEF_SECRET_H */
