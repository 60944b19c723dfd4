/*-------------------------------------------------------------------------
 *
 * verify_canonical.h
 *	  Canonical JSON: RFC 8785, and exact decimals where a double would lose
 *	  digits (docs/ledger-format.md, 1).
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_CANONICAL_H
#define VERIFY_CANONICAL_H

#include "verify_json.h"

/*
 * Append the canonical text of a value.  False when a number has more digits
 * than the format allows.
 */
extern bool canonical_append(Buffer *out, const Json *json,
							 const JsonNode *value);

/* The same of a number as JSON writes it. */
extern bool canonical_number(Buffer *out, Slice number);

/*
 * A quick look whether a text is canonical; true is sure, false is not.
 */
extern bool canonical_surely(Slice text);

#endif							/* VERIFY_CANONICAL_H */
