/*-------------------------------------------------------------------------
 *
 * access.h
 *	  Who may call what: named sets of rights on the functions and views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ACCESS_H
#define UAEF_ACCESS_H

/* One right of one access, as list_access() shows it. */
typedef struct UaefAccessRight
{
	const char *access;
	const char *privilege;		/* EXECUTE or SELECT */
	const char *object;			/* name in schema uaef */
} UaefAccessRight;

/*
 * Give a role an access, or take it away.  Taking away leaves what another
 * access of the role gives too.  Whoever may call this may give everything.
 */
extern void uaef_access_grant(Oid role, const char *access);
extern void uaef_access_revoke(Oid role, const char *access);

/*
 * Raise unless a role is there and may call a function of schema uaef, on
 * whose behalf something ("schedule \"nightly\"") is about to do the same.
 */
extern void uaef_access_require(Oid role, const char *function,
								const char *what);

/* All rights of all accesses; palloc'd. */
extern UaefAccessRight *uaef_access_rights(int *n);

#endif							/* UAEF_ACCESS_H */
