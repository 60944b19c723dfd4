/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Regular expressions that people give us to match their data with.
 *
 * They are the server's advanced ones, with bounds that keep their cost
 * linear: at most 1000 bytes, and no back-reference.  The C collation makes
 * the result the same everywhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PATTERN_H
#define UAEF_PATTERN_H

/* What is wrong with it, as a sentence; NULL when it may be used. */
extern char *uaef_pattern_problem(const char *source, int len);

/* Whether it matches a part of the text.  Compiled ones are kept by the server. */
extern bool uaef_pattern_matches(text * pattern, const char *data, int len);

#endif							/* UAEF_PATTERN_H */
