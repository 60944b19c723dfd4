--
-- Workflow definitions that are refused: each names what is wrong and where
--

-- refused(definition) shows the error as a user sees it, in one row
CREATE FUNCTION pg_temp.refused(definition jsonb, OUT state text, OUT message text,
	OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_workflow('def_bad', definition);
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END$$;
-- task(rest) is a definition of one task, with what is given
CREATE FUNCTION pg_temp.task(rest jsonb) RETURNS jsonb LANGUAGE sql AS
	$$SELECT jsonb_build_object('tasks', jsonb_build_array('{"id":"t"}'::jsonb || rest))$$;
-- graph(ids, edges) is a definition of forks
CREATE FUNCTION pg_temp.graph(ids text, edges jsonb) RETURNS jsonb LANGUAGE sql AS
	$$SELECT jsonb_build_object('edges', edges, 'tasks',
		(SELECT jsonb_agg(jsonb_build_object('id', id, 'type', 'parallel'))
		   FROM unnest(string_to_array(ids, ' ')) AS id))$$;
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' | '

\echo # one whole error, as psql shows it
SELECT uaef.create_workflow('def_bad', '{"tasks":[{"id":"a","type":"parallel"},{"id":"b","type":"parallel"}],
	"edges":[{"from":"a","to":"b"},{"from":"b","to":"a"}]}');
\echo :LAST_ERROR_SQLSTATE

\echo # the document
SELECT r.* FROM (VALUES
	('[]'::jsonb), ('1'), ('{}'), ('{"tasks":{}}'), ('{"tasks":[]}'), ('{"tasks":null}'),
	('{"tasks":[1]}'), ('{"tasks":[{"type":"parallel"}]}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"edges":{}}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"inputs":{}}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"context":[]}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"description":1}')) AS d(doc),
	pg_temp.refused(doc) r;

\echo # ids
SELECT r.* FROM (VALUES ('""'::jsonb), ('"1a"'), ('"a b"'), ('"a.b"'), ('7'),
	(to_jsonb(repeat('x', 201))), ('"a\nb"')) AS d(id),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'parallel', 'id', id))) r;
SELECT * FROM pg_temp.refused(pg_temp.graph('a b c b', '[]'));

\echo # edges and cycles
SELECT r.* FROM (VALUES
	('a b', '[{"from":"a","to":"x"}]'::jsonb),
	('a b', '[{"from":"A","to":"b"}]'),
	('a b', '[{"to":"b"}]'),
	('a b', '[{"from":"a"}]'),
	('a b', '[{"from":"a","to":"b","if":1}]'),
	('a b', '[7]'),
	('a b', '[null]'),
	('a b', '[{"from":"a","to":"a"}]'),
	('a b', '[{"from":"a","to":"b"},{"from":"a","to":"b"}]'),
	('a b', '[{"from":"a","to":"b","when":{"in.x":1}},{"from":"a","to":"b","when":{"in.x":1.0}}]'),
	('a b', '[{"from":"a","to":"b"},{"from":"b","to":"a"}]'),
	('a b c d e', '[{"from":"a","to":"b"},{"from":"d","to":"c"},{"from":"c","to":"b"},
	                {"from":"b","to":"d"},{"from":"d","to":"e"}]'),
	('root a b c', '[{"from":"a","to":"b"},{"from":"b","to":"c"},{"from":"c","to":"a"}]')) AS d(ids, edges),
	pg_temp.refused(pg_temp.graph(ids, edges)) r;

\echo # labels
SELECT r.* FROM (VALUES
	('{"type":"parallel"}'::jsonb, '{"on":"x"}'::jsonb),
	('{"type":"external"}', '{"on":"approved"}'),
	('{"type":"condition","config":{"when":{"in.x":1}}}', '{"on":"yes"}'),
	('{"type":"human_approval"}', '{"on":"refused"}'),
	('{"type":"decision","config":{"cases":[{"label":"l","when":{"in.x":1}}],"default":"d"}}', '{"on":"D"}'),
	('{"type":"decision","config":{"cases":[{"label":"l","when":{"in.x":1}}]}}', '{"on":""}'),
	('{"type":"condition","config":{"when":{"in.x":1}}}', '{"on":true}')) AS d(task, edge),
	pg_temp.refused(jsonb_build_object(
		'tasks', jsonb_build_array('{"id":"a"}'::jsonb || task, '{"id":"b","type":"parallel"}'::jsonb),
		'edges', jsonb_build_array('{"from":"a","to":"b"}'::jsonb || edge))) r;

\echo # tasks
SELECT r.* FROM (VALUES
	('{}'::jsonb), ('{"type":"lambda"}'), ('{"type":["sql"]}'), ('{"type":"agent"}'),
	('{"type":"parallel","policies":["p"]}'), ('{"type":"parallel","compensate":{}}'),
	('{"type":"parallel","config":[]}'), ('{"type":"parallel","on_failure":"ignore"}'),
	('{"type":"parallel","priority":1.5}'), ('{"type":"parallel","priority":"high"}'),
	('{"type":"parallel","priority":1000001}'), ('{"type":"parallel","priority":1e400}'),
	('{"type":"parallel","queue":"robots"}'), ('{"type":"external","queue":7}'),
	('{"type":"parallel","join":1}'), ('{"type":"parallel","join":"most"}'),
	('{"type":"parallel","join":0}'), ('{"type":"parallel","join":true}'),
	('{"type":"parallel","timeout":"soon"}'), ('{"type":"parallel","timeout":30}'),
	('{"type":"parallel","timeout":"0s"}'), ('{"type":"parallel","timeout":"-5s"}'),
	('{"type":"parallel","timeout":"11 years"}')) AS d(task),
	pg_temp.refused(pg_temp.task(task)) r;

\echo # retry
SELECT r.* FROM (VALUES
	('[]'::jsonb), ('{"attempts":3}'), ('{"max_attempts":0}'), ('{"max_attempts":"3"}'),
	('{"backoff":"linear"}'), ('{"initial":"1 fortnight"}'), ('{"factor":0.5}'),
	('{"factor":1e300}'), ('{"initial":"10s","max":"5s"}'), ('{"jitter":1.1}'), ('{"jitter":-0.1}'),
	('{"on":"40001"}'), ('{"on":[40001]}'), ('{"on":["4000"]}'), ('{"on":["Http_503"]}')) AS d(retry),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'parallel', 'retry', retry))) r;

\echo # sql
SELECT r.state, r.message, r.detail, r.hint FROM (VALUES
	('{}'::jsonb), ('{"sql":""}'), ('{"sql":1}'), ('{"sql":"SELEC 1"}'),
	('{"sql":"SELECT 1; SELECT 2"}'), ('{"sql":"  "}'), ('{"sql":"-- nothing"}'),
	('{"sql":"SELECT * FROM def_no_such_table"}'), ('{"sql":"SELECT def_no_such($1)"}'),
	('{"sql":"SELECT $2"}'), ('{"sql":"SELECT 1/0"}'), ('{"sql":"COMMIT"}'), ('{"sql":"SET ROLE postgres"}'),
	('{"sql":"CREATE TABLE def_made (x int)"}'), ('{"sql":"DO ''BEGIN END''"}'),
	('{"sql":"COPY pg_class TO STDOUT"}'), ('{"sql":"SELECT 1","params":[]}'),
	('{"sql":"SELECT 1","input":"{{in.}}"}')) AS d(config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'sql', 'config', config))) r;

\echo # decision and condition
SELECT r.state, r.message FROM (VALUES
	('decision', '{}'::jsonb), ('decision', '{"cases":[]}'), ('decision', '{"cases":[{"label":"x"}]}'),
	('decision', '{"cases":[{"when":{"in.x":1}}]}'), ('decision', '{"cases":[{"label":"x","when":{"in.x":1},"else":1}]}'),
	('decision', '{"cases":[{"label":"x","when":{"in.x":1}},{"label":"x","when":{"in.x":2}}]}'),
	('decision', '{"cases":[{"label":"x","when":{"in.x":1}}],"default":7}'),
	('decision', '{"cases":[{"label":"x","when":{"in.x":{"$like":1}}}]}'),
	('condition', '{}'), ('condition', '{"when":{"in.x":{"$gte":[]}}}'), ('condition', '{"when":{"out.x":1}}'),
	('condition', '{"when":[]}')) AS d(type, config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', type, 'config', config))) r;

\echo # parallel and map
SELECT r.state, r.message, r.hint FROM (VALUES
	('map', 'null'::jsonb), ('map', '{}'), ('parallel', '{"concurrency":2}'), ('map', '{"over":"{{in.l}}"}'),
	('map', '{"over":7,"task":{"type":"wait","config":{"for":"1s"}}}'),
	('map', '{"over":"{{item.l}}","task":{"type":"wait","config":{"for":"1s"}}}'),
	('map', '{"over":"{{in.l}}","task":{"type":"wait","config":{}}}'),
	('map', '{"over":"{{in.l}}","task":{"type":"decision","config":{"cases":[{"label":"x","when":{"item":1}}]}}}'),
	('map', '{"over":"{{in.l}}","task":{"type":"parallel"}}'),
	('map', '{"over":"{{in.l}}","task":{"id":"x","type":"external"}}'),
	('map', '{"over":"{{in.l}}","task":{"type":"sql","config":{"sql":"SELEC"}}}'),
	('map', '{"over":"{{in.l}}","task":{"type":"external"},"concurrency":0}'),
	('map', '{"over":"{{in.l}}","task":{"type":"external"},"join":-1}')) AS d(type, config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', type, 'config', config))) r;

\echo # human_approval
SELECT r.state, r.message FROM (VALUES
	('{"approver":"x"}'::jsonb), ('{"approvers":7}'), ('{"approvers":[]}'), ('{"approvers":["def_nobody"]}'),
	('{"need":0}'), ('{"four_eyes":"yes"}'), ('{"expires":"never"}'), ('{"form":[]}'),
	('{"description":"{{x.y}}"}'), ('{"show":{"a":"{{item}}"}}')) AS d(config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'human_approval', 'config', config))) r;

\echo # http
SELECT r.state, r.message FROM (VALUES
	('{}'::jsonb), ('{"connector":"def_none"}'), ('{"url":"https://a.example","connector":"c"}'), ('{"url":"ftp://a.example"}'),
	('{"url":"{{in.url}}"}'), ('{"url":"https://a.example","method":"TRACE"}'), ('{"url":"https://a.example","method":"post"}'),
	('{"url":"https://a.example","method":"GET","body":{}}'), ('{"url":"https://a.example","headers":{"a b":"c"}}'),
	('{"url":"https://a.example","headers":{"Content-Length":"1"}}'), ('{"url":"https://a.example","headers":{"X":1}}'),
	('{"url":"https://a.example","headers":["X"]}'), ('{"url":"https://a.example","expect":200}'),
	('{"url":"https://a.example","expect":{"status":200}}'), ('{"url":"https://a.example","expect":{"status":[99]}}'),
	('{"url":"https://a.example","expect":{"status":[200],"body":1}}'), ('{"url":"https://a.example","idempotent":1}'),
	('{"url":"https://a.example/{{in.x}","method":"GET"}')) AS d(config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'http', 'config', config))) r;

\echo # wait and external
SELECT r.state, r.message FROM (VALUES
	('wait', '{}'::jsonb), ('wait', '{"for":"1s","until":"{{in.due}}"}'), ('wait', '{"for":"x"}'),
	('wait', '{"until":5}'), ('external', '{"output":{}}')) AS d(type, config),
	pg_temp.refused(pg_temp.task(jsonb_build_object('type', type, 'config', config))) r;

\echo # paths: only what is there when they are read
SELECT r.state, r.message, r.hint FROM (VALUES
	('{"tasks":[{"id":"a","type":"external","config":{"input":"{{task.z.x}}"}}]}'::jsonb),
	('{"tasks":[{"id":"a","type":"external","config":{"input":"{{task}}"}}]}'),
	('{"tasks":[{"id":"a","type":"external","config":{"input":"{{task.a.x}}"}}]}'),
	('{"tasks":[{"id":"a","type":"external","config":{"input":["{{task.b.x}}"]}},{"id":"b","type":"parallel"}]}'),
	('{"tasks":[{"id":"a","type":"external","config":{"input":"{{task.b.x}}"}},{"id":"b","type":"parallel"}],"edges":[{"from":"a","to":"b"}]}'),
	('{"tasks":[{"id":"a","type":"parallel"},{"id":"b","type":"parallel"},{"id":"c","type":"parallel"}],
	  "edges":[{"from":"a","to":"b","when":{"task.c.x":1}}]}'),
	('{"tasks":[{"id":"a","type":"parallel"},{"id":"b","type":"parallel"}],"edges":[{"from":"a","to":"b","when":{"task.b.x":1}}]}'),
	('{"tasks":[{"id":"a","type":"parallel"},{"id":"b","type":"parallel"}],"edges":[{"from":"a","to":"b","when":{"item":1}}]}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"output":"{{task.z}}"}'),
	('{"tasks":[{"id":"a","type":"parallel"}],"output":"{{item}}"}'),
	('{"tasks":[{"id":"a","type":"external","config":{"input":"{{sys.user}}"}}]}')) AS d(doc),
	pg_temp.refused(doc) r;

\echo # and what is there is accepted
SELECT r.state, r.message FROM (VALUES
	('{"tasks":[{"id":"a","type":"parallel"},{"id":"b","type":"external","config":{"input":["{{task.a}}"]}}],
	   "edges":[{"from":"a","to":"b","when":{"task.a.x":1}}],"output":["{{task.b.y}}","{{sys.status}}"]}'::jsonb)) AS d(doc),
	pg_temp.refused(doc) r;

\echo # limits
SET uaef.max_tasks = 3;
SELECT * FROM pg_temp.refused(pg_temp.graph('a b c d', '[]'));
SET uaef.max_payload_size = '1kB';
SELECT state, message FROM pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'parallel', 'description', repeat('x', 1000))));
SELECT state, message FROM pg_temp.refused(pg_temp.task(jsonb_build_object('type', 'parallel', 'description', repeat('x', 900))));
RESET uaef.max_tasks;
RESET uaef.max_payload_size;
SELECT * FROM pg_temp.refused(('{"tasks":[{"id":"a","type":"external","config":{"input":' ||
	repeat('[', 70) || repeat(']', 70) || '}}]}')::jsonb);

\echo # names
SELECT uaef.create_workflow('', '{"tasks":[{"id":"a","type":"parallel"}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.create_workflow(E'a\nb', '{"tasks":[{"id":"a","type":"parallel"}]}');
SELECT uaef.create_workflow('01900000-0000-7000-8000-000000000001', '{"tasks":[{"id":"a","type":"parallel"}]}');
SELECT uaef.create_workflow(NULL, '{"tasks":[{"id":"a","type":"parallel"}]}');
\echo :LAST_ERROR_SQLSTATE

\echo # nothing that was refused is stored
SELECT name, version FROM uaef.workflow_definition WHERE name LIKE 'def\_%' ORDER BY 1, 2;
DELETE FROM uaef.workflow_definition WHERE name LIKE 'def\_%';
