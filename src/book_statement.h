/*-------------------------------------------------------------------------
 *
 * book_statement.h
 *	  What accounts say: their postings with running balances.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_STATEMENT_H
#define UAEF_BOOK_STATEMENT_H

#include "set_result.h"
#include "datatype/timestamp.h"

/*
 * Put the rows of statement(): the opening balance, and the postings that take
 * effect from since on and before until (0: any) with the balance after each.
 * Raises UA510.
 */
extern void uaef_book_statement(FunctionCallInfo fcinfo, const char *account,
								TimestampTz since, TimestampTz until);

#endif							/* UAEF_BOOK_STATEMENT_H */
