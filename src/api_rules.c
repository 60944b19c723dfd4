/*-------------------------------------------------------------------------
 *
 * api_rules.c
 *	  SQL entry points of the rules: conditions, templates, amounts, splits.
 *
 * A compiled program is kept with the call site (fn_extra) and used again as
 * long as its source has the same bytes, so that a query over many rows
 * compiles once.
 *
 * Locking: none.  Memory: programs live in a child of fn_mcxt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "condition.h"
#include "template.h"

/* A program and the bytes that it was compiled from. */
typedef struct ProgramCache
{
	MemoryContext context;		/* of source and program */
	struct varlena *source;
	void	   *program;
} ProgramCache;

typedef void *(*CompileProgram) (FunctionCallInfo fcinfo,
								 struct varlena *source);

static void *cached_program(FunctionCallInfo fcinfo, struct varlena *source,
							CompileProgram compile);
static void *compile_condition(FunctionCallInfo fcinfo,
							   struct varlena *source);
static void *compile_template(FunctionCallInfo fcinfo,
							  struct varlena *source);

PG_FUNCTION_INFO_V1(uaef_evaluate_condition);
PG_FUNCTION_INFO_V1(uaef_fill_template);

/*
 * The program of source, compiled now or by an earlier call of this call
 * site.  The cache is emptied first, so that an error leaves no half of one.
 */
static void *
cached_program(FunctionCallInfo fcinfo, struct varlena *source,
			   CompileProgram compile)
{
	ProgramCache *cache = fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									   sizeof(ProgramCache));
		cache->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											   "uaef rule",
											   ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = cache;
	}
	if (cache->program != NULL &&
		VARSIZE(cache->source) == VARSIZE(source) &&
		memcmp(cache->source, source, VARSIZE(source)) == 0)
		return cache->program;

	cache->program = NULL;
	MemoryContextReset(cache->context);
	caller = MemoryContextSwitchTo(cache->context);
	cache->source = palloc(VARSIZE(source));
	memcpy(cache->source, source, VARSIZE(source));
	cache->program = compile(fcinfo, cache->source);
	MemoryContextSwitchTo(caller);
	return cache->program;
}

static void *
compile_condition(FunctionCallInfo fcinfo, struct varlena *source)
{
	return uaef_condition_compile((Jsonb *) source, true);
}

static void *
compile_template(FunctionCallInfo fcinfo, struct varlena *source)
{
	return uaef_template_compile_any_root((Jsonb *) source);
}

/* uaef.evaluate_condition(condition jsonb, data jsonb) RETURNS boolean */
Datum
uaef_evaluate_condition(PG_FUNCTION_ARGS)
{
	UaefCondition *condition =
	cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
				   compile_condition);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};
	UaefEvalError error;
	bool		result;

	if (!uaef_condition_eval(condition, &scope, &result, &error))
		uaef_eval_raise(&error);
	PG_RETURN_BOOL(result);
}

/* uaef.fill_template(template jsonb, data jsonb) RETURNS jsonb */
Datum
uaef_fill_template(PG_FUNCTION_ARGS)
{
	UaefTemplate *tmpl =
	cached_program(fcinfo, (struct varlena *) PG_GETARG_JSONB_P(0),
				   compile_template);
	UaefScope	scope = {.document = PG_GETARG_JSONB_P(1)};
	UaefEvalError error;
	Jsonb	   *document = uaef_template_fill(tmpl, &scope, &error);

	if (document == NULL)
		uaef_eval_raise(&error);
	PG_RETURN_JSONB_P(document);
}
