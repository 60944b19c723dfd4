/*-------------------------------------------------------------------------
 *
 * blank.c
 *	  Texts that look like nothing, or like another text.
 *
 * The characters are those of Unicode that are white space, controls, or drawn
 * as nothing where a font does not know better (White_Space, Cc,
 * Default_Ignorable_Code_Point), and the invisible ones among the format
 * characters.  The server has no table of them in all releases.
 *
 * Memory: the text in UTF-8 is left to the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "blank.h"

/* Ranges, in order. */
static const pg_wchar blank_ranges[][2] = {
	{0x0000, 0x0020},			/* controls, space */
	{0x007F, 0x00A0},			/* controls, no-break space */
	{0x00AD, 0x00AD},			/* soft hyphen */
	{0x034F, 0x034F},			/* grapheme joiner */
	{0x061C, 0x061C},			/* Arabic letter mark */
	{0x115F, 0x1160},			/* Hangul fillers */
	{0x1680, 0x1680},			/* Ogham space */
	{0x17B4, 0x17B5},			/* Khmer inherent vowels */
	{0x180B, 0x180F},			/* Mongolian selectors */
	{0x2000, 0x200F},			/* spaces, zero width, marks of direction */
	{0x2028, 0x202F},			/* separators, embeddings, narrow space */
	{0x205F, 0x206F},			/* space, joiners, isolates */
	{0x2800, 0x2800},			/* Braille blank */
	{0x3000, 0x3000},			/* ideographic space */
	{0x3164, 0x3164},			/* Hangul filler */
	{0xFE00, 0xFE0F},			/* variation selectors */
	{0xFEFF, 0xFEFF},			/* byte order mark */
	{0xFFA0, 0xFFA0},			/* Hangul filler */
	{0xFFF0, 0xFFFB},			/* unassigned, annotations */
	{0x1BCA0, 0x1BCA3},			/* shorthand controls */
	{0x1D173, 0x1D17A},			/* musical controls */
	{0xE0000, 0xE0FFF}			/* tags, variation selectors */
};

static bool is_blank(const char *character);

bool
uaef_blank_at_ends(const char *text)
{
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	const char *last = utf8 + strlen(utf8);

	if (last == utf8)
		return true;
	do
		last--;
	while (last > utf8 && ((unsigned char) *last & 0xC0) == 0x80);
	return is_blank(utf8) || is_blank(last);
}

static bool
is_blank(const char *character)
{
	pg_wchar	code = utf8_to_unicode((const unsigned char *) character);

	for (int i = 0; i < lengthof(blank_ranges); i++)
	{
		if (code <= blank_ranges[i][1])
			return code >= blank_ranges[i][0];
	}
	return false;
}
