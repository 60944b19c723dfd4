/*-------------------------------------------------------------------------
 *
 * ed25519.h
 *	  Signatures of RFC 8032, Ed25519.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ED25519_H
#define UAEF_ED25519_H

#define UAEF_ED25519_SEED_LEN		32	/* the private key */
#define UAEF_ED25519_PUBLIC_LEN		32
#define UAEF_ED25519_SIGNATURE_LEN	64

/* The public key of a private one. */
extern void uaef_ed25519_public(const uint8 *seed, uint8 *public_key);

/* Sign a message; the same message gets the same signature each time. */
extern void uaef_ed25519_sign(const uint8 *seed, const void *message,
							  size_t len, uint8 *signature);

/* Whether a signature is that of a message by a key. */
extern bool uaef_ed25519_verify(const uint8 *public_key, const void *message,
								size_t len, const uint8 *signature);

#endif							/* UAEF_ED25519_H */
