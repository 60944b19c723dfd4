/*-------------------------------------------------------------------------
 *
 * inbound_source.h
 *	  Webhook sources: who may send us what, and what we do with it.
 *
 * A source is a row of uaef.webhook_source, and its keys are in the store of
 * secrets.  It is checked whole when it is made or changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_SOURCE_H
#define UAEF_INBOUND_SOURCE_H

#include "inbound_kind.h"

/* As the current user.  Each is an event. */
extern int32 uaef_inbound_source_create(const char *name, const char *type,
										Jsonb *config, Jsonb *secret);

/*
 * Change keys of the config (null takes one away), the secret, or both; NULL
 * leaves as it is.
 */
extern void uaef_inbound_source_alter(const char *name, Jsonb *changes,
									  Jsonb *secret);
extern void uaef_inbound_source_drop(const char *name);
extern void uaef_inbound_source_pause(const char *name, bool paused);

/*
 * A source, compiled; NULL when there is none.  The identity must be the
 * owner of our tables.
 */
extern UaefInboundSource *uaef_inbound_source_load(const char *name);
extern UaefInboundSource *uaef_inbound_source_of(int32 id);

/* Its keys; false when it has none.  They must be wiped. */
extern bool uaef_inbound_keys_get(const UaefInboundSource *source,
								  UaefInboundKeys *keys);
extern void uaef_inbound_keys_wipe(UaefInboundKeys *keys);

/* Raise UA440: no such source, and which one of the caller's was perhaps meant. */
pg_noreturn extern void uaef_inbound_source_undefined(const char *name,
													  Oid caller);

#endif							/* UAEF_INBOUND_SOURCE_H */
