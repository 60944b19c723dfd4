/*-------------------------------------------------------------------------
 *
 * blank.h
 *	  Texts that look like nothing, or like another text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BLANK_H
#define UAEF_BLANK_H

/*
 * Whether a text in the encoding of the database is empty, or begins or ends
 * with a character that nobody sees: a space, a control or a format character
 * of Unicode.  Raises for a text that has no form in UTF-8.
 */
extern bool uaef_blank_at_ends(const char *text);

#endif							/* UAEF_BLANK_H */
