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
	kind			smallint NOT NULL,
	event_type		text NOT NULL,
	actor_type		text,
	actor_id		text,
	session_role	text NOT NULL,
	effective_role	text,
	task_id			bigint,
	agent_id		text,
	payload			jsonb,
	salt			uaef.hash256,
	payload_hash	uaef.hash256,
	signer			text,
	signature		bytea,
	prev_hash		uaef.hash256 NOT NULL,
	event_hash		uaef.hash256 NOT NULL,
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
COMMENT ON COLUMN uaef.ledger_event.kind IS
	'who wrote it: 1 the engine, of what it did; 2 an application, by record_event() or an INSERT';
COMMENT ON COLUMN uaef.ledger_event.event_type IS 'what happened, a lower-case word';
COMMENT ON COLUMN uaef.ledger_event.actor_type IS
	'kind of who did it: user, agent, worker or, if the engine says so, system';
COMMENT ON COLUMN uaef.ledger_event.actor_id IS
	'who did it; an application names itself, or an agent or worker as it likes';
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
COMMENT ON COLUMN uaef.ledger_event.signer IS
	'whose key signed the event; null when nobody''s did';
COMMENT ON COLUMN uaef.ledger_event.signature IS
	'Ed25519 signature of what the actor claims, 64 bytes';
COMMENT ON COLUMN uaef.ledger_event.prev_hash IS
	'event_hash of the event before it in the stream';
COMMENT ON COLUMN uaef.ledger_event.event_hash IS
	'SHA-256 over the event, without payload and salt; leaf of the tree';

CREATE UNIQUE INDEX ledger_event_event_id ON uaef.ledger_event (event_id);
CREATE INDEX ledger_event_tx ON uaef.ledger_event (tx);

-- Not cached: numbers drawn under a stream's lock must rise.
CREATE SEQUENCE uaef.ledger_event_id CACHE 1 OWNED BY uaef.ledger_event.event_id;
COMMENT ON SEQUENCE uaef.ledger_event_id IS 'numbers of events';

-- No search_path: it runs no SQL, and setting it for each row would cost.
CREATE FUNCTION uaef.ledger_chain() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_chain'
LANGUAGE C;
COMMENT ON FUNCTION uaef.ledger_chain() IS
	'trigger: makes an inserted row the next event of its stream';

CREATE FUNCTION uaef.ledger_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_guard'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_guard() IS
	'trigger: refuses to change what is append-only';

CREATE FUNCTION uaef.ledger_identity() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_identity'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_identity() IS
	'trigger: lets a restored identity replace that of a ledger without events';

CREATE TRIGGER ledger_identity
	BEFORE INSERT ON uaef.ledger
	FOR EACH ROW EXECUTE FUNCTION uaef.ledger_identity();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger ENABLE ALWAYS TRIGGER ledger_identity;
ALTER TABLE uaef.ledger ENABLE ALWAYS TRIGGER ledger_guard;

CREATE TRIGGER ledger_chain
	BEFORE INSERT ON uaef.ledger_event
	FOR EACH ROW EXECUTE FUNCTION uaef.ledger_chain();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_event
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_chain;
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;

------------------------------------------------------------------------
-- Ledger: sealed blocks
------------------------------------------------------------------------

-- The order of the columns is known to the library (ledger_block.h).
CREATE TABLE uaef.ledger_block (
	block_no		bigint PRIMARY KEY,
	first_leaf		bigint NOT NULL,
	leaf_count		bigint NOT NULL,
	tree_size		bigint NOT NULL,
	tree_root		uaef.hash256 NOT NULL,
	prev_block_hash	uaef.hash256 NOT NULL,
	block_hash		uaef.hash256 NOT NULL,
	event_ids		bigint[] NOT NULL,
	first_event_id	bigint NOT NULL,
	last_event_id	bigint NOT NULL,
	frontier		bytea NOT NULL,
	snapshot		pg_snapshot NOT NULL,
	incarnation		text NOT NULL,
	timeline		integer NOT NULL,
	foreign_event_id bigint NOT NULL,
	sealed_at		timestamptz NOT NULL
);
COMMENT ON TABLE uaef.ledger_block IS
	'blocks: events that were sealed together, under a root of the tree over all sealed events';
COMMENT ON COLUMN uaef.ledger_block.block_no IS 'number of the block, from 1, without gaps';
COMMENT ON COLUMN uaef.ledger_block.first_leaf IS 'index of its first event in the tree, from 0';
COMMENT ON COLUMN uaef.ledger_block.leaf_count IS 'number of its events';
COMMENT ON COLUMN uaef.ledger_block.tree_size IS 'number of events in the tree, up to and with this block';
COMMENT ON COLUMN uaef.ledger_block.tree_root IS 'RFC 6962 root of the tree of that size';
COMMENT ON COLUMN uaef.ledger_block.prev_block_hash IS 'block_hash of the block before';
COMMENT ON COLUMN uaef.ledger_block.block_hash IS 'SHA-256 over the header of the block';
COMMENT ON COLUMN uaef.ledger_block.event_ids IS 'its events, in the order of the tree''s leaves';
COMMENT ON COLUMN uaef.ledger_block.first_event_id IS 'the lowest of its events';
COMMENT ON COLUMN uaef.ledger_block.last_event_id IS 'the highest of its events';
COMMENT ON COLUMN uaef.ledger_block.frontier IS
	'roots of the perfect subtrees that the tree of that size is made of, largest first, 32 bytes each';
COMMENT ON COLUMN uaef.ledger_block.snapshot IS
	'what the sealer saw: the next block takes what this snapshot does not see';
COMMENT ON COLUMN uaef.ledger_block.incarnation IS
	'system identifier and database, within which transaction ids are comparable';
COMMENT ON COLUMN uaef.ledger_block.timeline IS
	'timeline of the server''s WAL; a new one begins when a standby is promoted or a backup is recovered';
COMMENT ON COLUMN uaef.ledger_block.foreign_event_id IS
	'events up to this number came from another incarnation; 0 if none did';
COMMENT ON COLUMN uaef.ledger_block.sealed_at IS 'wall clock of the sealing; never falls';

-- Ids of events do not compress; parts of them are read alone.
ALTER TABLE uaef.ledger_block ALTER COLUMN event_ids SET STORAGE EXTERNAL;

-- The block of a leaf, and the few blocks that an event may be in.
CREATE UNIQUE INDEX ledger_block_first_leaf ON uaef.ledger_block (first_leaf);
CREATE INDEX ledger_block_event_ids ON uaef.ledger_block
	USING gist (pg_catalog.int8range(first_event_id, last_event_id, '[]'));

CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_block
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_block ENABLE ALWAYS TRIGGER ledger_guard;

-- The order of the columns is known to the library (ledger_tree.c).
CREATE TABLE uaef.ledger_tile (
	level			smallint NOT NULL,
	tile_no			bigint NOT NULL,
	root			uaef.hash256 NOT NULL,
	hashes			bytea NOT NULL,
	PRIMARY KEY (level, tile_no)
);
COMMENT ON TABLE uaef.ledger_tile IS
	'the tree over all sealed events, in full tiles of 256 nodes of one level; what fills no tile yet is in the events and the tiles below';
COMMENT ON COLUMN uaef.ledger_tile.level IS
	'0: its nodes are leaves; else they are roots of tiles of the level below';
COMMENT ON COLUMN uaef.ledger_tile.tile_no IS 'number of the tile in its level, from 0';
COMMENT ON COLUMN uaef.ledger_tile.root IS 'root of the tree over its nodes';
COMMENT ON COLUMN uaef.ledger_tile.hashes IS 'its 256 nodes, 32 bytes each';

-- Hashes do not compress.
ALTER TABLE uaef.ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_tile
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_tile ENABLE ALWAYS TRIGGER ledger_guard;

-- Events that the last block's snapshot did not see, as the sealer finds them:
-- by tx.  The "+ 0" keeps the planner from reading all of the index of event_id
-- besides, for it does not know that foreign_event_id is mostly 0.
CREATE VIEW uaef.ledger_unsealed AS
SELECT e.event_id, e.stream, e.stream_seq, e.event_type, e.recorded_at
FROM (SELECT snapshot, foreign_event_id
	  FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1) AS b
	JOIN uaef.ledger_event AS e ON e.event_id + 0 > b.foreign_event_id
		AND e.tx >= pg_catalog.pg_snapshot_xmin(b.snapshot)
		AND NOT pg_catalog.pg_visible_in_snapshot(e.tx, b.snapshot)
UNION ALL
SELECT e.event_id, e.stream, e.stream_seq, e.event_type, e.recorded_at
FROM uaef.ledger_event AS e
WHERE NOT EXISTS (SELECT FROM uaef.ledger_block);
COMMENT ON VIEW uaef.ledger_unsealed IS 'events that wait for a block';

--
-- Functions
--
CREATE FUNCTION uaef.canonical_json(value jsonb) RETURNS text
AS 'MODULE_PATHNAME', 'uaef_canonical_json'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.canonical_json(jsonb) IS
	'the text that is hashed for a jsonb value: RFC 8785, with exact decimals where a double would lose digits';

-- No search_path: the library sets it where it runs SQL, which is seldom here.
CREATE FUNCTION uaef.record_event(event_type text, payload jsonb DEFAULT '{}',
	execution_id uuid DEFAULT NULL, actor_type text DEFAULT 'user',
	actor_id text DEFAULT NULL, task_id bigint DEFAULT NULL,
	agent_id text DEFAULT NULL, signer text DEFAULT NULL,
	signature bytea DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_record_event'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION uaef.record_event(text, jsonb, uuid, text, text, bigint, text, text, bytea) IS
	'append an application''s event to the ledger, in an execution''s stream if one is given; its actor is the current user (actor_id is ignored), unless actor_type is agent or worker; may be signed by a registered signer (claim_bytes); returns its number';

CREATE FUNCTION uaef.seal_ledger() RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_seal_ledger'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.seal_ledger() IS
	'seal the committed events into blocks, after another session that is sealing has ended its transaction; returns the last block''s number, or null when there was nothing left to seal; lock_timeout limits the wait; raises in a transaction that has written';

CREATE FUNCTION uaef.hash_event(event_id bigint) RETURNS uaef.hash256
AS 'MODULE_PATHNAME', 'uaef_hash_event'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.hash_event(bigint) IS
	'the hash of an event, computed from its row';

CREATE FUNCTION uaef.inclusion_proof(event_id bigint,
	tree_size bigint DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_inclusion_proof_sql'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.inclusion_proof(bigint, bigint) IS
	'RFC 6962 proof that a sealed event is a leaf of the tree of a size (default: of all sealed events): leaf_index, tree_size, leaf_hash, root, proof; hashes in hex';

CREATE FUNCTION uaef.consistency_proof(old_size bigint,
	new_size bigint DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_consistency_proof_sql'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.consistency_proof(bigint, bigint) IS
	'RFC 6962 proof that the tree of one size is the beginning of the tree of another (default: of all sealed events): old_root, new_root, proof; hashes in hex';

REVOKE ALL ON TABLE uaef.ledger, uaef.ledger_event, uaef.ledger_block,
	uaef.ledger_tile, uaef.ledger_unsealed FROM PUBLIC;
REVOKE ALL ON SEQUENCE uaef.ledger_event_id FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.ledger_chain(),
	uaef.ledger_guard(),
	uaef.ledger_identity(),
	uaef.canonical_json(jsonb),
	uaef.record_event(text, jsonb, uuid, text, text, bigint, text, text, bytea),
	uaef.seal_ledger(),
	uaef.hash_event(bigint),
	uaef.inclusion_proof(bigint, bigint),
	uaef.consistency_proof(bigint, bigint)
	FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.ledger', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_event', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_event_id', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_block', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_tile', '');
