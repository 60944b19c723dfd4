/*-------------------------------------------------------------------------
 *
 * workflow_graph.h
 *	  Workflows as pictures: text for psql, Mermaid, Graphviz.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_GRAPH_H
#define UAEF_WORKFLOW_GRAPH_H

#include "utils/uuid.h"

/*
 * The newest version of a workflow, or an execution with the status of its
 * tasks; an execution's id works as a name too.  format is text, mermaid or
 * dot.  Raises UA302, UA303, 22023 for another format, and 42501 unless the
 * current user is a member of the role that started the execution.
 */
extern char *uaef_graph_of_workflow(const char *name, const char *format);
extern char *uaef_graph_of_execution(const pg_uuid_t *execution_id,
									 const char *format);

#endif							/* UAEF_WORKFLOW_GRAPH_H */
