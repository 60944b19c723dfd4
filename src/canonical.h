/*-------------------------------------------------------------------------
 *
 * canonical.h
 *	  One sequence of bytes for each jsonb value: RFC 8785 (JCS), in UTF-8.
 *
 * A number that equals the shortest decimal form of a double is written as
 * RFC 8785 says.  Any other number would lose digits there, so it is written
 * as an exact plain decimal; such a text is "JCS+".
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CANONICAL_H
#define UAEF_CANONICAL_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/*
 * Append the canonical text of a value.  Returns whether it is plain RFC 8785:
 * false when a number had to be written with more digits than a double has.
 */
extern bool uaef_canonical_append(StringInfo out, Jsonb *value);

#endif							/* UAEF_CANONICAL_H */
