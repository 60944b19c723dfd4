/*-------------------------------------------------------------------------
 *
 * settlement_book.c
 *	  What settlements and payouts post: each edge that moves money a journal.
 *
 * Accounts are made when they are first posted to.  Those that everybody posts
 * to have several rows, so that nobody waits for them.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "event_hash.h"
#include "json_util.h"
#include "money.h"
#include "settlement_book.h"
#include "spi_util.h"
#include "uuid7.h"

/* Rows of the balance of an account that all settlements post to. */
#define BUSY_STRIPES	16

/* Longest recipient that is a part of an account's code as it is. */
#define MAX_PLAIN		150

static UaefQuery find_account = {
	"SELECT FROM uaef.account WHERE code = $1",
	1, {TEXTOID}
};

/* Lines of a journal in the making. */
typedef struct Lines
{
	int			n;
	UaefPosting *postings;
	UaefBookActor actor;
	const char *currency;
} Lines;

static void
lines_begin(Lines *lines, const pg_uuid_t *stream, const char *currency,
			int size)
{
	lines->n = 0;
	lines->postings = palloc0(size * sizeof(UaefPosting));
	lines->actor.type = "system";
	lines->actor.id = NULL;
	lines->actor.stream = stream;
	lines->currency = currency;
}

static void
require_account(const Lines *lines, const UaefAccountSpec *spec)
{
	Datum		arg = CStringGetTextDatum(spec->code);

	if (uaef_spi_run(&find_account, &arg, NULL) == 0)
		(void) uaef_book_account(spec, &lines->actor);
}

/*
 * An account that the house has one of, or a channel: name may be NULL.
 */
static const char *
own_account(const Lines *lines, const char *kind, const char *prefix,
			const char *name)
{
	UaefAccountSpec spec = {
		.kind = kind,
		.currency = lines->currency,
		.owner_type = "platform",
		.stripes = BUSY_STRIPES
	};

	spec.code = name == NULL ? psprintf("%s:%s", prefix, lines->currency)
		: psprintf("%s:%s:%s", prefix, name, lines->currency);
	require_account(lines, &spec);
	return spec.code;
}

/*
 * A recipient's account.  Of a long one the digest stands in the code.
 */
static const char *
recipient_account(const Lines *lines, const char *kind, const char *prefix,
				  const char *recipient)
{
	static const char *const owners[] = {"agent", "user", "external", "pool"};
	const char *colon = strchr(recipient, ':');
	UaefAccountSpec spec = {
		.kind = kind,
		.currency = lines->currency,
		.owner_type = "platform",
		.name = recipient
	};
	const char *id = recipient;

	for (int i = 0; i < lengthof(owners); i++)
	{
		if (colon != NULL && strlen(owners[i]) == colon - recipient &&
			strncmp(owners[i], recipient, colon - recipient) == 0)
		{
			spec.owner_type = owners[i];
			spec.owner_id = colon + 1;
		}
	}
	if (strlen(recipient) > MAX_PLAIN)
	{
		uint8		digest[UAEF_HASH_LEN];

		uaef_hash_begin();
		uaef_hash_add(recipient, strlen(recipient));
		uaef_hash_end(digest);
		id = uaef_hex(digest, UAEF_HASH_LEN);
	}
	spec.code = psprintf("%s:%s:%s", prefix, id, lines->currency);
	require_account(lines, &spec);
	return spec.code;
}

static const char *
payable(const Lines *lines, const char *recipient)
{
	return recipient_account(lines, "liability", "payable", recipient);
}

static const char *
expense(const Lines *lines)
{
	return own_account(lines, "expense", "settlement:expense", NULL);
}

static const char *
clearing(const Lines *lines, const UaefPayout *payout)
{
	return own_account(lines, "liability", "clearing", payout->channel);
}

static const char *
bank(const Lines *lines, const UaefPayout *payout)
{
	return own_account(lines, "asset", "bank", payout->channel);
}

static void
add_line(Lines *lines, const char *account, bool credit, Numeric minor)
{
	UaefPosting *posting = &lines->postings[lines->n++];

	posting->account = account;
	posting->credit = credit;
	posting->amount = minor;
	posting->currency = lines->currency;
}

static void
post(Lines *lines, const char *kind, Jsonb *metadata, const char *key)
{
	UaefJournal journal = {
		.kind = kind,
		.key = key,
		.metadata = metadata,
		.postings = lines->postings,
		.n_postings = lines->n
	};

	uaef_book_post(&lines->actor, &journal, 1);
}

static void
post_pair(Lines *lines, const char *kind, Jsonb *metadata, const char *key,
		  const char *debit, const char *credit, Numeric minor)
{
	add_line(lines, debit, false, minor);
	add_line(lines, credit, true, minor);
	post(lines, kind, metadata, key);
}

/*----------
 * Signals
 * ----------
 */

static Jsonb *
signal_metadata(const UaefSignal *signal)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	return uaef_json_end(&json);
}

void
uaef_settlement_book_debts(const pg_uuid_t *execution_id, const char *currency,
						   const UaefDebt *debts, int n, bool back)
{
	Lines		lines;
	UaefJson	json;

	lines_begin(&lines, execution_id, currency, 2 * n);
	for (int i = 0; i < n; i++)
	{
		add_line(&lines, expense(&lines), back, debts[i].minor);
		add_line(&lines, payable(&lines, debts[i].recipient), !back,
				 debts[i].minor);
	}
	if (lines.n == 0)
		return;
	uaef_json_begin(&json);
	uaef_json_uuid(&json, "execution_id", execution_id);
	post(&lines, back ? "settlement_withdrawn" : "settlement_approved",
		 uaef_json_end(&json), NULL);
}

/*
 * Whether the recipient is, or was, owed the amount of a signal.
 */
static bool
is_owed(UaefSignalStatus status)
{
	switch (status)
	{
		case UAEF_SIGNAL_APPROVED:
		case UAEF_SIGNAL_SCHEDULED:
		case UAEF_SIGNAL_IN_PAYOUT:
		case UAEF_SIGNAL_PAID:
		case UAEF_SIGNAL_FAILED:
		case UAEF_SIGNAL_RETURNED:
		case UAEF_SIGNAL_DISPUTED:
		case UAEF_SIGNAL_REVERSED:
		case UAEF_SIGNAL_WRITTEN_OFF:
			return true;
		default:
			return false;
	}
}

static void
book_dispute(const UaefSignal *signal, bool ends)
{
	Lines		lines;
	const char *disputed;
	const char *disputes;

	lines_begin(&lines, &signal->execution_id, signal->currency, 2);
	disputed = recipient_account(&lines, "control", "disputed",
								 signal->recipient);
	disputes = own_account(&lines, "control", "settlement:disputes", NULL);
	post_pair(&lines, ends ? "settlement_dispute_ended" : "settlement_disputed",
			  signal_metadata(signal), NULL, ends ? disputes : disputed,
			  ends ? disputed : disputes, signal->minor);
}

static void
book_write_off(const UaefSignal *signal)
{
	Lines		lines;

	lines_begin(&lines, &signal->execution_id, signal->currency, 2);
	post_pair(&lines, "settlement_written_off", signal_metadata(signal), NULL,
			  payable(&lines, signal->recipient),
			  own_account(&lines, "income", "settlement:written_off", NULL),
			  signal->minor);
}

void
uaef_settlement_book_move(const UaefSignal *signal, UaefSignalStatus from,
						  UaefSignalAction action)
{
	UaefDebt	debt = {signal->recipient, signal->minor};

	if (is_owed(from) != is_owed(signal->status))
		uaef_settlement_book_debts(&signal->execution_id, signal->currency,
								   &debt, 1, is_owed(from));
	if (from == UAEF_SIGNAL_DISPUTED)
		book_dispute(signal, true);
	else if (signal->status == UAEF_SIGNAL_DISPUTED)
		book_dispute(signal, false);
	if (action == UAEF_ACT_WRITE_OFF)
		book_write_off(signal);
}

void
uaef_settlement_book_reversal(const UaefSignal *signal, Numeric minor,
							  int64 reversal_id)
{
	Lines		lines;
	UaefJson	json;

	lines_begin(&lines, &signal->execution_id, signal->currency, 2);
	uaef_json_begin(&json);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	uaef_json_int(&json, "reversal_id", reversal_id);
	post_pair(&lines, "settlement_reversed", uaef_json_end(&json),
			  psprintf("uaef:reversal:%lld", (long long) reversal_id),
			  payable(&lines, signal->recipient), expense(&lines), minor);
}

/*----------
 * Payouts
 * ----------
 */

/*
 * At most one journal of a kind for a payout, whatever else goes wrong.
 */
static void
book_transfer(const UaefPayout *payout, Lines *lines, const char *kind,
			  const char *debit, const char *credit)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "payout_id", &payout->payout_id);
	post_pair(lines, kind, uaef_json_end(&json),
			  psprintf("uaef:%s:%s", kind, uaef_uuid_text(&payout->payout_id)),
			  debit, credit, payout->minor);
}

static void
book_hold(UaefPayout *payout, const Lines *lines)
{
	char	   *id = uaef_uuid_text(&payout->payout_id);
	UaefHoldSpec spec = {
		.account = payable(lines, payout->recipient),
		.amount = payout->minor,
		.reason = psprintf("payout %s", id),
		.key = psprintf("uaef:payout_reserved:%s", id)
	};

	payout->hold_id = uaef_book_hold(&lines->actor, &spec);
}

static void
book_return(UaefPayout *payout, Lines *lines, UaefPayoutStatus from)
{
	const char *source = from == UAEF_PAYOUT_SETTLED ? bank(lines, payout)
		: clearing(lines, payout);

	book_transfer(payout, lines, "payout_returned", source,
				  payable(lines, payout->recipient));
}

void
uaef_settlement_book_payout(UaefPayout *payout, UaefPayoutStatus from,
							UaefPayoutAction action)
{
	Lines		lines;

	lines_begin(&lines, &payout->payout_id, payout->currency, 2);
	switch (action)
	{
		case UAEF_PAY_RESERVE:
			book_hold(payout, &lines);
			break;
		case UAEF_PAY_ACCEPT:
			(void) uaef_book_capture(&lines.actor, payout->hold_id,
									 clearing(&lines, payout), NULL, true,
									 psprintf("uaef:payout_accepted:%s",
											  uaef_uuid_text(&payout->payout_id)));
			break;
		case UAEF_PAY_SETTLE:
			book_transfer(payout, &lines, "payout_settled",
						  clearing(&lines, payout), bank(&lines, payout));
			break;
		case UAEF_PAY_RETURN:
			book_return(payout, &lines, from);
			break;
		case UAEF_PAY_RELEASE:
		case UAEF_PAY_CANCEL:
			uaef_book_release(&lines.actor, payout->hold_id, "not paid");
			break;
		default:
			break;
	}
}

/* ----------
 * Money for payouts
 * ----------
 */

/*
 * bank:CHANNEL:CUR; what is no such code is left to who posts.
 */
static void
make_bank(const char *code)
{
	const char *name = code + strlen(UAEF_BOOK_BANK);
	const char *colon = strrchr(name, ':');
	const char *currency;
	Lines		lines;

	if (colon == NULL || uaef_currency_exponent(colon + 1) < 0)
		return;
	currency = colon + 1;
	if (!uaef_payout_channel_takes(pnstrdup(name, colon - name), currency))
		return;
	lines_begin(&lines, NULL, currency, 0);
	(void) own_account(&lines, "asset", "bank", pnstrdup(name, colon - name));
}

void
uaef_settlement_book_banks(const UaefJournal *journals, int n)
{
	const char *last = "";
	UaefCaller	caller;

	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < journals[i].n_postings; k++)
		{
			const char *code = journals[i].postings[k].account;

			if (strncmp(code, UAEF_BOOK_BANK, strlen(UAEF_BOOK_BANK)) != 0 ||
				strcmp(code, last) == 0)
				continue;
			last = code;
			caller = uaef_spi_begin();
			make_bank(code);
			uaef_spi_end(caller);
		}
	}
}
