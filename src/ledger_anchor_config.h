/*-------------------------------------------------------------------------
 *
 * ledger_anchor_config.h
 *	  Anchors of the ledger: making, pausing and dropping them.
 *
 * A config is {"interval"}, of a witness with its "vkey", of a time-stamp
 * authority with its "ca".  It is checked whole when the anchor is made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_ANCHOR_CONFIG_H
#define UAEF_LEDGER_ANCHOR_CONFIG_H

#include "utils/jsonb.h"

#include "note.h"

typedef enum UaefAnchorKind
{
	UAEF_ANCHOR_WITNESS,
	UAEF_ANCHOR_WEBHOOK,
	UAEF_ANCHOR_FILE,
	UAEF_ANCHOR_TIMESTAMP
} UaefAnchorKind;

typedef struct UaefAnchorConfig
{
	int64		interval_ms;	/* at least between two checkpoints */
	UaefNoteKey witness;		/* of a witness */
	char	   *ca;				/* of an authority: certificates in PEM */
} UaefAnchorConfig;

/* Raises for a word that is no kind. */
extern UaefAnchorKind uaef_anchor_kind(const char *name);

/* Raises for what is wrong. */
extern void uaef_anchor_config_parse(UaefAnchorKind kind, Jsonb *document,
									 UaefAnchorConfig *config);

/* Each is an event.  They raise UA130 when there is no such anchor. */
extern void uaef_anchor_create(const char *name, const char *kind,
							   const char *target, Jsonb *config);
extern void uaef_anchor_drop(const char *name);
extern void uaef_anchor_pause(const char *name, bool paused);

#endif							/* UAEF_LEDGER_ANCHOR_CONFIG_H */
