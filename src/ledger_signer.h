/*-------------------------------------------------------------------------
 *
 * ledger_signer.h
 *	  Who signs checkpoints: a key in a file, or a process behind a socket.
 *
 * A signer has its own memory, outside of the database, of what it has signed
 * last of each origin, and signs nothing that contradicts it: so a database
 * that was rolled back gets no signature.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_SIGNER_H
#define UAEF_LEDGER_SIGNER_H

#include "compat.h"
#include "note.h"

typedef struct UaefSignRequest
{
	const char *origin;
	int64		size;
	const uint8 *root;			/* of the tree of this size */
	const char *text;			/* the checkpoint; what is signed */
	const char *last_note;		/* the last one that the table has, or NULL */
	int64		last_size;		/* and its size, or 0 */
} UaefSignRequest;

/* Whether the settings name a signer. */
extern bool uaef_signer_is_set(void);

/*
 * Have a checkpoint signed; returns the line of the signature, and the key
 * that it was verified with.  The active snapshot shows the tree.  Raises
 * UA120 when the signer has signed what this contradicts, UA121 when it cannot
 * sign, and what goes wrong with files and sockets.
 */
extern char *uaef_signer_sign(const UaefSignRequest *request,
							  UaefNoteKey *key);

/* The two signers. */
extern char *uaef_signer_file_sign(const char *path,
								   const UaefSignRequest *request,
								   UaefNoteKey *key);
extern char *uaef_signer_socket_sign(const char *path,
									 const UaefSignRequest *request,
									 UaefNoteKey *key);

/*
 * Raise UA120: a tree of signed_size was signed, and this ledger's is not its
 * continuation.
 */
pg_noreturn extern void uaef_signer_contradicted(const char *who,
												 const char *origin,
												 int64 signed_size,
												 int64 size);

/*
 * Wait for a file descriptor to be ready for events (WL_SOCKET_*; 0: for the
 * time alone), interruptibly, until a time; false when that has come.
 */
extern bool uaef_signer_wait(pgsocket fd, int events, TimestampTz until);

#endif							/* UAEF_LEDGER_SIGNER_H */
