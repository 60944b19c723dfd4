/*-------------------------------------------------------------------------
 *
 * near_name.h
 *	  Which name was perhaps meant by one that nothing has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_NEAR_NAME_H
#define UAEF_NEAR_NAME_H

#include "spi_util.h"

/*
 * A query that lists the names of a table around its argument $1: all of a
 * table that is small, and few of one with a million.
 */
#define UAEF_NAMES_AROUND(column, table) \
	"(SELECT " column " FROM uaef." table " WHERE " column " < $1" \
	" ORDER BY " column " DESC LIMIT 1000)" \
	" UNION ALL (SELECT " column " FROM uaef." table " WHERE " column " > $1" \
	" ORDER BY " column " LIMIT 1000)"

/*
 * The hint of an error that a name does not exist: the name that is near it out
 * of those that a query lists, or otherwise what else to do.  Only names that
 * the caller may know should be listed.
 */
extern const char *uaef_name_hint(const char *name, UaefQuery *names,
								  Datum *args, const char *otherwise);

/* The same with a query whose argument is the name, as UAEF_NAMES_AROUND(). */
extern const char *uaef_name_hint_around(const char *name, UaefQuery *names,
										 const char *otherwise);

#endif							/* UAEF_NEAR_NAME_H */
