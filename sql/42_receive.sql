------------------------------------------------------------------------
-- Receive: messages of queues
------------------------------------------------------------------------

-- A message is here once, however often its queue sends it.
CREATE TABLE uaef.queue_inbox (
	connector		text COLLATE "C",
	message_id		text COLLATE "C",
	received_at		timestamptz NOT NULL,
	receives		integer NOT NULL,
	status			text NOT NULL CHECK (status IN ('accepted', 'parked')),
	execution_id	uuid,
	body			jsonb,
	attributes		jsonb,
	error			jsonb,
	PRIMARY KEY (connector, message_id)
);
COMMENT ON TABLE uaef.queue_inbox IS
	'messages that were received from queues: what they started or signalled, or why they are parked';
COMMENT ON COLUMN uaef.queue_inbox.receives IS
	'how often the queue had sent it by then';
COMMENT ON COLUMN uaef.queue_inbox.body IS
	'of a parked message; others are with their execution';
SELECT pg_catalog.pg_extension_config_dump('uaef.queue_inbox', '');

CREATE INDEX queue_inbox_age ON uaef.queue_inbox (received_at)
	WHERE status = 'accepted';

CREATE VIEW uaef.parked_message WITH (security_barrier) AS
SELECT connector, message_id, received_at, receives, body, attributes,
	error ->> 'code' AS error_code, error ->> 'message' AS error
FROM uaef.queue_inbox
WHERE status = 'parked';
COMMENT ON VIEW uaef.parked_message IS
	'messages that were taken from their queue and could not be handled, and why; replay_message() tries one again';

CREATE FUNCTION uaef.receive(connector text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_receive'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.receive(text) IS
	'have the worker ask a connector''s queue for messages at once, also after failures; 22023 if it does not receive';

CREATE FUNCTION uaef.replay_message(connector text, message_id text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_replay_message'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.replay_message(text, text) IS
	'handle a parked message again, by what its connector says now; UA427 if there is none';

REVOKE ALL ON uaef.queue_inbox, uaef.parked_message FROM PUBLIC;
REVOKE ALL ON FUNCTION uaef.receive(text), uaef.replay_message(text, text)
FROM PUBLIC;
