------------------------------------------------------------------------
-- Definitions without typing JSON: tasks, edges, chains of them.
--
-- Every function gives jsonb, so || adds what it has no argument for.
------------------------------------------------------------------------

--
-- task(): any type
--
CREATE FUNCTION uaef.task(
	id text,
	type text,
	config jsonb DEFAULT NULL,
	timeout text DEFAULT NULL,
	attempts integer DEFAULT NULL,
	retry jsonb DEFAULT NULL,
	on_failure text DEFAULT NULL,
	queue text DEFAULT NULL,
	priority integer DEFAULT NULL,
	"join" text DEFAULT NULL,
	description text DEFAULT NULL,
	output_schema jsonb DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_task'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION uaef.task(text, text, jsonb, text, integer, jsonb, text, text, integer, text, text, jsonb) IS
	'a task of a workflow definition, of any type; what is null is left out, in config too';
REVOKE ALL ON FUNCTION uaef.task(text, text, jsonb, text, integer, jsonb, text, text, integer, text, text, jsonb) FROM PUBLIC;

--
-- sql_task()
--
CREATE FUNCTION uaef.sql_task(
	id text,
	sql text,
	input jsonb DEFAULT NULL,
	timeout text DEFAULT NULL,
	attempts integer DEFAULT NULL,
	on_failure text DEFAULT NULL,
	output_schema jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'sql', jsonb_build_object('sql', sql, 'input', input),
	timeout => timeout, attempts => attempts, on_failure => on_failure, output_schema => output_schema);
COMMENT ON FUNCTION uaef.sql_task(text, text, jsonb, text, integer, text, jsonb) IS
	'a task that runs one SQL statement, whose $1 is its input as jsonb';
REVOKE ALL ON FUNCTION uaef.sql_task(text, text, jsonb, text, integer, text, jsonb) FROM PUBLIC;

--
-- http_task()
--
CREATE FUNCTION uaef.http_task(
	id text,
	url text,
	body jsonb DEFAULT NULL,
	method text DEFAULT NULL,
	headers jsonb DEFAULT NULL,
	timeout text DEFAULT NULL,
	attempts integer DEFAULT NULL,
	on_failure text DEFAULT NULL,
	output_schema jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'http', jsonb_build_object('url', url, 'body', body, 'method', method, 'headers', headers),
	timeout => timeout, attempts => attempts, on_failure => on_failure, output_schema => output_schema);
COMMENT ON FUNCTION uaef.http_task(text, text, jsonb, text, jsonb, text, integer, text, jsonb) IS
	'a task that makes one HTTP request; the method is GET, or POST when there is a body';
REVOKE ALL ON FUNCTION uaef.http_task(text, text, jsonb, text, jsonb, text, integer, text, jsonb) FROM PUBLIC;

--
-- decision_task()
--
CREATE FUNCTION uaef.decision_task(id text, VARIADIC cases text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'decision', jsonb_build_object(
	'cases', (SELECT coalesce(jsonb_agg(jsonb_build_object('label', cases[i], 'when', cases[i + 1]::jsonb) ORDER BY i), '[]')
			  FROM generate_series(1, cardinality(cases) - 1, 2) i),
	'default', CASE WHEN cardinality(cases) % 2 = 1 THEN cases[cardinality(cases)] END));
COMMENT ON FUNCTION uaef.decision_task(text, text[]) IS
	'a decision: label, condition, label, condition, ...; a last label without a condition is the default';
REVOKE ALL ON FUNCTION uaef.decision_task(text, text[]) FROM PUBLIC;

--
-- condition_task()
--
CREATE FUNCTION uaef.condition_task(id text, condition jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'condition', jsonb_build_object('when', condition));
COMMENT ON FUNCTION uaef.condition_task(text, jsonb) IS
	'a task whose edges are labelled true and false';
REVOKE ALL ON FUNCTION uaef.condition_task(text, jsonb) FROM PUBLIC;

--
-- approval_task()
--
CREATE FUNCTION uaef.approval_task(
	id text,
	description text,
	approvers text[] DEFAULT NULL,
	need integer DEFAULT NULL,
	four_eyes boolean DEFAULT NULL,
	expires text DEFAULT NULL,
	show jsonb DEFAULT NULL,
	form jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'human_approval', jsonb_build_object('description', description, 'approvers', to_jsonb(approvers),
	'need', need, 'four_eyes', four_eyes, 'expires', expires, 'show', show, 'form', form));
COMMENT ON FUNCTION uaef.approval_task(text, text, text[], integer, boolean, text, jsonb, jsonb) IS
	'a task that asks people; its edges are labelled approved, rejected and expired';
REVOKE ALL ON FUNCTION uaef.approval_task(text, text, text[], integer, boolean, text, jsonb, jsonb) FROM PUBLIC;

--
-- wait_task()
--
CREATE FUNCTION uaef.wait_task(id text, "for" text DEFAULT NULL, until text DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'wait', jsonb_build_object('for', "for", 'until', until));
COMMENT ON FUNCTION uaef.wait_task(text, text, text) IS
	'a task that waits for a while, or until a time that a template gives';
REVOKE ALL ON FUNCTION uaef.wait_task(text, text, text) FROM PUBLIC;

--
-- settle_task()
--
CREATE FUNCTION uaef.settle_task(
	id text,
	rules text[] DEFAULT NULL,
	wait text DEFAULT NULL,
	timeout text DEFAULT NULL,
	input jsonb DEFAULT NULL,
	on_failure text DEFAULT NULL,
	reverse boolean DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'settle', jsonb_build_object('rules', to_jsonb(rules), 'wait', wait, 'input', input),
	timeout => timeout, on_failure => on_failure)
	|| CASE WHEN reverse THEN '{"compensate": {"type": "settle", "config": {"reverse": true}}}' ELSE '{}' END::jsonb;
COMMENT ON FUNCTION uaef.settle_task(text, text[], text, text, jsonb, text, boolean) IS
	'a task that settles by the rules that are for it (or those named), and may wait until its signals are approved or paid; reverse: what it settled is taken back when the workflow fails or is cancelled; its edges are labelled settled, nothing, failed, refused and timeout';
REVOKE ALL ON FUNCTION uaef.settle_task(text, text[], text, text, jsonb, text, boolean) FROM PUBLIC;

--
-- external_task()
--
CREATE FUNCTION uaef.external_task(
	id text,
	queue text DEFAULT NULL,
	input jsonb DEFAULT NULL,
	timeout text DEFAULT NULL,
	attempts integer DEFAULT NULL,
	on_failure text DEFAULT NULL,
	output_schema jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'external', jsonb_build_object('input', input), queue => queue,
	timeout => timeout, attempts => attempts, on_failure => on_failure, output_schema => output_schema);
COMMENT ON FUNCTION uaef.external_task(text, text, jsonb, text, integer, text, jsonb) IS
	'a task that outside workers claim from a queue';
REVOKE ALL ON FUNCTION uaef.external_task(text, text, jsonb, text, integer, text, jsonb) FROM PUBLIC;

--
-- map_task()
--
CREATE FUNCTION uaef.map_task(
	id text,
	"over" text,
	task jsonb,
	concurrency integer DEFAULT NULL,
	"join" text DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uaef.task(id, 'map', jsonb_build_object('over', "over", 'task', task - 'id', 'concurrency', concurrency,
	'join', CASE WHEN "join" ~ '^[0-9]+$' THEN "join"::jsonb ELSE to_jsonb("join") END));
COMMENT ON FUNCTION uaef.map_task(text, text, jsonb, integer, text) IS
	'a task that runs another one for each element of a list that a template gives; what it runs needs no id';
REVOKE ALL ON FUNCTION uaef.map_task(text, text, jsonb, integer, text) FROM PUBLIC;

--
-- edge()
--
CREATE FUNCTION uaef.edge("from" text, "to" text, "on" text DEFAULT NULL, "when" jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('from', "from", 'to', "to")
	|| CASE WHEN "on" IS NULL THEN '{}' ELSE jsonb_build_object('on', "on") END
	|| CASE WHEN "when" IS NULL THEN '{}' ELSE jsonb_build_object('when', "when") END;
COMMENT ON FUNCTION uaef.edge(text, text, text, jsonb) IS
	'an edge of a workflow definition, for what a chain cannot say: a condition';
REVOKE ALL ON FUNCTION uaef.edge(text, text, text, jsonb) FROM PUBLIC;

--
-- workflow()
--
CREATE FUNCTION uaef.workflow(chain text, VARIADIC parts jsonb[])
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_workflow_of_parts'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.workflow(text, jsonb[]) IS
	'a workflow definition of tasks and edges, joined by chains such as a -> b -[label]-> c, d -> e';
REVOKE ALL ON FUNCTION uaef.workflow(text, jsonb[]) FROM PUBLIC;
