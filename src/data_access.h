/*-------------------------------------------------------------------------
 *
 * data_access.h
 *	  What the SQL of a task may reach: tables, functions, rows, cost, time.
 *
 * A guard is put up while the SQL of one task runs.  The server then asks it
 * (executor and object access hooks, so that nothing depends on how the SQL is
 * written) before each statement, however deep it is nested and as whatever
 * role it runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DATA_ACCESS_H
#define UAEF_DATA_ACCESS_H

#include "nodes/pg_list.h"

typedef enum UaefPrivilege
{
	UAEF_SELECT,
	UAEF_INSERT,
	UAEF_UPDATE,
	UAEF_DELETE
} UaefPrivilege;

#define UAEF_N_PRIVILEGES (UAEF_DELETE + 1)

/* A privilege on a table. */
typedef struct UaefTableRight
{
	bool		granted;
	int			n_columns;		/* 0: all */
	char	  **columns;
} UaefTableRight;

/* What a policy lets be done to a table. */
typedef struct UaefTableAccess
{
	char	   *name;			/* "schema.table", with "*" for any */
	UaefTableRight rights[UAEF_N_PRIVILEGES];
} UaefTableAccess;

/* The rules of one data_access policy. */
typedef struct UaefDataAccess
{
	int			n_tables;		/* -1: any table */
	UaefTableAccess *tables;
	int			n_functions;	/* -1: any function */
	char	  **functions;		/* "schema.name", with "*" for any */
	int64		timeout_ms;		/* of the whole SQL; 0: none */
	int64		max_rows;		/* of a statement; -1: no limit */
	double		max_cost;		/* of a statement's plan; -1: no limit */
} UaefDataAccess;

/* One policy of a guard. */
typedef struct UaefGuardRule
{
	const void *policy;			/* whose it is, for who reads the findings */
	const char *name;
	const UaefDataAccess *access;
	bool		strict;			/* a breach is an error */
} UaefGuardRule;

/* A breach that was seen. */
typedef struct UaefGuardFinding
{
	const UaefGuardRule *rule;
	char	   *reason;
} UaefGuardFinding;

typedef struct UaefGuard
{
	int			n_rules;
	UaefGuardRule *rules;
	List	   *findings;		/* UaefGuardFinding *, each reason once */
	const UaefGuardFinding *breach; /* the first one that is an error */
} UaefGuard;

/* From _PG_init: put the hooks in place. */
extern void uaef_data_access_init(void);

/* Whether a text matches a pattern, in which "*" stands for any characters. */
extern bool uaef_glob_match(const char *pattern, const char *text);

/* The shortest time that a guard gives, in ms; 0: none. */
extern int64 uaef_guard_timeout_ms(const UaefGuard *guard);

/*
 * Put up a guard, which NULL does not.  It comes down with the current
 * subtransaction at the latest.
 */
extern void uaef_guard_up(UaefGuard *guard);

/*
 * Take it down.  Raises UA330 for a breach that the SQL has caught.
 */
extern void uaef_guard_down(void);

/* Take it down after an error. */
extern void uaef_guard_drop(void);

/* How long the SQL took: note a breach of whoever gives it less. */
extern void uaef_guard_took(UaefGuard *guard, int64 ms);

#endif							/* UAEF_DATA_ACCESS_H */
