------------------------------------------------------------------------
-- Ledger: verification
------------------------------------------------------------------------

CREATE FUNCTION uaef.verify_ledger(from_block bigint DEFAULT 1,
	trusted_hash uaef.hash256 DEFAULT NULL, checkpoints text[] DEFAULT NULL,
	keys text[] DEFAULT NULL, quorum integer DEFAULT 0,
	jobs integer DEFAULT 1, sample integer DEFAULT 1000,
	indexes boolean DEFAULT false)
	RETURNS TABLE (severity text, code text, stream uuid, stream_seq bigint,
				   event_id bigint, leaf_index bigint, block_no bigint,
				   ctid tid, expected text, actual text, detail text)
AS 'MODULE_PATHNAME', 'uaef_verify_ledger_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	SET jit = off;
COMMENT ON FUNCTION uaef.verify_ledger(bigint, uaef.hash256, text[], text[], integer, integer, integer, boolean) IS
	'problems of the ledger, none if it is consistent with itself and with the checkpoints given; see ledger_verdict() for what that proves';

CREATE FUNCTION uaef.ledger_verdict(from_block bigint DEFAULT 1,
	trusted_hash uaef.hash256 DEFAULT NULL, checkpoints text[] DEFAULT NULL,
	keys text[] DEFAULT NULL, quorum integer DEFAULT 0,
	jobs integer DEFAULT 1, sample integer DEFAULT 1000,
	indexes boolean DEFAULT false)
	RETURNS TABLE (verdict text, consistent boolean, errors bigint,
				   warnings bigint, infos bigint, events bigint, sealed bigint,
				   blocks bigint, root uaef.hash256, checkpoint_size bigint,
				   checkpoint_keys text[])
AS 'MODULE_PATHNAME', 'uaef_ledger_verdict'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	SET jit = off;
COMMENT ON FUNCTION uaef.ledger_verdict(bigint, uaef.hash256, text[], text[], integer, integer, integer, boolean) IS
	'what a check as verify_ledger() makes it proves, in a sentence and in figures';

CREATE FUNCTION uaef.verify_block(block_no bigint)
	RETURNS TABLE (severity text, code text, stream uuid, stream_seq bigint,
				   event_id bigint, leaf_index bigint, block_no bigint,
				   ctid tid, expected text, actual text, detail text)
AS 'MODULE_PATHNAME', 'uaef_verify_block_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.verify_block(bigint) IS
	'problems of a block and its events, none if it is consistent with itself and the block before';

CREATE FUNCTION uaef.verify_event(event_id bigint)
	RETURNS TABLE (severity text, code text, stream uuid, stream_seq bigint,
				   event_id bigint, leaf_index bigint, block_no bigint,
				   ctid tid, expected text, actual text, detail text)
AS 'MODULE_PATHNAME', 'uaef_verify_event_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.verify_event(bigint) IS
	'problems of an event, none if it is consistent with itself and the event before it in its stream';

REVOKE ALL ON FUNCTION
	uaef.verify_ledger(bigint, uaef.hash256, text[], text[], integer, integer, integer, boolean),
	uaef.ledger_verdict(bigint, uaef.hash256, text[], text[], integer, integer, integer, boolean),
	uaef.verify_block(bigint),
	uaef.verify_event(bigint)
	FROM PUBLIC;
