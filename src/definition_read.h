/*-------------------------------------------------------------------------
 *
 * definition_read.h
 *	  Reading the JSON of a definition: typed, strict, with good errors.
 *
 * A key that is missing or null gives the default, or is an error when it is
 * required.  A value of a wrong type, or outside of its range, is an error
 * (UA300) that names the key and the object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DEFINITION_READ_H
#define UAEF_DEFINITION_READ_H

#include "compat.h"
#include "definition.h"
#include "utils/plancache.h"

/* A path that a template or condition reads, and who reads it. */
typedef struct UaefPathUse
{
	const UaefPath *path;
	const char *key;			/* of the template or condition */
	const char *where;			/* the object that has the key */
	int			task;			/* the reading task; -1: at the end */
	bool		after;			/* an edge: the task itself is completed */
	bool		item;			/* inside a map: there is an item */
	bool		approval;		/* told of one: there is sys.approval */
	bool		last;			/* a run that follows on others */
	bool		signal;			/* a filter: there is a signal */
} UaefPathUse;

/* A definition in the making. */
typedef struct UaefBuilder
{
	UaefDefinition *def;
	int			n_uses;
	int			max_uses;
	UaefPathUse *uses;
	UaefPathUse reader;			/* who reads what is now being compiled */
} UaefBuilder;

/* A JSON object of the definition. */
typedef struct UaefObject
{
	UaefBuilder *builder;
	JsonbContainer *container;
	const char *where;			/* "config of task \"score\"", for messages */
} UaefObject;

/* The value as an object whose keys are all in the NULL-terminated list. */
extern UaefObject uaef_read_object(UaefBuilder *builder, JsonbValue *value,
								   const char *const *keys,
								   const char *where);

/* The value of a key; false when it is missing or null. */
extern bool uaef_read_value(const UaefObject *object, const char *key,
							JsonbValue *value);

/* Raise "missing key", or "must be ..." with what it is. */
pg_noreturn extern void uaef_read_missing(const UaefObject *object,
										  const char *key);
pg_noreturn extern void uaef_read_wrong(const UaefObject *object,
										const char *key, const char *must_be);

/* Strings are never empty.  NULL: missing, and not required. */
extern char *uaef_read_text(const UaefObject *object, const char *key,
							bool required);
extern bool uaef_read_bool(const UaefObject *object, const char *key,
						   bool fallback);
extern int	uaef_read_int(const UaefObject *object, const char *key,
						  int fallback, int min, int max);
extern double uaef_read_double(const UaefObject *object, const char *key,
							   double fallback, double min, double max);
extern int64 uaef_read_duration(const UaefObject *object, const char *key,
								int64 fallback);

/* The number of the word in the NULL-terminated list. */
extern int	uaef_read_choice(const UaefObject *object, const char *key,
							 const char *const *words, int fallback);

/* "all": 0, "any": 1, or a number from 1 on. */
extern int	uaef_read_join(const UaefObject *object, const char *key);

/* An array of strings; returns their number, -1 when it is missing. */
extern int	uaef_read_texts(const UaefObject *object, const char *key,
							char ***texts);

/* An array's container and length, or NULL when it is missing. */
extern JsonbContainer *uaef_read_array(const UaefObject *object,
									   const char *key, bool required,
									   int *length);
extern JsonbValue uaef_read_element(JsonbContainer *array, int i);

/* Compile, and note the paths.  NULL when missing and not required. */
extern UaefTemplate *uaef_read_template(const UaefObject *object,
										const char *key);
extern UaefTemplate *uaef_read_text_template(const UaefObject *object,
											 const char *key);
extern UaefCondition *uaef_read_condition(const UaefObject *object,
										  const char *key, bool required);

/* Copies of an object's document; NULL when it is missing. */
extern Jsonb *uaef_read_document(const UaefObject *object, const char *key);

/* A JSON Schema, compiled; NULL when it is missing.  Raises UA230. */
extern UaefSchema *uaef_read_schema(const UaefObject *object, const char *key);

/*
 * In PG_CATCH: raise the error again, with where before its message, and with
 * the hint (or NULL) if it has none.  context is the one that was current
 * before PG_TRY.
 */
pg_noreturn extern void uaef_read_rethrow(MemoryContext context,
										  const char *where, const char *hint);

/*
 * In PG_CATCH: raise the error again, as one of an argument (22023) if it is of
 * a definition: what was read is the config of something else.
 */
pg_noreturn extern void uaef_read_rethrow_argument(MemoryContext context);

/* definition_config.c: "config" of a task whose type is known. */
extern void uaef_read_config(UaefBuilder *builder, UaefTaskDef *task,
							 JsonbValue *config, const char *where);

/* definition_parse.c: the keys of "retry" that are there, into *retry. */
extern void uaef_read_retry(UaefBuilder *builder, JsonbValue *value,
							const char *where, UaefRetry *retry);

/* definition_approval.c: "config" of a human_approval. */
extern void uaef_read_approval(const UaefObject *config,
							   UaefApprovalConfig *approval);

/*
 * definition_limit.c: "limits" of a task, or of executions (task NULL; the
 * keys then read no tasks).  Returns how many there are.
 */
extern int	uaef_read_limits(const UaefObject *object, const UaefTaskDef *task,
							 UaefLimitDef **limits);

/* definition_parse.c: the task of a map. */
extern UaefTaskDef *uaef_read_map_task(UaefBuilder *builder,
									   const UaefTaskDef *map,
									   JsonbValue *value, const char *where);

/* definition_workflow.c: "config" of a task that runs a workflow. */
extern void uaef_read_workflow(const UaefObject *config, UaefTaskDef *task);

/* definition_check.c: ids, edges, labels, paths. */
extern void uaef_definition_index(UaefDefinition *def);
extern void uaef_definition_check(UaefBuilder *builder);

/*
 * definition_catalog.c: SQL, roles and connectors that it names.  search_path
 * is the one to look names up by; NULL: that of the session.
 */
extern void uaef_definition_check_catalog(UaefDefinition *def,
										  const char *search_path);

/*
 * definition_catalog.c: settlement rules that its tasks name.  Raises UA320,
 * UA322; warns of rules that are for tasks which it does not have.
 */
extern void uaef_definition_check_rules(const UaefDefinition *def);

/* definition_objects.c: the objects of a planned statement, without a task. */
extern List *uaef_definition_objects(const CachedPlanSource *source);

#endif							/* UAEF_DEFINITION_READ_H */
