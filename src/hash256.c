/*-------------------------------------------------------------------------
 *
 * hash256.c
 *	  Hashes of 32 bytes as values of SQL: type uaef.hash256.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "hash256.h"

Datum
uaef_hash_datum(const uint8 *hash)
{
	uint8	   *copy = palloc(UAEF_HASH_LEN);

	memcpy(copy, hash, UAEF_HASH_LEN);
	return PointerGetDatum(copy);
}

char *
uaef_hex(const void *bytes, size_t len)
{
	char	   *text = palloc(2 * len + 1);

	text[hex_encode(bytes, len, text)] = '\0';
	return text;
}

/*
 * The value of a digit, or -1.
 */
int
uaef_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
uaef_unhex(const char *text, uint8 *bytes, size_t len)
{
	if (text[0] == '\\' && text[1] == 'x')
		text += 2;
	for (size_t i = 0; i < len; i++)
	{
		int			high = uaef_hex_digit(text[2 * i]);
		int			low = high < 0 ? -1 : uaef_hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		bytes[i] = (uint8) (high << 4 | low);
	}
	return text[2 * len] == '\0';
}
