/*-------------------------------------------------------------------------
 *
 * payout_export.c
 *	  Batches as files for banks: pain.001.001.09 (ISO 20022).
 *
 * A file is made once; whoever asks again gets the same.  What was held, or paid
 * by hand, when it was made is never in it.
 *
 * Locking: the batch's row, then its payouts'.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "bank_account.h"
#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "numeric_util.h"
#include "payout.h"
#include "spi_util.h"

/* Longest names that the document takes, in characters. */
#define MAX_NAME 140

/* Most digits of an amount, and of the sum of all. */
#define MAX_DIGITS 18

static UaefQuery lock_batch = {
	"SELECT coalesce(exported_at, '-infinity') FROM uaef.payout_batch"
	" WHERE batch_id = $1 FOR NO KEY UPDATE",
	1, {INT8OID}
};

static UaefQuery mark_batch = {
	"UPDATE uaef.payout_batch SET exported_at = $2 WHERE batch_id = $1",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery find_unsent = {
	"SELECT p.payout_id FROM uaef.payout p"
	" JOIN uaef.payout_channel c ON c.name = p.channel"
	" WHERE p.batch_id = $1 AND c.kind = 'file' AND p.status = 'reserved'"
	" AND p.hold_reason IS NULL ORDER BY p.payout_id",
	1, {INT8OID}
};

static UaefQuery select_payouts = {
	"SELECT p.end_to_end_id, p.amount, p.currency,"
	" p.body #>> '{destination,name}', p.body #>> '{destination,iban}',"
	" p.body #>> '{destination,bic}', p.recipient"
	" FROM uaef.payout p JOIN uaef.payout_channel c ON c.name = p.channel"
	" WHERE p.batch_id = $1 AND c.kind = 'file' AND p.in_file"
	" ORDER BY p.currency, p.payout_id",
	1, {INT8OID}
};

static UaefQuery put_in_file = {
	"UPDATE uaef.payout SET in_file = true WHERE payout_id = $1",
	1, {UUIDOID}
};

/* One transfer of the document. */
typedef struct Transfer
{
	char	   *end_to_end_id;
	Numeric		amount;
	char	   *currency;
	char	   *name;
	char	   *iban;
	char	   *bic;			/* or NULL */
} Transfer;

/*
 * Text of an element; what XML does not allow was refused before.
 */
static void
put_text(StringInfo xml, const char *tag, const char *text)
{
	appendStringInfo(xml, "<%s>", tag);
	for (; *text != '\0'; text++)
	{
		if (*text == '&')
			appendStringInfoString(xml, "&amp;");
		else if (*text == '<')
			appendStringInfoString(xml, "&lt;");
		else if (*text == '>')
			appendStringInfoString(xml, "&gt;");
		else
			appendStringInfoChar(xml, *text);
	}
	appendStringInfo(xml, "</%s>", tag);
}

/*
 * A part of an address of money, which must be there and clean.
 */
static char *
require_text(char *text, const char *what, const char *whose)
{
	if (text == NULL || text[0] == '\0' ||
		pg_mbstrlen(text) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("%s has no \"%s\" of 1 to %d characters", whose, what,
						MAX_NAME)));
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || strncmp(c, "\xEF\xBF\xBE", 3) == 0 ||
			strncmp(c, "\xEF\xBF\xBF", 3) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
					 errmsg("\"%s\" of %s has control characters", what,
							whose)));
	return text;
}

/*
 * An IBAN; built: of a payout whose body is made, which no new one changes.
 */
static char *
require_iban(char *text, const char *whose, bool built)
{
	(void) require_text(text, "iban", whose);
	if (!uaef_iban_is_valid(text))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("\"iban\" of %s is no IBAN: \"%s\"", whose, text),
				 errdetail("It has 15 to 34 capitals and digits without blanks, and its check digits must fit (ISO 13616)."),
				 built ? errhint("What is built keeps its destination: uaef.cancel_payout(), uaef.set_payee(), and schedule its signals again.") : 0));
	return text;
}

/* NULL: none. */
static char *
check_bic(char *text, const char *whose)
{
	if (text != NULL && !uaef_bic_is_valid(text))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("\"bic\" of %s is no BIC: \"%s\"", whose, text),
				 errdetail("It has 8 or 11 capitals and digits, of which the fifth and sixth name the country (ISO 9362).")));
	return text;
}

void
uaef_payout_check_destination(const char *recipient, Jsonb *destination)
{
	char	   *whose = psprintf("recipient \"%s\"", recipient);

	(void) require_text(uaef_json_get_text(destination, "name"), "name", whose);
	(void) require_iban(uaef_json_get_text(destination, "iban"), whose, false);
	(void) check_bic(uaef_json_get_text(destination, "bic"), whose);
}

/*
 * An amount as the document has it.
 */
static char *
amount_text(Numeric amount, const char *what)
{
	char	   *text = uaef_numeric_text(amount);
	int			digits = 0;

	for (const char *c = text; *c != '\0'; c++)
		digits += *c >= '0' && *c <= '9';
	if (digits > MAX_DIGITS)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("%s has more than %d digits, which a bank file cannot have: %s",
						what, MAX_DIGITS, text)));
	return text;
}

/*
 * Mark what goes into the file as being sent.
 */
static TimestampTz
send_by_file(int64 batch_id, Oid actor)
{
	TimestampTz now = uaef_clock_now();
	Datum		args[2];
	int			n;
	pg_uuid_t  *ids;

	args[0] = Int64GetDatum(batch_id);
	args[1] = TimestampTzGetDatum(now);
	n = (int) uaef_spi_run(&find_unsent, args, NULL);
	ids = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_uuid(i, 1);
	for (int i = 0; i < n; i++)
	{
		UaefPayoutChannel channel;
		UaefPayout	payout;
		Datum		arg;

		uaef_payout_lock(&ids[i], &payout);
		uaef_payout_check_body(&payout);
		uaef_payout_channel_get(payout.channel, &channel);
		uaef_payout_sent(&payout, &channel, actor);
		arg = UUIDPGetDatum(&ids[i]);
		(void) uaef_spi_run(&put_in_file, &arg, NULL);
	}
	(void) uaef_spi_run(&mark_batch, args, NULL);
	return now;
}

static int
read_transfers(int64 batch_id, Transfer **transfers)
{
	Datum		arg = Int64GetDatum(batch_id);
	int			n = (int) uaef_spi_run(&select_payouts, &arg, NULL);

	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_PAYOUT),
				 errmsg("batch %lld has no payouts by bank files",
						(long long) batch_id)));
	*transfers = palloc(n * sizeof(Transfer));
	for (int i = 0; i < n; i++)
	{
		Transfer   *transfer = &(*transfers)[i];
		char	   *whose = psprintf("recipient \"%s\"", uaef_spi_text(i, 7));
		bool		isnull;

		transfer->end_to_end_id = uaef_spi_text(i, 1);
		transfer->amount = DatumGetNumericCopy(uaef_spi_value(i, 2, &isnull));
		transfer->currency = uaef_spi_text(i, 3);
		transfer->name = require_text(uaef_spi_text(i, 4), "name", whose);
		transfer->iban = require_iban(uaef_spi_text(i, 5), whose, true);
		transfer->bic = check_bic(uaef_spi_text(i, 6), whose);
	}
	return n;
}

static char *
sum_of(const Transfer *transfers, int n)
{
	Numeric		sum = int64_to_numeric(0);

	for (int i = 0; i < n; i++)
		sum = uaef_numeric_op(numeric_add, sum, transfers[i].amount);
	return amount_text(sum, "the sum of a batch");
}

/*
 * A party's account and bank; prefix is Dbtr or Cdtr.
 */
static void
put_agent(StringInfo xml, const char *prefix, const char *bic)
{
	appendStringInfo(xml, "<%sAgt><FinInstnId>", prefix);
	if (bic != NULL)
		put_text(xml, "BICFI", bic);
	else
		appendStringInfoString(xml, "<Othr><Id>NOTPROVIDED</Id></Othr>");
	appendStringInfo(xml, "</FinInstnId></%sAgt>", prefix);
}

static void
put_account(StringInfo xml, const char *prefix, const char *iban)
{
	appendStringInfo(xml, "<%sAcct><Id>", prefix);
	put_text(xml, "IBAN", iban);
	appendStringInfo(xml, "</Id></%sAcct>", prefix);
}

static void
put_transfer(StringInfo xml, const Transfer *transfer)
{
	appendStringInfoString(xml, "<CdtTrfTxInf><PmtId>");
	put_text(xml, "EndToEndId", transfer->end_to_end_id);
	appendStringInfo(xml, "</PmtId><Amt><InstdAmt Ccy=\"%s\">%s</InstdAmt></Amt>",
					 transfer->currency, amount_text(transfer->amount, "a payout"));
	put_agent(xml, "Cdtr", transfer->bic);
	appendStringInfoString(xml, "<Cdtr>");
	put_text(xml, "Nm", transfer->name);
	appendStringInfoString(xml, "</Cdtr>");
	put_account(xml, "Cdtr", transfer->iban);
	appendStringInfoString(xml, "</CdtTrfTxInf>\n");
}

/*
 * The transfers of one currency.
 */
static void
put_payment(StringInfo xml, const char *id, const char *date, Jsonb *debtor,
			const Transfer *transfers, int n)
{
	appendStringInfoString(xml, "<PmtInf>");
	put_text(xml, "PmtInfId", id);
	appendStringInfo(xml, "<PmtMtd>TRF</PmtMtd><NbOfTxs>%d</NbOfTxs><CtrlSum>%s</CtrlSum>",
					 n, sum_of(transfers, n));
	appendStringInfo(xml, "<ReqdExctnDt><Dt>%.10s</Dt></ReqdExctnDt><Dbtr>",
					 date);
	put_text(xml, "Nm", require_text(uaef_json_get_text(debtor, "name"),
									 "name", "the debtor"));
	appendStringInfoString(xml, "</Dbtr>");
	put_account(xml, "Dbtr", require_iban(uaef_json_get_text(debtor, "iban"),
										  "the debtor", false));
	put_agent(xml, "Dbtr", check_bic(uaef_json_get_text(debtor, "bic"),
									 "the debtor"));
	appendStringInfoString(xml, "\n");
	for (int i = 0; i < n; i++)
		put_transfer(xml, &transfers[i]);
	appendStringInfoString(xml, "</PmtInf>\n");
}

static char *
document(int64 batch_id, TimestampTz made_at, Jsonb *debtor,
		 const Transfer *transfers, int n)
{
	char	   *date = uaef_time_text(made_at);
	char	   *id = psprintf("UAEF-%lld", (long long) batch_id);
	StringInfoData xml;

	initStringInfo(&xml);
	appendStringInfoString(&xml,
						   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
						   "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">"
						   "<CstmrCdtTrfInitn>\n<GrpHdr>");
	put_text(&xml, "MsgId", id);
	appendStringInfo(&xml, "<CreDtTm>%.19s</CreDtTm><NbOfTxs>%d</NbOfTxs><CtrlSum>%s</CtrlSum><InitgPty>",
					 date, n, sum_of(transfers, n));
	put_text(&xml, "Nm", require_text(uaef_json_get_text(debtor, "name"),
									  "name", "the debtor"));
	appendStringInfoString(&xml, "</InitgPty></GrpHdr>\n");
	for (int i = 0; i < n;)
	{
		int			same = 1;

		while (i + same < n && strcmp(transfers[i].currency,
									  transfers[i + same].currency) == 0)
			same++;
		put_payment(&xml, psprintf("%s-%s", id, transfers[i].currency), date,
					debtor, &transfers[i], same);
		i += same;
	}
	appendStringInfoString(&xml, "</CstmrCdtTrfInitn></Document>\n");
	return xml.data;
}

char *
uaef_payout_export(int64 batch_id, Jsonb *debtor, Oid actor)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = Int64GetDatum(batch_id);
	TimestampTz made_at;
	Transfer   *transfers;
	char	   *xml;
	bool		isnull;
	int			n;

	if (uaef_spi_run(&lock_batch, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_PAYOUT),
				 errmsg("batch %lld does not exist", (long long) batch_id)));
	made_at = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	if (TIMESTAMP_NOT_FINITE(made_at))
		made_at = send_by_file(batch_id, actor);
	n = read_transfers(batch_id, &transfers);
	xml = MemoryContextStrdup(context, document(batch_id, made_at, debtor,
												transfers, n));
	uaef_spi_end(caller);
	return xml;
}
