/*-------------------------------------------------------------------------
 *
 * hash256.h
 *	  Hashes of 32 bytes as values of SQL: type uaef.hash256.
 *
 * The type has a fixed length and no header, so a value is a pointer to its
 * bytes.  Its text is 64 lower-case hexadecimal digits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HASH256_H
#define UAEF_HASH256_H

#include "fmgr.h"

#define UAEF_HASH_LEN	32

/* The bytes of a value. */
#define uaef_datum_hash(value) ((const uint8 *) DatumGetPointer(value))

/* A new value of these bytes. */
extern Datum uaef_hash_datum(const uint8 *hash);

/* Bytes as new lower-case hexadecimal text. */
extern char *uaef_hex(const void *bytes, size_t len);

/* What a hexadecimal digit stands for; -1 when it is none. */
extern int	uaef_hex_digit(char c);

/*
 * The bytes that 2 * len hexadecimal digits stand for, maybe after "\x";
 * false when the text is not just that.
 */
extern bool uaef_unhex(const char *text, uint8 *bytes, size_t len);

#endif							/* UAEF_HASH256_H */
