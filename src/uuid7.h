/*-------------------------------------------------------------------------
 *
 * uuid7.h
 *	  UUID version 7 (RFC 9562): time-ordered, 74 random bits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_UUID7_H
#define UAEF_UUID7_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* A new UUID of the current millisecond. */
extern void uaef_uuid7(pg_uuid_t *uuid);

/* A new UUID that sorts after another, made now or a little later. */
extern void uaef_uuid7_after(pg_uuid_t *uuid, const pg_uuid_t *other);

/* The first UUID of the millisecond of a time: all made before are less. */
extern void uaef_uuid7_floor(TimestampTz time, pg_uuid_t *uuid);

/* Text form; palloc'd. */
extern char *uaef_uuid_text(const pg_uuid_t *uuid);

#endif							/* UAEF_UUID7_H */
