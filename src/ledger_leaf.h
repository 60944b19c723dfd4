/*-------------------------------------------------------------------------
 *
 * ledger_leaf.h
 *	  Which event is which leaf of the tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_LEAF_H
#define UAEF_LEDGER_LEAF_H

/*
 * The leaf of an event, and its block (may be NULL); -1 when it is not
 * sealed, or there is no such event.
 */
extern int64 uaef_leaf_of_event(int64 event_id, int64 *block_no);

/*
 * The events of n leaves from one on.  Raises UA102 when no block has one of
 * them.
 */
extern void uaef_tree_event_ids(int64 first, int64 n, int64 *event_ids);

/*
 * Call back for those of n events that there are: with the place that the
 * event has in event_ids, and its row.  They come by their numbers, and may
 * stand in the array in any order.  Returns how many there were.
 */
typedef void (*UaefEventReader) (void *arg, int64 place, const Datum *values,
								 const bool *nulls);
extern int64 uaef_read_events(const int64 *event_ids, int64 n,
							  UaefEventReader read, void *arg);

#endif							/* UAEF_LEDGER_LEAF_H */
