/*-------------------------------------------------------------------------
 *
 * checkpoint_task.h
 *	  Checkpoint tasks: whether what an execution holds is as it must be.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CHECKPOINT_TASK_H
#define UAEF_CHECKPOINT_TASK_H

#include "compliance.h"
#include "execution.h"

/*
 * Put data that a task can read to a checkpoint (NULL: all of it), keep the
 * result in compliance_result, and tell the ledger.
 */
extern void uaef_checkpoint_judge(UaefTask *task,
								  const UaefStoredCheckpoint *stored,
								  const UaefTemplate *data,
								  UaefCheckpointResult *result);

#endif							/* UAEF_CHECKPOINT_TASK_H */
