/*-------------------------------------------------------------------------
 *
 * errcodes.h
 *	  SQLSTATEs of class UA, one block of a hundred per module.
 *
 * A standard code is used where one fits; a code stands here only where a
 * caller will branch on it.  A number is never used again for another thing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ERRCODES_H
#define UAEF_ERRCODES_H

#include "utils/elog.h"

/* UA0xx: general */
#define ERRCODE_UAEF_TOO_LARGE			MAKE_SQLSTATE('U', 'A', '0', '0', '1')

/* UA1xx: ledger */
#define ERRCODE_UAEF_LEDGER_GUARD		MAKE_SQLSTATE('U', 'A', '1', '0', '1')
#define ERRCODE_UAEF_LEDGER_MISMATCH	MAKE_SQLSTATE('U', 'A', '1', '0', '2')
#define ERRCODE_UAEF_NOT_SEALED			MAKE_SQLSTATE('U', 'A', '1', '0', '3')
#define ERRCODE_UAEF_CHECKPOINT_CONTRADICTED	MAKE_SQLSTATE('U', 'A', '1', '2', '0')
#define ERRCODE_UAEF_SIGNER				MAKE_SQLSTATE('U', 'A', '1', '2', '1')
#define ERRCODE_UAEF_UNDEFINED_ANCHOR	MAKE_SQLSTATE('U', 'A', '1', '3', '0')
#define ERRCODE_UAEF_NOT_REDACTABLE		MAKE_SQLSTATE('U', 'A', '1', '5', '0')
#define ERRCODE_UAEF_RETIRED			MAKE_SQLSTATE('U', 'A', '1', '5', '1')
#define ERRCODE_UAEF_BAD_ARCHIVE		MAKE_SQLSTATE('U', 'A', '1', '5', '2')
#define ERRCODE_UAEF_SAME_INCARNATION	MAKE_SQLSTATE('U', 'A', '1', '5', '3')
#define ERRCODE_UAEF_BAD_SIGNATURE		MAKE_SQLSTATE('U', 'A', '1', '5', '4')
#define ERRCODE_UAEF_UNDEFINED_SIGNER	MAKE_SQLSTATE('U', 'A', '1', '5', '5')

/* UA2xx: rules (paths, conditions, amounts, money) */
#define ERRCODE_UAEF_DIVISION_BY_ZERO	MAKE_SQLSTATE('U', 'A', '2', '0', '1')
#define ERRCODE_UAEF_MISSING_PATH		MAKE_SQLSTATE('U', 'A', '2', '0', '2')
#define ERRCODE_UAEF_WRONG_TYPE			MAKE_SQLSTATE('U', 'A', '2', '0', '3')
#define ERRCODE_UAEF_BAD_NUMBER			MAKE_SQLSTATE('U', 'A', '2', '0', '4')
#define ERRCODE_UAEF_NEGATIVE_AMOUNT	MAKE_SQLSTATE('U', 'A', '2', '0', '5')
#define ERRCODE_UAEF_TOO_FINE			MAKE_SQLSTATE('U', 'A', '2', '0', '6')
#define ERRCODE_UAEF_OVERFLOW			MAKE_SQLSTATE('U', 'A', '2', '0', '7')
#define ERRCODE_UAEF_CURRENCY			MAKE_SQLSTATE('U', 'A', '2', '0', '8')
#define ERRCODE_UAEF_BAD_SPLIT			MAKE_SQLSTATE('U', 'A', '2', '0', '9')
#define ERRCODE_UAEF_BAD_RECIPIENT		MAKE_SQLSTATE('U', 'A', '2', '1', '0')
#define ERRCODE_UAEF_COST_LIMIT			MAKE_SQLSTATE('U', 'A', '2', '1', '1')
#define ERRCODE_UAEF_NO_TABLES			MAKE_SQLSTATE('U', 'A', '2', '1', '2')
#define ERRCODE_UAEF_NO_RATE			MAKE_SQLSTATE('U', 'A', '2', '1', '3')
#define ERRCODE_UAEF_NO_ROW				MAKE_SQLSTATE('U', 'A', '2', '1', '4')
#define ERRCODE_UAEF_ROWS_CONFLICT		MAKE_SQLSTATE('U', 'A', '2', '1', '5')
#define ERRCODE_UAEF_BAD_CONDITION		MAKE_SQLSTATE('U', 'A', '2', '2', '0')
#define ERRCODE_UAEF_BAD_EXPRESSION		MAKE_SQLSTATE('U', 'A', '2', '2', '1')
#define ERRCODE_UAEF_BAD_TEMPLATE		MAKE_SQLSTATE('U', 'A', '2', '2', '2')
#define ERRCODE_UAEF_ZERO_AMOUNT		MAKE_SQLSTATE('U', 'A', '2', '2', '3')
#define ERRCODE_UAEF_BAD_SCHEMA			MAKE_SQLSTATE('U', 'A', '2', '3', '0')
#define ERRCODE_UAEF_SCHEMA_MISMATCH	MAKE_SQLSTATE('U', 'A', '2', '3', '1')
#define ERRCODE_UAEF_RULE_TESTS			MAKE_SQLSTATE('U', 'A', '2', '4', '0')
#define ERRCODE_UAEF_SECOND_PERSON		MAKE_SQLSTATE('U', 'A', '2', '4', '1')
#define ERRCODE_UAEF_RULE_STATE			MAKE_SQLSTATE('U', 'A', '2', '4', '2')
#define ERRCODE_UAEF_RULE_PERIOD		MAKE_SQLSTATE('U', 'A', '2', '4', '3')
#define ERRCODE_UAEF_BAD_FORMULA		MAKE_SQLSTATE('U', 'A', '2', '4', '4')

/* UA3xx: engine (definitions, executions, tasks, approvals, settlement) */
#define ERRCODE_UAEF_BAD_DEFINITION		MAKE_SQLSTATE('U', 'A', '3', '0', '0')
#define ERRCODE_UAEF_CYCLE				MAKE_SQLSTATE('U', 'A', '3', '0', '1')
#define ERRCODE_UAEF_UNDEFINED_WORKFLOW	MAKE_SQLSTATE('U', 'A', '3', '0', '2')
#define ERRCODE_UAEF_UNDEFINED_EXECUTION	MAKE_SQLSTATE('U', 'A', '3', '0', '3')
#define ERRCODE_UAEF_UNDEFINED_TASK		MAKE_SQLSTATE('U', 'A', '3', '0', '4')
#define ERRCODE_UAEF_ILLEGAL_TRANSITION	MAKE_SQLSTATE('U', 'A', '3', '0', '5')
#define ERRCODE_UAEF_LEASE_LOST			MAKE_SQLSTATE('U', 'A', '3', '0', '6')
#define ERRCODE_UAEF_KEY_REUSED			MAKE_SQLSTATE('U', 'A', '3', '0', '7')
#define ERRCODE_UAEF_NO_DECISION		MAKE_SQLSTATE('U', 'A', '3', '0', '8')
#define ERRCODE_UAEF_TASK_TIMEOUT		MAKE_SQLSTATE('U', 'A', '3', '0', '9')
#define ERRCODE_UAEF_REJECTED			MAKE_SQLSTATE('U', 'A', '3', '1', '0')
#define ERRCODE_UAEF_APPROVAL			MAKE_SQLSTATE('U', 'A', '3', '1', '1')
#define ERRCODE_UAEF_UNDEFINED_LIMIT	MAKE_SQLSTATE('U', 'A', '3', '1', '2')
#define ERRCODE_UAEF_REPEAT_LIMIT		MAKE_SQLSTATE('U', 'A', '3', '1', '3')
#define ERRCODE_UAEF_TOO_DEEP			MAKE_SQLSTATE('U', 'A', '3', '1', '4')
#define ERRCODE_UAEF_TOO_MANY_DESCENDANTS	MAKE_SQLSTATE('U', 'A', '3', '1', '5')
#define ERRCODE_UAEF_UNDEFINED_SETTLEMENT	MAKE_SQLSTATE('U', 'A', '3', '2', '0')
#define ERRCODE_UAEF_SETTLEMENT_STATE	MAKE_SQLSTATE('U', 'A', '3', '2', '1')
#define ERRCODE_UAEF_RULE_NOT_IN_FORCE	MAKE_SQLSTATE('U', 'A', '3', '2', '2')
#define ERRCODE_UAEF_SETTLEMENT_REFUSED	MAKE_SQLSTATE('U', 'A', '3', '2', '3')
#define ERRCODE_UAEF_POLICY				MAKE_SQLSTATE('U', 'A', '3', '3', '0')
#define ERRCODE_UAEF_TOO_MANY_SIGNALS	MAKE_SQLSTATE('U', 'A', '3', '4', '0')
#define ERRCODE_UAEF_UNDEFINED_CHECKPOINT	MAKE_SQLSTATE('U', 'A', '3', '4', '1')
#define ERRCODE_UAEF_CHECKPOINT_FAILED	MAKE_SQLSTATE('U', 'A', '3', '4', '2')
#define ERRCODE_UAEF_UNDEFINED_SCHEDULE	MAKE_SQLSTATE('U', 'A', '3', '5', '0')
#define ERRCODE_UAEF_UNDEFINED_AGENT	MAKE_SQLSTATE('U', 'A', '3', '6', '0')
#define ERRCODE_UAEF_AGENT_BUDGET		MAKE_SQLSTATE('U', 'A', '3', '6', '1')

/* UA4xx: connectors */
#define ERRCODE_UAEF_EGRESS_DENIED		MAKE_SQLSTATE('U', 'A', '4', '0', '1')
#define ERRCODE_UAEF_UNDEFINED_CONNECTOR	MAKE_SQLSTATE('U', 'A', '4', '0', '5')
#define ERRCODE_UAEF_SECRET_KEY			MAKE_SQLSTATE('U', 'A', '4', '1', '0')
#define ERRCODE_UAEF_UNKNOWN_KEY		MAKE_SQLSTATE('U', 'A', '4', '1', '1')
#define ERRCODE_UAEF_CANNOT_OPEN		MAKE_SQLSTATE('U', 'A', '4', '1', '2')
#define ERRCODE_UAEF_UNDEFINED_SECRET	MAKE_SQLSTATE('U', 'A', '4', '1', '3')
#define ERRCODE_UAEF_CONNECTOR_SECRET	MAKE_SQLSTATE('U', 'A', '4', '2', '5')
#define ERRCODE_UAEF_BAD_PAYLOAD		MAKE_SQLSTATE('U', 'A', '4', '2', '6')
#define ERRCODE_UAEF_UNDEFINED_MESSAGE	MAKE_SQLSTATE('U', 'A', '4', '2', '7')

#define ERRCODE_UAEF_UNDEFINED_WEBHOOK_SOURCE	MAKE_SQLSTATE('U', 'A', '4', '4', '0')
#define ERRCODE_UAEF_UNDEFINED_WEBHOOK	MAKE_SQLSTATE('U', 'A', '4', '4', '1')
#define ERRCODE_UAEF_NOT_REPLAYABLE		MAKE_SQLSTATE('U', 'A', '4', '4', '2')
#define ERRCODE_UAEF_NO_RULE_FITS		MAKE_SQLSTATE('U', 'A', '4', '4', '3')
#define ERRCODE_UAEF_BAD_TOKEN			MAKE_SQLSTATE('U', 'A', '4', '5', '0')
#define ERRCODE_UAEF_TOKEN_SIGNATURE	MAKE_SQLSTATE('U', 'A', '4', '5', '1')
#define ERRCODE_UAEF_TOKEN_EXPIRED		MAKE_SQLSTATE('U', 'A', '4', '5', '2')
#define ERRCODE_UAEF_TOKEN_AUDIENCE		MAKE_SQLSTATE('U', 'A', '4', '5', '3')
#define ERRCODE_UAEF_NO_TOKEN_KEY		MAKE_SQLSTATE('U', 'A', '4', '5', '4')

/* UA5xx: worker */
#define ERRCODE_UAEF_NO_WORKER_SLOT		MAKE_SQLSTATE('U', 'A', '5', '0', '1')

/* UA51x: accounts, journals, holds */
#define ERRCODE_UAEF_UNDEFINED_ACCOUNT	MAKE_SQLSTATE('U', 'A', '5', '1', '0')
#define ERRCODE_UAEF_ACCOUNT_STATE		MAKE_SQLSTATE('U', 'A', '5', '1', '1')
#define ERRCODE_UAEF_UNBALANCED			MAKE_SQLSTATE('U', 'A', '5', '1', '2')
#define ERRCODE_UAEF_BALANCE_LIMIT		MAKE_SQLSTATE('U', 'A', '5', '1', '3')
#define ERRCODE_UAEF_UNDEFINED_JOURNAL	MAKE_SQLSTATE('U', 'A', '5', '1', '4')
#define ERRCODE_UAEF_OVER_REVERSED		MAKE_SQLSTATE('U', 'A', '5', '1', '5')
#define ERRCODE_UAEF_UNDEFINED_HOLD		MAKE_SQLSTATE('U', 'A', '5', '1', '6')
#define ERRCODE_UAEF_HOLD_STATE			MAKE_SQLSTATE('U', 'A', '5', '1', '7')
#define ERRCODE_UAEF_SAME_ACCOUNT		MAKE_SQLSTATE('U', 'A', '5', '1', '8')

/* UA53x: payouts */
#define ERRCODE_UAEF_UNDEFINED_PAYOUT	MAKE_SQLSTATE('U', 'A', '5', '3', '0')
#define ERRCODE_UAEF_PAYOUT_STATE		MAKE_SQLSTATE('U', 'A', '5', '3', '1')
#define ERRCODE_UAEF_REVERSAL			MAKE_SQLSTATE('U', 'A', '5', '3', '2')
#define ERRCODE_UAEF_PAYOUT_CHANNEL		MAKE_SQLSTATE('U', 'A', '5', '3', '3')
#define ERRCODE_UAEF_BAD_STATEMENT		MAKE_SQLSTATE('U', 'A', '5', '3', '4')

/* UA55x: budgets, reviews */
#define ERRCODE_UAEF_UNDEFINED_BUDGET	MAKE_SQLSTATE('U', 'A', '5', '5', '0')
#define ERRCODE_UAEF_BUDGET				MAKE_SQLSTATE('U', 'A', '5', '5', '1')
#define ERRCODE_UAEF_REVIEW				MAKE_SQLSTATE('U', 'A', '5', '5', '2')

#endif							/* UAEF_ERRCODES_H */
