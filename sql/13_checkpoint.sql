------------------------------------------------------------------------
-- Ledger: checkpoints, the signed roots that others keep
------------------------------------------------------------------------

-- The order of the columns is known to the library (ledger_checkpoint.c).
CREATE TABLE uaef.ledger_checkpoint (
	origin			text NOT NULL,
	tree_size		bigint NOT NULL,
	root			uaef.hash256 NOT NULL,
	note			text NOT NULL,
	signed_at		timestamptz NOT NULL,
	PRIMARY KEY (origin, tree_size)
);
COMMENT ON TABLE uaef.ledger_checkpoint IS
	'checkpoints of the ledger: roots of its tree, as they were signed; worth what others have kept of them';
COMMENT ON COLUMN uaef.ledger_checkpoint.origin IS 'name of the ledger that was signed';
COMMENT ON COLUMN uaef.ledger_checkpoint.tree_size IS 'number of sealed events that it covers';
COMMENT ON COLUMN uaef.ledger_checkpoint.root IS 'root of the tree of that size';
COMMENT ON COLUMN uaef.ledger_checkpoint.note IS
	'the signed note, in the form of c2sp.org/tlog-checkpoint';
COMMENT ON COLUMN uaef.ledger_checkpoint.signed_at IS 'when it was signed, by the clock of this server';

CREATE TRIGGER ledger_guard
	BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_checkpoint
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_checkpoint ENABLE ALWAYS TRIGGER ledger_guard;

CREATE FUNCTION uaef.ledger_checkpoint() RETURNS text
AS 'MODULE_PATHNAME', 'uaef_ledger_checkpoint'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_checkpoint() IS
	'the newest checkpoint of the ledger, a signed note to be kept outside of this database; signs one if the tree has grown; without a key the text that would be signed';

CREATE FUNCTION uaef.read_note(note text, keys text[] DEFAULT '{}')
	RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_read_note'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.read_note(text, text[]) IS
	'what a signed note (c2sp.org/signed-note) says: its text, the checkpoint if it is one, and its signatures, of which those by the public keys given (NAME+HASH+BASE64) are verified; raises for a bad note and for a bad signature by a key given';

CREATE VIEW uaef.signed_checkpoint AS
SELECT c.origin, c.tree_size, c.root, c.signed_at,
	b.sealed_at,
	uaef.read_note(c.note)->'signatures' AS signatures,
	c.note
FROM uaef.ledger_checkpoint AS c
	LEFT JOIN LATERAL (SELECT sealed_at FROM uaef.ledger_block
					   WHERE first_leaf < c.tree_size
					   ORDER BY first_leaf DESC LIMIT 1) AS b ON true;
COMMENT ON VIEW uaef.signed_checkpoint IS
	'signed checkpoints of the ledger: which tree, when its last block was sealed, when it was signed, and by which keys (not verified here)';

REVOKE ALL ON TABLE uaef.ledger_checkpoint, uaef.signed_checkpoint FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.ledger_checkpoint(),
	uaef.read_note(text, text[])
	FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_checkpoint', '');
