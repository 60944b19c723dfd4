/*-------------------------------------------------------------------------
 *
 * hide_statement.h
 *	  Keeping the text of a statement, which has a secret, from being shown.
 *
 * In between begin and end, an error or warning shows neither STATEMENT nor
 * CONTEXT in the server's log; so an entry point begins before it reads its
 * arguments, of which one may be null.  From begin on, and after end, until the next statement,
 * pg_stat_activity and the log show another text in place of the statement's.
 * What the server has logged before the statement ran (log_statement), or logs
 * of its time after it (log_min_duration_statement, auto_explain), is out of
 * reach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HIDE_STATEMENT_H
#define UAEF_HIDE_STATEMENT_H

/* The struct is the caller's; instead is a constant text. */
extern void uaef_hide_statement_begin(ErrorContextCallback *hiding,
									  const char *instead);
extern void uaef_hide_statement_end(ErrorContextCallback *hiding);

#endif							/* UAEF_HIDE_STATEMENT_H */
