/*-------------------------------------------------------------------------
 *
 * task_request.h
 *	  Filling in what a task asks of the outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TASK_REQUEST_H
#define UAEF_TASK_REQUEST_H

#include "delivery_queue.h"
#include "execution.h"

/*
 * The input of a SQL or external task: its template, else the map's item, else
 * all of the execution's input.  NULL on failure.
 */
extern Jsonb *uaef_task_input(UaefTask *task, UaefEvalError *error);

/* The request of an HTTP task. */
extern bool uaef_http_request(UaefTask *task, UaefDeliveryRequest *request,
							  UaefEvalError *error);

/* The time that a wait's "until" gives. */
extern bool uaef_wait_until(const UaefTemplate *until, UaefScope *scope,
							TimestampTz *due, UaefEvalError *error);

#endif							/* UAEF_TASK_REQUEST_H */
