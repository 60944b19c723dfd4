/*-------------------------------------------------------------------------
 *
 * task_input.h
 *	  The input that a SQL, external or agent task is given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TASK_INPUT_H
#define UAEF_TASK_INPUT_H

#include "execution.h"

/*
 * The input of a SQL, external or agent task: its template, else the map's item, else
 * all of the execution's input.  NULL on failure.
 */
extern Jsonb *uaef_task_input(UaefTask *task, UaefEvalError *error);

#endif							/* UAEF_TASK_INPUT_H */
