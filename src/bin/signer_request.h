/*-------------------------------------------------------------------------
 *
 * signer_request.h
 *	  One request to sign, and its answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNER_REQUEST_H
#define SIGNER_REQUEST_H

#include "signer_server.h"

typedef struct Answer
{
	int			code;			/* as in HTTP */
	char		body[1024];		/* ends in a newline */
} Answer;

/*
 * Answer the body of an add-checkpoint request (c2sp.org/tlog-witness, but its
 * note has no signature yet): 200 and a line of signature, which is on disk by
 * then; 409 and the size that was signed last; 422 when the new tree does not
 * continue the old one; 400, 403 or 500 and why.
 */
extern void answer_add_checkpoint(const Service *service, const char *body,
								  size_t len, Answer *answer);

#endif							/* SIGNER_REQUEST_H */
