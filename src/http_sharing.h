/*-------------------------------------------------------------------------
 *
 * http_sharing.h
 *	  Which requests may share connections and TLS sessions, and how many of
 *	  them are kept.
 *
 * Those that have the same id.  Nothing raises.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_SHARING_H
#define UAEF_HTTP_SHARING_H

#include "http_message.h"

#define UAEF_SHARING_ID_LEN 32

/*
 * A hash of what the connections of a request are bound to: the networks that
 * are open to it, its TLS identity, its proxy.  False when there is no memory.
 */
extern bool uaef_http_sharing_id(const UaefHttpRequest *request, uint8 *id);

/*
 * How many idle connections may be kept for one id, where there may be so many
 * ids: all of them leave half of the process's files to others.
 */
extern long uaef_http_idle_connections(int ids);

#endif							/* UAEF_HTTP_SHARING_H */
