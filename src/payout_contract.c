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
#include "json_util.h"
#include "money.h"
#include "payout_contract.h"

#define DAY_MS			INT64CONST(86400000)
#define DEFAULT_MARGIN	0.25

/* Digits of an amount, and its point. */
#define MAX_AMOUNT_LEN	40

static void read_currencies(const UaefObject *object,
							UaefPayoutContract *contract);
static bool is_amount(const JsonbValue *value);
static void read_max_amount(const UaefObject *object,
							UaefPayoutContract *contract);
static void read_reference(const UaefObject *object,
						   UaefPayoutContract *contract);

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

static bool
is_amount(const JsonbValue *value)
{
	char	   *text;

	if (value->type != jbvString || value->val.string.len > MAX_AMOUNT_LEN)
		return false;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	return *text >= '0' && *text <= '9' &&
		strspn(text, "0123456789.") == strlen(text) &&
		strchr(text, '.') == strrchr(text, '.');
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

	contract->max_amount = uaef_read_document(object, "max_amount");
	if (contract->max_amount == NULL)
		return;
	it = JsonbIteratorInit(&contract->max_amount->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE && !is_amount(&value))
			uaef_read_wrong(object, "max_amount",
							"an object of amounts in strings, by currency");
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
		"duplicate_window", "reference", NULL
	};
	static const char *const promises[] = {"none", "native", NULL};
	static const char *const lookups[] = {
		"none", "by_key", "by_reference", NULL
	};
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
	contract->has_lookup = uaef_read_choice(&object, "lookup", lookups, 0) > 0;
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
uaef_payout_contract_tells(const UaefPayoutContract *contract)
{
	return contract->native_key || contract->has_lookup ||
		contract->has_statement;
}
