/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings uaef.*, each with its unit in its name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_GUC_H
#define UAEF_GUC_H

#include "datatype/timestamp.h"

extern int	uaef_checkpoint_interval_ms;
extern int	uaef_checkpoint_standbys;
extern int	uaef_ddl_check;
extern int	uaef_executor_batch_size;
extern int	uaef_executor_batch_ms;
extern int	uaef_executor_idle_ms;
extern int	uaef_http_connect_timeout_ms;
extern int	uaef_http_max_concurrent;
extern int	uaef_http_max_per_gate;
extern int	uaef_http_max_response_kb;
extern char *uaef_http_proxy;
extern int	uaef_http_retry_after_max_s;
extern int	uaef_http_timeout_ms;
extern char *uaef_ledger_key_file;
extern char *uaef_ledger_origin;
extern int	uaef_ledger_quorum;
extern char *uaef_ledger_signer_socket;
extern int	uaef_max_depth;
extern int	uaef_max_descendants;
extern int	uaef_max_executors;
extern int	uaef_max_kept_signals;
extern int	uaef_max_map_items;
extern int	uaef_max_payload_kb;
extern int	uaef_max_tasks;
extern int	uaef_priority_step_ms;
extern int	uaef_retention_interval_ms;
extern int	uaef_rule_activation;
extern int	uaef_seal_interval_ms;
extern int	uaef_seal_max_events;
extern int	uaef_seal_overdue_s;
extern char *uaef_secret_key_command;
extern char *uaef_secret_key_file;
extern bool uaef_start_workers;

/* Values of uaef.ddl_check. */
typedef enum UaefDdlCheck
{
	UAEF_DDL_OFF,
	UAEF_DDL_WARN,
	UAEF_DDL_ERROR
} UaefDdlCheck;

/* Values of uaef.rule_activation. */
typedef enum UaefRuleActivation
{
	UAEF_ACTIVATION_SECOND_PERSON,
	UAEF_ACTIVATION_ANY
} UaefRuleActivation;

/* uaef.test_now, parsed; 0 when the wall clock rules. */
extern TimestampTz uaef_test_now_value;

extern void uaef_guc_init(void);

#endif							/* UAEF_GUC_H */
