/*-------------------------------------------------------------------------
 *
 * limit_config.h
 *	  Limits that workflows share: making and dropping them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LIMIT_CONFIG_H
#define UAEF_LIMIT_CONFIG_H

/*
 * Make a limit, or change one of a role that the caller is a member of.
 * concurrency 0 and rate NULL: not limited so; one of them must be given.
 */
extern void uaef_limit_create(const char *name, int concurrency,
							  const char *rate, int burst);

/* Drop one; raises UA312 when it does not exist. */
extern void uaef_limit_drop(const char *name);

/* The hint for who names a limit that there is not. */
extern const char *uaef_limit_hint(const char *name);

#endif							/* UAEF_LIMIT_CONFIG_H */
