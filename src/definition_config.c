/*-------------------------------------------------------------------------
 *
 * definition_config.c
 *	  "config" of a task, by type: one function per type.
 *
 * Pure.  Memory: the definition's context is current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "definition_read.h"
#include "errcodes.h"
#include "json_util.h"

/* Most cases of a decision, headers of a request. */
#define MAX_LIST 1000

/* Between a queue and a capability, in the ready set: unit separator. */
#define CAPABILITY_MARK '\x1f'

/* How often the query of a wait is run. */
#define MIN_EVERY_MS		INT64CONST(100)
#define DEFAULT_EVERY_MS	INT64CONST(5000)
#define MAX_EVERY_MS		(INT64CONST(24) * 3600 * 1000)

static void read_sql(const UaefObject *config, UaefTaskDef *task);
static void read_decision(const UaefObject *config, UaefTaskDef *task);
static void read_condition(const UaefObject *config, UaefTaskDef *task);
static void read_parallel(const UaefObject *config, UaefTaskDef *task);
static void read_approval(const UaefObject *config, UaefTaskDef *task);
static void read_http(const UaefObject *config, UaefTaskDef *task);
static void read_call(const UaefObject *config, UaefTaskDef *task);
static void read_wait(const UaefObject *config, UaefTaskDef *task);
static void read_external(const UaefObject *config, UaefTaskDef *task);
static void read_signal(const UaefObject *config, UaefTaskDef *task);
static void read_checkpoint(const UaefObject *config, UaefTaskDef *task);
static void read_agent(const UaefObject *config, UaefTaskDef *task);
static void read_settle(const UaefObject *config, UaefTaskDef *task);

static UaefCase read_case(const UaefObject *config, JsonbValue *value, int no,
						  const UaefDecisionConfig *decision);
static void read_url(const UaefObject *config, UaefHttpConfig *http);
static void read_method(const UaefObject *config, UaefHttpConfig *http);
static void read_headers(const UaefObject *config, UaefHttpConfig *http);
static void check_header_name(const UaefObject *config, const char *name);
static Jsonb *read_expect(const UaefObject *config);

/* What a type's config may hold, and who reads it; by UaefTaskType. */
static const struct
{
	const char *keys[16];
	void		(*read) (const UaefObject *config, UaefTaskDef *task);
}			readers[] = {
	[UAEF_TASK_SQL] = {{"sql", "input"}, read_sql},
	[UAEF_TASK_DECISION] = {{"cases", "default"}, read_decision},
	[UAEF_TASK_CONDITION] = {{"when"}, read_condition},
	[UAEF_TASK_PARALLEL] =
	{{"over", "task", "concurrency", "join"}, read_parallel},
	[UAEF_TASK_HUMAN_APPROVAL] =
	{{"description", "approvers", "need", "reject_need", "groups", "stages",
			"four_eyes", "distinct", "expires", "on_expiry", "remind", "escalate",
	"notify", "form", "show"}, read_approval},
	[UAEF_TASK_HTTP] =
	{{"connector", "url", "method", "headers", "body", "expect",
	"idempotent"}, read_http},
	[UAEF_TASK_WAIT] = {{"for", "until", "query", "every", "input"}, read_wait},
	[UAEF_TASK_EXTERNAL] = {{"input", "capability", "lease"}, read_external},
	[UAEF_TASK_SIGNAL] = {{"name", "timeout", "match", "filter"}, read_signal},
	[UAEF_TASK_CHECKPOINT] = {{"checkpoint", "data"}, read_checkpoint},
	[UAEF_TASK_AGENT] =
	{{"capability", "agent", "prompt", "context", "messages", "tools", "input",
	"output_schema"},
	read_agent},
	[UAEF_TASK_WORKFLOW] =
	{{"workflow", "version", "input", "repeat"}, uaef_read_workflow},
	[UAEF_TASK_CONNECTOR] =
	{{"connector", "operation", "payload", "idempotent"}, read_call},
	[UAEF_TASK_SETTLE] = {{"rules", "input", "wait", "reverse"}, read_settle}
};

/*
 * Read the config of a task.  where is the task, for messages.  Raises UA300,
 * UA220 and UA222.
 */
void
uaef_read_config(UaefBuilder *builder, UaefTaskDef *task, JsonbValue *config,
				 const char *where)
{
	UaefObject	object = uaef_read_object(builder, config,
										  readers[task->type].keys,
										  psprintf("config of %s", where));

	readers[task->type].read(&object, task);
}

static void
read_sql(const UaefObject *config, UaefTaskDef *task)
{
	task->config.sql.sql = uaef_read_text(config, "sql", true);
	task->config.sql.input = uaef_read_template(config, "input");
}

/*----------
 * decision, condition, human_approval
 * ----------
 */

static void
read_decision(const UaefObject *config, UaefTaskDef *task)
{
	UaefDecisionConfig *decision = &task->config.decision;
	int			n;
	JsonbContainer *array = uaef_read_array(config, "cases", true, &n);

	if (n == 0 || n > MAX_LIST)
		uaef_read_wrong(config, "cases",
						psprintf("an array of 1 to %d cases", MAX_LIST));
	decision->cases = palloc0(sizeof(UaefCase) * n);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value = uaef_read_element(array, i);

		decision->cases[i] = read_case(config, &value, i + 1, decision);
		decision->n_cases++;
	}
	decision->default_label = uaef_read_text(config, "default", false);
}

/*
 * One case.  Two cases may not have one label: "$or" says the same, and a
 * trace of the decision stays clear.
 */
static UaefCase
read_case(const UaefObject *config, JsonbValue *value, int no,
		  const UaefDecisionConfig *decision)
{
	static const char *const keys[] = {"label", "when", NULL};
	UaefObject	object = uaef_read_object(config->builder, value, keys,
										  psprintf("case %d in %s", no,
												   config->where));
	UaefCase	result;

	result.label = uaef_read_text(&object, "label", true);
	result.when = uaef_read_condition(&object, "when", true);
	for (int i = 0; i < decision->n_cases; i++)
		if (strcmp(decision->cases[i].label, result.label) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("duplicate label \"%s\" in %s", result.label,
							object.where),
					 errdetail("Case %d has it already.", i + 1),
					 errhint("Join their conditions with \"$or\".")));
	return result;
}

static void
read_condition(const UaefObject *config, UaefTaskDef *task)
{
	task->config.condition.when = uaef_read_condition(config, "when", true);
}

static void
read_approval(const UaefObject *config, UaefTaskDef *task)
{
	uaef_read_approval(config, &task->config.approval);
}

/*----------
 * parallel, map
 * ----------
 */

/*
 * A fork has no config at all; a map has "over" and "task".
 */
static void
read_parallel(const UaefObject *config, UaefTaskDef *task)
{
	UaefParallelConfig *parallel = &task->config.parallel;
	JsonbValue	value;

	if (JsonContainerSize(config->container) == 0)
		return;
	if (!uaef_read_value(config, "over", &value))
		uaef_read_missing(config, "over");
	if (value.type != jbvString &&
		!(value.type == jbvBinary &&
		  JsonContainerIsArray(value.val.binary.data)))
		uaef_read_wrong(config, "over",
						"a template that gives an array, or an array");
	parallel->over = uaef_read_template(config, "over");
	if (!uaef_read_value(config, "task", &value))
		uaef_read_missing(config, "task");
	parallel->task = uaef_read_map_task(config->builder, task, &value,
										psprintf("the task of map \"%s\"",
												 task->id));
	parallel->concurrency = uaef_read_int(config, "concurrency", 0, 1, 1000000);
	parallel->join = uaef_read_join(config, "join");
}

/*----------
 * http, connector
 * ----------
 */

static void
read_http(const UaefObject *config, UaefTaskDef *task)
{
	UaefHttpConfig *http = &task->config.http;

	http->connector = uaef_read_text(config, "connector", false);
	read_url(config, http);
	http->body = uaef_read_template(config, "body");
	read_method(config, http);
	read_headers(config, http);
	http->expect = read_expect(config);
}

static void
read_call(const UaefObject *config, UaefTaskDef *task)
{
	UaefConnectorCall *call = &task->config.call;

	call->connector = uaef_read_text(config, "connector", true);
	call->operation = uaef_read_text(config, "operation", false);
	call->payload = uaef_read_template(config, "payload");
	if (call->payload == NULL)
		uaef_read_missing(config, "payload");
	call->idempotent = uaef_read_bool(config, "idempotent", false);
}

/*
 * The scheme must be written out, so that data cannot choose it.
 */
static void
read_url(const UaefObject *config, UaefHttpConfig *http)
{
	char	   *url = uaef_read_text(config, "url", false);

	if ((url == NULL) == (http->connector == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must have either \"connector\" or \"url\"",
						config->where)));
	if (url == NULL)
		return;
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		uaef_read_wrong(config, "url",
						"a URL that begins with https:// or http://");
	http->url = uaef_read_text_template(config, "url");
}

/*
 * The default method is POST with a body, else GET.  Methods that HTTP calls
 * idempotent are taken to be so unless the config says otherwise.
 */
static void
read_method(const UaefObject *config, UaefHttpConfig *http)
{
	static const char *const methods[] =
	{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", NULL};
	char	   *given = uaef_read_text(config, "method", false);
	int			method = uaef_read_choice(config, "method", methods,
										  http->body ? 4 : 0);

	if (http->body != NULL && method < 2)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("a %s request cannot have \"body\" in %s",
						methods[method], config->where)));

	/* A connector has a method of its own, for tasks that name none. */
	if (given != NULL || http->connector == NULL)
		http->method = pstrdup(methods[method]);
	http->idempotent = uaef_read_bool(config, "idempotent",
									  http->method != NULL && method < 4);
}

static void
read_headers(const UaefObject *config, UaefHttpConfig *http)
{
	Jsonb	   *document = uaef_read_document(config, "headers");
	UaefObject	headers = {config->builder, NULL,
	psprintf("headers in %s", config->where)};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (document == NULL)
		return;
	headers.container = &document->root;
	if (JB_ROOT_COUNT(document) > MAX_LIST)
		uaef_read_wrong(config, "headers",
						psprintf("an object of at most %d keys", MAX_LIST));
	http->header_names = palloc(sizeof(char *) * (JB_ROOT_COUNT(document) + 1));
	http->header_values =
		palloc(sizeof(UaefTemplate *) * (JB_ROOT_COUNT(document) + 1));

	iterator = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		check_header_name(&headers, name);
		http->header_names[http->n_headers] = name;
		http->header_values[http->n_headers] =
			uaef_read_text_template(&headers, name);
		if (http->header_values[http->n_headers] == NULL)
			uaef_read_wrong(&headers, name, "a string");
		http->n_headers++;
	}
}

/*
 * A name is a token of HTTP.  Headers that frame the message, or say whom it
 * is for, are the client's business.
 */
static void
check_header_name(const UaefObject *config, const char *name)
{
	static const char *const ours[] =
	{"connection", "content-length", "host", "te", "trailer",
	"transfer-encoding", "upgrade"};
	static const char token[] =
		"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (*name == '\0' || name[strspn(name, token)] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" is no name of a header, in %s", name,
						config->where)));
	for (int i = 0; i < lengthof(ours); i++)
		if (pg_strcasecmp(name, ours[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("header \"%s\" cannot be set, in %s", name,
							config->where),
					 errdetail("It is set by the HTTP client.")));
}

/*
 * {"status":[200,404]}: what counts as success.
 */
static Jsonb *
read_expect(const UaefObject *config)
{
	static const char *const keys[] = {"status", NULL};
	JsonbValue	value;
	UaefObject	expect;
	JsonbContainer *array;
	int			n;

	if (!uaef_read_value(config, "expect", &value))
		return NULL;
	expect = uaef_read_object(config->builder, &value, keys,
							  psprintf("expect in %s", config->where));
	array = uaef_read_array(&expect, "status", true, &n);
	if (n == 0 || n > MAX_LIST)
		uaef_read_wrong(&expect, "status", "an array of status codes");
	for (int i = 0; i < n; i++)
	{
		JsonbValue	status = uaef_read_element(array, i);
		char	   *text = "";

		if (status.type == jbvNumeric)
			text = numeric_normalize(status.val.numeric);

		if (strlen(text) != 3 || strspn(text, "0123456789") != 3 ||
			text[0] < '1' || text[0] > '5')
			uaef_read_wrong(&expect, "status",
							"an array of numbers between 100 and 599");
	}
	return uaef_json_from_value(&value);
}

/*----------
 * wait, external, signal, checkpoint, agent
 * ----------
 */

static void
read_wait(const UaefObject *config, UaefTaskDef *task)
{
	UaefWaitConfig *wait = &task->config.wait;
	int64		every_ms = uaef_read_duration(config, "every", -1);

	wait->for_ms = uaef_read_duration(config, "for", -1);
	wait->until = uaef_read_text_template(config, "until");
	wait->query.sql = uaef_read_text(config, "query", false);
	wait->query.input = uaef_read_template(config, "input");
	wait->every_ms = every_ms < 0 ? DEFAULT_EVERY_MS : every_ms;
	if ((wait->for_ms >= 0) + (wait->until != NULL) +
		(wait->query.sql != NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must have one of \"for\", \"until\" and \"query\"",
						config->where)));
	if (wait->query.sql == NULL && (every_ms >= 0 || wait->query.input != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"every\" and \"input\" in %s belong to \"query\"",
						config->where)));
	if (wait->every_ms < MIN_EVERY_MS || wait->every_ms > MAX_EVERY_MS)
		uaef_read_wrong(config, "every", "from 100ms to 1 day");
}

static void
read_external(const UaefObject *config, UaefTaskDef *task)
{
	char	   *capability = uaef_read_text(config, "capability", false);

	task->config.external.input = uaef_read_template(config, "input");
	task->config.external.lease_ms = uaef_read_duration(config, "lease", 0);
	if (capability == NULL)
		return;
	if (*capability == '\0' || strchr(capability, CAPABILITY_MARK) != NULL)
		uaef_read_wrong(config, "capability", "a name");
	task->queue = uaef_queue_key(task->queue, capability);
}

char *
uaef_queue_key(const char *queue, const char *capability)
{
	return capability == NULL ? pstrdup(queue) :
		psprintf("%s%c%s", queue, CAPABILITY_MARK, capability);
}

/*
 * The time to wait for a signal may stand in the config, or with the task.
 */
static void
read_signal(const UaefObject *config, UaefTaskDef *task)
{
	UaefSignalConfig *signal = &task->config.signal;
	int64		timeout_ms = uaef_read_duration(config, "timeout", 0);

	signal->name = uaef_read_text(config, "name", true);
	if (strlen(signal->name) > UAEF_MAX_SIGNAL_NAME)
		uaef_read_wrong(config, "name",
						psprintf("a string of at most %d bytes",
								 UAEF_MAX_SIGNAL_NAME));
	if (timeout_ms > 0 && task->timeout_ms > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"timeout\" is both in %s and beside it",
						config->where)));
	if (timeout_ms > 0)
		task->timeout_ms = timeout_ms;
	if (uaef_read_document(config, "match") != NULL)
		signal->match = uaef_read_template(config, "match");
	config->builder->reader.signal = true;
	signal->filter = uaef_read_condition(config, "filter", false);
	config->builder->reader.signal = false;
}

static void
read_checkpoint(const UaefObject *config, UaefTaskDef *task)
{
	task->config.checkpoint.name = uaef_read_text(config, "checkpoint", true);
	if (uaef_read_document(config, "data") != NULL)
		task->config.checkpoint.data = uaef_read_template(config, "data");
}

static void
read_settle(const UaefObject *config, UaefTaskDef *task)
{
	static const char *const waits[] = {
		[UAEF_SETTLE_WAIT_APPROVED - 1] = "approved",
		[UAEF_SETTLE_WAIT_PAID - 1] = "paid",
		NULL
	};
	UaefSettleConfig *settle = &task->config.settle;

	settle->n_rules = Max(uaef_read_texts(config, "rules", &settle->rules), 0);
	if (settle->rules != NULL && settle->n_rules == 0)
		uaef_read_wrong(config, "rules", "an array of names of rules");
	if (uaef_read_document(config, "input") != NULL)
		settle->input = uaef_read_template(config, "input");
	settle->wait = (UaefSettleWait)
		(uaef_read_choice(config, "wait", waits, -1) + 1);
	settle->reverse = uaef_read_bool(config, "reverse", false);
	if (settle->reverse &&
		(settle->n_rules > 0 || settle->input != NULL ||
		 settle->wait != UAEF_SETTLE_NO_WAIT))
		uaef_read_wrong(config, "reverse", "alone");
}

/*
 * Agents claim from queues whose names an external task's cannot be mistaken
 * for, since those stand in the ready set under another role.
 */
static void
read_agent(const UaefObject *config, UaefTaskDef *task)
{
	UaefAgentConfig *agent = &task->config.agent;

	agent->capability = uaef_read_text(config, "capability", false);
	agent->agent = uaef_read_text(config, "agent", false);
	if ((agent->capability == NULL) == (agent->agent == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must have either \"capability\" or \"agent\"",
						config->where)));
	agent->prompt = uaef_read_text_template(config, "prompt");
	agent->context = uaef_read_template(config, "context");
	agent->messages = uaef_read_template(config, "messages");
	agent->tools = uaef_read_template(config, "tools");
	agent->input = uaef_read_template(config, "input");
	agent->output_schema = uaef_read_document(config, "output_schema");
	agent->schema = uaef_read_schema(config, "output_schema");
	task->queue = agent->agent != NULL ?
		psprintf(UAEF_AGENT_QUEUE "%s", agent->agent) :
		psprintf(UAEF_CAPABILITY_QUEUE "%s", agent->capability);
}
