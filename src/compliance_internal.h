/*-------------------------------------------------------------------------
 *
 * compliance_internal.h
 *	  A compiled checkpoint: what compliance.c and compliance_kinds.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COMPLIANCE_INTERNAL_H
#define UAEF_COMPLIANCE_INTERNAL_H

#include "amount.h"
#include "compliance.h"
#include "condition.h"
#include "definition_read.h"

typedef enum CheckKind
{
	CHECK_REQUIRED_FIELDS,
	CHECK_THRESHOLD,
	CHECK_CONDITION,
	CHECK_ENUM,
	CHECK_PATTERN,
	CHECK_CROSS_FIELD,
	CHECK_FRESHNESS,
	CHECK_SEGREGATION,
	CHECK_ATTESTATION,
	CHECK_EXPR
} CheckKind;

typedef struct Check
{
	CheckKind	kind;
	int			n_fields;		/* of a threshold: 1 */
	UaefPath  **fields;
	bool		non_empty;
	Numeric		min;			/* or NULL */
	Numeric		max;			/* or NULL */
	UaefCondition *when;
	Jsonb	   *values;			/* of an enum: an array of plain values */
	text	   *pattern;
	int			op;				/* of cross_field: between fields 0 and 1 */
	int64		max_age_ms;		/* 0: any */
	int			n_by;			/* of an attestation: -1: anybody */
	char	  **by;
	char	   *statement;		/* or NULL */
	UaefAmount *expr;
} Check;

struct UaefCheckpoint
{
	int			n;
	Check	   *checks;
};

/* An evaluation. */
typedef struct CheckRun
{
	const Check *check;			/* NULL: of none */
	int			number;			/* of the check, from 1 on */
	JsonbParseState *failures;
	UaefCheckpointResult *result;
} CheckRun;

/* compliance.c */
extern UaefPath *uaef_check_path(const UaefObject *object, const char *key,
								 const char *text);
extern Numeric uaef_check_number(const UaefObject *object, const char *key);
extern void uaef_check_read_fields(const UaefObject *object, Check *check);
extern void uaef_check_fail(CheckRun *run, const char *path, const char *code,
							char *message);

/* compliance_kinds.c: reading and running the other kinds. */
extern void uaef_check_read_enum(const UaefObject *object, Check *check);
extern void uaef_check_read_pattern(const UaefObject *object, Check *check);
extern void uaef_check_read_cross_field(const UaefObject *object,
										Check *check);
extern void uaef_check_read_freshness(const UaefObject *object, Check *check);
extern void uaef_check_read_segregation(const UaefObject *object,
										Check *check);
extern void uaef_check_read_attestation(const UaefObject *object,
										Check *check);
extern void uaef_check_read_expr(const UaefObject *object, Check *check);
extern void uaef_check_enum(CheckRun *run, UaefScope *scope);
extern void uaef_check_pattern(CheckRun *run, UaefScope *scope);
extern void uaef_check_cross_field(CheckRun *run, UaefScope *scope);
extern void uaef_check_freshness(CheckRun *run, UaefScope *scope);
extern void uaef_check_segregation(CheckRun *run, UaefScope *scope);
extern void uaef_check_attestation(CheckRun *run, UaefScope *scope);
extern void uaef_check_expr(CheckRun *run, UaefScope *scope);

#endif							/* UAEF_COMPLIANCE_INTERNAL_H */
