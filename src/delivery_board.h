/*-------------------------------------------------------------------------
 *
 * delivery_board.h
 *	  The lanes that have something to send, as the worker remembers them.
 *
 * Reading what waits costs an index descent for each lane, so it is not done
 * for every claim: the lanes that are due stay on a board, in the order in
 * which their turns come, until all of them were asked, or until somebody says
 * that there may be more.  With thousands of lanes it is not read more often
 * than its reading is worth.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_BOARD_H
#define UAEF_DELIVERY_BOARD_H

#include "lib/ilist.h"

#include "delivery_gate.h"

/* The gates that one delivery passes. */
typedef struct UaefPassage
{
	UaefGate   *connector;		/* NULL: it goes through none */
	UaefGate   *host;
} UaefPassage;

/* A lane's deliveries of one rank, of which the first one is due. */
typedef struct UaefLane
{
	dlist_node	node;			/* of its rank's lanes */
	char	   *name;
	int			rank;			/* lower ones first */
	TimestampTz first;			/* when its first one is due */
	UaefPassage passage;		/* no host: its limits were not read yet */
	uint64		limits_of;		/* the claim for which they were read */
	bool		paused;			/* its connector is */
	int			room;			/* how many may be claimed now */
	int			got;
} UaefLane;

/* The lanes of one rank that may be asked; whose turn it is, is first. */
typedef struct UaefRank
{
	int			rank;
	dlist_head	lanes;
} UaefRank;

typedef struct UaefBoard
{
	int			n_ranks;
	UaefRank   *ranks;
	TimestampTz later;			/* when the first lane is due that is not due
								 * yet; DT_NOEND: none */
	bool		emptied;		/* a lane was: what it has for later is not
								 * known */
	TimestampTz again;			/* it should be read then; DT_NOEND: it is not
								 * outdated */
} UaefBoard;

/*
 * Begin to claim: the board, read anew if it must be, or is outdated and may
 * be.  Until uaef_board_claimed() what is done with it counts as undone.
 */
extern UaefBoard *uaef_board(TimestampTz now);

/* What was claimed is committed. */
extern void uaef_board_claimed(void);

/* There may be lanes that it lacks. */
extern void uaef_board_outdate(void);

/* Read it now, unless it was read too lately; returns whether it was. */
extern bool uaef_board_read(TimestampTz now);

/* Read the limits of lanes for a claim, of all in one statement. */
extern void uaef_lanes_read_limits(UaefLane **lanes, int n, uint64 claim);

/* Take a lane off the board; it has nothing more, or is not to be asked. */
extern void uaef_board_drop(UaefLane *lane);

extern UaefPassage uaef_delivery_passage(const char *lane);

/* Gates are about to go, and with them the board. */
extern void uaef_board_forget(void);

#endif							/* UAEF_DELIVERY_BOARD_H */
