/*-------------------------------------------------------------------------
 *
 * sealed_value.h
 *	  Values of an app's tables, sealed with the keys of the secrets.
 *
 * A sealed value is the length of the key's id in one byte, the id, and what
 * seal.h makes, with these bytes beside: "uaef value", the context and the id
 * of the key, each in UTF-8 after its length in four bytes.
 *
 * What a secret is sealed with opens no value, and the other way round.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SEALED_VALUE_H
#define UAEF_SEALED_VALUE_H

/*
 * Seal a text with the newest key; it opens only with the same context.
 * Raises UA410 when there is no key.
 */
extern bytea *uaef_value_seal(const char *value, const char *context);

/*
 * The text, palloc'd.  Raises UA410, and UA411 when the key of the value is not
 * there, and UA412 for anything that was not sealed so.
 */
extern char *uaef_value_open(bytea *sealed, const char *context);

#endif							/* UAEF_SEALED_VALUE_H */
