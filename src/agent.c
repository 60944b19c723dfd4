/*-------------------------------------------------------------------------
 *
 * agent.c
 *	  Agents: who they are, what they can do, and their keys.
 *
 * A key is shown once, when it is made; the table has its hash.  No event, no
 * error and no view has a key or its hash, and a configuration is in the
 * ledger by its digest only.
 *
 * Locking: the row of agent that is changed; what an agent takes and what it
 * has done locks the row in agent_metric (agent_claim.c), so that the two do
 * not wait for each other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "agent.h"
#include "agent_call.h"
#include "agent_key.h"
#include "arguments.h"
#include "clock.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "ledger.h"
#include "money.h"
#include "payload_check.h"
#include "near_name.h"
#include "spi_util.h"
#include "url.h"
#include "uuid7.h"
#include "versioned_name.h"
#include "wake.h"

#define MAX_CONCURRENT		10000
#define MAX_CAPABILITIES	100

static UaefQuery find_agent = {
	"SELECT agent_id, currency, platform, configuration FROM uaef.agent"
	" WHERE name = $1 FOR UPDATE",
	1, {TEXTOID}
};

static UaefQuery insert_agent = {
	"INSERT INTO uaef.agent (agent_id, name, platform, endpoint_url,"
	" capabilities, configuration, max_concurrent, max_tokens_per_day,"
	" max_cost_per_day, currency, description, status, key_prefix, key_hash,"
	" registered_by, registered_at, changed_at, key_made_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0), nullif($9, 0), $10,"
	" $11, 'active', $12, $13, $14, $15, $15, $15)",
	15, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID, INT4OID,
		INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery insert_metric = {
	"INSERT INTO uaef.agent_metric (agent_id) VALUES ($1)", 1, {UUIDOID}
};

static UaefQuery update_agent = {
	"UPDATE uaef.agent SET platform = coalesce($2, platform),"
	" endpoint_url = coalesce($3, endpoint_url),"
	" capabilities = coalesce($4, capabilities),"
	" configuration = coalesce($5, configuration),"
	" max_concurrent = coalesce($6, max_concurrent),"
	" max_tokens_per_day = nullif(coalesce($7, max_tokens_per_day), 0),"
	" max_cost_per_day = nullif(coalesce($8, max_cost_per_day), 0),"
	" currency = coalesce($9, currency),"
	" description = coalesce($10, description), changed_at = $11"
	" WHERE agent_id = $1",
	11, {UUIDOID, TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID, INT4OID, INT8OID,
	INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery set_status = {
	"UPDATE uaef.agent SET status = $2, status_reason = $3, changed_at = $4"
	" WHERE agent_id = $1 AND status <> $2",
	4, {UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery set_key = {
	"UPDATE uaef.agent SET key_prefix = $2, key_hash = $3, key_made_at = $4"
	" WHERE agent_id = $1",
	4, {UUIDOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID}
};

/* Waits for a claim that is just being made. */
static UaefQuery lock_metric = {
	"SELECT FROM uaef.agent_metric WHERE agent_id = $1 FOR UPDATE",
	1, {UUIDOID}
};

static UaefQuery count_running = {
	"SELECT count(*) FROM uaef.agent_task"
	" WHERE agent_id = $1 AND ended_at IS NULL",
	1, {UUIDOID}
};

static UaefQuery deletions[] = {
	{"DELETE FROM uaef.agent_task WHERE agent_id = $1", 1, {UUIDOID}},
	{"DELETE FROM uaef.agent_metric WHERE agent_id = $1", 1, {UUIDOID}},
	{"DELETE FROM uaef.agent WHERE agent_id = $1", 1, {UUIDOID}}
};

static UaefQuery find_names_capable = {
	"SELECT name FROM uaef.agent WHERE capabilities @> ARRAY[$1] ORDER BY name",
	1, {TEXTOID}
};

static UaefQuery find_by_key = {
	"SELECT agent_id, name, status, capabilities, key_hash FROM uaef.agent"
	" WHERE key_prefix = $1",
	1, {TEXTOID}
};

/*
 * The share of its limit that an agent uses, then its score, then its age.
 */
static UaefQuery find_available = {
	"SELECT agent_id FROM uaef.agent_reputation"
	" WHERE status = 'active' AND $1 = ANY (capabilities) AND takes_tasks"
	" ORDER BY running::float8 / max_concurrent, score DESC, agent_id LIMIT 1",
	1, {TEXTOID}
};

static UaefQuery find_named = {
	"SELECT 1 FROM uaef.agent WHERE name = $1", 1, {TEXTOID}
};

static UaefQuery find_capable = {
	"SELECT 1 FROM uaef.agent WHERE $1 = ANY (capabilities) LIMIT 1",
	1, {TEXTOID}
};

static void check_spec(const UaefAgentSpec *spec);
static void check_platform(const char *platform);
static void check_capabilities(ArrayType *capabilities);
static void check_configuration(Jsonb *configuration);
static void check_limits(const UaefAgentSpec *spec);
static void check_currency(const UaefAgentSpec *spec, const char *currency);

static Datum
int64_or_null(int64 value, char *isnull)
{
	*isnull = value < 0 ? 'n' : ' ';
	return Int64GetDatum(value);
}

static bytea *
hash_bytea(const UaefAgentKey *key)
{
	bytea	   *result = palloc(VARHDRSZ + UAEF_AGENT_HASH_LEN);

	SET_VARSIZE(result, VARHDRSZ + UAEF_AGENT_HASH_LEN);
	memcpy(VARDATA(result), key->hash, UAEF_AGENT_HASH_LEN);
	return result;
}

/*
 * One event about an agent; json has the rest of what it says, or is NULL.
 */
static void
record(const char *type, const pg_uuid_t *id, const char *name, Jsonb *more,
	   Oid role)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "agent", name);
	uaef_json_members(&json, more);
	event.actor_id = GetUserNameFromId(role, false);
	event.agent_id = uaef_uuid_text(id);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * What is said of an agent, as the ledger may have it.
 */
static Jsonb *
describe(const UaefAgentSpec *spec)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "platform", spec->platform);
	uaef_json_text(&json, "endpoint_url", spec->endpoint_url);
	if (spec->capabilities != NULL)
	{
		Datum	   *values;
		int			n;
		char	  **texts;

		deconstruct_array(spec->capabilities, TEXTOID, -1, false,
						  TYPALIGN_INT, &values, NULL, &n);
		texts = palloc(sizeof(char *) * Max(n, 1));
		for (int i = 0; i < n; i++)
			texts[i] = TextDatumGetCString(values[i]);
		uaef_json_texts(&json, "capabilities", texts, n);
	}
	if (spec->configuration != NULL)
		uaef_json_text(&json, "configuration_sha256",
					   uaef_digest_hex(spec->configuration));
	if (spec->max_concurrent >= 0)
		uaef_json_int(&json, "max_concurrent", spec->max_concurrent);
	if (spec->max_tokens_per_day >= 0)
		uaef_json_int(&json, "max_tokens_per_day", spec->max_tokens_per_day);
	if (spec->max_cost_per_day >= 0)
		uaef_json_int(&json, "max_cost_per_day", spec->max_cost_per_day);
	uaef_json_text(&json, "currency", spec->currency);
	return uaef_json_end(&json);
}

static const char *
agent_hint(const char *name)
{
	static UaefQuery near_agents = {
		UAEF_NAMES_AROUND("name", "agent"), 1, {TEXTOID}
	};

	return uaef_name_hint_around(name, &near_agents,
								 "Use uaef.register_agent() to register one.");
}

/*
 * Lock an agent by its name; raises UA360 when there is none.
 */
static pg_uuid_t
lock_agent(const char *name, char **currency)
{
	Datum		arg = CStringGetTextDatum(name);

	if (uaef_spi_run(&find_agent, &arg, NULL) == 0)
	{
		const char *hint = agent_hint(name);

		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_AGENT),
				 errmsg("agent \"%s\" does not exist", name),
				 errhint("%s", hint)));
	}
	if (currency != NULL)
		*currency = uaef_spi_text(0, 2);
	return uaef_spi_uuid(0, 1);
}

pg_uuid_t
uaef_agent_register(const UaefAgentSpec *spec, char **key)
{
	Oid			role = GetUserId();
	Datum		args[15];
	char		nulls[15];
	Datum		name = CStringGetTextDatum(spec->name);
	UaefAgentKey made;
	pg_uuid_t	id;
	UaefCaller	caller;

	check_spec(spec);
	check_currency(spec, NULL);
	uaef_agent_check_connector(spec->platform, spec->configuration);
	uaef_agent_key_make(&made);
	*key = pstrdup(made.text);
	uaef_uuid7(&id);
	uaef_lock_name("agent", spec->name);
	caller = uaef_spi_begin();
	if (uaef_spi_run(&find_named, &name, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("agent \"%s\" already exists", spec->name),
				 errhint("Use uaef.update_agent() to change it, or uaef.rotate_agent_key() for a new key.")));
	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&id);
	args[1] = name;
	args[2] = CStringGetTextDatum(spec->platform);
	args[3] = uaef_text_or_null(spec->endpoint_url, &nulls[3]);
	args[4] = PointerGetDatum(spec->capabilities);
	args[5] = JsonbPGetDatum(spec->configuration);
	args[6] = Int32GetDatum(spec->max_concurrent);
	args[7] = int64_or_null(spec->max_tokens_per_day, &nulls[7]);
	args[8] = int64_or_null(spec->max_cost_per_day, &nulls[8]);
	args[9] = uaef_text_or_null(spec->currency, &nulls[9]);
	args[10] = uaef_text_or_null(spec->description, &nulls[10]);
	args[11] = CStringGetTextDatum(made.prefix);
	args[12] = PointerGetDatum(hash_bytea(&made));
	args[13] = ObjectIdGetDatum(role);
	args[14] = TimestampTzGetDatum(uaef_clock_now());
	uaef_spi_run(&insert_agent, args, nulls);
	uaef_spi_run(&insert_metric, args, NULL);
	uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	record("agent_registered", &id, spec->name, describe(spec), role);
	uaef_spi_end(caller);
	return id;
}

void
uaef_agent_update(const UaefAgentSpec *spec)
{
	Oid			role = GetUserId();
	Datum		args[11];
	char		nulls[11];
	char	   *currency;
	pg_uuid_t	id;
	UaefCaller	caller;

	check_spec(spec);
	caller = uaef_spi_begin();
	id = lock_agent(spec->name, &currency);
	uaef_agent_check_connector(spec->platform ? spec->platform
							   : uaef_spi_text(0, 3),
							   spec->configuration ? spec->configuration
							   : uaef_spi_jsonb(0, 4));
	check_currency(spec, currency);
	uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&id);
	args[1] = uaef_text_or_null(spec->platform, &nulls[1]);
	args[2] = uaef_text_or_null(spec->endpoint_url, &nulls[2]);
	args[3] = uaef_pointer_or_null(spec->capabilities, &nulls[3]);
	args[4] = uaef_pointer_or_null(spec->configuration, &nulls[4]);
	args[5] = Int32GetDatum(spec->max_concurrent);
	nulls[5] = spec->max_concurrent < 0 ? 'n' : ' ';
	args[6] = int64_or_null(spec->max_tokens_per_day, &nulls[6]);
	args[7] = int64_or_null(spec->max_cost_per_day, &nulls[7]);
	args[8] = uaef_text_or_null(spec->currency, &nulls[8]);
	args[9] = uaef_text_or_null(spec->description, &nulls[9]);
	args[10] = TimestampTzGetDatum(uaef_clock_now());
	uaef_spi_run(&update_agent, args, nulls);
	record("agent_updated", &id, spec->name, describe(spec), role);
	uaef_spi_end(caller);
}

void
uaef_agent_set_status(const char *name, const char *status,
					  const char *reason)
{
	Oid			role = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	pg_uuid_t	id = lock_agent(name, NULL);
	char		nulls[4] = {' ', ' ', ' ', ' '};
	Datum		args[4];

	if (reason != NULL)
		reason = uaef_clip(reason);
	args[0] = UUIDPGetDatum(&id);
	args[1] = CStringGetTextDatum(status);
	args[2] = uaef_text_or_null(reason, &nulls[2]);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&set_status, args, nulls) > 0)
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_text(&json, "status", status);
		uaef_json_text(&json, "reason", reason);
		uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
		record("agent_status_changed", &id, name, uaef_json_end(&json), role);
	}
	uaef_spi_end(caller);
}

char *
uaef_agent_rotate_key(const char *name)
{
	Oid			role = GetUserId();
	UaefAgentKey made;
	char	   *key;
	Datum		args[4];
	pg_uuid_t	id;
	UaefCaller	caller;

	uaef_agent_key_make(&made);
	key = pstrdup(made.text);
	caller = uaef_spi_begin();
	id = lock_agent(name, NULL);
	args[0] = UUIDPGetDatum(&id);
	args[1] = CStringGetTextDatum(made.prefix);
	args[2] = PointerGetDatum(hash_bytea(&made));
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	uaef_spi_run(&set_key, args, NULL);
	record("agent_key_rotated", &id, name, NULL, role);
	uaef_spi_end(caller);
	return key;
}

void
uaef_agent_drop(const char *name)
{
	Oid			role = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	pg_uuid_t	id = lock_agent(name, NULL);
	Datum		arg = UUIDPGetDatum(&id);
	int64		running;

	uaef_spi_run(&lock_metric, &arg, NULL);
	uaef_spi_run(&count_running, &arg, NULL);
	running = uaef_spi_int64(0, 1);
	if (running > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("agent \"%s\" still has " INT64_FORMAT " tasks",
						name, running),
				 errhint("Use uaef.deactivate_agent(), and drop it when they have ended.")));
	for (int i = 0; i < lengthof(deletions); i++)
		uaef_spi_run(&deletions[i], &arg, NULL);
	record("agent_dropped", &id, name, NULL, role);
	uaef_spi_end(caller);
}

bool
uaef_agent_by_key(const char *api_key, UaefAgent *agent)
{
	UaefAgentKey key;
	Datum		arg;
	bytea	   *hash;
	bool		isnull;

	if (!uaef_agent_key_read(api_key, &key))
		return false;
	arg = CStringGetTextDatum(key.prefix);
	if (uaef_spi_run(&find_by_key, &arg, NULL) == 0)
		return false;
	hash = uaef_spi_bytea(0, 5);
	if (!uaef_agent_key_is(&key, VARDATA_ANY(hash)))
		return false;
	agent->id = uaef_spi_uuid(0, 1);
	agent->id_text = uaef_uuid_text(&agent->id);
	agent->name = uaef_spi_text(0, 2);
	agent->status = uaef_spi_text(0, 3);
	agent->capabilities =
		DatumGetArrayTypePCopy(uaef_spi_value(0, 4, &isnull));
	return true;
}

bool
uaef_agent_verify_key(const char *api_key, pg_uuid_t *id)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefAgent	agent;
	bool		is_active = uaef_agent_by_key(api_key, &agent) &&
		strcmp(agent.status, "active") == 0;

	if (is_active)
		*id = agent.id;
	uaef_spi_end(caller);
	return is_active;
}

bool
uaef_agent_find_available(const char *capability, pg_uuid_t *id)
{
	Datum		arg = CStringGetTextDatum(capability);
	UaefCaller	caller = uaef_spi_begin();
	bool		found = uaef_spi_read(&find_available, &arg) > 0;

	if (found)
		*id = uaef_spi_uuid(0, 1);
	uaef_spi_end(caller);
	return found;
}

void
uaef_agent_require(const char *name, const char *capability,
				   const char *where)
{
	Datum		arg = CStringGetTextDatum(name != NULL ? name : capability);
	UaefCaller	caller = uaef_spi_begin();
	uint64		found = uaef_spi_run(name != NULL ? &find_named :
									 &find_capable, &arg, NULL);
	const char *hint = "Use uaef.register_agent() to register one.";

	uaef_spi_end(caller);
	if (found > 0)
		return;
	if (name != NULL)
		hint = agent_hint(name);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_AGENT),
			 name != NULL ?
			 errmsg("%s: agent \"%s\" does not exist", where, name) :
			 errmsg("%s: no agent has capability \"%s\"", where,
					capability),
			 errhint("%s", hint)));
}

/*----------
 * What may be said of an agent
 * ----------
 */

static void
check_spec(const UaefAgentSpec *spec)
{
	uaef_check_name("agent", spec->name);
	if (spec->platform != NULL)
		check_platform(spec->platform);
	if (spec->endpoint_url != NULL)
	{
		UaefUrl		url;

		uaef_url_require(spec->endpoint_url, &url);
	}
	if (spec->capabilities != NULL)
		check_capabilities(spec->capabilities);
	if (spec->configuration != NULL)
		check_configuration(spec->configuration);
	check_limits(spec);
}

/*
 * How an agent is spoken to; the outside agent that claims its tasks is of any.
 */
static void
check_platform(const char *platform)
{
	static const char *const platforms[] =
	{"anthropic", "openai", "langserve", "http", "custom"};

	for (int i = 0; i < lengthof(platforms); i++)
		if (strcmp(platform, platforms[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown platform \"%s\"", platform),
			 errhint("The platforms are: anthropic, openai, langserve, http, custom.")));
}

static void
check_capabilities(ArrayType *capabilities)
{
	int			n;
	Datum	   *values = uaef_array_elements(capabilities, TEXTOID,
											 "capabilities", &n);

	if (n > MAX_CAPABILITIES || ARR_NDIM(capabilities) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"capabilities\" must be a list of at most %d",
						MAX_CAPABILITIES)));
	for (int i = 0; i < n; i++)
		uaef_check_name("capability", TextDatumGetCString(values[i]));
}

/*
 * Everybody who may look at agents sees their configuration: what is named as
 * a secret does not belong there.
 */
static void
check_configuration(Jsonb *configuration)
{
	static const char *const secrets[] =
	{
		"api_key", "apikey", "api-key", "x-api-key", "password", "secret",
		"token", "access_token", "auth_token", "authorization",
		"client_secret", "private_key"
	};
	JsonbIterator *iterator = JsonbIteratorInit(&configuration->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(configuration))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"configuration\" must be an object")));
	uaef_check_payload("configuration of the agent", configuration);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < lengthof(secrets); i++)
			if (strlen(secrets[i]) == value.val.string.len &&
				pg_strncasecmp(secrets[i], value.val.string.val,
							   value.val.string.len) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("\"configuration\" must not have the key \"%s\"",
								secrets[i]),
						 errdetail("A configuration is stored as it is, and shown."),
						 errhint("Give a secret to the agent's connector by uaef.set_connector_secret(), or keep it with the agent's process."),
						 errhidestmt(true)));
	}
}

static void
check_limits(const UaefAgentSpec *spec)
{
	if (spec->max_concurrent == 0 || spec->max_concurrent > MAX_CONCURRENT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_concurrent\" must be between 1 and %d",
						MAX_CONCURRENT)));
	if (spec->currency != NULL)
		uaef_currency_require(spec->currency);
}

/*
 * An amount that was spent stays in the currency that it was spent in.
 */
static void
check_currency(const UaefAgentSpec *spec, const char *currency)
{
	if (spec->currency != NULL && currency != NULL &&
		strcmp(spec->currency, currency) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the currency of agent \"%s\" is %s and stays so",
						spec->name, currency),
				 errhint("Register another agent for another currency.")));
	if (spec->max_cost_per_day > 0 && spec->currency == NULL &&
		currency == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_cost_per_day\" needs a currency")));
}

char	  **
uaef_agent_capable(const char *capability, int *n)
{
	Datum		arg = CStringGetTextDatum(capability);
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	back = uaef_spi_begin();
	char	  **names;

	*n = (int) uaef_spi_run(&find_names_capable, &arg, NULL);
	names = MemoryContextAlloc(context, sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		names[i] = MemoryContextStrdup(context, uaef_spi_text(i, 1));
	uaef_spi_end(back);
	return names;
}
