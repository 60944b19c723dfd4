------------------------------------------------------------------------
-- Ledger: proofs and exports, for who checks them elsewhere
------------------------------------------------------------------------

CREATE FUNCTION uaef.tlog_proof(event_id bigint) RETURNS text
AS 'MODULE_PATHNAME', 'uaef_tlog_proof_sql'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.tlog_proof(bigint) IS
	'proof, in the form of c2sp.org/tlog-proof, that an event is in the tree of the newest signed checkpoint; needs nothing but the public keys to be checked';

CREATE FUNCTION uaef.receipt(execution_id uuid) RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_receipt_sql'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.receipt(uuid) IS
	'all events of an execution, with payloads, one proof for all of them, their blocks and the signed checkpoint: all that it takes to check it elsewhere';

CREATE FUNCTION uaef.export_ledger(from_event bigint DEFAULT NULL)
	RETURNS SETOF text
AS 'MODULE_PATHNAME', 'uaef_export_ledger'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.export_ledger(bigint) IS
	'the ledger as lines of JSON: its identity, events, blocks, checkpoints; from an event on if one is given';

CREATE FUNCTION uaef.tile_files(from_size bigint DEFAULT 0)
	RETURNS TABLE (path text, content bytea)
AS 'MODULE_PATHNAME', 'uaef_tile_files'
LANGUAGE C STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.tile_files(bigint) IS
	'the ledger as the files of a tiled log (c2sp.org/tlog-tiles), the checkpoint last; of a ledger that has grown, those that have something new since a size';

CREATE FUNCTION uaef.export_tiles(directory text,
	OUT files bigint, OUT bytes bigint, OUT tree_size bigint)
AS 'MODULE_PATHNAME', 'uaef_export_tiles'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.export_tiles(text) IS
	'write those files into a directory of the server, or bring it up to date; needs pg_write_server_files; returns what was written';

REVOKE ALL ON FUNCTION
	uaef.tlog_proof(bigint),
	uaef.receipt(uuid),
	uaef.export_ledger(bigint),
	uaef.tile_files(bigint),
	uaef.export_tiles(text)
	FROM PUBLIC;
