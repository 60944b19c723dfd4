/*-------------------------------------------------------------------------
 *
 * bank_account.h
 *	  Numbers of accounts and banks: IBAN (ISO 13616), BIC (ISO 9362).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BANK_ACCOUNT_H
#define UAEF_BANK_ACCOUNT_H

/* Whether a text is one, in the form without blanks; of an IBAN, its digits. */
extern bool uaef_iban_is_valid(const char *text);
extern bool uaef_bic_is_valid(const char *text);

#endif							/* UAEF_BANK_ACCOUNT_H */
