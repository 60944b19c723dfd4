/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  What budgets admit: how much and how often may be paid in a time.
 *
 * A signal is admitted by all budgets that are over it, or by none: what is
 * refused by one counts against no other.  What several signals of one call use
 * is added up in memory, and written at the end.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "spi_util.h"

/*
 * Budgets that are over signals, in the order in which they are locked.
 */
static UaefQuery find_pairs = {
	"SELECT p.signal_id, b.budget_id, p.subject,"
	" CASE WHEN b.span IS NOT NULL OR b.per = 'total'"
	"  THEN '-infinity'::timestamptz"
	"  ELSE date_trunc(b.per, $2, b.timezone) END AS bucket,"
	" b.name, b.enforcement, b.cap_minor, coalesce(b.max_count, -1), b.per"
	" FROM uaef.budget b CROSS JOIN LATERAL ("
	"  SELECT s.signal_id, CASE b.scope WHEN 'workflow' THEN r.workflow"
	"   WHEN 'recipient' THEN s.recipient WHEN 'agent' THEN e.agent::text"
	"   ELSE '' END AS subject"
	"  FROM uaef.settlement_signal s"
	"  JOIN uaef.settlement_rule r USING (rule_id)"
	"  JOIN uaef.workflow_execution e USING (execution_id)"
	"  WHERE s.signal_id = ANY ($1) AND s.currency = b.currency) p"
	" WHERE b.active AND p.subject IS NOT NULL"
	" AND (b.subject IS NULL OR b.subject = p.subject)"
	" ORDER BY b.budget_id, p.subject COLLATE \"C\", bucket, p.signal_id",
	2, {INT8ARRAYOID, TIMESTAMPTZOID}
};

static UaefQuery lock_uses = {
	"INSERT INTO uaef.budget_use AS u (budget_id, subject, bucket)"
	" SELECT n.budget_id, n.subject, n.bucket"
	" FROM unnest($1, $2, $3) AS n (budget_id, subject, bucket)"
	" ORDER BY n.budget_id, n.subject COLLATE \"C\", n.bucket"
	" ON CONFLICT (budget_id, subject, bucket)"
	" DO UPDATE SET used_count = u.used_count",
	3, {INT4ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}
};

/*
 * As of after the lock was got.
 */
static UaefQuery read_uses = {
	"SELECT CASE WHEN b.span IS NULL THEN u.used_minor ELSE t.amount END,"
	" CASE WHEN b.span IS NULL THEN u.used_count ELSE t.n END"
	" FROM unnest($1, $2, $3) WITH ORDINALITY"
	"  AS n (budget_id, subject, bucket, place)"
	" JOIN uaef.budget_use u USING (budget_id, subject, bucket)"
	" JOIN uaef.budget b USING (budget_id)"
	" LEFT JOIN LATERAL (SELECT coalesce(sum(e.amount_minor), 0) AS amount,"
	"  count(*) AS n FROM uaef.budget_entry e"
	"  WHERE b.span IS NOT NULL AND e.budget_id = n.budget_id"
	"  AND e.subject = n.subject AND e.counted_at > $4 - b.span) t ON true"
	" ORDER BY n.place",
	4, {INT4ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID}
};

static UaefQuery insert_entries = {
	"WITH n AS (SELECT * FROM unnest($1, $2, $3, $4, $5)"
	"  AS n (budget_id, subject, bucket, signal_id, amount)),"
	" entry AS (INSERT INTO uaef.budget_entry (budget_id, signal_id, subject,"
	"  bucket, amount_minor, counted_at)"
	"  SELECT budget_id, signal_id, subject, bucket, amount, $6 FROM n)"
	" UPDATE uaef.budget_use u SET used_minor = u.used_minor + g.amount,"
	" used_count = u.used_count + g.n"
	" FROM (SELECT budget_id, subject, bucket, sum(amount) AS amount,"
	"  count(*) AS n FROM n GROUP BY 1, 2, 3) g"
	" WHERE u.budget_id = g.budget_id AND u.subject = g.subject"
	" AND u.bucket = g.bucket",
	6, {INT4ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID,
	NUMERICARRAYOID, TIMESTAMPTZOID}
};

static UaefQuery lock_uses_of = {
	"SELECT FROM uaef.budget_use u WHERE (budget_id, subject, bucket) IN ("
	" SELECT e.budget_id, e.subject, e.bucket FROM uaef.budget_entry e"
	" WHERE e.signal_id = ANY ($1))"
	" ORDER BY budget_id, subject, bucket FOR NO KEY UPDATE",
	1, {INT8ARRAYOID}
};

static UaefQuery delete_entries = {
	"WITH gone AS (DELETE FROM uaef.budget_entry WHERE signal_id = ANY ($1)"
	"  RETURNING budget_id, subject, bucket, amount_minor)"
	" UPDATE uaef.budget_use u SET used_minor = u.used_minor - g.amount,"
	" used_count = u.used_count - g.n"
	" FROM (SELECT budget_id, subject, bucket, sum(amount_minor) AS amount,"
	"  count(*) AS n FROM gone GROUP BY 1, 2, 3) g"
	" WHERE u.budget_id = g.budget_id AND u.subject = g.subject"
	" AND u.bucket = g.bucket",
	1, {INT8ARRAYOID}
};

/* What one subject has used of one budget, of which the row is locked. */
typedef struct Use
{
	Datum		budget_id;
	Datum		subject;
	Datum		bucket;
	Numeric		used;
	int64		count;
} Use;

/* A budget that is over a signal. */
typedef struct Pair
{
	int64		signal_id;
	int			use;			/* in the list of uses */
	char	   *subject;
	char	   *name;
	char	   *enforcement;
	Numeric		cap;			/* NULL: none */
	int64		max_count;		/* -1: none */
	char	   *per;
	bool		admitted;
} Pair;

typedef struct Admission
{
	int			n_pairs;
	Pair	   *pairs;
	int			n_uses;
	Use		   *uses;
	TimestampTz now;
} Admission;

static Datum
ids_of(const UaefSignal *signals, int n)
{
	Datum	   *ids = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(signals[i].signal_id);
	return uaef_array(ids, NULL, n, INT8OID);
}

/*
 * Pairs come in the order of their uses, so the next use is new or the last.
 */
static void
add_pair(Admission *admission, uint64 row)
{
	Pair	   *pair = &admission->pairs[row];
	Use		   *use = &admission->uses[Max(admission->n_uses - 1, 0)];
	Datum		budget_id = Int32GetDatum(uaef_spi_int32(row, 2));
	bool		isnull;
	Datum		bucket = uaef_spi_value(row, 4, &isnull);

	pair->signal_id = uaef_spi_int64(row, 1);
	pair->subject = uaef_spi_text(row, 3);
	pair->name = uaef_spi_text(row, 5);
	pair->enforcement = uaef_spi_text(row, 6);
	pair->cap = uaef_spi_numeric(row, 7);
	pair->max_count = uaef_spi_int64(row, 8);
	pair->per = uaef_spi_text(row, 9);
	pair->admitted = false;
	if (admission->n_uses == 0 || use->budget_id != budget_id ||
		use->bucket != bucket ||
		strcmp(TextDatumGetCString(use->subject), pair->subject) != 0)
	{
		use = &admission->uses[admission->n_uses++];
		use->budget_id = budget_id;
		use->subject = CStringGetTextDatum(pair->subject);
		use->bucket = bucket;
	}
	pair->use = admission->n_uses - 1;
}

static void
find(Admission *admission, const UaefSignal *signals, int n)
{
	Datum		args[2];

	admission->now = uaef_clock_now();
	args[0] = ids_of(signals, n);
	args[1] = TimestampTzGetDatum(admission->now);
	admission->n_pairs = (int) uaef_spi_run(&find_pairs, args, NULL);
	admission->n_uses = 0;
	admission->pairs = palloc(Max(admission->n_pairs, 1) * sizeof(Pair));
	admission->uses = palloc(Max(admission->n_pairs, 1) * sizeof(Use));
	for (int i = 0; i < admission->n_pairs; i++)
		add_pair(admission, i);
}

/*
 * The budgets, subjects and buckets of the uses, as three arrays.
 */
static void
use_arrays(const Admission *admission, Datum *args)
{
	int			n = admission->n_uses;
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *subjects = palloc(n * sizeof(Datum));
	Datum	   *buckets = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
	{
		ids[i] = admission->uses[i].budget_id;
		subjects[i] = admission->uses[i].subject;
		buckets[i] = admission->uses[i].bucket;
	}
	args[0] = uaef_array(ids, NULL, n, INT4OID);
	args[1] = uaef_array(subjects, NULL, n, TEXTOID);
	args[2] = uaef_array(buckets, NULL, n, TIMESTAMPTZOID);
}

static void
lock(Admission *admission)
{
	Datum		args[4];

	use_arrays(admission, args);
	(void) uaef_spi_run(&lock_uses, args, NULL);
	args[3] = TimestampTzGetDatum(admission->now);
	if (uaef_spi_run(&read_uses, args, NULL) != admission->n_uses)
		elog(ERROR, "a budget is used by more or fewer rows than were locked");
	for (int i = 0; i < admission->n_uses; i++)
	{
		admission->uses[i].used = uaef_spi_numeric(i, 1);
		admission->uses[i].count = uaef_spi_int64(i, 2);
	}
}

/*
 * Whether an amount more would be over a budget.
 */
static bool
is_over(const Admission *admission, const Pair *pair, const UaefSignal *signal)
{
	const Use  *use = &admission->uses[pair->use];

	if (pair->max_count >= 0 && use->count >= pair->max_count)
		return true;
	return pair->cap != NULL &&
		uaef_numeric_compare(uaef_numeric_op(numeric_add, use->used,
											 signal->minor), pair->cap) > 0;
}

static Jsonb *
refusal(const Admission *admission, const Pair *pair, const UaefSignal *signal)
{
	const Use  *use = &admission->uses[pair->use];
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "budget", pair->name);
	if (pair->subject[0] != '\0')
		uaef_json_text(&json, "subject", pair->subject);
	uaef_json_text(&json, "per", pair->per);
	uaef_json_text(&json, "currency", signal->currency);
	uaef_json_numeric(&json, "used",
					  uaef_money_from_minor(use->used, signal->currency));
	if (pair->cap != NULL)
		uaef_json_numeric(&json, "cap",
						  uaef_money_from_minor(pair->cap, signal->currency));
	uaef_json_int(&json, "used_count", use->count);
	if (pair->max_count >= 0)
		uaef_json_int(&json, "max_count", pair->max_count);
	uaef_json_numeric(&json, "amount", signal->amount);
	return uaef_json_end(&json);
}

/*
 * A budget that only warns, or only logs, lets it pass; that is recorded.
 */
static void
record_excess(const Admission *admission, const Pair *pair,
			  const UaefSignal *signal)
{
	pg_uuid_t	stream = signal->execution_id;
	UaefEvent	event = {
		.type = "budget_exceeded",
		.stream = &stream,
		.actor_type = "system"
	};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	uaef_json_text(&json, "enforcement", pair->enforcement);
	uaef_json_members(&json, refusal(admission, pair, signal));
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
	if (strcmp(pair->enforcement, "warn") == 0)
		ereport(WARNING,
				(errmsg("settlement signal %lld is over budget \"%s\"",
						(long long) signal->signal_id, pair->name)));
}

/*
 * The refusals of the strict budgets, as an array; NULL when there is none.
 */
static Jsonb *
judge(const Admission *admission, const UaefSignal *signal)
{
	JsonbParseState *state = NULL;
	bool		any = false;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < admission->n_pairs; i++)
	{
		const Pair *pair = &admission->pairs[i];
		JsonbValue	value;

		if (pair->signal_id != signal->signal_id ||
			strcmp(pair->enforcement, "strict") != 0 ||
			!is_over(admission, pair, signal))
			continue;
		JsonbToJsonbValue(refusal(admission, pair, signal), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
		any = true;
	}
	return any ? JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))
		: NULL;
}

static void
count(Admission *admission, const UaefSignal *signal)
{
	for (int i = 0; i < admission->n_pairs; i++)
	{
		Pair	   *pair = &admission->pairs[i];
		Use		   *use = &admission->uses[pair->use];

		if (pair->signal_id != signal->signal_id)
			continue;
		if (is_over(admission, pair, signal))
			record_excess(admission, pair, signal);
		use->used = uaef_numeric_op(numeric_add, use->used, signal->minor);
		use->count++;
		pair->admitted = true;
	}
}

static const UaefSignal *
signal_of(const UaefSignal *signals, int n, int64 signal_id)
{
	for (int i = 0; i < n; i++)
		if (signals[i].signal_id == signal_id)
			return &signals[i];
	elog(ERROR, "no signal %lld", (long long) signal_id);
}

static void
store(const Admission *admission, const UaefSignal *signals, int n)
{
	int			max = admission->n_pairs;
	Datum	   *columns[5];
	int			rows = 0;
	Datum		args[6];
	static const Oid types[5] = {
		INT4OID, TEXTOID, TIMESTAMPTZOID, INT8OID, NUMERICOID
	};

	for (int i = 0; i < 5; i++)
		columns[i] = palloc(max * sizeof(Datum));
	for (int i = 0; i < max; i++)
	{
		const Pair *pair = &admission->pairs[i];
		const Use  *use = &admission->uses[pair->use];

		if (!pair->admitted)
			continue;
		columns[0][rows] = use->budget_id;
		columns[1][rows] = use->subject;
		columns[2][rows] = use->bucket;
		columns[3][rows] = Int64GetDatum(pair->signal_id);
		columns[4][rows++] =
			NumericGetDatum(signal_of(signals, n, pair->signal_id)->minor);
	}
	if (rows == 0)
		return;
	for (int i = 0; i < 5; i++)
		args[i] = uaef_array(columns[i], NULL, rows, types[i]);
	args[5] = TimestampTzGetDatum(admission->now);
	(void) uaef_spi_run(&insert_entries, args, NULL);
}

void
uaef_budget_admit(const UaefSignal *signals, int n, Jsonb **refused)
{
	Admission	admission;

	find(&admission, signals, n);
	if (admission.n_pairs == 0)
		return;
	lock(&admission);
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *refusals = judge(&admission, &signals[i]);

		if (refusals == NULL)
			count(&admission, &signals[i]);
		else
			refused[i] = refusals;
	}
	store(&admission, signals, n);
}

void
uaef_budget_require(const UaefSignal *signal)
{
	Jsonb	   *refused = NULL;

	uaef_budget_admit(signal, 1, &refused);
	if (refused != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BUDGET),
				 errmsg("settlement signal %lld would be over a budget",
						(long long) signal->signal_id),
				 errdetail_internal("%s",
									JsonbToCString(NULL, &refused->root,
												   VARSIZE(refused)))));
}

void
uaef_budget_give_back(const int64 *signal_ids, int n)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum		arg;

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(signal_ids[i]);
	arg = uaef_array(ids, NULL, n, INT8OID);
	if (uaef_spi_run(&lock_uses_of, &arg, NULL) > 0)
		(void) uaef_spi_run(&delete_entries, &arg, NULL);
}
