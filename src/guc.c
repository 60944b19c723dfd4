/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings uaef.*, in alphabetical order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "secret_key.h"
#include "url.h"

/* Checkpoints of the ledger: how often, and on how many standbys before. */
int			uaef_checkpoint_interval_ms = 10000;
int			uaef_checkpoint_standbys = 0;

/* What becomes of DDL that breaks workflows. */
int			uaef_ddl_check = UAEF_DDL_WARN;

/* How many SQL tasks an executor may commit together. */
int			uaef_executor_batch_size = 500;

/* How long an executor may collect tasks for one commit. */
int			uaef_executor_batch_ms = 5;

/* How long an executor waits for more work before it ends. */
int			uaef_executor_idle_ms = 60000;

/* Whom the tokens of events must be for; empty: no token is asked for. */
char	   *uaef_handler_audience = NULL;

/* Limits of an outgoing HTTP request. */
int			uaef_http_connect_timeout_ms = 5000;
int			uaef_http_max_concurrent = 200;
int			uaef_http_max_per_gate = 50;
int			uaef_http_max_response_kb = 1024;
char	   *uaef_http_proxy = NULL;
int			uaef_http_retry_after_max_s = 3600;
int			uaef_http_timeout_ms = 30000;

/* What the ledger is called, and who signs its checkpoints. */
char	   *uaef_ledger_key_file = NULL;
char	   *uaef_ledger_origin = NULL;
char	   *uaef_ledger_signer_socket = NULL;

/* Witnesses that make a checkpoint count as anchored. */
int			uaef_ledger_quorum = 0;

/* SQL executors per database. */
int			uaef_max_executors = 2;

/* Limits of a definition and of what runs through it. */
int			uaef_max_depth = 16;
int			uaef_max_descendants = 100000;
int			uaef_max_kept_signals = 1000;
int			uaef_max_map_items = 100000;
int			uaef_max_payload_kb = 1024;
int			uaef_max_tasks = 10000;

/* How much longer waiting one more point of priority is worth. */
int			uaef_priority_step_ms = 60000;

/* Who may activate a settlement rule. */
int			uaef_rule_activation = UAEF_ACTIVATION_SECOND_PERSON;

/* The ledger's sealer. */
int			uaef_retention_interval_ms = 3600000;
int			uaef_seal_interval_ms = 100;
int			uaef_seal_max_events = 4096;

/* After what time an event that is not sealed is worth a word, in seconds. */
int			uaef_seal_overdue_s = 600;

/* Where the keys of secrets come from. */
char	   *uaef_secret_key_command = NULL;
char	   *uaef_secret_key_file = NULL;

/* Who issues tokens. */
char	   *uaef_token_issuer = NULL;

/* Whether the launcher keeps a worker in each database. */
bool		uaef_start_workers = true;

static const struct config_enum_entry ddl_checks[] = {
	{"off", UAEF_DDL_OFF, false},
	{"warn", UAEF_DDL_WARN, false},
	{"error", UAEF_DDL_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry rule_activations[] = {
	{"second_person", UAEF_ACTIVATION_SECOND_PERSON, false},
	{"any", UAEF_ACTIVATION_ANY, false},
	{NULL, 0, false}
};

static char *uaef_test_now = NULL;
TimestampTz uaef_test_now_value = 0;

static bool check_path(char **newval, void **extra, GucSource source);
static bool check_proxy(char **newval, void **extra, GucSource source);
static bool check_socket(char **newval, void **extra, GucSource source);
static bool check_test_now(char **newval, void **extra, GucSource source);
static void assign_test_now(const char *newval, void *extra);
static void forget_keys(const char *newval, void *extra);

static void
define_int(const char *name, const char *what, const char *detail,
		   int *variable, int min, int max, GucContext context, int unit)
{
	DefineCustomIntVariable(name, what, detail, variable, *variable, min, max,
							context, unit, NULL, NULL, NULL);
}

/*
 * These may differ from database to database: ALTER DATABASE ... SET.
 */
static void
define_text(const char *name, const char *what, const char *detail,
			char **variable, int flags, GucStringCheckHook check)
{
	DefineCustomStringVariable(name, what, detail, variable, "", PGC_SUSET,
							   flags, check, NULL, NULL);
}

static void
define_checkpoint_settings(void)
{
	define_int("uaef.checkpoint_interval",
			   "Shortest time between two checkpoints of the ledger that the worker has signed.",
			   "0 means that it has none signed.",
			   &uaef_checkpoint_interval_ms, 0, 24 * 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.checkpoint_standbys",
			   "Number of standbys that must have flushed what a checkpoint covers before it is signed.",
			   NULL, &uaef_checkpoint_standbys, 0, 100, PGC_SIGHUP, 0);
	define_text("uaef.ledger_key_file",
				"File with the private key that signs checkpoints of the ledger.",
				"An absolute path; its state is kept beside it.",
				&uaef_ledger_key_file, GUC_SUPERUSER_ONLY, check_path);
	define_text("uaef.ledger_origin",
				"Name of the ledger in its checkpoints.",
				"Empty means uaef/ and the ledger's id.",
				&uaef_ledger_origin, 0, NULL);
	define_text("uaef.ledger_signer_socket",
				"Unix socket of a process that signs checkpoints of the ledger.",
				"An absolute path; goes before uaef.ledger_key_file.",
				&uaef_ledger_signer_socket, GUC_SUPERUSER_ONLY, check_socket);
}

static void
define_http_proxy(void)
{
	DefineCustomStringVariable("uaef.http_proxy",
							   "Proxy of outgoing HTTP requests, as http://host:port.",
							   "A connector may name another, or none. The environment is never asked.",
							   &uaef_http_proxy, "", PGC_SIGHUP, 0,
							   check_proxy, NULL, NULL);
}

static void
define_secret_settings(void)
{
	DefineCustomStringVariable("uaef.secret_key_command",
							   "Command that prints the keys that secrets are sealed with.",
							   "It is run by the shell as the server's user, and waited for.",
							   &uaef_secret_key_command, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, forget_keys, NULL);
	DefineCustomStringVariable("uaef.secret_key_file",
							   "File with the keys that secrets are sealed with.",
							   "An absolute path outside of the data directory.",
							   &uaef_secret_key_file, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, check_path, forget_keys, NULL);
}

/*
 * How much there may be of something.
 */
static void
define_ddl_check(void)
{
	DefineCustomEnumVariable("uaef.ddl_check",
							 "What becomes of a command that breaks workflows.",
							 "off, warn or error: a live workflow whose SQL can no longer be planned is passed over, warned of, or keeps the command from running.",
							 &uaef_ddl_check, UAEF_DDL_WARN, ddl_checks,
							 PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_rule_activation(void)
{
	DefineCustomEnumVariable("uaef.rule_activation",
							 "Who may activate a settlement rule.",
							 "second_person: not its author, under any role; any: its author too.",
							 &uaef_rule_activation,
							 UAEF_ACTIVATION_SECOND_PERSON, rule_activations,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_limits(void)
{
	define_int("uaef.max_depth",
			   "How deep workflows that run workflows may be nested.",
			   "The execution that somebody started is at depth 0.",
			   &uaef_max_depth, 0, 1000, PGC_SUSET, 0);
	define_int("uaef.max_descendants",
			   "Largest number of executions that tasks may begin below one that somebody started.",
			   "Those that have ended count too.",
			   &uaef_max_descendants, 0, INT_MAX, PGC_SUSET, 0);
	define_int("uaef.max_executors",
			   "Largest number of SQL executors per database.",
			   "Each takes one of max_worker_processes.",
			   &uaef_max_executors, 0, 64, PGC_SIGHUP, 0);
	define_int("uaef.max_kept_signals",
			   "Largest number of signals that wait in one execution for a task to take them.",
			   NULL, &uaef_max_kept_signals, 0, 1000000, PGC_SUSET, 0);
	define_int("uaef.max_map_items",
			   "Largest number of items that a map task expands to.",
			   NULL, &uaef_max_map_items, 1, 10000000, PGC_SUSET, 0);
	define_int("uaef.max_payload_size",
			   "Largest input, output or definition, as text.",
			   NULL, &uaef_max_payload_kb, 1, 256 * 1024, PGC_SUSET, GUC_UNIT_KB);
	define_int("uaef.max_tasks",
			   "Largest number of tasks in a workflow definition.",
			   NULL, &uaef_max_tasks, 1, 30000, PGC_SUSET, 0);
	define_int("uaef.priority_step",
			   "Time of waiting that one point of priority is worth.",
			   "A change holds for tasks that are queued later.",
			   &uaef_priority_step_ms, 0, 24 * 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.retention_interval",
			   "Time between two looks for executions to delete.",
			   "Nothing is looked for where no retention is set.",
			   &uaef_retention_interval_ms, 1000, 24 * 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
}

/*
 * Define every setting and reserve the prefix.
 */
void
uaef_guc_init(void)
{
	define_checkpoint_settings();
	define_ddl_check();
	define_int("uaef.executor_batch_ms",
			   "Longest time for which an executor collects finished SQL tasks into one commit.",
			   NULL, &uaef_executor_batch_ms, 0, 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.executor_batch_size",
			   "Largest number of SQL tasks that an executor commits together.",
			   NULL, &uaef_executor_batch_size, 1, 10000, PGC_SIGHUP, 0);
	define_int("uaef.executor_idle_timeout",
			   "Time without work after which an executor ends.",
			   NULL, &uaef_executor_idle_ms, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_text("uaef.handler_audience",
				"Audience of the tokens that events of handlers must show.",
				"Empty means that handlers ask for no token.",
				&uaef_handler_audience, 0, NULL);
	define_int("uaef.http_connect_timeout",
			   "Longest time for an HTTP request to resolve and connect.",
			   NULL, &uaef_http_connect_timeout_ms, 1, 600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.http_max_concurrent",
			   "Largest number of HTTP requests in flight per database.",
			   NULL, &uaef_http_max_concurrent, 1, 10000, PGC_SIGHUP, 0);
	define_int("uaef.http_max_per_gate",
			   "Largest number of HTTP requests in flight through one connector or to one host.",
			   NULL, &uaef_http_max_per_gate, 1, 10000, PGC_SIGHUP, 0);
	define_int("uaef.http_max_response_size",
			   "Largest HTTP response body, counted after decoding.",
			   NULL, &uaef_http_max_response_kb, 1, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
	define_http_proxy();
	define_int("uaef.http_retry_after_max",
			   "Longest wait that a server's Retry-After header can ask for.",
			   NULL, &uaef_http_retry_after_max_s, 0, 7 * 24 * 3600, PGC_SIGHUP, GUC_UNIT_S);
	define_int("uaef.http_timeout",
			   "Longest total time of one HTTP request; a task may ask for less.",
			   NULL, &uaef_http_timeout_ms, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.ledger_quorum",
			   "Number of witnesses that must have cosigned a checkpoint for it to count as anchored.",
			   "With 0 any anchor will do.",
			   &uaef_ledger_quorum, 0, 100, PGC_SIGHUP, 0);
	define_limits();
	define_rule_activation();
	define_int("uaef.seal_interval",
			   "Time that the sealer lets events gather before it seals a block.",
			   NULL, &uaef_seal_interval_ms, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("uaef.seal_max_events",
			   "Largest number of events in one block.",
			   NULL, &uaef_seal_max_events, 1, 1000000, PGC_SIGHUP, 0);
	define_int("uaef.seal_overdue",
			   "Time after which verify_ledger() reports an event that is not sealed.",
			   NULL, &uaef_seal_overdue_s, 0, INT_MAX, PGC_USERSET, GUC_UNIT_S);
	define_secret_settings();
	DefineCustomBoolVariable("uaef.start_workers",
							 "Keeps a worker in every database that has the extension.",
							 NULL, &uaef_start_workers, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("uaef.test_now",
							   "Freezes the clock of workflows at this time, for tests.",
							   "Empty means the wall clock.",
							   &uaef_test_now, "", PGC_SUSET, 0,
							   check_test_now, assign_test_now, NULL);
	define_text("uaef.token_issuer",
				"Issuer that tokens name, and must name.",
				"Empty means uaef.",
				&uaef_token_issuer, 0, NULL);
	MarkGUCPrefixReserved("uaef");
}

/*
 * A path that does not depend on where the server was started.
 */
static bool
check_path(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || **newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("The path must be absolute.");
	return false;
}

static bool
check_proxy(char **newval, void **extra, GucSource source)
{
	UaefUrl		url;

	if (*newval == NULL || **newval == '\0' ||
		(uaef_url_parse(*newval, &url) == NULL && !url.tls &&
		 strcmp(url.target, "/") == 0))
		return true;
	GUC_check_errdetail("It must be http://host:port.");
	return false;
}

static bool
check_socket(char **newval, void **extra, GucSource source)
{
	struct sockaddr_un address;

	if (!check_path(newval, extra, source))
		return false;
	if (*newval == NULL || strlen(*newval) < sizeof(address.sun_path))
		return true;
	GUC_check_errdetail("The path of a socket has at most %d bytes.",
						(int) sizeof(address.sun_path) - 1);
	return false;
}

/*
 * Parse the time here, so that a bad value never reaches the variable.
 *
 * The text is read outside of a transaction too (a reload of the settings in
 * an idle worker), where timestamptz input works as long as the text names
 * its zone by an offset; a failing parse is an error of the setting.
 */
static bool
check_test_now(char **newval, void **extra, GucSource source)
{
	TimestampTz value = 0;

	if (*newval != NULL && **newval != '\0')
		value = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														CStringGetDatum(*newval),
														ObjectIdGetDatum(InvalidOid),
														Int32GetDatum(-1)));
	*extra = guc_malloc(LOG, sizeof(TimestampTz));
	if (*extra == NULL)
		return false;
	*(TimestampTz *) *extra = value;
	return true;
}

static void
assign_test_now(const char *newval, void *extra)
{
	uaef_test_now_value = extra ? *(TimestampTz *) extra : 0;
}

/*
 * Keys from elsewhere are not to be found in memory any more.
 */
static void
forget_keys(const char *newval, void *extra)
{
	uaef_secret_key_forget();
}
