-- The tables, the workflow and the rule of the loans run (test/bench/real).
-- Variables: bank, the address of the local HTTP server.

-- The tables of an existing application.  What really became of each request
-- stands in a table of its own, where the automatic check looks it up and where
-- the script finds what the people of the bank once answered.
CREATE ROLE loan_app LOGIN;
CREATE ROLE loan_officer LOGIN;
CREATE TABLE loan_application (
	application_id	integer PRIMARY KEY,
	amount_requested numeric NOT NULL,
	registered_at	timestamptz NOT NULL
);
CREATE TABLE loan_outcome (
	application_id	integer PRIMARY KEY,
	outcome			text NOT NULL
);
CREATE TABLE loan_score (
	application_id	integer PRIMARY KEY,
	instalment		numeric NOT NULL,
	verdict			text NOT NULL
);
CREATE TABLE loan_result (
	application_id	integer PRIMARY KEY,
	result			text NOT NULL
);
GRANT SELECT, INSERT ON loan_application, loan_outcome, loan_score, loan_result
	TO loan_app;
GRANT SELECT ON loan_outcome TO loan_officer;
GRANT USAGE ON SCHEMA uaef TO loan_app, loan_officer;
GRANT SELECT ON uaef.workflow_run TO loan_app;
GRANT EXECUTE ON FUNCTION uaef.cancel_workflow TO loan_app;
GRANT SELECT ON uaef.pending_approval TO loan_officer;
GRANT EXECUTE ON FUNCTION uaef.approve, uaef.reject TO loan_officer;

-- A request is scored.  From EUR 5,000 on a person decides; below that the
-- automatic check does, and what it is not sure of goes to a person too.  An
-- approved loan is reported to the bank over HTTP and booked, a declined one is
-- booked as such.
SELECT uaef.create_workflow('loan', replace($workflow$
{
	"tasks": [
		{"id": "score", "type": "sql", "config": {"sql":
			"INSERT INTO public.loan_score SELECT application_id, round(($1->>'amount_requested')::numeric / 60, 2), CASE WHEN outcome IN ('approved', 'declined') THEN outcome ELSE 'unsure' END FROM public.loan_outcome WHERE application_id = ($1->>'application_id')::integer RETURNING instalment, verdict"}},
		{"id": "decide", "type": "decision", "config": {
			"cases": [
				{"label": "ask", "when": {"in.amount_requested": {"$gte": 5000}}},
				{"label": "pay", "when": {"task.score.verdict": "approved"}},
				{"label": "decline", "when": {"task.score.verdict": "declined"}}],
			"default": "ask"}},
		{"id": "ask", "type": "human_approval", "config": {
			"description": "Loan {{in.application_id}}: EUR {{in.amount_requested}}",
			"approvers": ["loan_officer"], "four_eyes": true,
			"show": {"application_id": "{{in.application_id}}", "amount": "{{in.amount_requested}}", "instalment": "{{task.score.instalment}}"}}},
		{"id": "report", "type": "http", "config": {
			"url": "@bank@/loans/{{in.application_id}}", "method": "POST",
			"body": {"application_id": "{{in.application_id}}", "amount": "{{in.amount_requested}}"}}},
		{"id": "book", "type": "sql", "config": {"sql":
			"INSERT INTO public.loan_result VALUES (($1->>'application_id')::integer, 'approved')"}},
		{"id": "decline", "type": "sql", "config": {"sql":
			"INSERT INTO public.loan_result VALUES (($1->>'application_id')::integer, 'declined')"}}
	],
	"edges": [
		{"from": "score", "to": "decide"},
		{"from": "decide", "to": "ask", "on": "ask"},
		{"from": "decide", "to": "report", "on": "pay"},
		{"from": "decide", "to": "decline", "on": "decline"},
		{"from": "ask", "to": "report", "on": "approved"},
		{"from": "ask", "to": "decline", "on": "rejected"},
		{"from": "report", "to": "book"}
	]
}
$workflow$, '@bank@', :'bank')::jsonb);

-- The broker's commission, for loans that were reported to the bank.
SELECT uaef.create_settlement_rule('broker commission', $rule$
{
	"workflow": "loan",
	"when": {"task.report.status": {"$exists": true}},
	"currency": "EUR",
	"tiers": {"mode": "marginal", "on": "money(in.amount_requested, \"EUR\")",
		"bands": [{"to": "5000", "rate": "1.5%"}, {"to": "15000", "rate": "1.0%"}, {"rate": "0.5%"}],
		"min": "25", "max": "300"},
	"round": "half_even",
	"split": {"remainder": "largest", "parts": [
		{"to": "agent:broker", "share": "70%"},
		{"to": "pool:officers", "share": "20%"},
		{"to": "acct:house", "share": "rest"}]}
}
$rule$);

-- Its author cannot activate it: somebody else does who may, too.
CREATE ROLE loan_controller LOGIN;
SELECT session_user AS author \gset
GRANT :"author" TO loan_controller;
SET SESSION AUTHORIZATION loan_controller;
SELECT uaef.activate_settlement_rule('broker commission', 1);
SET SESSION AUTHORIZATION :"author";

SELECT uaef.attach_workflow('loan_application', 'loan', key => 'application_id');
