/*-------------------------------------------------------------------------
 *
 * dag.c
 *	  Directed graphs: order, cycles, depth, reachability.
 *
 * Memory: what is returned or needed for a moment is palloc'd in the current
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dag.h"

static void index_edges(int n_nodes, int n_edges, const int *node,
						int **start, int **edges);

UaefDag *
uaef_dag_build(int n_nodes, int n_edges, const int *from, const int *to)
{
	UaefDag    *dag = palloc(sizeof(UaefDag));

	dag->n_nodes = n_nodes;
	dag->n_edges = n_edges;
	dag->from = from;
	dag->to = to;
	index_edges(n_nodes, n_edges, to, &dag->in_start, &dag->in);
	index_edges(n_nodes, n_edges, from, &dag->out_start, &dag->out);
	return dag;
}

/*
 * Sort edge numbers by one of their nodes, keeping their order otherwise.
 */
static void
index_edges(int n_nodes, int n_edges, const int *node,
			int **start, int **edges)
{
	int		   *first = palloc0(sizeof(int) * (n_nodes + 1));
	int		   *next = palloc(sizeof(int) * (n_nodes + 1));
	int		   *sorted = palloc(sizeof(int) * Max(n_edges, 1));

	for (int e = 0; e < n_edges; e++)
		first[node[e] + 1]++;
	for (int v = 0; v < n_nodes; v++)
		first[v + 1] += first[v];
	memcpy(next, first, sizeof(int) * (n_nodes + 1));
	for (int e = 0; e < n_edges; e++)
		sorted[next[node[e]]++] = e;
	pfree(next);

	*start = first;
	*edges = sorted;
}

int
uaef_dag_order(const UaefDag *dag, int *order)
{
	int		   *missing = palloc(sizeof(int) * Max(dag->n_nodes, 1));
	int			n = 0;

	for (int v = 0; v < dag->n_nodes; v++)
	{
		missing[v] = dag->in_start[v + 1] - dag->in_start[v];
		if (missing[v] == 0)
			order[n++] = v;
	}
	for (int done = 0; done < n; done++)
	{
		int			v = order[done];

		for (int i = dag->out_start[v]; i < dag->out_start[v + 1]; i++)
		{
			int			to = dag->to[dag->out[i]];

			if (--missing[to] == 0)
				order[n++] = to;
		}
	}
	pfree(missing);
	return n;
}

/*
 * A node that has no place in the order has a predecessor that has none
 * either.  So going back from one of them for ever must meet a node twice,
 * and what lies between is a cycle, backwards.
 */
int
uaef_dag_cycle(const UaefDag *dag, int *cycle)
{
	int			n = dag->n_nodes;
	int		   *order = palloc(sizeof(int) * n);
	int		   *step = palloc(sizeof(int) * n); /* -1: ordered, 0: not seen */
	int		   *walk = palloc(sizeof(int) * n);
	int			n_ordered = uaef_dag_order(dag, order);
	int			n_walk = 0;
	int			v = 0;
	int			first;
	int			length;
	int			smallest = 0;

	memset(step, 0, sizeof(int) * n);
	for (int i = 0; i < n_ordered; i++)
		step[order[i]] = -1;
	while (v < n && step[v] == -1)
		v++;
	Assert(v < n);

	while (step[v] == 0)
	{
		int			i = dag->in_start[v];

		walk[n_walk++] = v;
		step[v] = n_walk;
		while (step[dag->from[dag->in[i]]] == -1)
			i++;
		v = dag->from[dag->in[i]];
	}

	first = step[v] - 1;
	length = n_walk - first;
	for (int i = 0; i < length; i++)
		if (walk[first + i] < walk[first + smallest])
			smallest = i;
	for (int i = 0; i < length; i++)
		cycle[i] = walk[first + (smallest - i + length) % length];

	pfree(order);
	pfree(step);
	pfree(walk);
	return length;
}

void
uaef_dag_depth(const UaefDag *dag, const int *order, int *depth)
{
	memset(depth, 0, sizeof(int) * dag->n_nodes);
	for (int i = 0; i < dag->n_nodes; i++)
	{
		int			v = order[i];

		for (int j = dag->out_start[v]; j < dag->out_start[v + 1]; j++)
		{
			int			to = dag->to[dag->out[j]];

			depth[to] = Max(depth[to], depth[v] + 1);
		}
	}
}

void
uaef_dag_reach(const UaefDag *dag, const int *order,
			   const int *sources, int n_sources, uint64 *reached)
{
	uint64	   *own = palloc0(sizeof(uint64) * Max(dag->n_nodes, 1));

	Assert(n_sources <= UAEF_DAG_SOURCES);
	for (int i = 0; i < n_sources; i++)
		own[sources[i]] |= UINT64CONST(1) << i;

	memset(reached, 0, sizeof(uint64) * dag->n_nodes);
	for (int i = 0; i < dag->n_nodes; i++)
	{
		int			v = order[i];

		for (int j = dag->out_start[v]; j < dag->out_start[v + 1]; j++)
			reached[dag->to[dag->out[j]]] |= reached[v] | own[v];
	}
	pfree(own);
}
