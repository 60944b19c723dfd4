------------------------------------------------------------------------
-- Anchors of the ledger: witnesses, webhooks, files, time stamps
------------------------------------------------------------------------

CREATE TABLE uaef.ledger_anchor (
	anchor			text PRIMARY KEY,
	kind			text NOT NULL CHECK (kind IN
		('witness', 'webhook', 'file', 'timestamp')),
	target			text NOT NULL,
	config			jsonb NOT NULL,
	interval_ms		bigint NOT NULL,
	paused			boolean NOT NULL DEFAULT false,
	next_at			timestamptz NOT NULL,
	failures		integer NOT NULL DEFAULT 0,
	witness_size	bigint NOT NULL DEFAULT 0,
	contradicted_at	timestamptz,
	error			text,
	created_by		regrole NOT NULL,
	created_at		timestamptz NOT NULL
);
COMMENT ON TABLE uaef.ledger_anchor IS
	'outside places that checkpoints of the ledger are sent to';
COMMENT ON COLUMN uaef.ledger_anchor.anchor IS 'its name';
COMMENT ON COLUMN uaef.ledger_anchor.kind IS
	'witness: checks and cosigns; timestamp: RFC 3161; webhook, file: keep the note';
COMMENT ON COLUMN uaef.ledger_anchor.target IS
	'name of a connector; of a file anchor the path';
COMMENT ON COLUMN uaef.ledger_anchor.config IS
	'{"interval"}, of a witness also "vkey", of a timestamp "ca"';
COMMENT ON COLUMN uaef.ledger_anchor.interval_ms IS
	'the interval of its config in milliseconds: it is sent one checkpoint in each, as the clock has them';
COMMENT ON COLUMN uaef.ledger_anchor.paused IS 'nothing is sent to it';
COMMENT ON COLUMN uaef.ledger_anchor.next_at IS
	'nothing new is sent to it before; after failures later and later';
COMMENT ON COLUMN uaef.ledger_anchor.failures IS 'failures since the last success';
COMMENT ON COLUMN uaef.ledger_anchor.witness_size IS
	'size of the last checkpoint that the witness is known to have';
COMMENT ON COLUMN uaef.ledger_anchor.contradicted_at IS
	'since when the witness says that it has seen another tree; null: it does not';
COMMENT ON COLUMN uaef.ledger_anchor.error IS 'what went wrong last, until it goes well';
COMMENT ON COLUMN uaef.ledger_anchor.created_by IS
	'role whose egress rules, and rights on files, hold for it';
-- Files are not written with the rights of whoever has the number of a role that
-- is gone; the others need no rights but egress.
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_anchor',
	'WHERE kind <> ''file'' OR created_by IN (SELECT oid FROM pg_catalog.pg_roles)');

CREATE TABLE uaef.ledger_anchoring (
	anchor			text NOT NULL,
	origin			text NOT NULL,
	tree_size		bigint NOT NULL,
	status			text NOT NULL CHECK (status IN
		('requested', 'anchored', 'failed')),
	requested_at	timestamptz NOT NULL,
	anchored_at		timestamptz,
	delivery_id		bigint,
	old_size		bigint,
	resent			integer NOT NULL DEFAULT 0,
	nonce			bigint,
	stamped_at		timestamptz,
	receipt			bytea,
	error			text,
	PRIMARY KEY (anchor, origin, tree_size)
);
COMMENT ON TABLE uaef.ledger_anchoring IS
	'what became of each checkpoint that was sent to an anchor; outlives the anchor';
COMMENT ON COLUMN uaef.ledger_anchoring.anchor IS 'name of the anchor';
COMMENT ON COLUMN uaef.ledger_anchoring.origin IS 'the checkpoint: its origin';
COMMENT ON COLUMN uaef.ledger_anchoring.tree_size IS 'the checkpoint: its size';
COMMENT ON COLUMN uaef.ledger_anchoring.status IS
	'requested: it is on its way or waits for an answer';
COMMENT ON COLUMN uaef.ledger_anchoring.delivery_id IS
	'delivery that carries it; null for a file';
COMMENT ON COLUMN uaef.ledger_anchoring.old_size IS
	'size from which the witness was given a consistency proof';
COMMENT ON COLUMN uaef.ledger_anchoring.resent IS
	'how often it was sent again because the witness named another size';
COMMENT ON COLUMN uaef.ledger_anchoring.nonce IS
	'of the time-stamp request, which the token must repeat';
COMMENT ON COLUMN uaef.ledger_anchoring.stamped_at IS 'time in the token';
COMMENT ON COLUMN uaef.ledger_anchoring.receipt IS
	'what the anchor gave: the token (DER), the cosignatures, the body of the answer';
COMMENT ON COLUMN uaef.ledger_anchoring.error IS 'why it failed';
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_anchoring', '');

-- At most one is on its way to an anchor; the newest that one has.
CREATE UNIQUE INDEX ledger_anchoring_requested
	ON uaef.ledger_anchoring (anchor) WHERE status = 'requested';
CREATE INDEX ledger_anchoring_anchored
	ON uaef.ledger_anchoring (tree_size) WHERE status = 'anchored';
CREATE INDEX ledger_anchoring_last
	ON uaef.ledger_anchoring (anchor, tree_size) WHERE status = 'anchored';
CREATE INDEX ledger_anchoring_failed
	ON uaef.ledger_anchoring (anchor, tree_size) WHERE status = 'failed';

CREATE TABLE uaef.ledger_cosignature (
	origin			text NOT NULL,
	tree_size		bigint NOT NULL,
	witness			text NOT NULL,
	line			text NOT NULL,
	at				timestamptz NOT NULL,
	PRIMARY KEY (tree_size, origin, witness)
);
COMMENT ON TABLE uaef.ledger_cosignature IS
	'verified cosignatures of witnesses, lines to be appended to the note';
COMMENT ON COLUMN uaef.ledger_cosignature.origin IS 'the checkpoint: its origin';
COMMENT ON COLUMN uaef.ledger_cosignature.tree_size IS 'the checkpoint: its size';
COMMENT ON COLUMN uaef.ledger_cosignature.witness IS
	'name and key hash of the witness, as in its vkey';
COMMENT ON COLUMN uaef.ledger_cosignature.line IS 'the line, without its newline';
COMMENT ON COLUMN uaef.ledger_cosignature.at IS
	'when the witness says that it signed';
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_cosignature', '');

CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_cosignature
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_cosignature ENABLE ALWAYS TRIGGER ledger_guard;

--
-- create_anchor()
--
CREATE FUNCTION uaef.create_anchor(
	name text,
	kind text,
	target text,
	config jsonb DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_create_anchor'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.create_anchor(text, text, text, jsonb) IS
	'send checkpoints of the ledger to a witness, webhook or timestamp (target: a connector), or append them to a file (target: its path)';

--
-- drop_anchor()
--
CREATE FUNCTION uaef.drop_anchor(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_drop_anchor'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.drop_anchor(text) IS
	'send no more to an anchor and forget it; what it has given is kept';

--
-- pause_anchor(), resume_anchor()
--
CREATE FUNCTION uaef.pause_anchor(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_pause_anchor'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.pause_anchor(text) IS
	'send nothing new to an anchor';

CREATE FUNCTION uaef.resume_anchor(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_resume_anchor'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.resume_anchor(text) IS
	'go on sending to an anchor, at once, whatever failed before';

--
-- anchor_status
--
CREATE VIEW uaef.anchor_status AS
SELECT a.anchor, a.kind, a.target,
	CASE
		WHEN a.contradicted_at IS NOT NULL THEN 'contradicted'
		WHEN a.paused THEN 'paused'
		WHEN a.failures > 0 THEN 'failing'
		WHEN r.requested_at IS NOT NULL THEN 'sending'
		WHEN l.tree_size IS NULL THEN 'new'
		ELSE 'anchored'
	END AS state,
	l.tree_size, l.anchored_at,
	coalesce(pg_catalog.clock_timestamp() - b.sealed_at, '0') AS unanchored_age,
	a.failures, a.error, a.contradicted_at,
	CASE WHEN NOT a.paused THEN a.next_at END AS next_at
FROM uaef.ledger_anchor a
	LEFT JOIN LATERAL (
		SELECT s.tree_size, s.anchored_at FROM uaef.ledger_anchoring s
		WHERE s.anchor = a.anchor AND s.status = 'anchored'
		ORDER BY s.tree_size DESC LIMIT 1) l ON true
	LEFT JOIN uaef.ledger_anchoring r
		ON r.anchor = a.anchor AND r.status = 'requested'
	LEFT JOIN LATERAL (
		SELECT b.sealed_at FROM uaef.ledger_block b
		WHERE b.first_leaf >= coalesce(l.tree_size, 0)
		ORDER BY b.first_leaf LIMIT 1) b ON true;
COMMENT ON VIEW uaef.anchor_status IS
	'anchors for people: how far each has got, how old the oldest sealed event is that it does not cover, what went wrong last';

--
-- max_unanchored_age()
--
CREATE FUNCTION uaef.max_unanchored_age()
RETURNS interval
AS 'MODULE_PATHNAME', 'uaef_max_unanchored_age'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.max_unanchored_age() IS
	'age of the oldest sealed event that no anchor covers, or with uaef.ledger_quorum not enough witnesses; the figure to alarm on';

--
-- anchored_checkpoint()
--
CREATE FUNCTION uaef.anchored_checkpoint()
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_anchored_checkpoint'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.anchored_checkpoint() IS
	'the newest checkpoint that an anchor, or with uaef.ledger_quorum enough witnesses, have; its note with the cosignatures; null if there is none';

-- What leaves the database, and where to, is the administrator's decision.
REVOKE ALL ON uaef.ledger_anchor, uaef.ledger_anchoring,
	uaef.ledger_cosignature, uaef.anchor_status FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.create_anchor(text, text, text, jsonb),
	uaef.drop_anchor(text),
	uaef.pause_anchor(text),
	uaef.resume_anchor(text),
	uaef.max_unanchored_age(),
	uaef.anchored_checkpoint()
FROM PUBLIC;
