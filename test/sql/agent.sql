--
-- Agents: the registry and its keys, tasks for agents, what they use, how well they do
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.refused(sql text, OUT state text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE sql;
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	message := regexp_replace(message, 'task \d+', 'task N');
END$$;

\echo # a key is shown once; what is stored is its hash
SELECT agent_id AS writer, api_key AS writer_key FROM uaef.register_agent('writer', 'anthropic',
	capabilities => '{write,summarise}', configuration => '{"model": "m-1", "max_tokens": 1000}', max_concurrent => 2) \gset
SELECT agent_id AS critic, api_key AS critic_key FROM uaef.register_agent('critic', 'http', 'https://critic.example/run',
	'{summarise,review}', max_tokens_per_day => 1000, max_cost_per_day => 500, currency => 'EUR') \gset
SELECT :'writer_key' ~ '^uaef_[0-9a-f]{12}_[0-9a-f]{64}$', :'writer_key' <> :'critic_key';
SELECT key_hash = sha256(:'writer_key'::bytea), strpos(:'writer_key', key_prefix) FROM uaef.agent WHERE name = 'writer';
SELECT uaef.verify_agent_key(:'writer_key') = :'writer', uaef.verify_agent_key(:'critic_key') = :'critic';
SELECT name, platform, endpoint_url, capabilities, configuration, status, max_concurrent, max_tokens_per_day, max_cost_per_day, currency
FROM uaef.agent_registry ORDER BY name;

\echo # wrong keys are nobody's
SELECT uaef.verify_agent_key(k) IS NULL FROM (VALUES (''), ('x'), (left(:'writer_key', -1)), (:'writer_key' || '0'), (upper(:'writer_key')),
	(left(:'writer_key', 18) || repeat('0', 64)), (left(:'writer_key', 17) || right(:'critic_key', 65)),
	('uaef_000000000000_' || right(:'writer_key', 64)), (overlay(:'writer_key' placing 'ä' from 80 for 1)), (NULL)) AS v (k);
SELECT (pg_temp.refused(format('SELECT uaef.claim_agent_tasks(%L)', k))).* FROM (VALUES (''), (left(:'writer_key', 18) || repeat('0', 64))) AS v (k);

\echo # bad input is refused whole
SELECT (pg_temp.refused('SELECT uaef.register_agent(' || args || ')')).* FROM (VALUES
	($$NULL, 'http'$$), ($$'a', NULL$$), ($$'', 'http'$$), ($$E'a\nb', 'http'$$), ($$'a', 'HTTP'$$), ($$'a', 'claude'$$), ($$'writer', 'http'$$),
	($$'a', 'http', 'ftp://x'$$), ($$'a', 'http', 'https://u:p@x/'$$), ($$'a', 'http', capabilities => '{x,NULL}'$$), ($$'a', 'http', capabilities => '{""}'$$),
	($$'a', 'http', capabilities => '{{x},{y}}'$$), ($$'a', 'http', capabilities => NULL$$),
	($$'a', 'http', capabilities => array_fill('x'::text, ARRAY[101])$$),
	($$'a', 'http', configuration => '[]'$$), ($$'a', 'http', configuration => '1'$$), ($$'a', 'http', configuration => '{"a": [{"API_KEY": "s3cret"}]}'$$),
	($$'a', 'http', max_concurrent => 0$$), ($$'a', 'http', max_concurrent => -3$$), ($$'a', 'http', max_concurrent => 10001$$),
	($$'a', 'http', max_tokens_per_day => -1$$), ($$'a', 'http', max_cost_per_day => 5$$), ($$'a', 'http', currency => 'XYZZY'$$)) AS v (args);
SELECT (pg_temp.refused('SELECT uaef.' || call)).* FROM (VALUES ($$activate_agent('nobody')$$), ($$deactivate_agent(NULL)$$), ($$suspend_agent('nobody')$$),
	($$rotate_agent_key('nobody')$$), ($$drop_agent('nobody')$$), ($$update_agent('nobody')$$), ($$update_agent('critic', currency => 'USD')$$),
	($$update_agent('writer', max_cost_per_day => 5)$$), ($$update_agent('writer', platform => 'x')$$)) AS v (call);
SELECT count(*) FROM uaef.agent_registry;

\echo # a change, another status, another key
SELECT uaef.update_agent('critic', capabilities => '{review}', max_tokens_per_day => 0, description => 'reads everything');
SELECT capabilities, max_tokens_per_day, max_cost_per_day, platform, description FROM uaef.agent_registry WHERE name = 'critic';
SELECT uaef.suspend_agent('critic', 'it lied');
SELECT uaef.suspend_agent('critic', 'again');
SELECT status, status_reason FROM uaef.agent_registry WHERE name = 'critic';
SELECT uaef.verify_agent_key(:'critic_key') IS NULL;
SELECT (pg_temp.refused(format('SELECT uaef.claim_agent_tasks(%L)', :'critic_key'))).*;
SELECT uaef.activate_agent('critic');
SELECT :'critic_key' AS old_key, uaef.rotate_agent_key('critic') AS critic_key \gset
SELECT uaef.verify_agent_key(:'old_key') IS NULL, uaef.verify_agent_key(:'critic_key') = :'critic';

\echo # a workflow names what an agent must be able to do
SELECT (pg_temp.refused(format('SELECT uaef.create_workflow(%L, %L)', 'bad_agent', jsonb_build_object('tasks', jsonb_build_array(
	jsonb_build_object('id', 'a', 'type', 'agent', 'config', config::jsonb)))))).* FROM (VALUES
	('{}'), ('{"capability": "write", "agent": "writer"}'), ('{"capability": "fly"}'), ('{"agent": "nobody"}'), ('{"capability": ""}'), ('{"capability": 1}'),
	('{"capability": "write", "prompt": 1}'), ('{"capability": "write", "prompt": "{{in."}'), ('{"capability": "write", "context": "{{task.b}}"}'),
	('{"capability": "write", "output_schema": {"type": "strange"}}'), ('{"capability": "write", "model": "m"}')) AS v (config);
SELECT uaef.create_workflow('article', '{"tasks": [
	{"id": "draft", "type": "agent", "config": {"capability": "write", "prompt": "Write about {{in.subject}}.", "context": {"tone": "{{ctx.tone}}"},
		"output_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "maxLength": 40}}}}},
	{"id": "review", "type": "agent", "config": {"agent": "critic", "input": {"text": "{{task.draft.text}}", "by": "{{sys.agent}}"}},
		"retry": {"max_attempts": 3, "backoff": "fixed", "initial": "1s"}}],
	"edges": [{"from": "draft", "to": "review"}], "context": {"tone": "dry"}}');
SELECT uaef.start_workflow('article', '{"subject": "rain"}') AS run \gset

\echo # only agents meet a task for agents
SELECT count(*) FROM uaef.claim_tasks('w', '#capability/write');
SELECT count(*) FROM uaef.claim_agent_tasks(:'critic_key', 10);
SELECT uaef.find_available_agent('write') = :'writer', uaef.find_available_agent('fly') IS NULL;

\echo # claim, extend, report, complete
SELECT task, attempt, prompt, context, input, output_schema, workflow, item, task_id, lease_token FROM uaef.claim_agent_tasks(:'writer_key', 10) \gset
\echo :task :attempt :prompt :context :input :workflow
SELECT worker = :'writer' FROM uaef.task_run WHERE task_id = :task_id;
SELECT uaef.release_task(:task_id, :'lease_token');
SELECT running, lost, failed, cancelled FROM uaef.agent_reputation WHERE name = 'writer';
SELECT task, attempt, task_id, lease_token FROM uaef.claim_agent_tasks(:'writer_key', 10) \gset
\echo :task :attempt
SELECT uaef.heartbeat_task(:task_id, :'lease_token', '10 minutes') > now();
SELECT (pg_temp.refused(format('SELECT uaef.' || call, :task_id, :'lease_token'))).* FROM (VALUES
	('complete_agent_task(%s, ''{}'', NULL, %L)'), ('complete_task(%s, ''{"text": 1}'', %L)'), ('complete_task(%s, ''{"text": "x"}'')'),
	('fail_task(%s, ''x'')'), ('complete_agent_task(%s, ''{"text": "x"}'')'),
	('complete_agent_task(%s, ''{"text": "x"}'', NULL, gen_random_uuid())'), ('report_agent_usage(%s, ''{}'', gen_random_uuid())'),
	('report_agent_usage(%s, ''[]'', %L)'), ('report_agent_usage(%s, ''1'', %L)'), ('report_agent_usage(%s, ''{"tokens": 1}'', %L)'),
	('report_agent_usage(%s, ''{"tokens_in": -1}'', %L)'), ('report_agent_usage(%s, ''{"tokens_in": 1.5}'', %L)'),
	('report_agent_usage(%s, ''{"tokens_in": "1"}'', %L)'), ('report_agent_usage(%s, ''{"tokens_in": 1e15}'', %L)'),
	('report_agent_usage(%s, ''{"currency": 1}'', %L)'), ('report_agent_usage(%s, ''{"cost_minor": 1}'', %L)'),
	('report_agent_usage(%s, ''{"cost_minor": 1, "currency": "EUR"}'', %L)')) AS v (call);
SELECT running, takes_tasks, completed FROM uaef.agent_reputation WHERE name = 'writer';
SELECT uaef.report_agent_usage(:task_id, '{"tokens_in": 1, "tokens_out": 1}', :'lease_token');
SELECT uaef.complete_agent_task(:task_id, '{"text": "It rains."}', '{"tokens_in": 120, "tokens_out": 30}', :'lease_token');
SELECT uaef.complete_agent_task(:task_id, '{"text": "It rains."}', '{"tokens_in": 120, "tokens_out": 30}', :'lease_token');
SELECT (pg_temp.refused(format('SELECT uaef.complete_agent_task(%s, ''{"text": "No."}'', NULL, %L)', :task_id, :'lease_token'))).state;
SELECT running, completed, failed, success_rate, score, tokens_in, tokens_out, cost_minor FROM uaef.agent_reputation WHERE name = 'writer';

\echo # an attempt that fails counts, and so does what it has used
SELECT input ->> 'by' = :'writer' AS by_writer, task_id, lease_token FROM uaef.claim_agent_tasks(:'critic_key', 10) \gset
\echo :by_writer
SELECT uaef.report_agent_usage(:task_id, '{"cost_minor": 150}', :'lease_token');
SELECT uaef.fail_task(:task_id, 'overloaded', true, :'lease_token');
SELECT running, failed, cost_minor, cost_today, currency, takes_tasks FROM uaef.agent_reputation WHERE name = 'critic';
SELECT uaef.cancel_workflow(:'run');
SELECT event_type, actor_type, agent_id = :'writer' AS writer, agent_id = :'critic' AS critic, payload -> 'usage'
FROM uaef.ledger_event WHERE stream = :'run' ORDER BY event_id;

\echo # a task that ends otherwise is taken back from its agent
SELECT uaef.create_workflow('review', '{"tasks": [{"id": "r", "type": "agent", "config": {"capability": "review"}, "priority": 3}]}');
SELECT uaef.start_workflow('review', '{"no": 1}') AS run \gset
SELECT task_id, lease_token FROM uaef.claim_agent_tasks(:'critic_key') \gset
SELECT (pg_temp.refused('SELECT uaef.drop_agent(''critic'')')).*;
SELECT uaef.cancel_workflow(:'run');
SELECT (pg_temp.refused(format('SELECT uaef.complete_agent_task(%s, ''1'', NULL, %L)', :task_id, :'lease_token'))).state;
SELECT running, cancelled, failed, success_rate FROM uaef.agent_reputation WHERE name = 'critic';

\echo # no more than the limit at a time, by priority and age; whoever has spent the limit of a day rests
SELECT count(uaef.start_workflow('review', jsonb_build_object('no', n), priority => n % 2)) FROM generate_series(1, 6) n;
SELECT uaef.update_agent('critic', max_concurrent => 3);
CREATE TEMP TABLE got AS SELECT *, 1 AS claim FROM uaef.claim_agent_tasks(:'critic_key', 2);
INSERT INTO got SELECT *, 2 FROM uaef.claim_agent_tasks(:'critic_key', 2);
INSERT INTO got SELECT *, 3 FROM uaef.claim_agent_tasks(:'critic_key', 2);
SELECT claim, input FROM got ORDER BY task_id;
SELECT running, takes_tasks FROM uaef.agent_reputation WHERE name = 'critic';
SELECT uaef.find_available_agent('review') IS NULL;
SELECT count(uaef.complete_agent_task(task_id, '{}', '{"cost_minor": 100, "currency": "EUR", "tokens_out": 7}', lease_token)) FROM got WHERE claim = 1;
SELECT running, takes_tasks, cost_today FROM uaef.agent_reputation WHERE name = 'critic';
SELECT uaef.report_agent_usage(task_id, '{"cost_minor": 150}', lease_token) FROM got WHERE claim = 2;
SELECT running, takes_tasks, cost_today FROM uaef.agent_reputation WHERE name = 'critic';
SELECT count(*) FROM uaef.claim_agent_tasks(:'critic_key', 2);
SELECT uaef.find_available_agent('review') IS NULL;
SELECT uaef.fail_task(task_id, 'no', false, lease_token) FROM got WHERE claim = 2;
SELECT count(*) FROM uaef.claim_agent_tasks(:'critic_key', 2);
SELECT running, completed, failed, cancelled, success_rate, score, tokens_out, cost_minor, tokens_today, cost_today, takes_tasks FROM uaef.agent_reputation WHERE name = 'critic';
SELECT count(*), bool_and(ended_at IS NULL) FROM uaef.agent_task;
SELECT uaef.update_agent('critic', max_cost_per_day => 0);
SELECT count(*) FROM uaef.claim_agent_tasks(:'critic_key', 2, '1 hour');
SELECT (pg_temp.refused(format('SELECT uaef.claim_agent_tasks(%L, ' || args || ')', :'critic_key'))).*
FROM (VALUES ('0'), ('1001'), ('1, ''0s'''), ('1, ''-1s'''), ('1, ''11 years''')) AS v (args);

\echo # what cannot be filled in fails, and is not the fault of an agent
SELECT uaef.create_workflow('unfilled', '{"tasks": [{"id": "r", "type": "agent", "config": {"capability": "write", "prompt": "{{in.missing}}"}}]}');
SELECT uaef.start_workflow('unfilled', '{}') AS run \gset
SELECT count(*) FROM uaef.claim_agent_tasks(:'writer_key');
SELECT status, error ->> 'code' FROM uaef.workflow_run WHERE execution_id = :'run';
SELECT running, failed FROM uaef.agent_reputation WHERE name = 'writer';

\echo # the least loaded, then the best, then the oldest
SELECT agent_id AS second, api_key AS second_key FROM uaef.register_agent('second', 'openai', capabilities => '{write,tag}', max_concurrent => 2) \gset
SELECT uaef.find_available_agent('write') = :'writer';
SELECT uaef.create_workflow('tag', '{"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.words}}",
	"task": {"type": "agent", "config": {"capability": "tag", "prompt": "Tag {{item}}"}}}}]}');
SELECT uaef.start_workflow('tag', '{"words": ["a", "b", "c"]}') AS run \gset
SELECT count(*) FROM uaef.claim_agent_tasks(:'writer_key', 5);
CREATE TEMP TABLE tags AS SELECT * FROM uaef.claim_agent_tasks(:'second_key', 5);
SELECT task, item, prompt, input FROM tags ORDER BY item;
SELECT uaef.find_available_agent('write') = :'writer', uaef.find_available_agent('tag') IS NULL;
SELECT uaef.deactivate_agent('second', 'lunch');
SELECT count(uaef.complete_agent_task(task_id, to_jsonb(upper(prompt)), NULL, lease_token)) FROM tags;
SELECT uaef.activate_agent('second');
SELECT uaef.find_available_agent('write') = :'second';
SELECT prompt, task_id, lease_token FROM uaef.claim_agent_tasks(:'second_key', 5) \gset
SELECT uaef.complete_task(:task_id, to_jsonb(:'prompt'::text), :'lease_token');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'run';

\echo # who completed a task last may be paid
SELECT uaef.create_settlement_rule('pay_agent', '{"workflow": "tag", "amount": "EUR 1.50", "currency": "EUR", "recipient": "agent:{{sys.agent}}"}');
SET uaef.rule_activation = 'any';
SELECT uaef.activate_settlement_rule('pay_agent', 1);
RESET uaef.rule_activation;
SELECT uaef.start_workflow('tag', '{"words": ["x"]}') AS run \gset
SELECT uaef.complete_agent_task(task_id, '1', NULL, lease_token) FROM uaef.claim_agent_tasks(:'second_key');
SELECT recipient = 'agent:' || :'second', amount, currency FROM uaef.settlement WHERE execution_id = :'run';

\echo # latencies are counted, and percentiles are known to a tenth
UPDATE uaef.agent_metric SET completed = 100, latency =
	(SELECT array_agg(CASE i WHEN 30 THEN 90 WHEN 50 THEN 9 WHEN 112 THEN 1 ELSE 0 END ORDER BY i) FROM generate_series(1, 112) i)
WHERE agent_id = :'critic';
SELECT latency_p50, latency_p95, latency_p99, completed FROM uaef.agent_reputation WHERE name = 'critic';
SELECT latency_p50 < '1 minute', latency_p99 >= latency_p50 FROM uaef.agent_reputation WHERE name = 'second';

\echo # the ledger has who did what, and no key
SELECT event_type, payload - 'configuration_sha256', agent_id IS NOT NULL FROM uaef.ledger_event WHERE event_type LIKE 'agent\_%' ORDER BY event_id;
SELECT count(*) FROM uaef.ledger_event
WHERE strpos(payload::text, right(:'writer_key', 64)) + strpos(payload::text, right(:'critic_key', 64)) > 0;

\echo # rights: operators register, workers present keys, nobody reads the tables
CREATE ROLE regress_uaef_agents;
CREATE ROLE regress_uaef_keeper;
SELECT uaef.grant_access('regress_uaef_agents', 'worker'), uaef.grant_access('regress_uaef_keeper', 'operator');
SET ROLE regress_uaef_agents;
SELECT uaef.verify_agent_key(:'writer_key') = :'writer';
SELECT count(*) FROM uaef.claim_agent_tasks(:'writer_key');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_temp.refused(text) TO regress_uaef_agents, regress_uaef_keeper;
SET ROLE regress_uaef_agents;
SELECT uaef.register_agent('x', 'http');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.rotate_agent_key('writer');
\echo :LAST_ERROR_SQLSTATE
SELECT FROM uaef.agent;
\echo :LAST_ERROR_SQLSTATE
SELECT FROM uaef.agent_task;
\echo :LAST_ERROR_SQLSTATE
SELECT FROM uaef.agent_reputation;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SET ROLE regress_uaef_keeper;
SELECT api_key ~ '^uaef_' FROM uaef.register_agent('kept', 'custom');
SELECT registered_by FROM uaef.agent_registry WHERE name = 'kept';
SELECT uaef.drop_agent('kept');
SELECT FROM uaef.agent;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

\echo # tidy up
SELECT uaef.revoke_access('regress_uaef_agents', 'worker'), uaef.revoke_access('regress_uaef_keeper', 'operator');
REVOKE EXECUTE ON FUNCTION pg_temp.refused(text) FROM regress_uaef_agents, regress_uaef_keeper;
DROP ROLE regress_uaef_agents, regress_uaef_keeper;
SELECT uaef.deactivate_settlement_rule('pay_agent');
SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow = 'review' AND status = 'running';
SELECT uaef.drop_agent(name) FROM uaef.agent_registry ORDER BY name;
SELECT count(*) FROM uaef.agent_task;
