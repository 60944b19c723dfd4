/*-------------------------------------------------------------------------
 *
 * settlement_timer.h
 *	  What time does to signals: approvals that nobody gave expire.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_TIMER_H
#define UAEF_SETTLEMENT_TIMER_H

#include "execution.h"

/* A timer "settlement" of an execution that has ended is due. */
extern void uaef_settlement_fire(UaefExecution *execution);

#endif							/* UAEF_SETTLEMENT_TIMER_H */
