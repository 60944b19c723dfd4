/*-------------------------------------------------------------------------
 *
 * append_bytes.h
 *	  Appending to a StringInfo where a function call each would cost more
 *	  than the bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPEND_BYTES_H
#define UAEF_APPEND_BYTES_H

#include "lib/stringinfo.h"

/*
 * Room for some bytes at the end, which the caller fills in.
 */
static inline char *
uaef_append_room(StringInfo out, int len)
{
	char	   *at;

	if (len >= out->maxlen - out->len)
		enlargeStringInfo(out, len);
	at = out->data + out->len;
	out->len += len;
	out->data[out->len] = '\0';
	return at;
}

static inline void
uaef_append_bytes(StringInfo out, const void *bytes, int len)
{
	memcpy(uaef_append_room(out, len), bytes, len);
}

static inline void
uaef_append_char(StringInfo out, char c)
{
	*uaef_append_room(out, 1) = c;
}

#endif							/* UAEF_APPEND_BYTES_H */
