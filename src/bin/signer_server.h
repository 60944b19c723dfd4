/*-------------------------------------------------------------------------
 *
 * signer_server.h
 *	  Signing for whoever may open a Unix socket.
 *
 * docs/checkpoints.md has the protocol.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNER_SERVER_H
#define SIGNER_SERVER_H

#include <sys/types.h>

#include "signer_state.h"

typedef struct Service
{
	const Key  *key;
	State	   *state;
	const char *socket_path;
	mode_t		socket_mode;
	const char *origin;			/* the only one that is signed; NULL: any */
} Service;

/* Serve until SIGTERM or SIGINT; returns the exit status. */
extern int	serve(const Service *service);

#endif							/* SIGNER_SERVER_H */
