/*-------------------------------------------------------------------------
 *
 * book_parse.h
 *	  Journals as people write them: from JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_PARSE_H
#define UAEF_BOOK_PARSE_H

#include "book.h"

/*
 * A journal from its document; key is NULL or its idempotency key.  Raises
 * 22023 for what is not understood.
 */
extern void uaef_book_parse(Jsonb *document, const char *key,
							UaefJournal *journal);

/* Journals from a list of documents, each with its own "key"; palloc'd. */
extern UaefJournal *uaef_book_parse_list(Jsonb *documents, int *n);

/* Raise 42501 for a kind or key that only the engine gives. */
extern void uaef_book_require_manual(const char *kind, const char *key);

/* Raise 42501 for an account that only the engine makes and posts to. */
extern void uaef_book_require_manual_account(const char *code);

#endif							/* UAEF_BOOK_PARSE_H */
