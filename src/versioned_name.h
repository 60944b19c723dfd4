/*-------------------------------------------------------------------------
 *
 * versioned_name.h
 *	  Names of things that are kept in numbered versions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_VERSIONED_NAME_H
#define UAEF_VERSIONED_NAME_H

#include "spi_util.h"

/* Raise 42602 for what is no name; kind is "workflow". */
extern void uaef_check_name(const char *kind, const char *name);

/* The newest version of something; version is 0 when there is none. */
typedef struct UaefNewest
{
	int32		version;
	bool		same;			/* has the digest that was asked for */
} UaefNewest;

/*
 * Lock a name of a table of uaef until the transaction ends, so that its
 * versions are numbered one by one.
 */
extern void uaef_lock_name(const char *table, const char *name);

/*
 * The newest version of a name, by a query of name and digest that gives
 * version, owner, and whether it has that digest.  Raises 42501 unless the
 * current user is a member of the owner; kind is "workflow".
 */
extern UaefNewest uaef_own_newest(UaefQuery *find, const char *kind,
								  const char *name, Datum digest);

#endif							/* UAEF_VERSIONED_NAME_H */
