/*-------------------------------------------------------------------------
 *
 * workflow_dependency.h
 *	  What the definitions of workflows need of the database, and which of
 *	  them a command breaks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_DEPENDENCY_H
#define UAEF_WORKFLOW_DEPENDENCY_H

#include "commands/event_trigger.h"
#include "fmgr.h"

#include "definition.h"

/* Note what a definition needs, which has been checked against the catalogs. */
extern void uaef_dependency_store(int32 definition_id,
								  const UaefDefinition *def);

/*
 * Event triggers.  Before a command that alters or drops: note what
 * definitions need of which that is not known here, because they came with a
 * restore.  After it: warn, or raise 2BP01, of live workflows that it breaks.
 */
extern void uaef_dependency_heed_ddl(EventTriggerData *trigger);

/*
 * Put a row (task, kind, object) for each thing that the newest version of a
 * workflow needs into a set that has been begun.  Raises UA302.
 */
extern void uaef_dependency_list(FunctionCallInfo fcinfo, const char *name);

#endif							/* UAEF_WORKFLOW_DEPENDENCY_H */
