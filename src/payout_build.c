/*-------------------------------------------------------------------------
 *
 * payout_build.c
 *	  Building payouts of what is owed: batches, netting, keys and bodies.
 *
 * A batch takes what is approved, due and not held, of recipients that have a
 * payee.  What needed approval is looked at once more: what was approved must
 * still be what is paid.
 *
 * Locking: the executions of all signals of the batch, then open reversals of
 * their recipients, by row.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "payout.h"
#include "spi_util.h"
#include "uuid7.h"

/* Characters of an end-to-end id: 128 bits in base32 (RFC 4648). */
#define END_TO_END_LENGTH 26

static UaefQuery find_payable = {
	"SELECT s.signal_id FROM uaef.settlement_signal s"
	" JOIN uaef.payee p USING (recipient)"
	" WHERE s.status IN ('approved', 'scheduled') AND s.due_at <= $1"
	" AND s.held_by IS NULL AND ($2 IS NULL OR p.channel = $2)"
	" ORDER BY s.recipient, s.currency, s.due_at, s.signal_id LIMIT $3",
	3, {TIMESTAMPTZOID, TEXTOID, INT4OID}
};

static UaefQuery find_payee = {
	"SELECT channel, destination FROM uaef.payee WHERE recipient = $1",
	1, {TEXTOID}
};

static UaefQuery lock_reversals = {
	"SELECT reversal_id, amount_minor FROM uaef.settlement_reversal"
	" WHERE recipient = $1 AND currency = $2 AND payout_id IS NULL"
	" ORDER BY reversal_id FOR NO KEY UPDATE",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery net_reversals = {
	"UPDATE uaef.settlement_reversal SET payout_id = $1"
	" WHERE reversal_id = ANY ($2)",
	2, {UUIDOID, INT8ARRAYOID}
};

static UaefQuery insert_batch = {
	"INSERT INTO uaef.payout_batch (cutoff, netting, payouts, built_by,"
	" built_at) VALUES ($1, $2, 0, $3, $4) RETURNING batch_id",
	4, {TIMESTAMPTZOID, BOOLOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery count_batch = {
	"UPDATE uaef.payout_batch SET payouts = $2 WHERE batch_id = $1",
	2, {INT8OID, INT4OID}
};

static UaefQuery delete_batch = {
	"DELETE FROM uaef.payout_batch WHERE batch_id = $1",
	1, {INT8OID}
};

static UaefQuery find_same = {
	"SELECT payout_id FROM uaef.payout WHERE recipient = $1 AND currency = $2"
	" AND amount_minor = $3 AND created_at > $4"
	" AND status NOT IN ('released', 'rejected_final', 'returned')"
	" AND batch_id <> $5 LIMIT 1",
	5, {TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, INT8OID}
};

static UaefQuery insert_payout = {
	"INSERT INTO uaef.payout (payout_id, batch_id, channel, recipient,"
	" currency, amount_minor, amount, status, idempotency_key, end_to_end_id,"
	" body, body_digest, hold_reason, created_at, changed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, 'created', $8, $9, $10, $11, $12,"
	" $13, $13)",
	13, {UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID,
	TEXTOID, TEXTOID, JSONBOID, BYTEAOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery insert_legs = {
	"INSERT INTO uaef.payout_leg (payout_id, signal_id, amount_minor)"
	" SELECT $1, n.signal_id, n.amount FROM unnest($2, $3)"
	"  AS n (signal_id, amount)",
	3, {UUIDOID, INT8ARRAYOID, NUMERICARRAYOID}
};

/* A batch in the making. */
typedef struct Batch
{
	int64		batch_id;
	bool		netting;
	Oid			actor;
	int			n_payouts;
	UaefPayoutChannel channel;	/* of the last payee; name NULL: none yet */
} Batch;

/* Signals of one recipient and currency. */
typedef struct Debt
{
	UaefSignal *signals;
	int			n;
	Numeric		minor;			/* what is left to pay */
	Datum		reversals;		/* bigint[] that are netted; 0: none */
} Debt;

/*
 * 128 bits in base32 without padding: letters and digits only, so it goes
 * through every bank.
 */
static char *
end_to_end_id(const pg_uuid_t *id)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	char	   *text = palloc(END_TO_END_LENGTH + 1);
	uint32		bits = 0;
	int			n_bits = 0;
	int			n = 0;

	for (int i = 0; i < UUID_LEN; i++)
	{
		bits = (bits << 8 | id->data[i]) & 0xFFFF;
		n_bits += 8;
		while (n_bits >= 5)
		{
			n_bits -= 5;
			text[n++] = digits[bits >> n_bits & 31];
		}
	}
	text[n++] = digits[bits << (5 - n_bits) & 31];
	text[n] = '\0';
	return text;
}

static Jsonb *
make_body(const UaefPayout *payout, Jsonb *destination)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "payout_id", &payout->payout_id);
	uaef_json_text(&json, "end_to_end_id", payout->end_to_end_id);
	uaef_json_text(&json, "recipient", payout->recipient);
	uaef_json_text(&json, "amount", uaef_numeric_text(payout->amount));
	uaef_json_numeric(&json, "amount_minor", payout->minor);
	uaef_json_text(&json, "currency", payout->currency);
	uaef_json_jsonb(&json, "destination", destination);
	return uaef_json_end(&json);
}

/*
 * Another payout of the same amount to the same recipient, not long ago, may
 * be the same debt twice.
 */
static char *
duplicate_of(const Batch *batch, const UaefPayout *payout)
{
	Datum		args[5];
	pg_uuid_t	other;

	if (batch->channel.contract.duplicate_window_ms == 0)
		return NULL;
	args[0] = CStringGetTextDatum(payout->recipient);
	args[1] = CStringGetTextDatum(payout->currency);
	args[2] = NumericGetDatum(payout->minor);
	args[3] = TimestampTzGetDatum(uaef_clock_now() -
								  batch->channel.contract.duplicate_window_ms * 1000);
	args[4] = Int64GetDatum(payout->batch_id);
	if (uaef_spi_run(&find_same, args, NULL) == 0)
		return NULL;
	other = uaef_spi_uuid(0, 1);
	return psprintf("possible_duplicate of payout %s", uaef_uuid_text(&other));
}

static void
store_payout(const UaefPayout *payout)
{
	Datum		args[13];
	char		nulls[] = "             ";

	args[0] = UUIDPGetDatum(&payout->payout_id);
	args[1] = Int64GetDatum(payout->batch_id);
	args[2] = CStringGetTextDatum(payout->channel);
	args[3] = CStringGetTextDatum(payout->recipient);
	args[4] = CStringGetTextDatum(payout->currency);
	args[5] = NumericGetDatum(payout->minor);
	args[6] = NumericGetDatum(payout->amount);
	args[7] = CStringGetTextDatum(payout->idempotency_key);
	args[8] = CStringGetTextDatum(payout->end_to_end_id);
	args[9] = JsonbPGetDatum(payout->body);
	args[10] = PointerGetDatum(payout->body_digest);
	args[11] = payout->hold_reason ? CStringGetTextDatum(payout->hold_reason)
		: (Datum) 0;
	nulls[11] = payout->hold_reason ? ' ' : 'n';
	args[12] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_payout, args, nulls);
}

static void
store_legs(const UaefPayout *payout, const Debt *group)
{
	Datum	   *ids = palloc(group->n * sizeof(Datum));
	Datum	   *amounts = palloc(group->n * sizeof(Datum));
	Datum		args[3];

	for (int i = 0; i < group->n; i++)
	{
		ids[i] = Int64GetDatum(group->signals[i].signal_id);
		amounts[i] = NumericGetDatum(group->signals[i].minor);
	}
	args[0] = UUIDPGetDatum(&payout->payout_id);
	args[1] = uaef_array(ids, NULL, group->n, INT8OID);
	args[2] = uaef_array(amounts, NULL, group->n, NUMERICOID);
	(void) uaef_spi_run(&insert_legs, args, NULL);
	if (group->reversals != (Datum) 0)
	{
		args[1] = group->reversals;
		(void) uaef_spi_run(&net_reversals, args, NULL);
	}
}

static void
record_created(const UaefPayout *payout, const Debt *group, Oid actor)
{
	pg_uuid_t	stream = payout->payout_id;
	UaefEvent	event = {
		.type = "payout_created",
		.stream = &stream,
		.actor_type = "user"
	};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "payout_id", &payout->payout_id);
	uaef_json_int(&json, "batch_id", payout->batch_id);
	uaef_json_text(&json, "channel", payout->channel);
	uaef_json_text(&json, "recipient", payout->recipient);
	uaef_json_numeric(&json, "amount", payout->amount);
	uaef_json_text(&json, "currency", payout->currency);
	uaef_json_int(&json, "signals", group->n);
	uaef_json_text(&json, "idempotency_key", payout->idempotency_key);
	uaef_json_text(&json, "end_to_end_id", payout->end_to_end_id);
	uaef_json_text(&json, "body_sha256", uaef_digest_hex(payout->body));
	uaef_json_text(&json, "hold_reason", payout->hold_reason);
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	uaef_ledger_hold_stream(&stream, true);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * What is paid must be what was approved: else somebody changed it since.
 */
static void
check_approval(const UaefSignal *signal)
{
	int			needed = uaef_signal_approvals_needed(signal);

	if (needed > 0 &&
		uaef_signal_approvals(signal, uaef_signal_digest(signal)) < needed)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("settlement signal %lld is not what was approved",
						(long long) signal->signal_id),
				 errhint("Use uaef.hold_settlement() or uaef.cancel_settlement(), and find out who changed it.")));
}

/*
 * Move the signals to where a payout can reserve them.
 */
static void
schedule(const Debt *group, Oid actor)
{
	UaefSignalMove move = {
		.action = UAEF_ACT_SCHEDULE,
		.actor = actor,
		.approvals = -1
	};

	for (int i = 0; i < group->n; i++)
		check_approval(&group->signals[i]);
	for (int i = 0; i < group->n; i++)
	{
		int			same = 0;

		while (i + same < group->n &&
			   group->signals[i + same].status == UAEF_SIGNAL_APPROVED)
			same++;
		uaef_signals_move(&group->signals[i], same, &move);
		i += same;
	}
}

static void
make_payout(Batch *batch, const Debt *group, const char *channel,
			Jsonb *destination, UaefPayout *payout)
{
	memset(payout, 0, sizeof(*payout));
	uaef_uuid7(&payout->payout_id);
	payout->batch_id = batch->batch_id;
	payout->channel = pstrdup(channel);
	payout->recipient = group->signals[0].recipient;
	payout->currency = group->signals[0].currency;
	payout->minor = group->minor;
	payout->amount = uaef_money_from_minor(group->minor, payout->currency);
	payout->status = UAEF_PAYOUT_CREATED;
	payout->idempotency_key = psprintf("uaef:%s:%s",
									   uaef_uuid_text(uaef_ledger_id()),
									   uaef_uuid_text(&payout->payout_id));
	payout->end_to_end_id = end_to_end_id(&payout->payout_id);
	payout->body = make_body(payout, destination);
	payout->body_digest = uaef_digest_bytea(payout->body);
	uaef_payout_channel_check(&batch->channel, payout->amount,
							  payout->currency);
	payout->hold_reason = duplicate_of(batch, payout);
	schedule(group, batch->actor);
	store_payout(payout);
	store_legs(payout, group);
	record_created(payout, group, batch->actor);
	uaef_payout_move(payout, UAEF_PAY_RESERVE, batch->actor, NULL, NULL);
	batch->n_payouts++;
}

/*
 * What was taken back is paid less; nothing at all, when it is more than what
 * is owed.
 */
static bool
net(Debt *group)
{
	Datum		args[2];
	Datum	   *ids;
	int			n;

	args[0] = CStringGetTextDatum(group->signals[0].recipient);
	args[1] = CStringGetTextDatum(group->signals[0].currency);
	n = (int) uaef_spi_run(&lock_reversals, args, NULL);
	if (n == 0)
		return true;
	ids = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		ids[i] = Int64GetDatum(uaef_spi_int64(i, 1));
		group->minor = uaef_numeric_op(numeric_sub, group->minor,
									   DatumGetNumeric(uaef_spi_value(i, 2, &isnull)));
	}
	group->reversals = uaef_array(ids, NULL, n, INT8OID);
	return uaef_numeric_sign(group->minor) > 0;
}

static void
pay_group(Batch *batch, Debt *group)
{
	Datum		arg = CStringGetTextDatum(group->signals[0].recipient);
	UaefPayout	payout;
	Jsonb	   *destination;
	char	   *channel;

	if (batch->netting && !net(group))
		return;
	if (uaef_spi_run(&find_payee, &arg, NULL) == 0)
		return;
	channel = uaef_spi_text(0, 1);
	destination = uaef_spi_jsonb(0, 2);
	if (batch->channel.name == NULL ||
		strcmp(batch->channel.name, channel) != 0)
		uaef_payout_channel_get(channel, &batch->channel);
	make_payout(batch, group, channel, destination, &payout);
}

static int
compare_signals(const void *a, const void *b)
{
	const UaefSignal *x = a;
	const UaefSignal *y = b;
	int			order = strcmp(x->recipient, y->recipient);

	if (order == 0)
		order = strcmp(x->currency, y->currency);
	if (order == 0)
		order = x->signal_id < y->signal_id ? -1 : x->signal_id > y->signal_id;
	return order;
}

static bool
belong_together(const Batch *batch, const UaefSignal *a, const UaefSignal *b)
{
	return batch->netting && strcmp(a->recipient, b->recipient) == 0 &&
		strcmp(a->currency, b->currency) == 0;
}

static void
pay_groups(Batch *batch, UaefSignal *signals, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef payout",
												  ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < n;)
	{
		Debt		group = {.signals = &signals[i],.n = 1};
		MemoryContext old = MemoryContextSwitchTo(context);

		group.minor = signals[i].minor;
		while (i + group.n < n &&
			   belong_together(batch, &signals[i], &signals[i + group.n]))
		{
			group.minor = uaef_numeric_op(numeric_add, group.minor,
										  signals[i + group.n].minor);
			group.n++;
		}
		i += group.n;
		pay_group(batch, &group);
		MemoryContextSwitchTo(old);
	}
	MemoryContextDelete(context);
}

/*
 * Signals that are still as they were found, in the order of their recipients.
 */
static int
lock_payable(TimestampTz cutoff, const char *channel, int max_signals,
			 UaefSignal **signals)
{
	Datum		args[3];
	int64	   *ids;
	int			n;
	int			kept = 0;

	args[0] = TimestampTzGetDatum(cutoff);
	args[1] = channel ? CStringGetTextDatum(channel) : (Datum) 0;
	args[2] = Int32GetDatum(max_signals);
	n = (int) uaef_spi_run(&find_payable, args, channel ? NULL : " n ");
	if (n == 0)
		return 0;
	ids = palloc(n * sizeof(int64));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	*signals = uaef_signals_lock(ids, n);
	for (int i = 0; i < n; i++)
	{
		UaefSignal *signal = &(*signals)[i];

		if ((signal->status == UAEF_SIGNAL_APPROVED ||
			 signal->status == UAEF_SIGNAL_SCHEDULED) &&
			!signal->held && signal->due_at <= cutoff)
			(*signals)[kept++] = *signal;
	}
	qsort(*signals, kept, sizeof(UaefSignal), compare_signals);
	return kept;
}

static void
begin_batch(Batch *batch, TimestampTz cutoff)
{
	Datum		args[4];

	args[0] = TimestampTzGetDatum(cutoff);
	args[1] = BoolGetDatum(batch->netting);
	args[2] = ObjectIdGetDatum(batch->actor);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_batch, args, NULL);
	batch->batch_id = uaef_spi_int64(0, 1);
}

/*
 * One that holds nothing is none.
 */
static void
end_batch(Batch *batch)
{
	Datum		args[2];

	args[0] = Int64GetDatum(batch->batch_id);
	args[1] = Int32GetDatum(batch->n_payouts);
	if (batch->n_payouts > 0)
		(void) uaef_spi_run(&count_batch, args, NULL);
	else
	{
		(void) uaef_spi_run(&delete_batch, args, NULL);
		batch->batch_id = 0;
	}
}

int64
uaef_payouts_build(TimestampTz cutoff, bool netting, const char *channel,
				   int max_signals, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Batch		batch = {.netting = netting,.actor = actor};
	UaefPayoutChannel found;
	UaefSignal *signals;
	int			n;

	if (channel != NULL)
		uaef_payout_channel_get(channel, &found);
	n = lock_payable(cutoff, channel, max_signals, &signals);
	if (n > 0)
	{
		begin_batch(&batch, cutoff);
		pay_groups(&batch, signals, n);
		end_batch(&batch);
	}
	uaef_spi_end(caller);
	return batch.batch_id;
}

void
uaef_payout_by_hand(UaefSignal *signal, Oid actor, UaefPayout *payout)
{
	Batch		batch = {.actor = actor};
	Debt		group = {.signals = signal,.n = 1,.minor = signal->minor};
	Datum		arg;
	Jsonb	   *destination = uaef_json_empty();
	const char *channel = "manual";

	if (signal->recipient != NULL)
	{
		arg = CStringGetTextDatum(signal->recipient);
		if (uaef_spi_run(&find_payee, &arg, NULL) > 0)
		{
			channel = uaef_spi_text(0, 1);
			destination = uaef_spi_jsonb(0, 2);
		}
	}
	uaef_payout_channel_get(channel, &batch.channel);
	if (strcmp(batch.channel.kind, "manual") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("recipient \"%s\" is paid through channel \"%s\", and not by hand",
						signal->recipient, channel)));
	batch.channel.contract.duplicate_window_ms = 0;
	begin_batch(&batch, uaef_clock_now());
	make_payout(&batch, &group, channel, destination, payout);
	end_batch(&batch);
	uaef_payout_sent(payout, &batch.channel, actor);
}
