/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  Workflow definitions, checked and compiled.
 *
 * A definition never changes once it is stored, so a backend keeps what it
 * compiled for as long as it lives (definition_cache.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DEFINITION_H
#define UAEF_DEFINITION_H

#include "compat.h"
#include "condition.h"
#include "json_schema.h"
#include "template.h"

typedef enum UaefTaskType
{
	UAEF_TASK_SQL,
	UAEF_TASK_DECISION,
	UAEF_TASK_CONDITION,
	UAEF_TASK_PARALLEL,			/* a fork without config, else a map */
	UAEF_TASK_HUMAN_APPROVAL,
	UAEF_TASK_HTTP,
	UAEF_TASK_WAIT,
	UAEF_TASK_EXTERNAL,
	UAEF_TASK_SIGNAL,
	UAEF_TASK_CHECKPOINT,
	UAEF_TASK_AGENT,
	UAEF_TASK_WORKFLOW,
	UAEF_TASK_CONNECTOR,
	UAEF_TASK_SETTLE
} UaefTaskType;

/* What the queues of agents' tasks begin with; a name follows. */
#define UAEF_AGENT_QUEUE		"#agent/"
#define UAEF_CAPABILITY_QUEUE	"#capability/"

/* Longest name of a signal, in bytes. */
#define UAEF_MAX_SIGNAL_NAME 200

typedef enum UaefOnFailure
{
	UAEF_FAIL_EXECUTION,		/* "fail": the execution fails */
	UAEF_FAIL_CONTINUE,			/* "continue": go on as if completed */
	UAEF_FAIL_SKIP				/* "skip": outgoing edges are dead */
} UaefOnFailure;

/* "retry": when and how often to try again.  Times are milliseconds. */
typedef struct UaefRetry
{
	int			max_attempts;	/* 1: no retry (the default) */
	bool		exponential;	/* "backoff": exponential or fixed */
	int64		initial_ms;
	double		factor;
	int64		max_ms;
	double		jitter;			/* 0..1: share of the delay that is random */
	int			n_on;			/* "on": SQLSTATEs or classes; 0: transient */
	char	  **on;
	int			n_not_on;		/* "not_on": the same, never tried again */
	char	  **not_on;
} UaefRetry;

/* How much may go on at once, and how often something may begin. */
typedef struct UaefBound
{
	int			concurrency;	/* 0: any number at once */
	int64		interval_us;	/* between two starts; 0: any rate */
	int			burst;			/* so many starts may come together */
} UaefBound;

/* One entry of "limits". */
typedef struct UaefLimitDef
{
	char	   *name;			/* of a shared one, else made of its place */
	bool		shared;			/* its bound is in uaef.workflow_limit */
	UaefTemplate *key;			/* one string; NULL: the same for all */
	UaefBound	bound;
} UaefLimitDef;

/* "on_limit": what happens to an execution that may not begin yet. */
typedef enum UaefOnLimit
{
	UAEF_ON_LIMIT_QUEUE,		/* it waits */
	UAEF_ON_LIMIT_SKIP,			/* it is cancelled */
	UAEF_ON_LIMIT_CANCEL_OLDEST /* the oldest one is, and it waits for that */
} UaefOnLimit;

/* One "cases" entry of a decision. */
typedef struct UaefCase
{
	char	   *label;
	UaefCondition *when;
} UaefCase;

typedef struct UaefTaskDef UaefTaskDef;

/* The parts of "config", by type. */
typedef struct UaefSqlConfig
{
	char	   *sql;
	UaefTemplate *input;		/* NULL: all of in; for a map's task: item */
} UaefSqlConfig;

typedef struct UaefDecisionConfig
{
	int			n_cases;
	UaefCase   *cases;
	char	   *default_label;	/* NULL: no case is a failure */
} UaefDecisionConfig;

typedef struct UaefConditionConfig
{
	UaefCondition *when;
} UaefConditionConfig;

typedef struct UaefParallelConfig
{
	UaefTemplate *over;			/* NULL: a fork */
	UaefTaskDef *task;			/* what each item runs; its no is the map's */
	int			concurrency;	/* 0: all at once */
	int			join;			/* 0: all items; n: as soon as n completed */
} UaefParallelConfig;

/* Roles that are named, or come from data. */
typedef struct UaefRoleList
{
	UaefTemplate *roles;		/* gives a role or an array of them; or NULL */
	int			n_fixed;		/* those that are written out */
	char	  **fixed;
} UaefRoleList;

/* Approvers with a quorum of their own. */
typedef struct UaefApprovalGroup
{
	UaefRoleList approvers;
	int			need;
} UaefApprovalGroup;

typedef struct UaefApprovalStage
{
	UaefRoleList approvers;		/* roles NULL: whoever may approve, or groups */
	int			need;
	int			n_groups;		/* 0: approvers and need */
	UaefApprovalGroup *groups;
	int			reject_need;
	UaefCondition *when;		/* NULL: always */
} UaefApprovalStage;

typedef struct UaefEscalation
{
	int64		after_ms;		/* of the stage's beginning; -1: at expiry */
	UaefRoleList to;
} UaefEscalation;

/* What people are told of approvals: {"connector","body"}. */
typedef struct UaefNotifyConfig
{
	char	   *connector;		/* NULL: they are not told */
	UaefTemplate *body;			/* NULL: the approval's data */
} UaefNotifyConfig;

typedef struct UaefApprovalConfig
{
	UaefTemplate *description;	/* a string template, or NULL */
	int			n_stages;
	UaefApprovalStage *stages;
	bool		four_eyes;		/* the initiator may not approve */
	bool		distinct;		/* nor, in a stage, who did in another */
	int64		expires_ms;		/* 0: never */
	bool		expiry_escalates;	/* while an escalation is left */
	int64		remind_ms;		/* 0: never */
	int			n_escalations;
	UaefEscalation *escalations;
	UaefNotifyConfig notify;
	Jsonb	   *form;			/* JSON Schema of the response, or NULL */
	UaefTemplate *show;			/* or NULL */
} UaefApprovalConfig;

typedef struct UaefHttpConfig
{
	char	   *connector;		/* or NULL, then url */
	UaefTemplate *url;			/* one string */
	char	   *method;			/* upper case */
	int			n_headers;
	char	  **header_names;
	UaefTemplate **header_values;
	UaefTemplate *body;			/* or NULL */
	Jsonb	   *expect;			/* {"status":[200,201]}, or NULL: 2xx */
	bool		idempotent;		/* may be sent again when in doubt */
} UaefHttpConfig;

typedef struct UaefConnectorCall
{
	char	   *connector;
	char	   *operation;		/* NULL: the type's first */
	UaefTemplate *payload;
	bool		idempotent;		/* may be sent again when in doubt */
} UaefConnectorCall;

typedef struct UaefWaitConfig
{
	int64		for_ms;			/* -1: until, or query */
	UaefTemplate *until;		/* gives a timestamp string; or NULL */
	UaefSqlConfig query;		/* its sql is NULL: for, or until */
	int64		every_ms;		/* how often the query is run */
} UaefWaitConfig;

typedef struct UaefSignalConfig
{
	char	   *name;
	UaefTemplate *match;		/* the payload must contain it; or NULL */
	UaefCondition *filter;		/* over signal; or NULL */
} UaefSignalConfig;

typedef struct UaefCheckpointConfig
{
	char	   *name;
	UaefTemplate *data;			/* NULL: all that paths can read */
} UaefCheckpointConfig;

/* What a settle task waits for, once there are signals. */
typedef enum UaefSettleWait
{
	UAEF_SETTLE_NO_WAIT,
	UAEF_SETTLE_WAIT_APPROVED,
	UAEF_SETTLE_WAIT_PAID
} UaefSettleWait;

typedef struct UaefSettleConfig
{
	int			n_rules;		/* 0: all that are for the task */
	char	  **rules;
	UaefTemplate *input;		/* what rules read as in; NULL: the same */
	UaefSettleWait wait;
	bool		reverse;		/* take back what the task has settled */
} UaefSettleConfig;

typedef struct UaefExternalConfig
{
	UaefTemplate *input;		/* NULL: all of in; for a map's task: item */
	int64		lease_ms;		/* of claims that ask for none; 0: usual */
} UaefExternalConfig;

typedef struct UaefAgentConfig
{
	char	   *capability;		/* or NULL, then agent */
	char	   *agent;			/* its name */
	UaefTemplate *prompt;		/* a text; or NULL */
	UaefTemplate *context;		/* or NULL */
	UaefTemplate *messages;		/* of a chat, instead of prompt; or NULL */
	UaefTemplate *tools;		/* that a model may ask for; or NULL */
	UaefTemplate *input;		/* as of an external task */
	Jsonb	   *output_schema;	/* or NULL */
	UaefSchema *schema;			/* the same, compiled */
} UaefAgentConfig;

/* "repeat": run the workflow again until a condition holds. */
typedef struct UaefRepeat
{
	UaefCondition *until;		/* over the last output; NULL: run once */
	int			max;			/* runs */
	int64		delay_ms;		/* between runs */
	UaefTemplate *first;		/* "last" before the first run, or NULL */
} UaefRepeat;

typedef struct UaefWorkflowConfig
{
	char	   *name;
	int			version;		/* 0: newest */
	UaefTemplate *input;		/* NULL: all of in; for a map's task: item */
	UaefRepeat	repeat;
} UaefWorkflowConfig;

struct UaefTaskDef
{
	int			no;				/* index in the definition's tasks */
	char	   *id;				/* a task within a task has the outer one's */
	char	   *description;	/* for people, or NULL */
	UaefTaskType type;
	UaefRetry	retry;
	int64		timeout_ms;		/* of an attempt; 0: none */
	UaefOnFailure on_failure;
	char	   *queue;			/* external tasks; uaef_queue_key() */
	int			priority;		/* added to the execution's */
	int			join;			/* 0: all incoming edges resolved; n: n live */
	int			n_in;			/* edges by number, in the definition's edges */
	int		   *in;
	int			n_out;
	int		   *out;
	bool		has_labels;		/* an outgoing edge has "on" */
	int			n_policies;		/* "policies": names, besides their scopes */
	char	  **policies;
	UaefSchema *output_schema;	/* or NULL */
	int			n_limits;
	UaefLimitDef *limits;
	int			rank;			/* no task that comes before has a higher one */
	UaefTaskDef *compensate;	/* what undoes it, or NULL */
	union
	{
		UaefSqlConfig sql;
		UaefDecisionConfig decision;
		UaefConditionConfig condition;
		UaefParallelConfig parallel;
		UaefApprovalConfig approval;
		UaefHttpConfig http;
		UaefConnectorCall call;
		UaefWaitConfig wait;
		UaefExternalConfig external;
		UaefSignalConfig signal;
		UaefCheckpointConfig checkpoint;
		UaefAgentConfig agent;
		UaefWorkflowConfig workflow;
		UaefSettleConfig settle;
	}			config;
};

typedef struct UaefEdge
{
	int			from;
	int			to;
	char	   *on;				/* label, or NULL */
	UaefCondition *when;		/* or NULL; with on, both must hold */
	Jsonb	   *when_json;		/* as it was written, for graphs */
} UaefEdge;

/* Something of the database that a task needs: as pg_depend has it. */
typedef struct UaefObjectUse
{
	const char *task;
	Oid			classid;
	Oid			objid;
	int32		objsubid;
} UaefObjectUse;

/* "budget": what calls of agents may use in a day (UTC); 0: any amount. */
typedef struct UaefBudget
{
	int64		max_tokens;
	int64		max_cost;		/* in minor units of the currency */
	char	   *currency;		/* or NULL */
} UaefBudget;

typedef struct UaefDefinition
{
	int32		definition_id;
	char	   *name;
	int32		version;
	int			n_tasks;
	UaefTaskDef *tasks;
	int		   *by_id;			/* task numbers in the order of their ids */
	int			n_edges;
	UaefEdge   *edges;
	int			n_roots;		/* tasks without incoming edges */
	int		   *roots;
	int			n_compensated;	/* tasks with "compensate" */
	UaefTemplate *output;		/* NULL: what the tasks at the end gave */
	Jsonb	   *context;		/* ctx; NULL: {} */
	int			n_policies;		/* "policies": of all its tasks */
	char	  **policies;
	UaefSchema *input_schema;	/* or NULL */
	UaefSchema *output_schema;	/* or NULL */
	bool		only_pure;		/* no task ever waits */
	List	   *objects;		/* UaefObjectUse *, if it has been planned */
	int64		timeout_ms;		/* of an execution; 0: none */
	int			n_limits;		/* of whole executions */
	UaefLimitDef *limits;
	UaefOnLimit on_limit;
	bool		runs_workflows; /* a task is of type workflow */
	UaefBudget	budget;
} UaefDefinition;

/*
 * Check and compile a document, in the current memory context.  Raises with
 * the id of the offending task or edge.  With plan_sql, the definition is a new
 * one: limits of size hold, each SQL task's text is parsed and planned as the
 * current user, and the roles and connectors that it names must exist (not
 * wanted when compiling a stored definition again).
 */
extern UaefDefinition *uaef_definition_compile(const char *name, Jsonb *document,
											   bool plan_sql);

/*
 * The stored definition of this id, compiled, from the backend's cache.  It
 * stays where it is until the transaction ends.  Raises UA302.
 */
extern const UaefDefinition *uaef_definition_get(int32 definition_id);

/*
 * The definition_id of a workflow's version (0: the newest).  Raises UA302
 * when there is none.
 */
extern int32 uaef_definition_find(const char *name, int32 version);

/* The same, and whether executions of it are held back just now. */
extern int32 uaef_definition_find_start(const char *name, int32 version,
										bool *held);

/* The same for the newest version, but 0 when there is none. */
extern int32 uaef_definition_look_up_held(const char *name, bool *held);

/* The id of a version, but 0 when there is none. */
extern int32 uaef_definition_look_up(const char *name, int32 version);

/* What to do about a workflow that does not exist: which one was meant? */
extern const char *uaef_definition_hint(const char *name);

/* Raise UA302: no such workflow, with the hint. */
pg_noreturn extern void uaef_definition_undefined(const char *name);

/*
 * Store a definition as a new version of the workflow, or find that the
 * newest version is this definition; returns the version.  description may be
 * NULL.  Checks as uaef_definition_compile(), with the rights of the current
 * user.  Definitions of one name wait for each other until their transactions
 * end.
 */
extern int32 uaef_definition_create(const char *name, Jsonb *document,
									const char *description);

/*
 * What stands for a queue's tasks that need a capability (NULL: none) in the
 * ready set; palloc'd.
 */
extern char *uaef_queue_key(const char *queue, const char *capability);

/* The number of a task by its id, or -1. */
extern int	uaef_definition_task_no(const UaefDefinition *definition,
									const char *id, int len);

/* The SQL that a task runs as the role that started it, or NULL. */
extern const UaefSqlConfig *uaef_task_sql(const UaefTaskDef *task);

/* Whether a task may end with this label; all that it may, as a sentence. */
extern bool uaef_task_gives_label(const UaefTaskDef *task, const char *label);
extern char *uaef_task_labels(const UaefTaskDef *task);

/* "parallel" covers map. */
extern const char *uaef_task_type_name(UaefTaskType type);

/* The type of this name; false when there is none. */
extern bool uaef_task_type_by_name(const char *name, UaefTaskType *type);

/*
 * Whether a text can be the code of a failure: a SQLSTATE, a word such as
 * http_503, or, with classes, the class of a SQLSTATE.
 */
extern bool uaef_is_error_code(const char *code, bool classes);

/* Whether it may be the code of a failure that somebody tells of. */
extern bool uaef_is_failure_code(const char *code);

/* "100/min" as the time between two; false when it is no rate. */
extern bool uaef_rate_parse(const char *text, int64 *interval_us);

/*
 * "30s", "5min", "2d", "PT1H": any interval, to ms; raises for anything else,
 * and says where it stands.
 */
extern int64 uaef_duration_ms(const char *text, const char *where);

#endif							/* UAEF_DEFINITION_H */
