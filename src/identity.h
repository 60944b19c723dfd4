/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Who calls, and how our code becomes the owner of its tables.
 *
 * The functions that people call are not SECURITY DEFINER: they first note who
 * calls (GetUserId(), which also a SECURITY DEFINER function of an app
 * decides), then become the owner, as referential integrity triggers do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_IDENTITY_H
#define UAEF_IDENTITY_H

typedef struct UaefCaller
{
	Oid			user;
	int			sec_context;
} UaefCaller;

/* The role that owns the extension's tables. */
extern Oid	uaef_owner(void);

/*
 * Become the owner; returns who to go back to.  The abort of the surrounding
 * (sub)transaction goes back too.
 */
extern UaefCaller uaef_become_owner(void);
extern void uaef_become_caller(UaefCaller caller);

/*
 * Keep DROP EXTENSION out until the transaction ends; false when the extension
 * is gone.  Our processes call it first of all in a transaction: a drop takes
 * the same lock before any other, so the two cannot wait for each other.
 */
extern bool uaef_lock_extension(void);

/* A role's name, its number when it is gone, or NULL for no role. */
extern char *uaef_role_name(Oid role);

/*
 * Raise unless the current user, or caller, is a member of role, to which
 * belongs what.
 */
extern void uaef_require_member(Oid role, const char *what);
extern void uaef_require_membership(Oid caller, Oid role, const char *what);

/*
 * Pin the search_path to pg_catalog, pg_temp; returns the level for
 * AtEOXact_GUC().
 */
extern int	uaef_pin_search_path(void);

#endif							/* UAEF_IDENTITY_H */
