------------------------------------------------------------------------
-- Ledger: sealing at once
------------------------------------------------------------------------

CREATE FUNCTION uaef.seal_and_wait(event_id bigint,
	timeout interval DEFAULT '10s') RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_seal_and_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.seal_and_wait(bigint, interval) IS
	'the number of the block that holds a committed event, which is sealed now if it was not; call it in a transaction of its own';

REVOKE ALL ON FUNCTION uaef.seal_and_wait(bigint, interval) FROM PUBLIC;
