/*-------------------------------------------------------------------------
 *
 * inbound_xml.h
 *	  XML messages as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_XML_H
#define UAEF_INBOUND_XML_H

#include "utils/jsonb.h"

/*
 * A document as an object of its root's name and value.  An element without
 * elements is its text, or null where xsi:nil says so; another one is an
 * object of its elements by their names without prefix, and of its xsi:type,
 * as "type", without prefix.  Elements of one name are an array.  NULL when it
 * is no well-formed document, or has a document type, or is too deep.
 */
extern Jsonb *uaef_xml_json(const char *text, size_t len);

#endif							/* UAEF_INBOUND_XML_H */
