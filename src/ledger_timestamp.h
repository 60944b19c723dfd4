/*-------------------------------------------------------------------------
 *
 * ledger_timestamp.h
 *	  Time stamps of RFC 3161: the request, and what an authority answers.
 *
 * Pure: bytes in, bytes out; no tables, no network.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TIMESTAMP_H
#define UAEF_LEDGER_TIMESTAMP_H

#include "datatype/timestamp.h"

/* What is to be stamped: a SHA-256 digest, and a number against replays. */
typedef struct UaefStampRequest
{
	uint8		digest[32];
	uint64		nonce;
} UaefStampRequest;

typedef struct UaefStamp
{
	TimestampTz at;				/* when the authority says it saw the digest */
	bytea	   *token;			/* DER */
} UaefStamp;

/* The request in DER. */
extern bytea *uaef_stamp_request(const UaefStampRequest *request);

/*
 * Why these are not certificates in PEM that can be trusted; NULL when they
 * are.
 */
extern char *uaef_stamp_ca_problem(const char *ca);

/*
 * Read the answer to a request: that it grants a token, for this digest and
 * nonce, signed by a certificate for time stamping that one of ca (PEM) vouches
 * for now.  Returns NULL and the stamp, or why it is refused.
 */
extern char *uaef_stamp_read(const UaefStampRequest *request,
							 const char *answer, size_t len, const char *ca,
							 UaefStamp *stamp);

#endif							/* UAEF_LEDGER_TIMESTAMP_H */
