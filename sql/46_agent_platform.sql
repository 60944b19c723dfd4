------------------------------------------------------------------------
-- What calls of agents cost each workflow
------------------------------------------------------------------------

-- Written by the worker alone: nobody waits for it.
CREATE TABLE uaef.agent_spending (
	workflow		text,
	day				date,
	currency		text,
	calls			bigint NOT NULL,
	tokens			numeric NOT NULL,
	cost_minor		numeric NOT NULL,
	unknown_calls	bigint NOT NULL,
	PRIMARY KEY (workflow, day, currency)
) WITH (fillfactor = 50);
COMMENT ON TABLE uaef.agent_spending IS
	'what the calls of agents that the worker makes have used, by workflow and day (UTC)';
COMMENT ON COLUMN uaef.agent_spending.currency IS
	'of the agents; empty: they have none';
COMMENT ON COLUMN uaef.agent_spending.tokens IS
	'in and out; calls under way, and those of which nobody knows, as estimated';
REVOKE ALL ON uaef.agent_spending FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('uaef.agent_spending', '');

CREATE VIEW uaef.workflow_agent_cost WITH (security_barrier) AS
SELECT workflow, day, nullif(currency, '') AS currency, calls, tokens,
	cost_minor, unknown_calls
FROM uaef.agent_spending;
COMMENT ON VIEW uaef.workflow_agent_cost IS
	'what calls of agents have used, by workflow and day (UTC): tokens, and costs in minor units';
REVOKE ALL ON uaef.workflow_agent_cost FROM PUBLIC;
