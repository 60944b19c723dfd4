------------------------------------------------------------------------
-- Agents: who they are, what they do, what they have done
------------------------------------------------------------------------

-- A key is stored as its SHA-256 only; the prefix, which is no secret, finds it.
CREATE TABLE uaef.agent (
	agent_id		uuid PRIMARY KEY,
	name			text NOT NULL UNIQUE,
	platform		text NOT NULL,
	endpoint_url	text,
	capabilities	text[] NOT NULL,
	configuration	jsonb NOT NULL,
	description		text,
	status			text NOT NULL CHECK (status IN
		('active', 'inactive', 'suspended')),
	status_reason	text,
	max_concurrent	integer NOT NULL CHECK (max_concurrent > 0),
	max_tokens_per_day bigint CHECK (max_tokens_per_day > 0),
	max_cost_per_day bigint CHECK (max_cost_per_day > 0),
	currency		text,
	key_prefix		text NOT NULL UNIQUE,
	key_hash		bytea NOT NULL,
	key_made_at		timestamptz NOT NULL,
	registered_by	regrole NOT NULL,
	registered_at	timestamptz NOT NULL,
	changed_at		timestamptz NOT NULL
);
COMMENT ON TABLE uaef.agent IS
	'agents: who they are, what they can do and how much, and the hashes of their keys';

-- What agents did, added up by each one's own claims.  Its row is what the
-- claims of one agent lock; nothing that ends a task does.
CREATE TABLE uaef.agent_metric (
	agent_id		uuid PRIMARY KEY,
	completed		bigint NOT NULL DEFAULT 0,
	failed			bigint NOT NULL DEFAULT 0,
	lost			bigint NOT NULL DEFAULT 0,
	cancelled		bigint NOT NULL DEFAULT 0,
	tokens_in		numeric NOT NULL DEFAULT 0,
	tokens_out		numeric NOT NULL DEFAULT 0,
	cost_minor		numeric NOT NULL DEFAULT 0,
	unknown_calls	bigint NOT NULL DEFAULT 0,
	latency			bigint[] NOT NULL
		DEFAULT pg_catalog.array_fill(0::bigint, ARRAY[112]),
	day				date NOT NULL DEFAULT '-infinity',
	day_tokens		numeric NOT NULL DEFAULT 0,
	day_cost		numeric NOT NULL DEFAULT 0,
	claimed_at		timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE uaef.agent_metric IS
	'what agents did up to their last claim: outcomes, tokens, costs, latencies';
COMMENT ON COLUMN uaef.agent_metric.latency IS
	'how many completed attempts took so long: element i counts those from 2^((i-1)/4) ms on, the last one all that took longer';

-- Attempts that agents have, or have ended since their last claim.
CREATE TABLE uaef.agent_task (
	agent_id		uuid NOT NULL,
	task_id			bigint NOT NULL,
	execution_id	uuid NOT NULL,
	lease_token		uuid NOT NULL,
	claimed_at		timestamptz NOT NULL,
	ended_at		timestamptz,
	outcome			text,
	bucket			smallint,
	tokens_in		bigint NOT NULL DEFAULT 0,
	tokens_out		bigint NOT NULL DEFAULT 0,
	cost_minor		numeric NOT NULL DEFAULT 0,
	unknown			integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE uaef.agent_task IS
	'attempts that agents have, or have ended since their last claim';
COMMENT ON COLUMN uaef.agent_task.tokens_in IS
	'that it used; while an agent is called, what the call is estimated at';
COMMENT ON COLUMN uaef.agent_task.unknown IS
	'calls of which nobody knows what they used: counted as estimated';
CREATE INDEX agent_task_agent ON uaef.agent_task (agent_id);
CREATE INDEX agent_task_task ON uaef.agent_task (task_id);

REVOKE ALL ON uaef.agent, uaef.agent_metric, uaef.agent_task FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('uaef.agent', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.agent_metric', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.agent_task', '');

--
-- register_agent(), update_agent(), drop_agent()
--
CREATE FUNCTION uaef.register_agent(
	name text,
	platform text,
	endpoint_url text DEFAULT NULL,
	capabilities text[] DEFAULT '{}',
	configuration jsonb DEFAULT '{}',
	max_concurrent integer DEFAULT 4,
	max_tokens_per_day bigint DEFAULT NULL,
	max_cost_per_day bigint DEFAULT NULL,
	currency text DEFAULT NULL,
	description text DEFAULT NULL,
	OUT agent_id uuid,
	OUT api_key text)
RETURNS record
AS 'MODULE_PATHNAME', 'uaef_register_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.register_agent(text, text, text, text[], jsonb, integer, bigint, bigint, text, text) IS
	'register an agent, active at once, and give its key, which is shown this once and stored nowhere; platform is anthropic, openai, langserve, http or custom; max_cost_per_day is in minor units of the currency; a day is one of UTC; 42710 when the name is taken';
REVOKE ALL ON FUNCTION uaef.register_agent(text, text, text, text[], jsonb, integer, bigint, bigint, text, text) FROM PUBLIC;

CREATE FUNCTION uaef.update_agent(
	name text,
	platform text DEFAULT NULL,
	endpoint_url text DEFAULT NULL,
	capabilities text[] DEFAULT NULL,
	configuration jsonb DEFAULT NULL,
	max_concurrent integer DEFAULT NULL,
	max_tokens_per_day bigint DEFAULT NULL,
	max_cost_per_day bigint DEFAULT NULL,
	currency text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_update_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.update_agent(text, text, text, text[], jsonb, integer, bigint, bigint, text, text) IS
	'change what is given of an agent, and leave what is null; a limit of 0 is none; the currency stays once it is set';
REVOKE ALL ON FUNCTION uaef.update_agent(text, text, text, text[], jsonb, integer, bigint, bigint, text, text) FROM PUBLIC;

CREATE FUNCTION uaef.drop_agent(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_drop_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.drop_agent(text) IS
	'remove an agent and its metrics; 55006 while it has tasks; what the ledger says of it stays';
REVOKE ALL ON FUNCTION uaef.drop_agent(text) FROM PUBLIC;

--
-- activate_agent(), deactivate_agent(), suspend_agent()
--
CREATE FUNCTION uaef.activate_agent(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_activate_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.activate_agent(text) IS
	'let an agent take tasks';
REVOKE ALL ON FUNCTION uaef.activate_agent(text) FROM PUBLIC;

CREATE FUNCTION uaef.deactivate_agent(name text, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_deactivate_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.deactivate_agent(text, text) IS
	'let an agent take no more tasks; those that it has it may end';
REVOKE ALL ON FUNCTION uaef.deactivate_agent(text, text) FROM PUBLIC;

CREATE FUNCTION uaef.suspend_agent(name text, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_suspend_agent'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.suspend_agent(text, text) IS
	'as deactivate_agent(), for an agent that is not trusted for now';
REVOKE ALL ON FUNCTION uaef.suspend_agent(text, text) FROM PUBLIC;

--
-- rotate_agent_key(), verify_agent_key()
--
CREATE FUNCTION uaef.rotate_agent_key(name text)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_rotate_agent_key'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.rotate_agent_key(text) IS
	'give an agent a new key, which is shown this once; the old one is worth nothing any more';
REVOKE ALL ON FUNCTION uaef.rotate_agent_key(text) FROM PUBLIC;

CREATE FUNCTION uaef.verify_agent_key(api_key text)
RETURNS uuid
AS 'MODULE_PATHNAME', 'uaef_verify_agent_key'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.verify_agent_key(text) IS
	'the agent_id of the active agent whose key this is; null for any other text';
REVOKE ALL ON FUNCTION uaef.verify_agent_key(text) FROM PUBLIC;

--
-- find_available_agent()
--
CREATE FUNCTION uaef.find_available_agent(capability text)
RETURNS uuid
AS 'MODULE_PATHNAME', 'uaef_find_available_agent'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.find_available_agent(text) IS
	'an active agent with this capability that would take a task now: the one that uses the least share of its max_concurrent, then the one with the best score, then the oldest; null when there is none';
REVOKE ALL ON FUNCTION uaef.find_available_agent(text) FROM PUBLIC;

--
-- claim_agent_tasks(), report_agent_usage(), complete_agent_task()
--
CREATE FUNCTION uaef.claim_agent_tasks(
	api_key text,
	max_tasks integer DEFAULT 1,
	lease interval DEFAULT '5 minutes',
	OUT task_id bigint,
	OUT execution_id uuid,
	OUT task text,
	OUT attempt integer,
	OUT prompt text,
	OUT context jsonb,
	OUT input jsonb,
	OUT output_schema jsonb,
	OUT lease_token uuid,
	OUT lease_expires_at timestamptz,
	OUT workflow text,
	OUT item integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'uaef_claim_agent_tasks'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.claim_agent_tasks(text, integer, interval) IS
	'take tasks that name the agent of this key, or a capability that it has, by priority and age, no more than it may have at a time and in a day; 28000 for a wrong key, 55000 when the agent is not active';
REVOKE ALL ON FUNCTION uaef.claim_agent_tasks(text, integer, interval) FROM PUBLIC;

CREATE FUNCTION uaef.report_agent_usage(task_id bigint, usage jsonb, lease_token uuid)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_report_agent_usage'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.report_agent_usage(bigint, jsonb, uuid) IS
	'say what the current attempt of a task has used up to now: tokens_in, tokens_out, cost_minor, currency; replaces what was said of it before; UA306 when the lease is over';
REVOKE ALL ON FUNCTION uaef.report_agent_usage(bigint, jsonb, uuid) FROM PUBLIC;

CREATE FUNCTION uaef.complete_agent_task(
	task_id bigint,
	output jsonb,
	usage jsonb DEFAULT NULL,
	lease_token uuid DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_complete_agent_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.complete_agent_task(bigint, jsonb, jsonb, uuid) IS
	'give the output of a task that an agent has claimed, and what it used; UA231 when the output is not what the task''s output_schema asks for; harmless when repeated with the same output';
REVOKE ALL ON FUNCTION uaef.complete_agent_task(bigint, jsonb, jsonb, uuid) FROM PUBLIC;

--
-- agent_registry, agent_reputation
--
CREATE VIEW uaef.agent_registry WITH (security_barrier) AS
SELECT agent_id, name, platform, endpoint_url, capabilities,
	CASE WHEN pg_catalog.pg_has_role(registered_by, 'USAGE') THEN configuration END
		AS configuration,
	description, status, status_reason, max_concurrent, max_tokens_per_day,
	max_cost_per_day, currency, key_prefix, key_made_at, registered_by,
	registered_at, changed_at
FROM uaef.agent;
COMMENT ON VIEW uaef.agent_registry IS 'agents, for people; without their keys';
COMMENT ON COLUMN uaef.agent_registry.configuration IS
	'configuration, for members of the role that registered the agent; null for others';
REVOKE ALL ON uaef.agent_registry FROM PUBLIC;

CREATE VIEW uaef.agent_reputation WITH (security_barrier) AS
SELECT a.agent_id, a.name, a.platform, a.status, a.capabilities,
	u.running,
	a.max_concurrent,
	u.running < a.max_concurrent
		AND (a.max_tokens_per_day IS NULL
			OR d.tokens_today < a.max_tokens_per_day)
		AND (a.max_cost_per_day IS NULL
			OR d.cost_today < a.max_cost_per_day) AS takes_tasks,
	s.completed, s.failed, s.lost, s.cancelled,
	round(s.completed::numeric
		/ nullif(s.completed + s.failed + s.lost, 0), 4) AS success_rate,
	round((s.completed + 1)::numeric
		/ (s.completed + s.failed + s.lost + 2), 4) AS score,
	l.p50 AS latency_p50, l.p95 AS latency_p95, l.p99 AS latency_p99,
	m.tokens_in + u.tokens_in AS tokens_in,
	m.tokens_out + u.tokens_out AS tokens_out,
	m.cost_minor + u.cost_minor AS cost_minor,
	a.currency, d.tokens_today, d.cost_today,
	a.max_tokens_per_day, a.max_cost_per_day,
	m.unknown_calls + u.unknown_calls AS unknown_calls
FROM uaef.agent a
JOIN uaef.agent_metric m USING (agent_id)
CROSS JOIN LATERAL (SELECT (pg_catalog.now() AT TIME ZONE 'UTC')::date AS day) n
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE t.ended_at IS NULL) AS running,
		count(*) FILTER (WHERE t.outcome = 'completed') AS completed,
		count(*) FILTER (WHERE t.outcome = 'failed') AS failed,
		count(*) FILTER (WHERE t.outcome = 'lost') AS lost,
		count(*) FILTER (WHERE t.outcome = 'cancelled') AS cancelled,
		coalesce(sum(t.tokens_in), 0) AS tokens_in,
		coalesce(sum(t.tokens_out), 0) AS tokens_out,
		coalesce(sum(t.cost_minor), 0) AS cost_minor,
		coalesce(sum(t.unknown), 0) AS unknown_calls,
		coalesce(sum(t.tokens_in + t.tokens_out) FILTER (WHERE
			(coalesce(t.ended_at, pg_catalog.now()) AT TIME ZONE 'UTC')::date
			= n.day), 0) AS tokens_today,
		coalesce(sum(t.cost_minor) FILTER (WHERE
			(coalesce(t.ended_at, pg_catalog.now()) AT TIME ZONE 'UTC')::date
			= n.day), 0) AS cost_today
	FROM uaef.agent_task t
	WHERE t.agent_id = a.agent_id) u
CROSS JOIN LATERAL (
	SELECT m.completed + u.completed AS completed,
		m.failed + u.failed AS failed,
		m.lost + u.lost AS lost,
		m.cancelled + u.cancelled AS cancelled) s
CROSS JOIN LATERAL (
	SELECT CASE WHEN m.day = n.day THEN m.day_tokens ELSE 0 END
			+ u.tokens_today AS tokens_today,
		CASE WHEN m.day = n.day THEN m.day_cost ELSE 0 END
			+ u.cost_today AS cost_today) d
LEFT JOIN LATERAL (
	SELECT min(w.took) FILTER (WHERE w.upto >= 0.50 * w.total) AS p50,
		min(w.took) FILTER (WHERE w.upto >= 0.95 * w.total) AS p95,
		min(w.took) FILTER (WHERE w.upto >= 0.99 * w.total) AS p99
	FROM (
		SELECT pg_catalog.make_interval(secs =>
				round(power(2::float8, (b.i - 0.5) / 4))/ 1000) AS took,
			sum(b.n) OVER (ORDER BY b.i) AS upto,
			sum(b.n) OVER () AS total
		FROM (
			SELECT h.i, h.n + (SELECT count(*) FROM uaef.agent_task t
					WHERE t.agent_id = a.agent_id
					AND t.outcome = 'completed' AND t.bucket = h.i) AS n
			FROM unnest(m.latency) WITH ORDINALITY h (n, i)) b) w
	WHERE w.total > 0) l ON true;
COMMENT ON VIEW uaef.agent_reputation IS
	'agents, what they do and how well: attempts by outcome, score = (completed + 1) / (completed + failed + lost + 2), latencies of completed attempts to a tenth, tokens, costs in minor units, and the day (UTC) up to now';
REVOKE ALL ON uaef.agent_reputation FROM PUBLIC;
