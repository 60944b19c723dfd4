/*-------------------------------------------------------------------------
 *
 * compliance.h
 *	  Compliance checkpoints: what data must be like to pass.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COMPLIANCE_H
#define UAEF_COMPLIANCE_H

#include "eval_error.h"
#include "scope.h"

typedef struct UaefCheckpoint UaefCheckpoint;

/* What a checkpoint says about some data. */
typedef struct UaefCheckpointResult
{
	bool		passed;
	int			n_failures;
	char	   *first_failure;	/* its message; NULL: passed */
	Jsonb	   *failures;		/* an array of objects */
} UaefCheckpointResult;

/* A stored checkpoint. */
typedef struct UaefStoredCheckpoint
{
	const char *name;
	int32		version;
	UaefCheckpoint *checkpoint;
} UaefStoredCheckpoint;

/*
 * Check and compile a document, in the current context.  Raises UA300 and
 * UA220 with the place.
 */
extern UaefCheckpoint *uaef_checkpoint_compile(Jsonb *document);

/*
 * Put data to it.  Data that cannot be judged (missing, of a wrong type) does
 * not pass.  Paths and types are told, and no values.
 */
extern void uaef_checkpoint_evaluate(const UaefCheckpoint *checkpoint,
									 UaefScope *scope,
									 UaefCheckpointResult *result);

/* The result for data that there is none of, for this reason. */
extern void uaef_checkpoint_no_data(const UaefEvalError *error,
									UaefCheckpointResult *result);

/* {"checkpoint", "version", "passed", "failures"} */
extern Jsonb *uaef_checkpoint_result_json(const UaefStoredCheckpoint *stored,
										  const UaefCheckpointResult *result);

/*
 * compliance_store.c: store a checkpoint as a new version, or find that the
 * newest is the same; returns the version.  description may be NULL.
 */
extern int32 uaef_checkpoint_create(const char *name, Jsonb *document,
									const char *description);

/*
 * compliance_store.c: the newest version, compiled; false when there is none.
 * The identity must be the owner.
 */
extern bool uaef_checkpoint_find(const char *name,
								 UaefStoredCheckpoint *stored);

/* compliance_store.c: raise UA341, naming the checkpoint; where may be NULL. */
extern void uaef_checkpoint_require(const char *name, const char *where);

/* compliance_store.c: put a document to the newest version of a checkpoint. */
extern Jsonb *uaef_checkpoint_evaluate_document(const char *name, Jsonb *data);

#endif							/* UAEF_COMPLIANCE_H */
