/*-------------------------------------------------------------------------
 *
 * inbound_refusal.h
 *	  Requests of webhooks that are refused: the answer, and the count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_REFUSAL_H
#define UAEF_INBOUND_REFUSAL_H

#include "inbound_kind.h"

/* As a word, as HTTP has it, and as the sender reads it. */
extern const char *uaef_refusal_word(UaefRefusal refusal);
extern int	uaef_refusal_status(UaefRefusal refusal);
extern const char *uaef_refusal_text(UaefRefusal refusal);

/*
 * Count it.  At most once a minute and source, an event and a line in the
 * server's log tell how many there were; nothing of a request is kept.
 */
extern void uaef_inbound_refused(const UaefInboundSource *source,
								 UaefRefusal refusal);

#endif							/* UAEF_INBOUND_REFUSAL_H */
