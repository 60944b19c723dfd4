/*-------------------------------------------------------------------------
 *
 * ledger_signer.c
 *	  Who signs checkpoints: a key in a file, or a process behind a socket.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "guc.h"
#include "ledger_signer.h"
#include "wait_event.h"

static bool is_set(const char *path);

static bool
is_set(const char *path)
{
	return path != NULL && path[0] != '\0';
}

bool
uaef_signer_is_set(void)
{
	return is_set(uaef_ledger_signer_socket) || is_set(uaef_ledger_key_file);
}

/*
 * The socket goes first: it is the stronger one of the two.
 */
char *
uaef_signer_sign(const UaefSignRequest *request, UaefNoteKey *key)
{
	if (is_set(uaef_ledger_signer_socket))
		return uaef_signer_socket_sign(uaef_ledger_signer_socket, request,
									   key);
	return uaef_signer_file_sign(uaef_ledger_key_file, request, key);
}

void
uaef_signer_contradicted(const char *who, const char *origin,
						 int64 signed_size, int64 size)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_CHECKPOINT_CONTRADICTED),
			 errmsg("the ledger contradicts a checkpoint that was signed before"),
			 size < signed_size
			 ? errdetail("According to %s, a tree of \"%s\" with %lld leaves was signed; the ledger has %lld.",
						 who, origin, (long long) signed_size,
						 (long long) size)
			 : errdetail("According to %s, a tree of \"%s\" with %lld leaves was signed, which is not the beginning of this ledger's.",
						 who, origin, (long long) signed_size),
			 errhint("The database was restored to an older state, or its ledger was changed: see docs/checkpoints.md.")));
}

/*
 * The latch may have been set for another reason, which whoever waits on it
 * next must still see.
 */
bool
uaef_signer_wait(pgsocket fd, int events, TimestampTz until)
{
	bool		latched = false;
	bool		ready = false;

	while (!ready)
	{
		long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														 until);
		int			rc;

		CHECK_FOR_INTERRUPTS();
		if (ms <= 0)
			break;
		rc = WaitLatchOrSocket(MyLatch,
							   events | WL_LATCH_SET | WL_TIMEOUT |
							   WL_EXIT_ON_PM_DEATH,
							   fd, ms, uaef_wait_event(UAEF_WAIT_SIGNER));
		if ((rc & WL_LATCH_SET) != 0)
		{
			ResetLatch(MyLatch);
			latched = true;
		}
		ready = (rc & events) != 0;
	}
	if (latched)
		SetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return ready;
}
