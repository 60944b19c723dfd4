/*-------------------------------------------------------------------------
 *
 * set_result.h
 *	  Functions that return sets of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SET_RESULT_H
#define UAEF_SET_RESULT_H

#include "funcapi.h"

/*
 * Begin a materialized result: afterwards put rows into
 * ((ReturnSetInfo *) fcinfo->resultinfo)->setResult, of the form setDesc.
 * The same in every version of the server that we build for.
 */
extern void uaef_begin_set(FunctionCallInfo fcinfo);

/* Put one row. */
extern void uaef_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);

#endif							/* UAEF_SET_RESULT_H */
