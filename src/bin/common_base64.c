/*-------------------------------------------------------------------------
 *
 * common_base64.c
 *	  Base64 of RFC 4648, strict, for the programs of src/bin.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "common_base64.h"

static const char digits[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(const void *bytes, size_t len, char *text)
{
	const unsigned char *in = bytes;

	for (size_t i = 0; i < len; i += 3)
	{
		size_t		left = len - i;
		unsigned long group = (unsigned long) in[i] << 16 |
			(left > 1 ? (unsigned long) in[i + 1] << 8 : 0) |
			(left > 2 ? (unsigned long) in[i + 2] : 0);

		*text++ = digits[group >> 18 & 63];
		*text++ = digits[group >> 12 & 63];
		*text++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*text++ = left > 2 ? digits[group & 63] : '=';
	}
	*text = '\0';
}

/*
 * The value of a digit, or -1.
 */
static int
digit_value(char digit)
{
	const char *at = digit == '\0' ? NULL : strchr(digits, digit);

	return at == NULL ? -1 : (int) (at - digits);
}

long
base64_decode(const char *text, size_t len, void *bytes, size_t size)
{
	unsigned char *out = bytes;
	size_t		padding = 0;
	size_t		n;

	if (len % 4 != 0)
		return -1;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	n = len / 4 * 3 - padding;
	if (n > size)
		return -1;

	for (size_t i = 0; i < len; i += 4)
	{
		size_t		here = i + 4 == len ? padding : 0;
		unsigned long group = 0;

		for (size_t j = 0; j < 4; j++)
		{
			int			value = j >= 4 - here ? 0 : digit_value(text[i + j]);

			if (value < 0)
				return -1;
			group = group << 6 | (unsigned long) value;
		}
		if ((group & ((1UL << (8 * here)) - 1)) != 0)
			return -1;
		for (size_t j = 0; j < 3 - here; j++)
			*out++ = group >> (16 - 8 * j) & 255;
	}
	return (long) n;
}
