/*-------------------------------------------------------------------------
 *
 * uuid7.c
 *	  UUID version 7 (RFC 9562): time-ordered, 74 random bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "random_bytes.h"
#include "uuid7.h"

/* Microseconds between the epochs of Unix and of PostgreSQL. */
#define EPOCH_SHIFT_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static void
put_time(pg_uuid_t *uuid, TimestampTz time)
{
	uint64		ms = (uint64) Max(time + EPOCH_SHIFT_US, 0) / 1000;

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (unsigned char) (ms >> (40 - 8 * i));
}

void
uaef_uuid7(pg_uuid_t *uuid)
{
	uaef_random_bytes(uuid->data, UUID_LEN);
	put_time(uuid, GetCurrentTimestamp());
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x70;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

void
uaef_uuid7_after(pg_uuid_t *uuid, const pg_uuid_t *other)
{
	uaef_uuid7(uuid);
	if (memcmp(uuid, other, UUID_LEN) > 0)
		return;

	/* The millisecond that follows on the other's. */
	memcpy(uuid->data, other->data, 6);
	for (int i = 5; i >= 0 && ++uuid->data[i] == 0; i--)
		;
}

void
uaef_uuid7_floor(TimestampTz time, pg_uuid_t *uuid)
{
	memset(uuid->data, 0, UUID_LEN);
	put_time(uuid, time);
}

char *
uaef_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}
