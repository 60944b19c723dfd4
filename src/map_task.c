/*-------------------------------------------------------------------------
 *
 * map_task.c
 *	  Map tasks: one task for each element of a list, and their join.
 *
 * The map's row counts its items, so that the end of one costs the same
 * whether there are ten or a hundred thousand.  All items get their rows when
 * the map begins, so that the list is evaluated once; where concurrency is
 * limited, the end of one begins the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "errcodes.h"
#include "failure.h"
#include "guc.h"
#include "map_task.h"
#include "task_kind.h"

/* Most items read with one query. */
#define MAX_FETCH 64

static void begin_map(UaefTask *map);
static void begin_again(UaefTask *map);
static Jsonb *evaluate_list(UaefTask *map, UaefEvalError *error);
static void make_items(UaefTask *map, Jsonb *list);
static UaefTask *next_item(UaefTask *map);
static int	room_for_items(UaefTask *map);
static void redo_items(UaefTask *map);
static void begin_items(UaefTask *map);
static void complete_map(UaefTask *map);
static void cancel_items(UaefTask *map);

const UaefTaskKind uaef_map_task = {.begin = begin_map};

/*
 * The list that a map runs over, or NULL.
 */
static Jsonb *
evaluate_list(UaefTask *map, UaefEvalError *error)
{
	Jsonb	   *list = uaef_template_fill(map->def->config.parallel.over,
										  uaef_task_scope(map), error);

	if (list == NULL)
		return NULL;
	if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
	{
		uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "over", NULL,
					   "\"over\" must give an array");
		return NULL;
	}
	if (JB_ROOT_COUNT(list) > uaef_max_map_items)
	{
		uaef_eval_fail(error, ERRCODE_UAEF_TOO_LARGE, "over", NULL,
					   "a list of %d items is longer than uaef.max_map_items (%d)",
					   (int) JB_ROOT_COUNT(list), uaef_max_map_items);
		return NULL;
	}
	return list;
}

/*
 * Expand the list and begin as many items as may run together.  A fork has no
 * list, and no work of its own.
 */
static void
begin_map(UaefTask *map)
{
	UaefEvalError error = {0};
	Jsonb	   *list;

	if (map->def->config.parallel.over == NULL)
	{
		uaef_advance_finish_task(map, uaef_json_empty(), NULL);
		return;
	}
	if (map->items_total >= 0)
	{
		begin_again(map);
		return;
	}
	list = evaluate_list(map, &error);
	if (list == NULL)
	{
		uaef_advance_fail_evaluation(map, &error);
		return;
	}

	map->attempt++;
	map->started_at = map->execution->step->now;
	map->items_total = JB_ROOT_COUNT(list);
	if (map->items_total == 0)
	{
		uaef_advance_finish_task(map, list, NULL);
		return;
	}
	uaef_task_become(map, UAEF_TASK_RUNNING);
	uaef_step_note(map, UAEF_NOTE_QUEUED);
	make_items(map, list);
	begin_items(map);
}

/*
 * A map that was retried begins those of its items again that have not
 * completed; also those that had not begun, since they were cancelled.
 */
static void
begin_again(UaefTask *map)
{
	map->attempt++;
	map->started_at = map->execution->step->now;
	uaef_execution_mark_items_to_redo(map->execution, map->no);
	map->items_started = map->items_total;
	map->items_redo = map->items_total - map->items_completed;
	map->items_failed = 0;
	uaef_task_become(map, UAEF_TASK_RUNNING);
	uaef_step_note(map, UAEF_NOTE_QUEUED);
	begin_items(map);
}

static void
make_items(UaefTask *map, Jsonb *list)
{
	for (int i = 0; i < map->items_total; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&list->root, i);

		uaef_execution_new_item(map->execution, map, i,
								uaef_json_from_value(value));
		pfree(value);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * The next item to begin.  A step that begins many reads them many at a time.
 */
static UaefTask *
next_item(UaefTask *map)
{
	int			number = map->items_started;
	UaefTask   *item = uaef_execution_known_item(map->execution, map->no,
												 number);

	if (item == NULL)
	{
		map->fetch_size = Min(Max(map->fetch_size * 2, 1), MAX_FETCH);
		uaef_execution_fetch_items(map->execution, map->no, number,
								   Min(map->fetch_size,
									   map->items_total - number));
		item = uaef_execution_known_item(map->execution, map->no, number);
	}
	if (item == NULL)
		elog(ERROR, "item %d of task \"%s\" has no row", number, map->def->id);
	map->items_started++;
	return item;
}

/*
 * How many more items concurrency has room for.
 */
static int
room_for_items(UaefTask *map)
{
	int			concurrency = map->def->config.parallel.concurrency;
	int			begun = map->items_started - map->items_redo -
		map->items_completed - map->items_failed;

	return concurrency == 0 ? INT_MAX : concurrency - begun;
}

/*
 * Begin items again that failed or were cancelled before the map was retried.
 */
static void
redo_items(UaefTask *map)
{
	List	   *items;
	ListCell   *cell;

	if (map->items_redo == 0 || room_for_items(map) <= 0)
		return;
	items = uaef_execution_items_to_redo(map->execution, map->no,
										 Min(room_for_items(map),
											 map->items_redo));
	foreach(cell, items)
	{
		UaefTask   *item = lfirst(cell);

		if (map->status != UAEF_TASK_RUNNING)
			return;
		map->items_redo--;
		uaef_task_reset(item);
		uaef_advance_dispatch_item(item);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Begin items for as long as there are some and concurrency has room.
 *
 * An item that fails at once comes back here for the next one.  The loop that
 * began it goes on with that, so a long list of such items needs no deep
 * recursion.
 */
static void
begin_items(UaefTask *map)
{
	if (map->filling)
		return;
	map->filling = true;
	redo_items(map);
	while (map->status == UAEF_TASK_RUNNING &&
		   map->items_started < map->items_total && room_for_items(map) > 0)
	{
		uaef_advance_dispatch_item(next_item(map));
		CHECK_FOR_INTERRUPTS();
	}
	map->filling = false;
	map->dirty = true;
}

static UaefTask *
map_of(UaefTask *item)
{
	return uaef_execution_task(item->execution, item->no);
}

void
uaef_map_item_ended(UaefTask *item)
{
	UaefTask   *map = map_of(item);
	int			join = map->def->config.parallel.join;
	int			needed = join > 0 ? Min(join, map->items_total) :
		map->items_total;

	if (map->status != UAEF_TASK_RUNNING)
		return;
	map->items_completed++;
	map->dirty = true;

	if (map->items_completed + (join > 0 ? 0 : map->items_failed) < needed)
	{
		begin_items(map);
		return;
	}
	if (map->items_completed + map->items_failed < map->items_total)
		cancel_items(map);
	complete_map(map);
}

/*
 * An item that failed for good fails the map, unless it may fail, or enough
 * others are left for a join of some.
 */
void
uaef_map_item_failed(UaefTask *item, const UaefFailure *failure)
{
	UaefTask   *map = map_of(item);
	int			join = map->def->config.parallel.join;

	if (map->status != UAEF_TASK_RUNNING)
		return;
	map->items_failed++;
	map->dirty = true;

	if (join > 0 ? map->items_total - map->items_failed >= join
		: item->def->on_failure != UAEF_FAIL_EXECUTION)
	{
		if (join == 0 &&
			map->items_completed + map->items_failed == map->items_total)
			complete_map(map);
		else
			begin_items(map);
		return;
	}
	cancel_items(map);
	uaef_advance_fail_finally(map, failure);
}

/*
 * The end of a map whose items are done.
 */
static void
complete_map(UaefTask *map)
{
	uaef_advance_finish_task(map,
							 uaef_execution_item_outputs(map->execution,
														 map->no),
							 NULL);
}

static void
cancel_items(UaefTask *map)
{
	ListCell   *cell;

	foreach(cell, uaef_execution_open_tasks(map->execution))
	{
		UaefTask   *task = lfirst(cell);

		if (task->no == map->no && task->item != UAEF_NO_ITEM)
			uaef_advance_cancel_task(task);
	}
}
