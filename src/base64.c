/*-------------------------------------------------------------------------
 *
 * base64.c
 *	  Base64 of RFC 4648, strict.
 *
 * The server's decoder passes over spaces and stray bits, so that one sequence
 * of bytes would have many texts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"

#include "base64.h"

char *
uaef_base64(const void *bytes, size_t len)
{
	int			size = pg_b64_enc_len(len);
	char	   *text = palloc(size + 1);
	int			written = pg_b64_encode(bytes, len, text, size);

	if (written < 0)
		elog(ERROR, "could not encode %zu bytes", len);
	text[written] = '\0';
	return text;
}

uint8 *
uaef_base64_bytes(const char *text, size_t len, size_t *nbytes)
{
	int			size = pg_b64_dec_len(len);
	void	   *bytes = palloc(size + 1);
	int			n = pg_b64_decode(text, len, bytes, size);
	char	   *again;
	bool		same;

	if (n < 0)
		return NULL;
	again = uaef_base64(bytes, n);
	same = strlen(again) == len && memcmp(again, text, len) == 0;
	explicit_bzero(again, strlen(again));	/* it may be of a key */
	pfree(again);
	if (!same)
		return NULL;
	*nbytes = n;
	return bytes;
}

char *
uaef_base64url(const void *bytes, size_t len)
{
	char	   *text = uaef_base64(bytes, len);

	text[strcspn(text, "=")] = '\0';
	for (char *p = text; *p != '\0'; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return text;
}

uint8 *
uaef_base64url_bytes(const char *text, size_t len, size_t *nbytes)
{
	size_t		padded = (len + 3) / 4 * 4;
	char	   *copy = palloc(padded + 1);

	for (size_t i = 0; i < padded; i++)
	{
		if (i < len && strchr("+/=", text[i]) != NULL)
			return NULL;
		copy[i] = i >= len ? '=' : text[i] == '-' ? '+' :
			text[i] == '_' ? '/' : text[i];
	}
	return uaef_base64_bytes(copy, padded, nbytes);
}
