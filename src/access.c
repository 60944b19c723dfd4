/*-------------------------------------------------------------------------
 *
 * access.c
 *	  Who may call what: named sets of rights on the functions and views.
 *
 * An access is no role: no role of the whole cluster is made, and the rights
 * are ordinary GRANTs to the roles that there are.  Which access a role has is
 * kept in uaef.access_grant, because rights alone do not tell: what two
 * accesses have in common stays while the role has one of them.
 *
 * Locking: the role's rows of access_grant, by their insertion or deletion,
 * until the transaction ends.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "access.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"

#define VIEWER		0x01
#define AUTHOR		0x02
#define OPERATOR	0x04
#define APPROVER	0x08
#define WORKER		0x10
#define AUDITOR		0x20
#define ADMIN		0x40
#define RECEIVER	0x80

/* An admin may do everything, so no entry names it beside others. */
#define READERS		(VIEWER | AUTHOR | OPERATOR | APPROVER | AUDITOR)

typedef struct Access
{
	const char *name;
	int			bit;
} Access;

static const Access accesses[] = {
	{"viewer", VIEWER},
	{"author", AUTHOR},
	{"operator", OPERATOR},
	{"approver", APPROVER},
	{"worker", WORKER},
	{"auditor", AUDITOR},
	{"admin", ADMIN},
	{"receiver", RECEIVER},
};

/* What each object of schema uaef is open to; all functions of one name. */
typedef struct AccessObject
{
	const char *name;
	int			open_to;
} AccessObject;

static const AccessObject functions[] = {
	/* looking */
	{"allocate", READERS},
	{"canonical_json", READERS},
	{"currency_exponent", READERS},
	{"evaluate_amount", READERS},
	{"evaluate_amount_at", AUTHOR | OPERATOR | AUDITOR},
	{"evaluate_checkpoint", READERS},
	{"evaluate_condition", READERS},
	{"evaluate_table", READERS},
	{"evaluate_tiers", READERS},
	{"execution_data", AUTHOR | AUDITOR},
	{"explain_amount", READERS},
	{"explain_condition", READERS},
	{"explain_policies", READERS},
	{"explain_settlement", READERS},
	{"fill_template", READERS},
	{"find_available_agent", READERS | WORKER},
	{"get_ready_tasks", READERS},
	{"json_matches", READERS},
	{"list_access", READERS},
	{"_stat_workflow", OPERATOR | AUDITOR},
	{"_worker_status", OPERATOR | AUDITOR},
	{"next_runs", READERS},
	{"settlement_transitions", READERS},
	{"validate_json", READERS},
	{"wait_for_workflow", READERS},
	{"workflow_dependencies", AUTHOR | OPERATOR | AUDITOR},
	{"workflow_graph", READERS},
	{"workflow_progress", READERS},

	/* building definitions */
	{"approval_task", READERS},
	{"condition_task", READERS},
	{"decision_task", READERS},
	{"edge", READERS},
	{"external_task", READERS},
	{"http_task", READERS},
	{"map_task", READERS},
	{"settle_task", READERS},
	{"sql_task", READERS},
	{"task", READERS},
	{"wait_task", READERS},
	{"workflow", READERS},

	/* defining */
	{"activate_settlement_rule", AUTHOR | APPROVER},
	{"add_rule_test", AUTHOR},
	{"require_checkpoint", AUTHOR},
	{"unrequire_checkpoint", AUTHOR},
	{"alter_schedule", AUTHOR | OPERATOR},
	{"attach_workflow", AUTHOR},
	{"backtest_rule", AUTHOR | AUDITOR},
	{"check_settlement_rule", AUTHOR},
	{"compare_workflow", AUTHOR | AUDITOR},
	{"create_calendar", AUTHOR},
	{"create_schedule", AUTHOR | OPERATOR},
	{"create_checkpoint", AUTHOR},
	{"create_settlement_rule", AUTHOR},
	{"create_limit", AUTHOR},
	{"create_workflow", AUTHOR},
	{"deactivate_settlement_rule", AUTHOR},
	{"detach_workflow", AUTHOR},
	{"export_workflow", AUTHOR | AUDITOR},
	{"drop_calendar", AUTHOR},
	{"drop_schedule", AUTHOR | OPERATOR},
	{"exclude_days", AUTHOR},
	{"include_days", AUTHOR},
	{"drop_limit", AUTHOR},
	{"migrate_formula", AUTHOR},
	{"retire_settlement_rule", AUTHOR},
	{"run_rule_tests", AUTHOR | APPROVER | AUDITOR},
	{"settlement_rule_definition", AUTHOR | APPROVER | AUDITOR},
	{"simulate_settlement", AUTHOR | AUDITOR},
	{"start_workflow_trigger", AUTHOR},

	/* running */
	{"alter_task", OPERATOR},
	{"drop_lookup", OPERATOR},
	{"cancel_bulk_operation", OPERATOR},
	{"cancel_workflow", OPERATOR},
	{"cancel_workflows", OPERATOR},
	{"execute_next_tasks", OPERATOR},
	{"explain_workflow", AUTHOR | OPERATOR},
	{"pause_schedule", AUTHOR | OPERATOR},
	{"pause_workflow", OPERATOR},
	{"resume_schedule", AUTHOR | OPERATOR},
	{"resume_workflow", OPERATOR},
	{"run_schedule_now", AUTHOR | OPERATOR},
	{"fork_workflow", OPERATOR},
	{"hold_workflow", OPERATOR},
	{"pause_workflows", OPERATOR},
	{"release_workflow", OPERATOR},
	{"resume_workflows", OPERATOR},
	{"retry_task_now", OPERATOR},
	{"retry_workflow", OPERATOR},
	{"retry_workflows", OPERATOR},
	{"send", OPERATOR},
	{"set_fx_rate", OPERATOR},
	{"set_lookup", OPERATOR},
	{"set_pool_points", OPERATOR},
	{"signal_workflow", OPERATOR},
	{"start_workflow", AUTHOR | OPERATOR},
	{"start_workflows", AUTHOR | OPERATOR},

	/* what comes in */
	{"alter_webhook_source", AUTHOR | OPERATOR},
	{"create_token", ADMIN},
	{"create_webhook_source", AUTHOR | OPERATOR},
	{"drop_webhook_source", AUTHOR | OPERATOR},
	{"handle_schedule", AUTHOR | OPERATOR},
	{"handle_task_execution", OPERATOR | WORKER},
	{"handle_webhook", OPERATOR | RECEIVER},
	{"handle_workflow_trigger", AUTHOR | OPERATOR},
	{"pause_webhook_source", AUTHOR | OPERATOR},
	{"purge_webhook_inbox", ADMIN},
	{"receive_webhook", OPERATOR | RECEIVER},
	{"replay_webhook", AUTHOR | OPERATOR},
	{"resume_webhook_source", AUTHOR | OPERATOR},
	{"rotate_token_key", ADMIN},
	{"verify_token", OPERATOR | WORKER | RECEIVER},

	/* accounts */
	{"audit_money", AUDITOR},
	{"balance", OPERATOR | AUDITOR},
	{"capture_hold", OPERATOR},
	{"close_account", OPERATOR},
	{"create_account", OPERATOR},
	{"freeze_account", OPERATOR},
	{"hold_funds", OPERATOR},
	{"post", OPERATOR},
	{"post_batch", OPERATOR},
	{"release_hold", OPERATOR},
	{"reverse_journal", OPERATOR},
	{"set_account_limits", ADMIN},
	{"statement", OPERATOR | AUDITOR},
	{"unfreeze_account", OPERATOR},

	/* agents */
	{"activate_agent", OPERATOR},
	{"deactivate_agent", OPERATOR},
	{"drop_agent", OPERATOR},
	{"register_agent", OPERATOR},
	{"rotate_agent_key", OPERATOR},
	{"suspend_agent", OPERATOR},
	{"update_agent", OPERATOR},

	/* deciding */
	{"approve", APPROVER},
	{"approve_many", APPROVER},
	{"adjust_settlement", OPERATOR | APPROVER},
	{"build_payouts", OPERATOR},
	{"cancel_payout", OPERATOR},
	{"export_pain001", OPERATOR},
	{"fail_settlement", OPERATOR},
	{"import_statement", OPERATOR},
	{"process_settlement", OPERATOR},
	{"reconcile", OPERATOR},
	{"release_payout", APPROVER},
	{"replay_payout", OPERATOR},
	{"resolve_payout", OPERATOR},
	{"send_payouts", OPERATOR},
	{"approve_settlement", APPROVER},
	{"cancel_settlement", APPROVER},
	{"decide_review", APPROVER},
	{"dispute_settlement", OPERATOR | APPROVER},
	{"hold_settlement", OPERATOR | APPROVER},
	{"reevaluate_settlement", OPERATOR | APPROVER},
	{"release_settlement", OPERATOR | APPROVER},
	{"require_human_review", OPERATOR | APPROVER},
	{"reschedule_settlement", OPERATOR},
	{"reverse_settlement", OPERATOR | APPROVER},
	{"uphold_settlement", OPERATOR | APPROVER},
	{"write_off_settlement", OPERATOR | APPROVER},
	{"comment_approval", AUTHOR | OPERATOR | APPROVER},
	{"delegate_approvals", APPROVER},
	{"reassign_approval", OPERATOR},
	{"reject", APPROVER},
	{"reject_settlement", APPROVER},
	{"revoke_delegation", APPROVER},
	{"withdraw_vote", APPROVER},

	/* working outside of the database */
	{"claim_agent_tasks", WORKER},
	{"claim_payouts", WORKER},
	{"claim_tasks", WORKER},
	{"complete_agent_task", WORKER},
	{"complete_and_claim", WORKER},
	{"complete_task", WORKER},
	{"complete_tasks", WORKER},
	{"fail_task", WORKER},
	{"heartbeat_task", WORKER},
	{"release_task", WORKER},
	{"report_payout", WORKER},
	{"report_agent_usage", WORKER},
	{"verify_agent_key", WORKER},

	/* the ledger */
	{"attach_ledger", AUTHOR},
	{"claim_bytes", OPERATOR | WORKER},
	{"consistency_proof", AUDITOR},
	{"detach_ledger", AUTHOR},
	{"export_ledger", AUDITOR},
	{"export_tiles", AUDITOR},
	{"hash_event", AUDITOR},
	{"inclusion_proof", AUDITOR},
	{"ledger_checkpoint", OPERATOR | AUDITOR},
	{"read_note", READERS},
	{"receipt", AUDITOR},
	{"record_event", OPERATOR | WORKER},
	{"seal_and_wait", OPERATOR | WORKER | AUDITOR},
	{"row_history", READERS},
	{"seal_ledger", OPERATOR | AUDITOR},
	{"verify_archive", AUDITOR},
	{"tile_files", AUDITOR},
	{"tlog_proof", AUDITOR},
	{"ledger_verdict", AUDITOR},
	{"verify_block", AUDITOR},
	{"verify_event", AUDITOR},
	{"verify_ledger", AUDITOR},
	{"verify_table", AUDITOR},
	{"anchored_checkpoint", OPERATOR | AUDITOR},
	{"max_unanchored_age", OPERATOR | AUDITOR},

	/* the type of hashes */
	{"bytea", READERS},
	{"hash256", READERS},
	{"hash256_cmp", READERS},
	{"hash256_eq", READERS},
	{"hash256_ge", READERS},
	{"hash256_gt", READERS},
	{"hash256_hash", READERS},
	{"hash256_in", READERS},
	{"hash256_le", READERS},
	{"hash256_lt", READERS},
	{"hash256_ne", READERS},
	{"hash256_out", READERS},
	{"hash256_recv", READERS},
	{"hash256_send", READERS},

	/* keeping the ledger */
	{"declare_incarnation", ADMIN},
	{"drop_retention", ADMIN},
	{"purge_executions", ADMIN},
	{"redact_before", ADMIN},
	{"redact_event", ADMIN},
	{"redact_events", ADMIN},
	{"redact_execution", ADMIN},
	{"register_signer", ADMIN},
	{"restore_events", ADMIN},
	{"retire_events", ADMIN},
	{"reset_stat_workflow", ADMIN},
	{"set_retention", ADMIN},
	{"revoke_signer", ADMIN},

	/* setting up */
	{"allow_egress", ADMIN},
	{"alter_connector", ADMIN},
	{"check_egress", ADMIN},
	{"create_anchor", ADMIN},
	{"create_budget", ADMIN},
	{"create_connector", ADMIN},
	{"create_payout_channel", ADMIN},
	{"create_policy", ADMIN},
	{"deny_egress", ADMIN},
	{"disable_policy", ADMIN},
	{"drop_anchor", ADMIN},
	{"drop_connector", ADMIN},
	{"drop_budget", ADMIN},
	{"drop_policy", ADMIN},
	{"enable_policy", ADMIN},
	{"fire_schedules", ADMIN},
	{"grant_access", ADMIN},
	{"limit_host", ADMIN},
	{"pause_anchor", OPERATOR},
	{"pause_connector", OPERATOR},
	{"replay_deliveries", OPERATOR},
	{"replay_delivery", OPERATOR},
	{"resolve_delivery", OPERATOR},
	{"resume_anchor", OPERATOR},
	{"require_task_review", OPERATOR},
	{"receive", OPERATOR},
	{"replay_message", OPERATOR},
	{"resume_connector", OPERATOR},
	{"revoke_access", ADMIN},
	{"set_payee", ADMIN},
	{"start_worker", ADMIN},
	{"stop_worker", ADMIN},
	{"test_connector", OPERATOR},
	{"unlimit_host", ADMIN},

	/* secrets */
	{"decrypt_value", ADMIN},
	{"drop_secret", ADMIN},
	{"encrypt_value", AUTHOR | OPERATOR},
	{"rotate_secrets", ADMIN},
	{"set_connector_secret", ADMIN},
	{"set_secret", ADMIN},
	{"set_secret_from_file", ADMIN},
};

static const AccessObject relations[] = {
	{"access_grant", AUDITOR},
	{"account_balance", OPERATOR | AUDITOR},
	{"agent_registry", READERS},
	{"agent_reputation", READERS},
	{"workflow_agent_cost", READERS},
	{"anchor_status", OPERATOR | AUDITOR},
	{"approval_delegation", READERS},
	{"approval_history", READERS},
	{"attached_workflow", READERS},
	{"audit_summary", READERS},
	{"audit_trail", READERS},
	{"budget_status", OPERATOR | APPROVER | AUDITOR},
	{"bulk_operation", READERS},
	{"dead_letter", READERS},
	{"checkpoint", READERS},
	{"checkpoint_run", READERS},
	{"delivery_log", OPERATOR | AUDITOR},
	{"delivery_status", OPERATOR | AUDITOR},
	{"fund_hold", OPERATOR | AUDITOR},
	{"journal_entry", OPERATOR | AUDITOR},
	{"money_audit", AUDITOR},
	{"parked_message", OPERATOR | AUDITOR},
	{"external_queue", OPERATOR | WORKER | AUDITOR},
	{"fx_rate", READERS},
	{"ledger_anchor", AUDITOR},
	{"ledger_anchoring", AUDITOR},
	{"ledger_block", AUDITOR},
	{"ledger_checkpoint", AUDITOR},
	{"ledger_cosignature", AUDITOR},
	{"ledger_event", AUDITOR},
	{"ledger_incarnation", AUDITOR},
	{"ledger_redaction", AUDITOR},
	{"ledger_retired_head", AUDITOR},
	{"ledger_retirement", AUDITOR},
	{"ledger_signer", AUDITOR},
	{"ledger_status", OPERATOR | AUDITOR},
	{"ledger_tile", AUDITOR},
	{"ledger_unsealed", AUDITOR},
	{"ledgered_table", READERS},
	{"limit_status", READERS},
	{"missing_role", OPERATOR | AUDITOR},
	{"pending_approval", READERS},
	{"pending_review", READERS},
	{"payout_open_item", OPERATOR | AUDITOR},
	{"payout_status", OPERATOR | APPROVER | AUDITOR},
	{"policy", AUDITOR},
	{"pool_point", OPERATOR | AUDITOR},
	{"policy_decision", AUDITOR},
	{"policy_status", OPERATOR | AUDITOR},
	{"rule_lookup", AUTHOR | OPERATOR | AUDITOR},
	{"schedule_status", READERS},
	{"secret_status", OPERATOR | AUDITOR},
	{"retention", OPERATOR | AUDITOR},
	{"settlement", READERS},
	{"settlement_rule_status", READERS},
	{"signed_checkpoint", OPERATOR | AUDITOR},
	{"stat_connector", OPERATOR | AUDITOR},
	{"stat_workflow", OPERATOR | AUDITOR},
	{"task_run", READERS},
	{"worker_status", OPERATOR | AUDITOR},
	{"webhook_delivery", READERS},
	{"webhook_source_status", READERS},
	{"workflow", READERS},
	{"workflow_run", READERS},
	{"workflow_signal_kept", READERS},
};

/* How a statement that changes rights reads. */
typedef struct Direction
{
	const char *verb;
	const char *preposition;
} Direction;

static const Direction granting = {"GRANT", "TO"};
static const Direction revoking = {"REVOKE", "FROM"};

static int	access_bit(const char *name);
static bool gives(const AccessObject *object, int held);
static int	held_by(Oid role);
static Datum names_given(const AccessObject *objects, int n, int held,
						 int but_not);
static void change(const Direction *direction, const char *privilege,
				   const char *kind, const char *things, const char *grantee);
static char *list_found(UaefQuery *find, Datum names);
static void change_rights(const Direction *direction, Oid role, int held,
						  int but_not);
static void record(const char *type, Oid caller, Oid role, const char *access);
static void forget_dropped_roles(void);
static void add_rights(UaefAccessRight **next, const AccessObject *objects,
					   int n, const char *privilege);

/*
 * The bit of an access; raises 22023 with the names of all for another name.
 */
static int
access_bit(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(accesses); i++)
	{
		if (strcmp(accesses[i].name, name) == 0)
			return accesses[i].bit;
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 accesses[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown access \"%s\"", name),
			 errdetail("The accesses are %s.", names.data)));
}

/*
 * Whether an object is open to whoever has these accesses.
 */
static bool
gives(const AccessObject *object, int held)
{
	return (object->open_to & held) != 0 || (held & ADMIN) != 0;
}

/*
 * The bits of the accesses that a role has now.
 */
static int
held_by(Oid role)
{
	static UaefQuery find_accesses = {
		"SELECT access FROM uaef.access_grant WHERE role = $1",
		1, {REGROLEOID}
	};
	Datum		args[1] = {ObjectIdGetDatum(role)};
	uint64		rows = uaef_spi_run(&find_accesses, args, NULL);
	int			held = 0;

	for (uint64 row = 0; row < rows; row++)
		held |= access_bit(uaef_spi_text(row, 1));
	return held;
}

/*
 * The names of the objects that are open to held, and not to but_not.
 */
static Datum
names_given(const AccessObject *objects, int n, int held, int but_not)
{
	Datum	   *names = palloc(n * sizeof(Datum));
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		if (gives(&objects[i], held) && !gives(&objects[i], but_not))
			names[found++] = CStringGetTextDatum(objects[i].name);
	}
	return uaef_array(names, NULL, found, TEXTOID);
}

/*
 * GRANT or REVOKE rights on things, a list of them with their kind; nothing
 * when it is NULL.
 */
static void
change(const Direction *direction, const char *privilege, const char *kind,
	   const char *things, const char *grantee)
{
	char	   *sql;

	if (things == NULL)
		return;
	sql = psprintf("%s %s ON %s %s %s %s", direction->verb, privilege, kind,
				   things, direction->preposition, grantee);
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", sql);
}

/*
 * What a query finds for names, as a list for a GRANT; NULL if nothing.
 */
static char *
list_found(UaefQuery *find, Datum names)
{
	StringInfoData list;
	uint64		rows = uaef_spi_run(find, &names, NULL);

	if (rows == 0)
		return NULL;
	initStringInfo(&list);
	for (uint64 row = 0; row < rows; row++)
		appendStringInfo(&list, "%s%s", row > 0 ? ", " : "",
						 uaef_spi_text(row, 1));
	return list.data;
}

/*
 * Change what a role may do by what held gives and but_not does not give.  The
 * schema is open to whoever has any access.
 */
static void
change_rights(const Direction *direction, Oid role, int held, int but_not)
{
	static UaefQuery find_functions = {
		"SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text"
		" FROM pg_catalog.pg_proc p"
		" WHERE p.pronamespace = 'uaef'::pg_catalog.regnamespace"
		" AND p.proname = ANY ($1) ORDER BY 1",
		1, {TEXTARRAYOID}
	};
	static UaefQuery find_relations = {
		"SELECT r.oid::pg_catalog.regclass::pg_catalog.text"
		" FROM pg_catalog.pg_class r"
		" WHERE r.relnamespace = 'uaef'::pg_catalog.regnamespace"
		" AND r.relkind IN ('r', 'p', 'v')"
		" AND r.relname = ANY ($1) ORDER BY 1",
		1, {TEXTARRAYOID}
	};
	const char *grantee = quote_identifier(GetUserNameFromId(role, false));

	if (but_not == 0)
		change(direction, "USAGE", "SCHEMA", "uaef", grantee);
	change(direction, "EXECUTE", "FUNCTION",
		   list_found(&find_functions,
					  names_given(functions, lengthof(functions), held,
								  but_not)),
		   grantee);
	change(direction, "SELECT", "TABLE",
		   list_found(&find_relations,
					  names_given(relations, lengthof(relations), held,
								  but_not)),
		   grantee);
}

/*
 * One event in the ledger: who gave or took what.
 */
static void
record(const char *type, Oid caller, Oid role, const char *access)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "role", GetUserNameFromId(role, false));
	uaef_json_text(&json, "access", access);
	uaef_ledger_note_user(type, caller, uaef_json_end(&json));
}

/*
 * Rows of roles that are no more: DROP ROLE does not know of them.
 */
static void
forget_dropped_roles(void)
{
	static UaefQuery delete_rows = {
		"DELETE FROM uaef.access_grant g WHERE NOT EXISTS"
		" (SELECT FROM pg_catalog.pg_authid a WHERE a.oid = g.role::pg_catalog.oid)",
		0, {0}
	};

	(void) uaef_spi_run(&delete_rows, NULL, NULL);
}

/*
 * Grants again what the role has already, which gives it what the access has
 * got since.  Raises 22023 for an unknown access, 42704 for an unknown role.
 */
void
uaef_access_grant(Oid role, const char *access)
{
	static UaefQuery insert_row = {
		"INSERT INTO uaef.access_grant (role, access) VALUES ($1, $2)"
		" ON CONFLICT DO NOTHING",
		2, {REGROLEOID, TEXTOID}
	};
	int			bit = access_bit(access);
	Oid			user = GetUserId();
	Datum		args[2] = {ObjectIdGetDatum(role), CStringGetTextDatum(access)};
	UaefCaller	caller = uaef_spi_begin();

	forget_dropped_roles();
	change_rights(&granting, role, bit, 0);
	if (uaef_spi_run(&insert_row, args, NULL) > 0)
		record("access_granted", user, role, access);
	uaef_spi_end(caller);
}

/*
 * Taking away what the role does not have does nothing.
 */
void
uaef_access_revoke(Oid role, const char *access)
{
	static UaefQuery delete_row = {
		"DELETE FROM uaef.access_grant WHERE role = $1 AND access = $2",
		2, {REGROLEOID, TEXTOID}
	};
	int			bit = access_bit(access);
	Oid			user = GetUserId();
	Datum		args[2] = {ObjectIdGetDatum(role), CStringGetTextDatum(access)};
	UaefCaller	caller = uaef_spi_begin();

	forget_dropped_roles();
	if (uaef_spi_run(&delete_row, args, NULL) > 0)
	{
		change_rights(&revoking, role, bit, held_by(role));
		record("access_revoked", user, role, access);
	}
	uaef_spi_end(caller);
}

void
uaef_access_require(Oid role, const char *function, const char *what)
{
	static UaefQuery may_call = {
		"SELECT EXISTS (SELECT FROM pg_catalog.pg_proc"
		" WHERE pronamespace = 'uaef'::pg_catalog.regnamespace"
		" AND proname = $2"
		" AND pg_catalog.has_function_privilege($1, oid, 'EXECUTE'))",
		2, {OIDOID, NAMEOID}
	};
	NameData	name;
	Datum		args[2] = {ObjectIdGetDatum(role), NameGetDatum(&name)};
	UaefCaller	caller;
	bool		may;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role),
				 errdetail("It owns %s.", what)));
	namestrcpy(&name, function);
	caller = uaef_spi_begin();
	(void) uaef_spi_run(&may_call, args, NULL);
	may = uaef_spi_bool(0, 1);
	uaef_spi_end(caller);
	if (!may)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", function),
				 errdetail("It would be called for %s as role \"%s\".", what,
						   GetUserNameFromId(role, false)),
				 errhint("Use uaef.grant_access() to give that role the access \"operator\".")));
}

/*
 * An entry for each pair of object and access.
 */
UaefAccessRight *
uaef_access_rights(int *n)
{
	UaefAccessRight *rights = palloc(sizeof(UaefAccessRight) *
									 lengthof(accesses) *
									 (lengthof(functions) + lengthof(relations)));
	UaefAccessRight *next = rights;

	add_rights(&next, functions, lengthof(functions), "EXECUTE");
	add_rights(&next, relations, lengthof(relations), "SELECT");
	*n = next - rights;
	return rights;
}

/*
 * Append the rights on some objects.
 */
static void
add_rights(UaefAccessRight **next, const AccessObject *objects, int n,
		   const char *privilege)
{
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < lengthof(accesses); j++)
		{
			if (!gives(&objects[i], accesses[j].bit))
				continue;
			(*next)->access = accesses[j].name;
			(*next)->privilege = privilege;
			(*next)->object = objects[i].name;
			(*next)++;
		}
	}
}
