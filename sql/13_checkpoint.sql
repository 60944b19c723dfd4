------------------------------------------------------------------------
-- Ledger: checkpoints, the signed roots that others keep
------------------------------------------------------------------------

CREATE FUNCTION uaef.read_note(note text, keys text[] DEFAULT '{}')
	RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_read_note'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.read_note(text, text[]) IS
	'what a signed note (c2sp.org/signed-note) says: its text, the checkpoint if it is one, and its signatures, of which those by the public keys given (NAME+HASH+BASE64) are verified; raises for a bad note and for a bad signature by a key given';

REVOKE ALL ON FUNCTION
	uaef.read_note(text, text[])
	FROM PUBLIC;
