------------------------------------------------------------------------
-- Ledger: chained events
------------------------------------------------------------------------

CREATE TABLE uaef.ledger (
	ledger_id	uuid NOT NULL,
	created_at	timestamptz NOT NULL
);
COMMENT ON TABLE uaef.ledger IS
	'the identity of this database''s ledger: one row, part of every hash';
COMMENT ON COLUMN uaef.ledger.ledger_id IS 'a random UUID, hashed into every event';
COMMENT ON COLUMN uaef.ledger.created_at IS 'when the ledger was made';

INSERT INTO uaef.ledger VALUES (pg_catalog.gen_random_uuid(), pg_catalog.now());

-- The order of the columns is known to the library (event_hash.h).
CREATE TABLE uaef.ledger_event (
	event_id		bigint NOT NULL,
	stream			uuid NOT NULL,
	stream_seq		bigint NOT NULL,
	tx				xid8 NOT NULL,
	recorded_at		timestamptz NOT NULL,
	event_type		text NOT NULL,
	actor_type		text,
	actor_id		text,
	session_role	text NOT NULL,
	effective_role	text,
	task_id			bigint,
	agent_id		text,
	payload			jsonb,
	salt			bytea,
	payload_hash	bytea,
	prev_hash		bytea NOT NULL,
	event_hash		bytea NOT NULL,
	PRIMARY KEY (stream, stream_seq)
);
COMMENT ON TABLE uaef.ledger_event IS
	'events: append-only, each chained to the one before it in its stream';
COMMENT ON COLUMN uaef.ledger_event.event_id IS
	'number of the event, rising with time; numbers may be missing';
COMMENT ON COLUMN uaef.ledger_event.stream IS
	'the chain that the event belongs to: an execution''s id, or a stream of a backend';
COMMENT ON COLUMN uaef.ledger_event.stream_seq IS
	'place in the stream, from 1, without gaps';
COMMENT ON COLUMN uaef.ledger_event.tx IS
	'top-level transaction that recorded the event';
COMMENT ON COLUMN uaef.ledger_event.recorded_at IS
	'wall clock when it was recorded; never falls within a stream';
COMMENT ON COLUMN uaef.ledger_event.event_type IS 'what happened, a lower-case word';
COMMENT ON COLUMN uaef.ledger_event.actor_type IS
	'kind of who did it: user, agent, worker or system';
COMMENT ON COLUMN uaef.ledger_event.actor_id IS
	'who did it, as the recording function was told';
COMMENT ON COLUMN uaef.ledger_event.session_role IS
	'role that was connected, taken from the session';
COMMENT ON COLUMN uaef.ledger_event.effective_role IS
	'role that SET ROLE had chosen; null when it was the connected one';
COMMENT ON COLUMN uaef.ledger_event.task_id IS 'task that the event is about';
COMMENT ON COLUMN uaef.ledger_event.agent_id IS 'agent that the event is about';
COMMENT ON COLUMN uaef.ledger_event.payload IS 'what the event says';
COMMENT ON COLUMN uaef.ledger_event.salt IS
	'32 random bytes that keep payload_hash from giving the payload away';
COMMENT ON COLUMN uaef.ledger_event.payload_hash IS
	'SHA-256 over salt and canonical payload';
COMMENT ON COLUMN uaef.ledger_event.prev_hash IS
	'event_hash of the event before it in the stream';
COMMENT ON COLUMN uaef.ledger_event.event_hash IS
	'SHA-256 over the event, without payload and salt; leaf of the tree';

CREATE INDEX ledger_event_event_id ON uaef.ledger_event (event_id);
CREATE INDEX ledger_event_tx ON uaef.ledger_event (tx);

-- Not cached: numbers drawn under a stream's lock must rise.
CREATE SEQUENCE uaef.ledger_event_id CACHE 1 OWNED BY uaef.ledger_event.event_id;
COMMENT ON SEQUENCE uaef.ledger_event_id IS 'numbers of events';

CREATE FUNCTION uaef.ledger_chain() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_chain'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_chain() IS
	'trigger: makes an inserted row the next event of its stream';

CREATE FUNCTION uaef.ledger_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_guard'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_guard() IS
	'trigger: refuses to change what is append-only';

CREATE TRIGGER ledger_chain
	BEFORE INSERT ON uaef.ledger_event
	FOR EACH ROW EXECUTE FUNCTION uaef.ledger_chain();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_event
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_chain;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;

--
-- Functions
--
CREATE FUNCTION uaef.canonical_json(value jsonb) RETURNS text
AS 'MODULE_PATHNAME', 'uaef_canonical_json'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.canonical_json(jsonb) IS
	'the text that is hashed for a jsonb value: RFC 8785, with exact decimals where a double would lose digits';

CREATE FUNCTION uaef.record_event(event_type text, payload jsonb DEFAULT '{}',
	execution_id uuid DEFAULT NULL, actor_type text DEFAULT 'user',
	actor_id text DEFAULT NULL, task_id bigint DEFAULT NULL,
	agent_id text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_record_event'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.record_event(text, jsonb, uuid, text, text, bigint, text) IS
	'append an event to the ledger, in an execution''s stream if one is given; returns its number';

REVOKE ALL ON TABLE uaef.ledger, uaef.ledger_event FROM PUBLIC;
REVOKE ALL ON SEQUENCE uaef.ledger_event_id FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.ledger_chain(),
	uaef.ledger_guard(),
	uaef.canonical_json(jsonb),
	uaef.record_event(text, jsonb, uuid, text, text, bigint, text)
	FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.ledger', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_event', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_event_id', '');
