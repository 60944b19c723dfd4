/*-------------------------------------------------------------------------
 *
 * definition_objects.c
 *	  The objects of the database that the statement of a SQL task names.
 *
 * Tables and views with their columns, functions, types and schemas, as far
 * as users can make them.  What a function's own body needs is its own affair.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class_d.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_proc_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "definition_read.h"

/* What a walk through a query has found. */
typedef struct Walk
{
	List	   *rtables;		/* of the queries around, innermost first */
	List	   *objects;		/* UaefObjectUse * */
} Walk;

static void add(Walk *walk, Oid classid, Oid objid, int32 objsubid);
static void add_relation(Walk *walk, Oid relation, int32 column);
static void add_function(Walk *walk, Oid function);
static void add_type(Walk *walk, Oid type);
static bool add_function_of_node(Oid function, void *context);
static void add_var(Walk *walk, const Var *var);
static void add_named(Walk *walk, RangeVar *name);
static void add_utility(Walk *walk, Node *utility);
static void add_targets(Walk *walk, const Query *query);
static bool walk_node(Node *node, void *context);

static void
add(Walk *walk, Oid classid, Oid objid, int32 objsubid)
{
	UaefObjectUse *use;
	ListCell   *cell;

	if (objid < FirstNormalObjectId)
		return;
	foreach(cell, walk->objects)
	{
		use = lfirst(cell);
		if (use->classid == classid && use->objid == objid &&
			use->objsubid == objsubid)
			return;
	}
	use = palloc(sizeof(UaefObjectUse));
	use->task = NULL;
	use->classid = classid;
	use->objid = objid;
	use->objsubid = objsubid;
	walk->objects = lappend(walk->objects, use);
}

static void
add_relation(Walk *walk, Oid relation, int32 column)
{
	add(walk, RelationRelationId, relation, column);
	add(walk, NamespaceRelationId, get_rel_namespace(relation), 0);
}

static void
add_function(Walk *walk, Oid function)
{
	add(walk, ProcedureRelationId, function, 0);
	add(walk, NamespaceRelationId, get_func_namespace(function), 0);
}

/* The row type of a table is the table's affair. */
static void
add_type(Walk *walk, Oid type)
{
	Oid			element = get_element_type(type);

	if (OidIsValid(element))
		type = element;
	if (!OidIsValid(get_typ_typrelid(type)))
		add(walk, TypeRelationId, type, 0);
}

static bool
add_function_of_node(Oid function, void *context)
{
	add_function(context, function);
	return false;
}

/* A column; one of a join is the columns that it is made of. */
static void
add_var(Walk *walk, const Var *var)
{
	List	   *rtable;
	RangeTblEntry *entry;

	if (var->varlevelsup >= list_length(walk->rtables))
		return;
	rtable = list_nth(walk->rtables, var->varlevelsup);
	if (var->varno < 1 || var->varno > list_length(rtable))
		return;
	entry = rt_fetch(var->varno, rtable);
	if (entry->rtekind == RTE_RELATION)
		add_relation(walk, entry->relid, Max(var->varattno, 0));
	else if (entry->rtekind == RTE_JOIN && var->varattno > 0)
	{
		List	   *around = walk->rtables;

		walk->rtables = list_copy_tail(around, var->varlevelsup);
		(void) walk_node(list_nth(entry->joinaliasvars, var->varattno - 1),
						 walk);
		walk->rtables = around;
	}
}

static void
add_named(Walk *walk, RangeVar *name)
{
	Oid			relation = RangeVarGetRelid(name, NoLock, true);

	if (OidIsValid(relation))
		add_relation(walk, relation, 0);
}

/* The few commands that a task may be, besides queries. */
static void
add_utility(Walk *walk, Node *utility)
{
	ListCell   *cell;

	if (IsA(utility, CallStmt))
		(void) walk_node((Node *) ((CallStmt *) utility)->funcexpr, walk);
	else if (IsA(utility, RefreshMatViewStmt))
		add_named(walk, ((RefreshMatViewStmt *) utility)->relation);
	else if (IsA(utility, TruncateStmt))
		foreach(cell, ((TruncateStmt *) utility)->relations)
			add_named(walk, lfirst(cell));
}

/* The columns that an INSERT or UPDATE sets. */
static void
add_targets(Walk *walk, const Query *query)
{
	ListCell   *cell;

	if (query->commandType != CMD_INSERT && query->commandType != CMD_UPDATE)
		return;
	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst(cell);

		if (!target->resjunk)
			add_relation(walk, rt_fetch(query->resultRelation,
										query->rtable)->relid, target->resno);
	}
}

static bool
walk_node(Node *node, void *context)
{
	Walk	   *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		if (query->utilityStmt != NULL)
			add_utility(walk, query->utilityStmt);
		foreach(cell, query->rtable)
		{
			RangeTblEntry *entry = lfirst(cell);

			if (entry->rtekind == RTE_RELATION)
				add_relation(walk, entry->relid, 0);
		}
		walk->rtables = lcons(query->rtable, walk->rtables);
		add_targets(walk, query);
		(void) query_tree_walker(query, walk_node, context,
								 QTW_IGNORE_JOINALIASES);
		walk->rtables = list_delete_first(walk->rtables);
		return false;
	}
	if (IsA(node, Var))
		add_var(walk, (Var *) node);
	else if (IsA(node, Const) || IsA(node, RelabelType) ||
			 IsA(node, CoerceViaIO) || IsA(node, ArrayCoerceExpr) ||
			 IsA(node, CoerceToDomain) || IsA(node, RowExpr))
		add_type(walk, exprType(node));
	(void) check_functions_in_node(node, add_function_of_node, walk);
	return expression_tree_walker(node, walk_node, context);
}

/*
 * The objects of a statement that has been analysed and planned.
 */
List *
uaef_definition_objects(const CachedPlanSource *source)
{
	Walk		walk = {0};
	ListCell   *cell;

	foreach(cell, source->relationOids)
		add_relation(&walk, lfirst_oid(cell), 0);
	foreach(cell, source->query_list)
		(void) walk_node(lfirst(cell), &walk);
	return walk.objects;
}
