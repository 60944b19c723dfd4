-- The demo: a shop's orders, run by the database.  For psql, by test/demo/run.
-- Variables: port and carrier_log, of the HTTP server that plays the carrier;
-- dir, a directory to write to.

\set QUIET on
\pset footer off
\pset null '-'
\timing off
SET client_min_messages = warning;

\echo
\echo '== 1. A shop, as it was before: four tables and a manager, and not a line of workflow code'
\echo

CREATE TABLE stock (sku text PRIMARY KEY, on_hand integer NOT NULL CHECK (on_hand >= 0));
CREATE TABLE shop_order (order_no integer PRIMARY KEY, customer text NOT NULL, lines jsonb NOT NULL);
CREATE TABLE picked (order_no integer, sku text, amount numeric NOT NULL, PRIMARY KEY (order_no, sku));
CREATE TABLE shipped (order_no integer PRIMARY KEY, parcel text NOT NULL);
CREATE ROLE manager LOGIN;
GRANT USAGE ON SCHEMA uaef TO manager;
GRANT SELECT ON uaef.pending_approval TO manager;
GRANT EXECUTE ON FUNCTION uaef.approve TO manager;
INSERT INTO stock VALUES ('chart', 40), ('compass', 12), ('lamp', 9), ('sextant', 4);
TABLE stock;

\echo
\echo '== 2. The workflow, defined in SQL'
\echo
\echo '   SQL tasks, a fan-out over the lines of the order, a decision, a person,'
\echo '   an HTTP call.  The database checks all of it now, not when it runs.'
\echo

SELECT format('http://127.0.0.1:%s/parcels', :'port') AS carrier \gset
SELECT uaef.create_workflow('order', replace($workflow$
{
  "tasks": [
    {"id": "pick", "type": "map", "config": {"over": "{{in.lines}}", "task":
        {"type": "sql", "config": {
            "sql": "WITH s AS (UPDATE public.stock SET on_hand = on_hand - ($1->>'qty')::int WHERE sku = $1->>'sku' RETURNING sku) INSERT INTO public.picked SELECT ($1->>'order_no')::int, sku, ($1->>'qty')::int * ($1->>'price')::numeric FROM s RETURNING sku, amount",
            "input": {"order_no": "{{in.order_no}}", "sku": "{{item.sku}}", "qty": "{{item.qty}}", "price": "{{item.price}}"}}}}},
    {"id": "invoice", "type": "sql", "config": {
        "sql": "SELECT sum(amount) AS total, count(*) AS lines FROM public.picked WHERE order_no = ($1->>'order_no')::int"}},
    {"id": "size", "type": "decision", "config": {
        "cases": [{"label": "big", "when": {"task.invoice.total": {"$gte": 1000}}}], "default": "small"}},
    {"id": "sign", "type": "human_approval", "config": {
        "description": "Order {{in.order_no}} of {{in.customer}}: EUR {{task.invoice.total}}",
        "approvers": ["manager"], "four_eyes": true,
        "show": {"customer": "{{in.customer}}", "total": "{{task.invoice.total}}"}}},
    {"id": "carrier", "type": "http", "config": {
        "url": "@carrier@", "method": "POST",
        "body": {"order_no": "{{in.order_no}}", "value": "{{task.invoice.total}}"}}},
    {"id": "ship", "type": "sql", "config": {
        "sql": "INSERT INTO public.shipped VALUES (($1->>'order_no')::int, 'parcel ' || ($1->>'parcel')) RETURNING parcel",
        "input": {"order_no": "{{in.order_no}}", "parcel": "{{task.carrier.body.received}}"}}},
    {"id": "refuse", "type": "sql", "config": {
        "sql": "UPDATE public.stock s SET on_hand = on_hand + (l->>'qty')::int FROM jsonb_array_elements($1->'lines') l WHERE s.sku = l->>'sku'"}}
  ],
  "edges": [
    {"from": "pick", "to": "invoice"},
    {"from": "invoice", "to": "size"},
    {"from": "size", "to": "carrier", "on": "small"},
    {"from": "size", "to": "sign", "on": "big"},
    {"from": "sign", "to": "carrier", "on": "approved"},
    {"from": "sign", "to": "refuse", "on": "rejected"},
    {"from": "carrier", "to": "ship"}
  ],
  "output": {"total": "{{task.invoice.total}}"}
}
$workflow$, '@carrier@', :'carrier')::jsonb) AS "version of order";

SELECT uaef.workflow_graph('order', 'text') \g (format=unaligned tuples_only=on)
\echo

\echo '   A mistake is refused at once.  Here two tasks wait for each other:'
\echo
\set ON_ERROR_STOP off
SELECT uaef.create_workflow('knot', '{"tasks": [
	{"id": "hen", "type": "sql", "config": {"sql": "SELECT 1"}},
	{"id": "egg", "type": "sql", "config": {"sql": "SELECT 2"}}],
  "edges": [{"from": "hen", "to": "egg"}, {"from": "egg", "to": "hen"}]}');
\set ON_ERROR_STOP on
SELECT :'LAST_ERROR_SQLSTATE' = 'UA301' AS refused \gset
\if :refused
\else
	\echo 'the cycle was not refused'
	\quit 1
\endif

\echo
\echo '== 3. Who is paid, who may sign, where the database may call'
\echo
\echo '   2.5 % of each order that was shipped, at least EUR 2, in exact cents:'
\echo '   70 % to the agent, 20 % to the pool of the pickers, the rest to the house.'
\echo

SELECT uaef.create_settlement_rule('commission', $rule$
{
  "workflow": "order",
  "when": {"task.ship.parcel": {"$exists": true}},
  "currency": "EUR",
  "amount": "max(pct(money(task.invoice.total, \"EUR\"), 2.5%), EUR 2)",
  "round": "half_even",
  "split": {"remainder": "largest", "parts": [
    {"to": "agent:ines", "share": "70%"},
    {"to": "pool:pickers", "share": "20%"},
    {"to": "house", "share": "rest"}]}
}
$rule$) AS "version of commission";
\echo '   Its author cannot activate it; the controller, who is somebody else, can.'
CREATE ROLE controller LOGIN;
GRANT :"USER" TO controller;
SELECT session_user AS author \gset
SET SESSION AUTHORIZATION controller;
SELECT uaef.activate_settlement_rule('commission', 1);
SET SESSION AUTHORIZATION :"author";
SELECT uaef.allow_egress('127.0.0.1', :port, 'http', '127.0.0.0/8') IS NOT NULL AS "the carrier may be called";

\echo
\echo '== 4. Two orders come in, as rows of the shop''s own table'
\echo
\echo '   A trigger starts the workflow in the transaction of the INSERT.  A third'
\echo '   order is rolled back: nothing of it ever happened.'
\echo

SELECT uaef.attach_workflow('shop_order', 'order', key => 'order_no');
INSERT INTO shop_order VALUES
	(1001, 'Ahab',  '[{"sku": "chart", "qty": 3, "price": 19.99}, {"sku": "lamp", "qty": 1, "price": 45.50}]'),
	(1002, 'Nemo',  '[{"sku": "sextant", "qty": 2, "price": 480.00}, {"sku": "compass", "qty": 3, "price": 89.95},
					  {"sku": "chart", "qty": 10, "price": 19.99}, {"sku": "lamp", "qty": 2, "price": 45.50}]');
BEGIN;
INSERT INTO shop_order VALUES (1003, 'Nobody', '[{"sku": "chart", "qty": 40, "price": 1.00}]');
ROLLBACK;

CREATE FUNCTION execution_of(order_no integer) RETURNS uuid LANGUAGE sql STABLE AS $$
	SELECT execution_id FROM uaef.workflow_execution WHERE input->>'order_no' = order_no::text
$$;
CREATE FUNCTION wait_for_a_question() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN EXISTS (SELECT FROM uaef.pending_approval);
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

SELECT uaef.wait_for_workflow(execution_of(1001), '20s') AS "order 1001";
SELECT wait_for_a_question() \g /dev/null
SELECT task, item, status, attempt, left(output::text, 60) AS output FROM uaef.task_run WHERE execution_id = execution_of(1001);

\echo '   What the carrier''s server was sent:'
\setenv CARRIER_LOG :carrier_log
\! sed 's/^/      /' "$CARRIER_LOG"

\echo
\echo '== 5. The big one waits for a person'
\echo
SELECT task, description, shown, initiated_by FROM uaef.pending_approval;
\echo '   The manager looks at it, and signs:'
\echo
\connect - manager
SELECT uaef.approve(approval_id, 'a good customer') IS NOT NULL AS signed FROM uaef.pending_approval;
\connect - postgres
SET client_min_messages = warning;
SELECT uaef.wait_for_workflow(execution_of(1002), '20s') AS "order 1002";
SELECT * FROM shipped ORDER BY order_no;
TABLE stock ORDER BY sku;

\echo '== 6. The money'
\echo
SELECT e.input->>'order_no' AS order_no, e.output->>'total' AS total, s.recipient, s.amount, s.currency
FROM uaef.settlement s JOIN uaef.workflow_execution e USING (execution_id)
ORDER BY 1, 4 DESC;

DO $$
BEGIN
	ASSERT (SELECT count(*) FROM uaef.workflow_execution WHERE status = 'completed') = 2, 'two orders completed';
	ASSERT (SELECT count(*) FROM uaef.workflow_execution) = 2, 'and there are no others';
	ASSERT (SELECT count(*) FROM shipped) = 2, 'both were shipped';
	ASSERT (SELECT string_agg(on_hand::text, ' ' ORDER BY sku) FROM stock) = '27 9 6 2', 'the stock is right';
	-- 105.47 * 2.5 % = 2.63675; 1520.75 * 2.5 % = 38.01875
	ASSERT (SELECT string_agg(s.amount::numeric(10,2)::text, ' ' ORDER BY e.input->>'order_no', s.amount DESC)
			FROM uaef.settlement s JOIN uaef.workflow_execution e USING (execution_id))
		= '1.85 0.53 0.26 26.62 7.60 3.80', 'the money is right to the cent';
END $$;

\echo '== 7. The ledger: every step of it, chained'
\echo
SELECT event_id AS event, event_type, payload->>'task' AS task, actor_type AS actor, session_role, left(event_hash::text, 16) AS hash
FROM uaef.ledger_event WHERE stream = execution_of(1001) ORDER BY stream_seq;
\echo '   Sealed into blocks:'
SELECT uaef.seal_ledger() \g /dev/null
SELECT count(*) AS blocks FROM uaef.ledger_block;
\echo '   verify_ledger() finds:'
SELECT count(*) AS problems FROM uaef.verify_ledger();
DO $$
BEGIN
	ASSERT NOT EXISTS (SELECT FROM uaef.verify_ledger()), 'the ledger verifies';
END $$;

\echo '== 8. What an auditor takes away: a signed checkpoint, a proof, an export'
\echo
SELECT 'uaef/' || ledger_id AS origin, :'dir' || '/ledger.key' AS key FROM uaef.ledger \gset
\cd :dir
\setenv ORIGIN :origin
\! (echo log $(uaef-signer keygen "$ORIGIN" ledger.key); echo quorum none) > policy
SET uaef.ledger_key_file = :'key';
SELECT uaef.ledger_checkpoint() \g (format=unaligned tuples_only=on) kept-note
SELECT uaef.tlog_proof(event_id) FROM uaef.ledger_event
WHERE stream = execution_of(1002) AND event_type = 'approval_granted' \g (format=unaligned tuples_only=on) granted.tlog-proof
SELECT uaef.export_ledger() \g (format=unaligned tuples_only=on) ledger.jsonl
\! sed 's/^/      /' kept-note
\echo '   With the public key alone, on a machine without a server, uaef-verify says:'
\echo
\! uaef-verify --policy policy --proof granted.tlog-proof | sed 's/^/      /'
\! uaef-verify --policy policy --checkpoint kept-note ledger.jsonl | sed 's/^/      /'
\set verdict `uaef-verify --policy policy --checkpoint kept-note --proof granted.tlog-proof ledger.jsonl > /dev/null && echo on || echo off`
\if :verdict
\else
	\echo 'the export does not verify'
	\quit 1
\endif
\echo

\echo '== 9. A superuser forges one byte'
\echo
SELECT event_id AS victim FROM uaef.ledger_event
WHERE stream = execution_of(1002) AND event_type = 'task_completed' ORDER BY stream_seq LIMIT 1 \gset
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_event SET event_hash = set_byte(event_hash::bytea, 7, get_byte(event_hash::bytea, 7) # 1) WHERE event_id = :victim;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;
\echo '   It was event ':victim'.  verify_ledger() says:'
\echo
SELECT code, stream_seq, event_id, block_no, detail FROM uaef.verify_ledger() LIMIT 5;
SELECT set_config('demo.victim', :'victim', false) \g /dev/null
DO $$
BEGIN
	ASSERT (SELECT array_agg(DISTINCT event_id) FROM uaef.verify_ledger() WHERE event_id IS NOT NULL)
		= ARRAY[current_setting('demo.victim')::bigint], 'verify_ledger names the event';
END $$;
