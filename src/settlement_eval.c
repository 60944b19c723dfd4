/*-------------------------------------------------------------------------
 *
 * settlement_eval.c
 *	  What a settlement rule says about one execution.
 *
 * The order is: condition, exact amount, sign, bounds, one rounding, split,
 * recipients, approval.  The first failure ends it and is the outcome; a
 * number comes only of a whole evaluation.
 *
 * Memory: everything is allocated in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "blank.h"
#include "errcodes.h"
#include "error_class.h"
#include "numeric_util.h"
#include "rule_data.h"
#include "settlement_eval.h"

/* Longest recipient, and longest text that a trace repeats, in bytes. */
#define MAX_RECIPIENT	200
#define MAX_TRACED_TEXT	200

/* From so many rules of a workflow on, those that do not apply are dropped. */
#define MANY_RULES		64

/* What select_rules() works on. */
typedef struct Selection
{
	const UaefSettlementRule **rules;
	int			n;
	UaefScope  *scope;
	const UaefSettlementRule **selected;
	int			kept;
} Selection;

/* What evaluate() works on. */
typedef struct Evaluation
{
	UaefScope  *scope;
	UaefRuleOutcome *outcome;
} Evaluation;

/* What visitors of paths work on. */
typedef struct PathVisit
{
	UaefScope  *scope;
	UaefJson   *json;			/* of a trace */
	UaefEvalError *error;		/* of a recipient; its first one stays */
} PathVisit;

static void select_rules(void *arg);
static void evaluate(void *arg);
static bool evaluate_amount(const UaefSettlementRule *rule, UaefScope *scope,
							UaefRuleOutcome *outcome);
static void apply_bounds(const UaefSettlementRule *rule, UaefRational *exact);
static bool check_total(const UaefSettlementRule *rule, Numeric minor,
						UaefEvalError *error);
static char *execution_seed(const UaefSettlementRule *rule, UaefScope *scope);
static bool split_total(const UaefSettlementRule *rule, UaefScope *scope,
						UaefRuleOutcome *outcome);
static char *fill_recipient(const UaefSplitPart *part, UaefScope *scope,
							UaefEvalError *error);
static void check_recipient_path(const UaefPath *path, void *arg);
static bool check_recipient(const char *recipient, UaefEvalError *error);
static const UaefApprovalBand *find_band(const UaefSettlementRule *rule,
										 Numeric minor);
static Jsonb *make_trace(const UaefRuleOutcome *outcome, UaefScope *scope);
static void trace_path(const UaefPath *path, void *arg);
static Jsonb *trace_amount(const UaefRuleOutcome *outcome);
static void trace_split(UaefJson *trace, const UaefRuleOutcome *outcome);
static Jsonb *trace_approval(const UaefApprovalBand *band,
							 const UaefSettlementRule *rule);

void
uaef_settlement_rule_evaluate(const UaefSettlementRule *rule,
							  UaefScope *scope, UaefRuleOutcome *outcome)
{
	Evaluation	evaluation = {scope, outcome};

	memset(outcome, 0, sizeof(*outcome));
	outcome->rule = rule;
	outcome->result = UAEF_RULE_ERROR;

	if (!uaef_settlement_guard(evaluate, &evaluation, &outcome->error))
	{
		outcome->result = UAEF_RULE_ERROR;
		outcome->trace = make_trace(outcome, NULL);
	}
}

/* Put the condition of each rule to the data, and nothing else of it. */
static void
select_rules(void *arg)
{
	Selection  *selection = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef rules of a workflow",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			kept = 0;

	for (int i = 0; i < selection->n; i++)
	{
		const UaefSettlementRule *rule = selection->rules[i];
		UaefEvalError error;
		bool		applies = true;

		MemoryContextReset(context);
		if (rule->broken.sqlstate == 0 && rule->when != NULL &&
			uaef_condition_eval(rule->when, selection->scope, &applies,
								&error) && !applies)
			continue;
		selection->selected[kept++] = rule;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	selection->kept = kept;
}

int
uaef_settlement_rules_select(const UaefSettlementRule **rules, int n,
							 UaefScope *scope)
{
	Selection	selection = {rules, n, scope};
	UaefEvalError error = {0};

	if (n < MANY_RULES)
		return n;
	selection.selected = palloc(n * sizeof(UaefSettlementRule *));
	if (!uaef_settlement_guard(select_rules, &selection, &error))
		return n;
	memcpy(rules, selection.selected,
		   selection.kept * sizeof(UaefSettlementRule *));
	return selection.kept;
}

bool
uaef_settlement_simulate(Jsonb *definition, Jsonb *data, TimestampTz at,
						 UaefRuleOutcome *outcome)
{
	UaefSettlementRule *rule = uaef_settlement_rule_compile("draft",
															definition,
															NULL);
	UaefScope	scope = {0};

	if (!JB_ROOT_IS_OBJECT(data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("data must be an object")));
	uaef_settlement_rule_set_period(rule, definition);
	if (at < rule->effective_from || at >= rule->effective_to)
		return false;

	scope.document = data;
	scope.tables = &uaef_rule_tables;
	scope.at = at;
	scope.known_at = DT_NOEND;
	uaef_settlement_rule_evaluate(rule, &scope, outcome);
	return true;
}

/*
 * The outcome of a rule is an error until everything has succeeded.
 */
static void
evaluate(void *arg)
{
	Evaluation *evaluation = arg;
	UaefScope  *scope = evaluation->scope;
	UaefRuleOutcome *outcome = evaluation->outcome;
	const UaefSettlementRule *rule = outcome->rule;
	bool		applies = true;

	if (rule->broken.sqlstate != 0)
		outcome->error = rule->broken;
	else if (rule->when != NULL &&
			 !uaef_condition_eval(rule->when, scope, &applies,
								  &outcome->error))
		Assert(outcome->error.sqlstate != 0);
	else if (!applies)
		outcome->result = UAEF_RULE_NOT_FIRED;
	else if (evaluate_amount(rule, scope, outcome) &&
			 split_total(rule, scope, outcome))
	{
		outcome->band = find_band(rule, outcome->minor);
		outcome->result = UAEF_RULE_FIRED;
	}
	outcome->trace = make_trace(outcome, scope);
}

/*
 * A negative amount is refused before the bounds are applied, which would
 * otherwise turn a debt into a fee.
 */
static bool
evaluate_amount(const UaefSettlementRule *rule, UaefScope *scope,
				UaefRuleOutcome *outcome)
{
	const char *currency;

	if (!uaef_amount_eval(rule->amount, scope, &outcome->exact, &currency,
						  &outcome->error))
		return false;
	if (strcmp(currency, rule->currency) != 0)
		return uaef_eval_fail(&outcome->error, ERRCODE_UAEF_CURRENCY, NULL,
							  NULL, "amount is in %s but the rule in %s",
							  currency, rule->currency);
	if (uaef_numeric_sign(outcome->exact.num) < 0)
		return uaef_eval_fail(&outcome->error, ERRCODE_UAEF_NEGATIVE_AMOUNT,
							  NULL, NULL, "amount is negative");

	apply_bounds(rule, &outcome->exact);
	return uaef_money_to_minor(&outcome->exact, rule->currency,
							   rule->rounding, &outcome->minor,
							   &outcome->error) &&
		check_total(rule, outcome->minor, &outcome->error);
}

/*
 * num/den against a bound is num against bound * den, which is exact.
 */
static void
apply_bounds(const UaefSettlementRule *rule, UaefRational *exact)
{
	Numeric		bounds[] = {rule->min, rule->max};
	int			outside[] = {-1, 1};

	for (int i = 0; i < 2; i++)
	{
		Numeric		scaled;

		if (bounds[i] == NULL)
			continue;
		scaled = uaef_numeric_op(numeric_mul, bounds[i], exact->den);
		if (uaef_numeric_compare(exact->num, scaled) * outside[i] > 0)
		{
			exact->num = bounds[i];
			exact->den = int64_to_numeric(1);
			exact->is_small = false;
		}
	}
}

static bool
check_total(const UaefSettlementRule *rule, Numeric minor,
			UaefEvalError *error)
{
	if (uaef_numeric_compare(minor, uaef_numeric_from_text("1e38")) >= 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_OVERFLOW, NULL, NULL,
							  "amount has more than 38 digits");
	if (uaef_numeric_sign(minor) == 0 && !rule->skip_zero)
		return uaef_eval_fail(error, ERRCODE_UAEF_ZERO_AMOUNT, NULL,
							  "A rule says on_zero \"skip\" where zero is meant.",
							  "amount is zero");
	return true;
}

/* What differs from one execution to the next, and nobody chooses. */
static char *
execution_seed(const UaefSettlementRule *rule, UaefScope *scope)
{
	UaefPath   *path = uaef_path_compile("sys.execution_id",
										 strlen("sys.execution_id"), true);
	JsonbValue	value;

	if (!uaef_path_get(path, scope, &value) || value.type != jbvString)
		return rule->name;
	return psprintf("%.*s|%s", value.val.string.len, value.val.string.val,
					rule->name);
}

static bool
split_total(const UaefSettlementRule *rule, UaefScope *scope,
			UaefRuleOutcome *outcome)
{
	Numeric    *weights = palloc(rule->n_parts * sizeof(Numeric));
	Numeric    *units = palloc(rule->n_parts * sizeof(Numeric));
	Numeric		sum = int64_to_numeric(0);
	UaefRemainder remainder = rule->remainder;

	if (remainder.kind == UAEF_REMAINDER_ROTATING && remainder.text == NULL)
		remainder.text = execution_seed(rule, scope);
	for (int i = 0; i < rule->n_parts; i++)
		weights[i] = rule->parts[i].weight;
	if (!uaef_allocate(outcome->minor, weights, rule->n_parts,
					   &remainder, units, &outcome->error))
		return false;

	outcome->n_shares = rule->n_parts;
	outcome->shares = palloc0(rule->n_parts * sizeof(UaefShare));
	for (int i = 0; i < rule->n_parts; i++)
	{
		UaefShare  *share = &outcome->shares[i];

		share->minor = units[i];
		share->is_zero = uaef_numeric_sign(units[i]) == 0;
		sum = uaef_numeric_op(numeric_add, sum, units[i]);
		share->recipient = fill_recipient(&rule->parts[i], scope,
										  &outcome->error);
		if (share->recipient == NULL)
			return false;
	}
	if (uaef_numeric_compare(sum, outcome->minor) != 0)
		elog(ERROR, "shares of settlement rule \"%s\" are not the whole",
			 rule->name);
	return true;
}

/*
 * Who gets a part; NULL and UA210 where the data do not say.
 */
static char *
fill_recipient(const UaefSplitPart *part, UaefScope *scope,
			   UaefEvalError *error)
{
	PathVisit	visit = {scope, NULL, error};
	char	   *recipient;

	uaef_template_paths(part->recipient, check_recipient_path, &visit);
	if (error->sqlstate != 0)
		return NULL;
	recipient = uaef_template_fill_text(part->recipient, scope,
										UAEF_ENCODE_TEXT, error);
	if (recipient == NULL)
	{
		error->sqlstate = ERRCODE_UAEF_BAD_RECIPIENT;
		return NULL;
	}
	return check_recipient(recipient, error) ? recipient : NULL;
}

/*
 * A null, a boolean or a list is nobody's id, even where it has a text form.
 */
static void
check_recipient_path(const UaefPath *path, void *arg)
{
	PathVisit  *visit = arg;
	JsonbValue	value;

	if (visit->error->sqlstate != 0)
		return;
	if (!uaef_path_get(path, visit->scope, &value))
		(void) uaef_eval_fail(visit->error, ERRCODE_UAEF_BAD_RECIPIENT,
							  uaef_path_text(path), NULL,
							  "recipient is missing");
	else if (value.type != jbvString && value.type != jbvNumeric)
		(void) uaef_eval_fail(visit->error, ERRCODE_UAEF_BAD_RECIPIENT,
							  uaef_path_text(path),
							  psprintf("It is of type %s.",
									   uaef_value_type(&value)),
							  "recipient is neither a text nor a number");
	else if (value.type == jbvString && value.val.string.len == 0)
		(void) uaef_eval_fail(visit->error, ERRCODE_UAEF_BAD_RECIPIENT,
							  uaef_path_text(path), NULL,
							  "recipient is empty");
}

static bool
check_recipient(const char *recipient, UaefEvalError *error)
{
	const char *id = strchr(recipient, ':');
	int			len = strlen(recipient);

	id = id == NULL ? recipient : id + 1;
	if (len > MAX_RECIPIENT)
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_RECIPIENT, NULL, NULL,
							  "recipient is longer than %d bytes",
							  MAX_RECIPIENT);
	if (uaef_blank_at_ends(id))
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_RECIPIENT, NULL, NULL,
							  "recipient is blank or has blanks around its id");
	for (int i = 0; i < len; i++)
	{
		unsigned char c = recipient[i];

		if (c < ' ' || c == 0x7f)
			return uaef_eval_fail(error, ERRCODE_UAEF_BAD_RECIPIENT, NULL,
								  NULL, "recipient has control characters");
	}
	return true;
}

/*
 * The first band that reaches up to the total; NULL where none needs anybody.
 */
static const UaefApprovalBand *
find_band(const UaefSettlementRule *rule, Numeric minor)
{
	for (int i = 0; i < rule->n_bands; i++)
	{
		const UaefApprovalBand *band = &rule->bands[i];

		if (band->to_minor == NULL || uaef_numeric_compare(minor, band->to_minor) <= 0)
			return band->need > 0 ? band : NULL;
	}
	return NULL;
}

const char *
uaef_rule_result_name(UaefRuleResult result)
{
	switch (result)
	{
		case UAEF_RULE_NOT_FIRED:
			return "not_fired";
		case UAEF_RULE_FIRED:
			return "fired";
		case UAEF_RULE_ERROR:
			return "error";
	}
	elog(ERROR, "unknown rule result %d", (int) result);
}

UaefSignalStatus
uaef_share_status(const UaefRuleOutcome *outcome, int share)
{
	if (outcome->shares[share].is_zero)
		return UAEF_SIGNAL_ZERO_SKIPPED;
	if (outcome->band != NULL)
		return UAEF_SIGNAL_PENDING_APPROVAL;
	return UAEF_SIGNAL_APPROVED;
}

void
uaef_settlement_error_add(UaefJson *json, const UaefEvalError *error)
{
	uaef_json_text(json, "code", unpack_sql_state(error->sqlstate));
	uaef_json_text(json, "message", error->message);
	uaef_json_text(json, "path", error->path);
	uaef_json_text(json, "detail", error->detail);
}

/*
 * The subtransaction is what makes catching an error safe: looking up a task's
 * output reads tables.  The context of an error that is kept is only what we
 * add to it ourselves, and not the statements that led here.
 */
bool
uaef_settlement_guard(void (*function) (void *arg), void *arg,
					  UaefEvalError *error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = true;
	ErrorContextCallback *outside = error_context_stack;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		error_context_stack = NULL;
		function(arg);
		error_context_stack = outside;
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (uaef_error_is_transient(edata->sqlerrcode))
			ReThrowError(edata);
		(void) uaef_eval_fail(error, edata->sqlerrcode, NULL,
							  edata->context ? edata->context : edata->detail,
							  "%s", edata->message);
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return ok;
}

/*
 * Without scope, the values that the rule read are left out: reading them is
 * what may have failed.
 */
static Jsonb *
make_trace(const UaefRuleOutcome *outcome, UaefScope *scope)
{
	const UaefSettlementRule *rule = outcome->rule;
	UaefJson	trace;

	uaef_json_begin(&trace);
	uaef_json_text(&trace, "rule", rule->name);
	uaef_json_int(&trace, "version", rule->version);
	uaef_json_text(&trace, "result", uaef_rule_result_name(outcome->result));
	if (rule->broken.sqlstate == 0 && scope != NULL)
	{
		UaefJson	read;
		PathVisit	visit = {scope, &read, NULL};

		uaef_json_begin(&read);
		uaef_settlement_rule_paths(rule, trace_path, &visit);
		uaef_json_jsonb(&trace, "read", uaef_json_end(&read));
	}
	if (outcome->result == UAEF_RULE_ERROR)
	{
		UaefJson	error;

		uaef_json_begin(&error);
		uaef_settlement_error_add(&error, &outcome->error);
		uaef_json_jsonb(&trace, "error", uaef_json_end(&error));
	}
	if (outcome->result == UAEF_RULE_FIRED)
	{
		uaef_json_jsonb(&trace, "amount", trace_amount(outcome));
		trace_split(&trace, outcome);
		if (outcome->band != NULL)
			uaef_json_jsonb(&trace, "approval",
							trace_approval(outcome->band, rule));
	}
	return uaef_json_end(&trace);
}

/*
 * One path and its value; a list, an object or a long text is told by its
 * type, and what is missing is not told.
 */
static void
trace_path(const UaefPath *path, void *arg)
{
	PathVisit  *visit = arg;
	JsonbValue	value;

	if (!uaef_path_get(path, visit->scope, &value))
		return;
	if (value.type == jbvBinary ||
		(value.type == jbvString && value.val.string.len > MAX_TRACED_TEXT))
	{
		UaefJson	type;

		uaef_json_begin(&type);
		uaef_json_text(&type, "type", uaef_value_type(&value));
		uaef_json_jsonb(visit->json, uaef_path_text(path),
						uaef_json_end(&type));
	}
	else
		uaef_json_jsonb(visit->json, uaef_path_text(path),
						uaef_json_from_value(&value));
}

static Jsonb *
trace_amount(const UaefRuleOutcome *outcome)
{
	const UaefSettlementRule *rule = outcome->rule;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "exact", uaef_rational_text(&outcome->exact));
	uaef_json_text(&json, "round", rule->round);
	uaef_json_numeric(&json, "amount",
					  uaef_money_from_minor(outcome->minor, rule->currency));
	uaef_json_numeric(&json, "minor", outcome->minor);
	uaef_json_text(&json, "currency", rule->currency);
	return uaef_json_end(&json);
}

static void
trace_split(UaefJson *trace, const UaefRuleOutcome *outcome)
{
	static char key[] = "split";
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = key;
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(&trace->state, WJB_KEY, &value);
	(void) pushJsonbValue(&trace->state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < outcome->n_shares; i++)
	{
		UaefJson	part;

		uaef_json_begin(&part);
		uaef_json_text(&part, "part", outcome->rule->parts[i].name);
		uaef_json_text(&part, "to", outcome->shares[i].recipient);
		uaef_json_text(&part, "share", outcome->rule->parts[i].share);
		uaef_json_numeric(&part, "minor", outcome->shares[i].minor);
		JsonbToJsonbValue(uaef_json_end(&part), &value);
		(void) pushJsonbValue(&trace->state, WJB_ELEM, &value);
	}
	(void) pushJsonbValue(&trace->state, WJB_END_ARRAY, NULL);
}

static Jsonb *
trace_approval(const UaefApprovalBand *band, const UaefSettlementRule *rule)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "band", (band - rule->bands) + 1);
	uaef_json_int(&json, "need", band->need);
	uaef_json_text(&json, "of", band->of);
	return uaef_json_end(&json);
}
