/*-------------------------------------------------------------------------
 *
 * dag.h
 *	  Directed graphs: order, cycles, depth, reachability.
 *
 * Pure: numbers in, numbers out.  All of it is linear in nodes and edges.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DAG_H
#define UAEF_DAG_H

/* Nodes that one call of uaef_dag_reach() can start from. */
#define UAEF_DAG_SOURCES 64

/*
 * Nodes and edges are numbers from 0.  The edges into node v are
 * in[in_start[v]] up to, not including, in[in_start[v + 1]], in the order of
 * their numbers; out likewise.
 */
typedef struct UaefDag
{
	int			n_nodes;
	int			n_edges;
	const int  *from;			/* by edge; the caller's */
	const int  *to;
	int		   *in_start;
	int		   *in;
	int		   *out_start;
	int		   *out;
} UaefDag;

/* Index the edges; from and to must live as long as the graph. */
extern UaefDag *uaef_dag_build(int n_nodes, int n_edges,
							   const int *from, const int *to);

/*
 * Put the nodes in an order in which every edge points forward.  Returns how
 * many nodes have a place in it: fewer than all when there is a cycle.
 */
extern int	uaef_dag_order(const UaefDag *dag, int *order);

/*
 * The nodes of one cycle, in its direction, from its smallest node on.
 * Returns their number; there must be a cycle.
 */
extern int	uaef_dag_cycle(const UaefDag *dag, int *cycle);

/* The length of the longest path that leads to each node, by node. */
extern void uaef_dag_depth(const UaefDag *dag, const int *order, int *depth);

/*
 * Bit i of reached[v] says that a path of one edge or more leads from
 * sources[i] to v.  At most UAEF_DAG_SOURCES sources.
 */
extern void uaef_dag_reach(const UaefDag *dag, const int *order,
						   const int *sources, int n_sources, uint64 *reached);

#endif							/* UAEF_DAG_H */
