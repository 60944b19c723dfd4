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
extern const char *uaef_inbound_refusal_word(UaefInboundRefusal refusal);
extern int	uaef_inbound_refusal_status(UaefInboundRefusal refusal);
extern const char *uaef_inbound_refusal_text(UaefInboundRefusal refusal);

/*
 * Count it.  At most once a minute and source, an event and a line in the
 * server's log tell how many there were; nothing of a request is kept.
 */
extern void uaef_inbound_refused(const UaefInboundSource *source,
								 UaefInboundRefusal refusal);

#endif							/* UAEF_INBOUND_REFUSAL_H */
