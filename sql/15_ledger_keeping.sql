------------------------------------------------------------------------
-- Ledger: redaction, retirement, incarnations, signers
------------------------------------------------------------------------

-- The order of the columns of these tables is known to the library.
CREATE TABLE uaef.ledger_redaction (
	event_id		bigint PRIMARY KEY,
	redacted_by		bigint NOT NULL
);
COMMENT ON TABLE uaef.ledger_redaction IS
	'events whose payload was erased';
COMMENT ON COLUMN uaef.ledger_redaction.event_id IS 'the event';
COMMENT ON COLUMN uaef.ledger_redaction.redacted_by IS
	'the event event_redacted that tells who did it, and why';

CREATE TABLE uaef.ledger_retirement (
	event_id		bigint PRIMARY KEY,
	leaves			int8multirange NOT NULL,
	events			bigint NOT NULL,
	tree_size		bigint NOT NULL,
	archive			text,
	retired_at		timestamptz NOT NULL,
	restored_by		bigint
);
COMMENT ON TABLE uaef.ledger_retirement IS
	'events that were moved out of ledger_event';
COMMENT ON COLUMN uaef.ledger_retirement.event_id IS
	'the event events_retired that tells who did it, and why';
COMMENT ON COLUMN uaef.ledger_retirement.leaves IS
	'their indexes in the tree; the event has the SHA-256 of the text of this';
COMMENT ON COLUMN uaef.ledger_retirement.events IS 'how many they are';
COMMENT ON COLUMN uaef.ledger_retirement.tree_size IS
	'size of the tree when they were retired';
COMMENT ON COLUMN uaef.ledger_retirement.archive IS
	'table that they were moved to; null when they were not kept';
COMMENT ON COLUMN uaef.ledger_retirement.retired_at IS 'wall clock';
COMMENT ON COLUMN uaef.ledger_retirement.restored_by IS
	'the event events_restored that tells that they are back; null: they are not';

CREATE TABLE uaef.ledger_retired_head (
	stream			uuid,
	retirement		bigint,
	stream_seq		bigint NOT NULL,
	event_id		bigint NOT NULL,
	recorded_at		timestamptz NOT NULL,
	leaf_index		bigint NOT NULL,
	event_hash		uaef.hash256 NOT NULL,
	PRIMARY KEY (stream, retirement)
);
COMMENT ON TABLE uaef.ledger_retired_head IS
	'the last event of each stream that a retirement took; the first one that stayed follows it';
COMMENT ON COLUMN uaef.ledger_retired_head.stream IS 'the stream';
COMMENT ON COLUMN uaef.ledger_retired_head.retirement IS
	'event_id in ledger_retirement';
COMMENT ON COLUMN uaef.ledger_retired_head.stream_seq IS 'its place in the stream';
COMMENT ON COLUMN uaef.ledger_retired_head.event_id IS 'its number';
COMMENT ON COLUMN uaef.ledger_retired_head.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN uaef.ledger_retired_head.leaf_index IS 'its index in the tree';
COMMENT ON COLUMN uaef.ledger_retired_head.event_hash IS
	'its hash, which that leaf has';

CREATE TABLE uaef.ledger_incarnation (
	event_id		bigint PRIMARY KEY,
	incarnation		text NOT NULL,
	timeline		integer NOT NULL,
	tree_size		bigint NOT NULL,
	root			uaef.hash256 NOT NULL,
	reason			text NOT NULL,
	declared_at		timestamptz NOT NULL,
	declared_by		text NOT NULL
);
COMMENT ON TABLE uaef.ledger_incarnation IS
	'where the ledger went on: after a restore, a recovery, a promotion';
COMMENT ON COLUMN uaef.ledger_incarnation.event_id IS
	'the event incarnation_declared, which says the same';
COMMENT ON COLUMN uaef.ledger_incarnation.incarnation IS
	'system identifier and database, as blocks have it';
COMMENT ON COLUMN uaef.ledger_incarnation.timeline IS
	'timeline of the WAL, as blocks have it';
COMMENT ON COLUMN uaef.ledger_incarnation.tree_size IS
	'size of the tree that it went on from';
COMMENT ON COLUMN uaef.ledger_incarnation.root IS 'root of that tree';
COMMENT ON COLUMN uaef.ledger_incarnation.reason IS 'why';
COMMENT ON COLUMN uaef.ledger_incarnation.declared_at IS 'when it was declared';
COMMENT ON COLUMN uaef.ledger_incarnation.declared_by IS 'role that declared it';

CREATE TABLE uaef.ledger_signer (
	name			text COLLATE "C" PRIMARY KEY,
	public_key		text NOT NULL,
	role			text,
	registered_by	bigint NOT NULL,
	revoked_by		bigint
);
COMMENT ON TABLE uaef.ledger_signer IS
	'whose signatures on events are accepted';
COMMENT ON COLUMN uaef.ledger_signer.name IS 'name of the signer, and of the key';
COMMENT ON COLUMN uaef.ledger_signer.public_key IS
	'Ed25519 key, as NAME+HASH+BASE64';
COMMENT ON COLUMN uaef.ledger_signer.role IS
	'only its members record what the signer signed; null: whoever may record';
COMMENT ON COLUMN uaef.ledger_signer.registered_by IS
	'the event signer_registered';
COMMENT ON COLUMN uaef.ledger_signer.revoked_by IS
	'the event signer_revoked; null: the key holds';

CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_redaction
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_retirement
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_retired_head
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_incarnation
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_signer
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_redaction ENABLE ALWAYS TRIGGER ledger_guard;
ALTER TABLE uaef.ledger_retirement ENABLE ALWAYS TRIGGER ledger_guard;
ALTER TABLE uaef.ledger_retired_head ENABLE ALWAYS TRIGGER ledger_guard;
ALTER TABLE uaef.ledger_incarnation ENABLE ALWAYS TRIGGER ledger_guard;
ALTER TABLE uaef.ledger_signer ENABLE ALWAYS TRIGGER ledger_guard;

--
-- Redaction
--
CREATE FUNCTION uaef.redact_event(event_id bigint, reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_redact_event_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.redact_event(bigint, text) IS
	'erase the payload of an event and its salt, for good; every proof stays valid; returns the number of the event that tells of it';

CREATE FUNCTION uaef.redact_execution(execution_id uuid, reason text)
	RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_redact_execution_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.redact_execution(uuid, text) IS
	'redact all events of an execution; returns how many';

CREATE FUNCTION uaef.redact_events(filter jsonpath, reason text,
	max_events bigint DEFAULT 10000) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_redact_events_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.redact_events(jsonpath, text, bigint) IS
	'redact the events whose payload a jsonpath predicate holds for, as $.customer == "4711", at most so many; returns how many';

CREATE FUNCTION uaef.redact_before(before timestamptz, reason text,
	max_events bigint DEFAULT 10000) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_redact_before_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.redact_before(timestamptz, text, bigint) IS
	'redact the events that were recorded before a time, at most so many; returns how many';

--
-- Retirement
--
CREATE FUNCTION uaef.retire_events(before timestamptz, reason text,
	archive boolean DEFAULT true, max_events bigint DEFAULT 100000)
	RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_retire_events_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.retire_events(timestamptz, text, boolean, bigint) IS
	'move events that were recorded before a time out of ledger_event, into a table of schema uaef_archive that may be dumped and dropped, or (archive false) delete them; the tree stays, and every proof; only what is covered by a checkpoint and every anchor, of executions that are over, never the last event of a stream; returns how many';

CREATE FUNCTION uaef.verify_archive(archive regclass)
	RETURNS TABLE (severity text, code text, stream uuid, stream_seq bigint,
				   event_id bigint, leaf_index bigint, block_no bigint,
				   ctid tid, expected text, actual text, detail text)
AS 'MODULE_PATHNAME', 'uaef_verify_archive_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.verify_archive(regclass) IS
	'problems of a table of retired events, none if its rows are the leaves of the tree that were retired, all of them';

CREATE FUNCTION uaef.restore_events(archive regclass, reason text)
	RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_restore_events_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.restore_events(regclass, text) IS
	'put the events of a table of retired events back, when it has no problems; returns how many';

--
-- Incarnations
--
CREATE FUNCTION uaef.declare_incarnation(reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_declare_incarnation_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.declare_incarnation(text) IS
	'say that the ledger goes on here on purpose: after a restore, a recovery to a point in time, the promotion of a standby; returns the number of the event';

--
-- Signers
--
CREATE FUNCTION uaef.register_signer(public_key text,
	role regrole DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_register_signer_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.register_signer(text, regrole) IS
	'accept events that are signed with a key (NAME+HASH+BASE64), whose name is the signer''s; only from members of the role if one is given';

CREATE FUNCTION uaef.revoke_signer(name text, reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_revoke_signer_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.revoke_signer(text, text) IS
	'accept no more events of a signer; those that there are stay as good as they were';

CREATE FUNCTION uaef.claim_bytes(event_type text, payload jsonb DEFAULT '{}',
	execution_id uuid DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'uaef_claim_bytes_sql'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.claim_bytes(text, jsonb, uuid) IS
	'the bytes that a signer signs for record_event() with the same arguments';

REVOKE ALL ON TABLE uaef.ledger_redaction, uaef.ledger_retirement,
	uaef.ledger_retired_head, uaef.ledger_incarnation, uaef.ledger_signer
	FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.redact_event(bigint, text),
	uaef.redact_execution(uuid, text),
	uaef.redact_events(jsonpath, text, bigint),
	uaef.redact_before(timestamptz, text, bigint),
	uaef.retire_events(timestamptz, text, boolean, bigint),
	uaef.verify_archive(regclass),
	uaef.restore_events(regclass, text),
	uaef.declare_incarnation(text),
	uaef.register_signer(text, regrole),
	uaef.revoke_signer(text, text),
	uaef.claim_bytes(text, jsonb, uuid)
	FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_redaction', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_retirement', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_retired_head', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_incarnation', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_signer', '');
