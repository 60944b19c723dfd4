/*-------------------------------------------------------------------------
 *
 * ledger_signature.h
 *	  Events that the actor signed.
 *
 * What is signed (Ed25519) says what the actor claims, not where it stands:
 *
 *	"uaef/claim/v1\0" || ledger id || 16 bytes execution id, or zeros
 *	|| u32 length || event type || SHA-256(canonical text of the payload)
 *
 * without a payload the text is empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_SIGNATURE_H
#define UAEF_LEDGER_SIGNATURE_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

/* The bytes to sign, as a bytea; execution_id and payload may be NULL. */
extern Datum uaef_claim_bytes(const char *event_type, Jsonb *payload,
							  const pg_uuid_t *execution_id);

/*
 * Add or withdraw a public key of signers, in the form NAME+HASH+BASE64, whose
 * name is the signer's.  Only members of the role, if one is given, may record
 * what it signed.  Return the number of the event.
 */
extern int64 uaef_register_signer(const char *public_key, Oid role);
extern int64 uaef_revoke_signer(const char *name, const char *reason);

/*
 * Raise unless the signature is that of the claim by a signer that holds now,
 * and whose role the current user is a member of: UA154, UA155, 42501.
 */
extern void uaef_signature_require(const char *signer, const bytea *signature,
								   const char *event_type, Jsonb *payload,
								   const pg_uuid_t *execution_id);

/*
 * For verifiers: whether a row of uaef.ledger_event has no signature, or one
 * that is good; one whose payload was redacted counts as good.  The key must
 * have been registered before the event, and not revoked before it.  Uses no
 * SPI; sees what is committed now, and our own.
 */
extern bool uaef_signature_check(const Datum *values, const bool *nulls);

#endif							/* UAEF_LEDGER_SIGNATURE_H */
