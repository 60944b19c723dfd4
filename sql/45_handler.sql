------------------------------------------------------------------------
-- Handlers of events of serverless functions
------------------------------------------------------------------------

--
-- handle_workflow_trigger(), handle_task_execution(), handle_webhook(),
-- handle_schedule()
--
CREATE FUNCTION uaef.handle_workflow_trigger(
	event jsonb,
	audience text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_handle_workflow_trigger'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.handle_workflow_trigger(jsonb, text) IS
	'start a workflow for an event of API Gateway or EventBridge, or a plain one: {"definition_id", "input_data", "name", "initiated_by", "idempotency_key"}; returns {"statusCode", "headers", "body"}; where uaef.handler_audience or else the audience is given, a token for it is required';
REVOKE ALL ON FUNCTION uaef.handle_workflow_trigger(jsonb, text) FROM PUBLIC;

CREATE FUNCTION uaef.handle_task_execution(
	event jsonb,
	audience text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_handle_task_execution'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.handle_task_execution(jsonb, text) IS
	'for an event: run an execution''s tasks {"execution_id"}, claim tasks {"queue", "worker"}, complete {"task_id", "lease_token", "output"}, fail {"task_id", "error"} or keep one {"task_id", "lease_token", "extend"}; answers as handle_workflow_trigger()';
REVOKE ALL ON FUNCTION uaef.handle_task_execution(jsonb, text) FROM PUBLIC;

CREATE FUNCTION uaef.handle_webhook(event jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_handle_webhook'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.handle_webhook(jsonb) IS
	'take in a webhook that API Gateway hands on; the source is the path''s parameter "source" or the header X-Webhook-Source; answers as handle_workflow_trigger()';
REVOKE ALL ON FUNCTION uaef.handle_webhook(jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.handle_schedule(
	event jsonb,
	audience text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_handle_schedule'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.handle_schedule(jsonb, text) IS
	'start a workflow for a tick of a schedule outside: {"schedule_name", "definition_id", "input_data", "metadata"}; the input gets "_schedule"; answers as handle_workflow_trigger()';
REVOKE ALL ON FUNCTION uaef.handle_schedule(jsonb, text) FROM PUBLIC;
