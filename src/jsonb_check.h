/*-------------------------------------------------------------------------
 *
 * jsonb_check.h
 *	  Whether bytes that are said to be a jsonb value can be read as one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_JSONB_CHECK_H
#define UAEF_JSONB_CHECK_H

#include "utils/jsonb.h"

/*
 * The server's code follows the lengths in a value wherever they lead.  True
 * when all of them stay within the value, which is not toasted any more.
 */
extern bool uaef_jsonb_sound(Jsonb *value);

#endif							/* UAEF_JSONB_CHECK_H */
