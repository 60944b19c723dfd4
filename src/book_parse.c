/*-------------------------------------------------------------------------
 *
 * book_parse.c
 *	  Journals as people write them: from JSON.
 *
 *		{"kind": "fee", "description": "...", "effective_at": "2026-01-31",
 *		 "metadata": {...}, "key": "...",
 *		 "lines": [{"account": "bank", "debit": 100, "currency": "EUR"},
 *				   {"account": "fees", "credit": 100}]}
 *
 * or, in place of the lines of a transfer, "debit" and "credit" with the codes
 * of accounts, and "amount".
 *
 * Locking: none.  Memory: texts are copied, numbers point into the document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "book_parse.h"
#include "compat.h"
#include "errcodes.h"
#include "json_walk.h"

/* The kind of what people post, if they say none. */
#define MANUAL_KIND "manual"

/* A transfer while it is read. */
typedef struct Transfer
{
	char	   *debit;
	char	   *credit;
	char	   *currency;
	Numeric		amount;
} Transfer;

pg_noreturn static void bad_value(const JsonbValue *key, const char *wanted);
pg_noreturn static void unknown_key(const JsonbValue *key, const char *what,
									const char *known);
static char *read_text(const JsonbValue *key, const JsonbValue *value);
static Numeric read_amount(const JsonbValue *key, const JsonbValue *value);
static void read_side(UaefPosting *posting, bool credit,
					  const JsonbValue *key, const JsonbValue *value);
static void read_line(const JsonbValue *value, int number,
					  UaefPosting *posting);
static void read_lines(const JsonbValue *key, const JsonbValue *value,
					   UaefJournal *journal);
static bool read_head(const JsonbValue *key, const JsonbValue *value,
					  UaefJournal *journal);
static bool read_transfer(const JsonbValue *key, const JsonbValue *value,
						  Transfer *transfer);
static void set_transfer(const Transfer *transfer, UaefJournal *journal);
static void parse(const JsonbValue *document, UaefJournal *journal);

static void
bad_value(const JsonbValue *key, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" of a journal must be %s",
					pnstrdup(key->val.string.val, key->val.string.len),
					wanted)));
}

static void
unknown_key(const JsonbValue *key, const char *what, const char *known)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s has no \"%s\"", what,
					pnstrdup(key->val.string.val, key->val.string.len)),
			 errhint("Its keys are: %s.", known)));
}

static char *
read_text(const JsonbValue *key, const JsonbValue *value)
{
	if (value->type != jbvString)
		bad_value(key, "a text");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * A number, which jsonb keeps exactly.
 */
static Numeric
read_amount(const JsonbValue *key, const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		bad_value(key, "a number of minor units");
	return value->val.numeric;
}

/* ----------
 * Lines
 * ----------
 */

static void
read_side(UaefPosting *posting, bool credit, const JsonbValue *key,
		  const JsonbValue *value)
{
	if (posting->amount != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("line %d of a journal has a debit and a credit",
						posting->line)));
	posting->credit = credit;
	posting->amount = read_amount(key, value);
}

static void
read_line(const JsonbValue *value, int number, UaefPosting *posting)
{
	UaefMembers members;

	posting->line = number;
	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("line %d of a journal is no object", number)));
	members = uaef_members(value);
	for (int i = 0; i < members.n; i++)
	{
		const JsonbValue *key = &members.keys[i];

		if (uaef_key_is(key, "account"))
			posting->account = read_text(key, &members.values[i]);
		else if (uaef_key_is(key, "currency"))
			posting->currency = read_text(key, &members.values[i]);
		else if (uaef_key_is(key, "debit"))
			read_side(posting, false, key, &members.values[i]);
		else if (uaef_key_is(key, "credit"))
			read_side(posting, true, key, &members.values[i]);
		else
			unknown_key(key, "a line of a journal",
						"account, debit, credit, currency");
	}
	if (posting->account == NULL || posting->amount == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("line %d of a journal lacks %s", number,
						posting->account == NULL ? "\"account\"" :
						"\"debit\" or \"credit\"")));
}

static void
read_lines(const JsonbValue *key, const JsonbValue *value,
		   UaefJournal *journal)
{
	UaefMembers members;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		bad_value(key, "a list");
	members = uaef_members(value);
	if (members.n > UAEF_BOOK_MAX_LINES)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("a journal has more than %d lines",
						UAEF_BOOK_MAX_LINES)));
	journal->postings = palloc0(sizeof(UaefPosting) * Max(members.n, 1));
	journal->n_postings = members.n;
	for (int i = 0; i < members.n; i++)
		read_line(&members.values[i], i + 1, &journal->postings[i]);
}

/* ----------
 * Journals
 * ----------
 */

/*
 * What every journal may say; false for another key.
 */
static bool
read_head(const JsonbValue *key, const JsonbValue *value,
		  UaefJournal *journal)
{
	if (uaef_key_is(key, "kind"))
		journal->kind = read_text(key, value);
	else if (uaef_key_is(key, "description"))
		journal->description = read_text(key, value);
	else if (uaef_key_is(key, "key"))
	{
		if (journal->key != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a journal has two idempotency keys")));
		journal->key = read_text(key, value);
	}
	else if (uaef_key_is(key, "effective_at"))
	{
		journal->has_effective_at = true;
		journal->effective_at =
			DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													CStringGetDatum(read_text(key, value)),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
	}
	else if (uaef_key_is(key, "metadata"))
	{
		JsonbValue	copy = *value;

		if (value->type != jbvBinary ||
			!JsonContainerIsObject(value->val.binary.data))
			bad_value(key, "an object");
		journal->metadata = JsonbValueToJsonb(&copy);
	}
	else if (uaef_key_is(key, "lines"))
		read_lines(key, value, journal);
	else
		return false;
	return true;
}

static bool
read_transfer(const JsonbValue *key, const JsonbValue *value,
			  Transfer *transfer)
{
	if (uaef_key_is(key, "debit"))
		transfer->debit = read_text(key, value);
	else if (uaef_key_is(key, "credit"))
		transfer->credit = read_text(key, value);
	else if (uaef_key_is(key, "currency"))
		transfer->currency = read_text(key, value);
	else if (uaef_key_is(key, "amount"))
		transfer->amount = read_amount(key, value);
	else
		return false;
	return true;
}

/*
 * The lines of a transfer.
 */
static void
set_transfer(const Transfer *transfer, UaefJournal *journal)
{
	if (transfer->debit == NULL || transfer->credit == NULL ||
		transfer->amount == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a journal lacks its lines"),
				 errhint("Give \"lines\", or the accounts \"debit\" and \"credit\", and \"amount\".")));
	journal->postings = palloc0(sizeof(UaefPosting) * 2);
	journal->n_postings = 2;
	for (int i = 0; i < 2; i++)
	{
		UaefPosting *posting = &journal->postings[i];

		posting->account = i == 0 ? transfer->debit : transfer->credit;
		posting->credit = i == 1;
		posting->amount = transfer->amount;
		posting->currency = transfer->currency;
		posting->line = i + 1;
	}
}

/*
 * Money comes to a channel's disposal, and fees go, without any payout.
 */
static bool
is_bank(const char *code)
{
	return strncmp(code, UAEF_BOOK_BANK, strlen(UAEF_BOOK_BANK)) == 0;
}

static void
parse(const JsonbValue *document, UaefJournal *journal)
{
	UaefMembers members;
	Transfer	transfer = {0};
	bool		is_transfer = false;

	if (document->type != jbvBinary ||
		!JsonContainerIsObject(document->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a journal must be a JSON object")));
	journal->kind = MANUAL_KIND;
	members = uaef_members(document);
	for (int i = 0; i < members.n; i++)
	{
		if (read_head(&members.keys[i], &members.values[i], journal))
			continue;
		if (!read_transfer(&members.keys[i], &members.values[i], &transfer))
			unknown_key(&members.keys[i], "a journal", "lines, or debit, credit and amount;"
						" currency, kind, description, effective_at, metadata, key");
		is_transfer = true;
	}
	if (is_transfer && journal->postings != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a journal has \"lines\", and is a transfer besides")));
	if (journal->postings == NULL)
		set_transfer(&transfer, journal);
	uaef_book_require_manual(journal->kind, journal->key);
	for (int i = 0; i < journal->n_postings; i++)
		if (!is_bank(journal->postings[i].account))
			uaef_book_require_manual_account(journal->postings[i].account);
}

void
uaef_book_parse(Jsonb *document, const char *key, UaefJournal *journal)
{
	JsonbValue	value;

	memset(journal, 0, sizeof(UaefJournal));
	journal->key = key;
	JsonbToJsonbValue(document, &value);
	parse(&value, journal);
}

UaefJournal *
uaef_book_parse_list(Jsonb *documents, int *n)
{
	UaefJournal *journals;
	UaefMembers members;
	JsonbValue	value;

	if (!JB_ROOT_IS_ARRAY(documents) || JB_ROOT_IS_SCALAR(documents))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("journals must be a JSON array")));
	JsonbToJsonbValue(documents, &value);
	members = uaef_members(&value);
	journals = palloc_extended(sizeof(UaefJournal) * Max(members.n, 1),
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < members.n; i++)
		parse(&members.values[i], &journals[i]);
	*n = members.n;
	return journals;
}

void
uaef_book_require_manual(const char *kind, const char *key)
{
	static const char *const reserved[] = {
		"settlement", "payout", "reversal", "hold"
	};

	for (int i = 0; kind != NULL && i < lengthof(reserved); i++)
		if (strncmp(kind, reserved[i], strlen(reserved[i])) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("journals of kind \"%s\" are the engine's", kind),
					 errdetail("Kinds that begin with \"%s\" are reserved.",
							   reserved[i])));
	if (key != NULL && strncmp(key, UAEF_BOOK_ENGINE_KEY,
							   strlen(UAEF_BOOK_ENGINE_KEY)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("idempotency keys that begin with \"%s\" are the engine's",
						UAEF_BOOK_ENGINE_KEY)));
}

void
uaef_book_require_manual_account(const char *code)
{
	static const char *const reserved[] = {UAEF_BOOK_ENGINE_ACCOUNTS};

	for (int i = 0; i < lengthof(reserved); i++)
		if (strncmp(code, reserved[i], strlen(reserved[i])) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("account \"%s\" is the engine's", code),
					 errdetail("Codes that begin with \"%s\" are reserved: settlements and payouts post to these accounts.",
							   reserved[i]),
					 errhint("Use accounts of your own; keep back what is owed by uaef.hold_settlement(), correct it by uaef.adjust_settlement(), uaef.reverse_settlement() or uaef.write_off_settlement().")));
}
