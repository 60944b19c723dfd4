/*-------------------------------------------------------------------------
 *
 * human_review.h
 *	  Tasks of one execution that people must agree to before they begin.
 *
 * Only the engine includes this, but for the first function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HUMAN_REVIEW_H
#define UAEF_HUMAN_REVIEW_H

#include "execution.h"
#include "policy.h"

/* What such an approval is called where a policy would be named. */
#define UAEF_HUMAN_REVIEW "human review"

/*
 * Let a task begin only when people have agreed, as the current user.  rules
 * are those of an approval policy.  Raises UA304 (no such task), UA305 (it has
 * begun), UA300 (bad rules), 42704 (no such role).
 */
extern void uaef_human_review_require(const pg_uuid_t *id, const char *task,
									  Jsonb *rules, const char *reason);

/*
 * What stands over a task as an approval policy does; NULL: nothing.  *shown
 * is what people are to see besides the task.
 */
extern UaefPolicy *uaef_human_review_of(const UaefTask *task, Jsonb **shown);

#endif							/* UAEF_HUMAN_REVIEW_H */
