/*-------------------------------------------------------------------------
 *
 * workflow_export.h
 *	  Workflows as scripts, and what differs between two versions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_EXPORT_H
#define UAEF_WORKFLOW_EXPORT_H

#include "fmgr.h"

/*
 * A script that makes this version of a workflow (0: the newest), the very
 * same document.  Raises UA302.
 */
extern char *uaef_export_workflow(const char *name, int32 version);

/*
 * Put a row (part, path, change, old, new) for each difference between two
 * versions into a set that has been begun.  new_version 0 is the newest,
 * old_version 0 the one before new_version.  Raises UA302.
 */
extern void uaef_compare_workflow(FunctionCallInfo fcinfo, const char *name,
								  int32 old_version, int32 new_version);

#endif							/* UAEF_WORKFLOW_EXPORT_H */
