/*-------------------------------------------------------------------------
 *
 * workflow_stat.h
 *	  Counts of what workflows and their tasks did, since the server's start.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_STAT_H
#define UAEF_WORKFLOW_STAT_H

#include "datatype/timestamp.h"
#include "storage/spin.h"

/* What is counted. */
typedef enum UaefStatKind
{
	UAEF_STAT_STARTED,
	UAEF_STAT_COMPLETED,
	UAEF_STAT_FAILED,
	UAEF_STAT_CANCELLED,
	UAEF_STAT_SKIPPED,
	UAEF_STAT_RETRIED
} UaefStatKind;

#define UAEF_N_STATS		(UAEF_STAT_RETRIED + 1)

/* Times below 2^i ms fall in bucket i; the last one has the rest. */
#define UAEF_STAT_BUCKETS	32

/* Names longer than this are cut. */
#define UAEF_STAT_NAME		64

/* What is known of a workflow, or, with a task, of that task of it. */
typedef struct UaefStat
{
	Oid			database;
	char		workflow[UAEF_STAT_NAME];
	char		task[UAEF_STAT_NAME];	/* "": the executions as a whole */
	uint64		count[UAEF_N_STATS];
	uint64		total_us;		/* of those that completed or failed */
	uint64		min_us;
	uint64		max_us;
	uint32		bucket[UAEF_STAT_BUCKETS];
	TimestampTz since;
} UaefStat;

/* From _PG_init: ask for the memory if the library is being preloaded. */
extern void uaef_stat_init(void);

/*
 * Count something when the transaction commits; task NULL: of an execution.
 * duration_us below 0: it has none.  Free where nothing is counted, which is so
 * unless the library was preloaded.
 */
extern void uaef_stat_count(const char *workflow, const char *task,
							UaefStatKind kind, int64 duration_us);

/*
 * What is known about this database, palloc'd; returns how many.  -1: nothing
 * is counted.  *lost is how many names found no room.
 */
extern int	uaef_stat_read(UaefStat **stats, uint64 *lost);

/* Forget what is known of a workflow of this database (NULL: of all). */
extern void uaef_stat_reset(const char *workflow);

/*
 * The time in ms that this share (0..1) of the times counted are below; -1
 * when there are none.
 */
extern double uaef_stat_percentile(const UaefStat *stat, double share);

#endif							/* UAEF_WORKFLOW_STAT_H */
