/*-------------------------------------------------------------------------
 *
 * http_buffer.h
 *	  What arrives of an answer, up to a limit.
 *
 * Callbacks of libcurl fill it, so it is malloc'd and nothing raises.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_BUFFER_H
#define UAEF_HTTP_BUFFER_H

/* Starts as zeros and a limit. */
typedef struct UaefHttpBuffer
{
	char	   *data;
	size_t		len;
	size_t		allocated;
	size_t		limit;
	bool		overflow;		/* the limit was hit, or memory ran out */
} UaefHttpBuffer;

/* Append; returns false, and keeps what there is, when it does not fit. */
extern bool uaef_http_buffer_append(UaefHttpBuffer *buffer, const char *data,
									size_t len);

#endif							/* UAEF_HTTP_BUFFER_H */
