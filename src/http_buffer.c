/*-------------------------------------------------------------------------
 *
 * http_buffer.c
 *	  What arrives of an answer, up to a limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http_buffer.h"

bool
uaef_http_buffer_append(UaefHttpBuffer *buffer, const char *data, size_t len)
{
	if (len > buffer->limit - buffer->len)
	{
		buffer->overflow = true;
		return false;
	}
	if (buffer->len + len > buffer->allocated)
	{
		size_t		doubled = Min(Max(buffer->allocated * 2, 1024),
								  buffer->limit);
		size_t		wanted = Max(buffer->len + len, doubled);
		char	   *grown = realloc(buffer->data, wanted);

		if (grown == NULL)
		{
			buffer->overflow = true;
			return false;
		}
		buffer->data = grown;
		buffer->allocated = wanted;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return true;
}
