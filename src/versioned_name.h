/*-------------------------------------------------------------------------
 *
 * versioned_name.h
 *	  Names of things that are kept in numbered versions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_VERSIONED_NAME_H
#define UAEF_VERSIONED_NAME_H

/* Raise 42602 for what is no name; kind is "workflow". */
extern void uaef_check_name(const char *kind, const char *name);

/*
 * Lock a name of a table of uaef until the transaction ends, so that its
 * versions are numbered one by one.
 */
extern void uaef_lock_name(const char *table, const char *name);

#endif							/* UAEF_VERSIONED_NAME_H */
