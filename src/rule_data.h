/*-------------------------------------------------------------------------
 *
 * rule_data.h
 *	  Tables that rules read: rates of exchange, look-ups, points of pools.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RULE_DATA_H
#define UAEF_RULE_DATA_H

#include "datatype/timestamp.h"
#include "utils/array.h"

#include "scope.h"

/* For how long what is recorded is valid: from is in it, to is not. */
typedef struct UaefValidity
{
	TimestampTz from;
	TimestampTz to;
} UaefValidity;

/* The tables, for a scope; they are read with the caller's snapshot. */
extern const UaefTables uaef_rule_tables;

/*
 * Record a rate: units of quote for one of base.  Raises 22023 for what is
 * none, UA208 for currencies, 42501 for a source that is another's.
 */
extern void uaef_rule_data_set_rate(const char *source, const char *base,
									const char *quote, Numeric rate,
									UaefValidity validity, Oid actor);

/* Record a table's value for a key; without value, that it has none. */
extern void uaef_rule_data_set_look_up(const char *table, ArrayType *key,
									   Jsonb *value, UaefValidity validity,
									   Oid actor);

/* Record the points of a member of a pool; 0: it is none any more. */
extern void uaef_rule_data_set_points(const char *pool, const char *member,
									  Numeric points, UaefValidity validity,
									  Oid actor);

#endif							/* UAEF_RULE_DATA_H */
