/*-------------------------------------------------------------------------
 *
 * payout_contract.c
 *	  What a provider of payments promises.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "definition_read.h"
#include "errcodes.h"
#include "json_util.h"
#include "money.h"
#include "payout_contract.h"

#define DAY_MS			INT64CONST(86400000)
#define DEFAULT_MARGIN	0.25
#define DEFAULT_LOOKUP_MS INT64CONST(10000)
#define DEFAULT_LOOKUPS	12
#define MAX_LOOKUPS		100

/* Digits of an amount, and its point. */
#define MAX_AMOUNT_LEN	40

static void read_lookups(const UaefObject *object,
						 UaefPayoutContract *contract);
static void read_currencies(const UaefObject *object,
							UaefPayoutContract *contract);
static bool is_amount(const JsonbValue *value);
static void read_max_amount(const UaefObject *object,
							UaefPayoutContract *contract);
static void check_max_amount(const UaefPayoutContract *contract,
							 const char *currency, const char *amount);
static void read_reference(const UaefObject *object,
						   UaefPayoutContract *contract);

/*
 * How the worker asks what became of a payout, and what the answer means.
 */
static void
read_lookups(const UaefObject *object, UaefPayoutContract *contract)
{
	static const char *const choices[] = {
		"none", "by_key", "by_reference", NULL
	};
	static const char *const outcomes[] = {
		"accepted", "in_transit", "settled", "returned", "rejected", "unknown",
		NULL
	};
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	contract->has_lookup = uaef_read_choice(object, "lookup", choices, 0) > 0;
	contract->states = uaef_read_document(object, "states");
	contract->lookup_after_ms = uaef_read_duration(object, "lookup_after",
												   DEFAULT_LOOKUP_MS);
	contract->lookups = uaef_read_int(object, "lookups", DEFAULT_LOOKUPS, 0,
									  MAX_LOOKUPS);
	if (contract->states == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(contract->states))
		uaef_read_wrong(object, "states",
						"an object of outcomes by the provider's words");
	if (!contract->has_lookup)
		uaef_read_wrong(object, "states",
						"left out where \"lookup\" is none: nobody would be asked");
	it = JsonbIteratorInit(&contract->states->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE &&
			(value.type != jbvString ||
			 !uaef_is_one_of(outcomes, value.val.string.val,
							 value.val.string.len)))
			uaef_read_wrong(object, "states",
							"an object of accepted, in_transit, settled, returned, rejected and unknown");
	}
}

static void
read_currencies(const UaefObject *object, UaefPayoutContract *contract)
{
	contract->n_currencies = uaef_read_texts(object, "currencies",
											 &contract->currencies);
	for (int i = 0; i < contract->n_currencies; i++)
	{
		if (uaef_currency_exponent(contract->currencies[i]) < 0)
			uaef_read_wrong(object, "currencies", "an array of currencies");
	}
}

static char *
text_of(const JsonbValue *string)
{
	return pnstrdup(string->val.string.val, string->val.string.len);
}

static bool
is_amount(const JsonbValue *value)
{
	char	   *text;

	if (value->type != jbvString || value->val.string.len > MAX_AMOUNT_LEN)
		return false;
	text = text_of(value);
	return *text >= '0' && *text <= '9' &&
		strspn(text, "0123456789.") == strlen(text) &&
		strchr(text, '.') == strrchr(text, '.');
}

/*
 * Raise for a currency that is none or is not taken, and for more digits than it
 * has.
 */
static void
check_max_amount(const UaefPayoutContract *contract, const char *currency,
				 const char *amount)
{
	int			digits = uaef_currency_exponent(currency);
	const char *point = strchr(amount, '.');

	uaef_currency_require(currency);
	if (!uaef_payout_contract_takes(contract, currency))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"max_amount\" in the contract: %s is not one of its \"currencies\"",
						currency)));
	if (point != NULL && strlen(point + 1) > digits)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"max_amount\" in the contract: %s is no amount of %s",
						amount, currency),
				 errdetail("%s has %d digits after the point.", currency,
						   digits)));
}

/*
 * {"EUR": "1000.00"}
 */
static void
read_max_amount(const UaefObject *object, UaefPayoutContract *contract)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *currency = NULL;

	contract->max_amount = uaef_read_document(object, "max_amount");
	if (contract->max_amount == NULL)
		return;
	it = JsonbIteratorInit(&contract->max_amount->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			currency = text_of(&value);
		if (token != WJB_VALUE)
			continue;
		if (!is_amount(&value))
			uaef_read_wrong(object, "max_amount",
							"an object of amounts in strings, by currency");
		check_max_amount(contract, currency, text_of(&value));
	}
}

static void
read_reference(const UaefObject *object, UaefPayoutContract *contract)
{
	char	   *text = uaef_read_text(object, "reference", false);

	if (text != NULL)
		contract->reference = uaef_path_compile(text, strlen(text), true);
}

/*
 * What nothing is ever heard of settles when it is accepted.
 */
void
uaef_payout_contract_read(Jsonb *document, UaefPayoutContract *contract)
{
	static const char *const keys[] = {
		"idempotency", "key_ttl", "key_margin", "lookup", "webhooks",
		"statement", "currencies", "max_amount", "settles",
		"duplicate_window", "reference", "states", "lookup_after", "lookups",
		NULL
	};
	static const char *const promises[] = {"none", "native", NULL};
	static const char *const statements[] = {"none", "csv", "camt053", NULL};
	JsonbValue	value;
	UaefObject	object;
	bool		webhooks;

	memset(contract, 0, sizeof(*contract));
	uaef_document_value(document, &value);
	object = uaef_read_object(NULL, &value, keys, "the contract");
	contract->native_key = uaef_read_choice(&object, "idempotency", promises,
											0) == 1;
	contract->key_ttl_ms = uaef_read_duration(&object, "key_ttl", DAY_MS);
	if (contract->key_ttl_ms <= 0)
		uaef_read_wrong(&object, "key_ttl", "more than zero");
	contract->key_margin = uaef_read_double(&object, "key_margin",
											DEFAULT_MARGIN, 0, 1);
	read_lookups(&object, contract);
	contract->has_statement = uaef_read_choice(&object, "statement",
											   statements, 0) > 0;
	webhooks = uaef_read_bool(&object, "webhooks", false);
	contract->settles = uaef_read_bool(&object, "settles",
									   !contract->has_statement && !webhooks);
	contract->duplicate_window_ms = uaef_read_duration(&object,
													   "duplicate_window",
													   DAY_MS);
	read_currencies(&object, contract);
	read_max_amount(&object, contract);
	read_reference(&object, contract);
}

bool
uaef_payout_contract_takes(const UaefPayoutContract *contract,
						   const char *currency)
{
	for (int i = 0; i < contract->n_currencies; i++)
		if (strcmp(contract->currencies[i], currency) == 0)
			return true;
	return contract->n_currencies < 0;
}

bool
uaef_payout_contract_tells(const UaefPayoutContract *contract)
{
	return contract->native_key || contract->has_lookup ||
		contract->has_statement;
}
