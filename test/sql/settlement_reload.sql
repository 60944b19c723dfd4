--
-- settlement_reload: a session that has used rules goes on rightly when the
-- extension is dropped and made again under it
--
\set regression :DBNAME
CREATE DATABASE regress_settle_reload;
\c regress_settle_reload
SET client_min_messages = warning;

CREATE FUNCTION pay(recipient text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_workflow('reload',
		'{"tasks":[{"id":"a","type":"parallel"}]}');
	PERFORM uaef.create_settlement_rule('reload', jsonb_build_object(
		'workflow', 'reload', 'currency', 'EUR', 'amount', 'in.x',
		'recipient', recipient));
	SET LOCAL uaef.rule_activation = 'any';
	PERFORM uaef.activate_settlement_rule('reload', max(version))
	FROM uaef.settlement_rule;
	PERFORM uaef.start_workflow('reload', '{"x":1}');
END
$$;

CREATE EXTENSION uaef CASCADE;
-- The worker of this database has no part in this.
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT pay('pool:first');
SELECT recipient, amount FROM uaef.settlement;
DROP EXTENSION uaef;
CREATE EXTENSION uaef;
SELECT pay('pool:second');
SELECT recipient, amount FROM uaef.settlement;

-- The same, rolled back: the first one is there again.
BEGIN;
DROP EXTENSION uaef;
CREATE EXTENSION uaef;
SELECT pay('pool:third');
SELECT recipient, amount FROM uaef.settlement;
ROLLBACK;
SELECT pay('pool:second');
SELECT recipient, amount FROM uaef.settlement;

\c :regression
DROP DATABASE regress_settle_reload WITH (FORCE);
