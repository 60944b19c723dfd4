/*-------------------------------------------------------------------------
 *
 * bank_account.c
 *	  Numbers of accounts and banks: IBAN (ISO 13616), BIC (ISO 9362).
 *
 * Locking: none.  Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bank_account.h"

#define CAPITALS	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS		"0123456789"

/* The shortest is Norway's; none has more than the standard allows. */
#define MIN_IBAN	15
#define MAX_IBAN	34

/*
 * The remainder by 97 of the number that it stands for, letters being 10 to 35
 * and the first four characters its last ones.
 */
static int
remainder_97(const char *iban, size_t len)
{
	int			rest = 0;

	for (size_t i = 0; i < len; i++)
	{
		char		c = iban[(i + 4) % len];

		rest = (c >= 'A' ? rest * 100 + c - 'A' + 10 : rest * 10 + c - '0') % 97;
	}
	return rest;
}

bool
uaef_iban_is_valid(const char *text)
{
	size_t		len = strlen(text);

	return len >= MIN_IBAN && len <= MAX_IBAN &&
		strspn(text, CAPITALS DIGITS) == len && strspn(text, CAPITALS) == 2 &&
		strspn(text + 2, DIGITS) >= 2 && remainder_97(text, len) == 1;
}

bool
uaef_bic_is_valid(const char *text)
{
	size_t		len = strlen(text);

	return (len == 8 || len == 11) && strspn(text, CAPITALS DIGITS) == len &&
		strspn(text + 4, CAPITALS) >= 2;
}
