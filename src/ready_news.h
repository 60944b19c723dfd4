/*-------------------------------------------------------------------------
 *
 * ready_news.h
 *	  From which rank on an executor may find tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_READY_NEWS_H
#define UAEF_READY_NEWS_H

#include "shmem.h"

/* Ranks are lower; the highest one counts as the one before it. */
#define UAEF_NO_RANK	PG_INT64_MAX

/* A slot that is about to be an executor's: there may be tasks of any rank. */
extern void uaef_ready_news_reset(UaefExecutorSlot *slot);

/* This process is the executor with this slot. */
extern void uaef_ready_news_attach(UaefExecutorSlot *slot);

/* Whether it is one, so that somebody tells it of new tasks. */
extern bool uaef_ready_news_is_told(void);

/* Tell an executor that a task of this rank is in the ready set. */
extern void uaef_ready_news_tell(UaefExecutorSlot *slot, int64 rank);

/*
 * Before it looks at the ready set: the lowest rank that this process was told
 * since it was asked last (UAEF_NO_RANK: none).  False when it is no executor,
 * and nobody tells it anything.
 */
extern bool uaef_ready_news_hear(int64 *rank);

/* After that: what this process has left begins at this rank. */
extern void uaef_ready_news_left_at(int64 rank);

/* The rank from which on an executor may have left something. */
extern int64 uaef_ready_news_left(UaefExecutorSlot *slot);

/* The same of this process; UAEF_NO_RANK when it is no executor. */
extern int64 uaef_ready_news_rest(void);

#endif							/* UAEF_READY_NEWS_H */
