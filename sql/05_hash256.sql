------------------------------------------------------------------------
-- Ledger: hashes
------------------------------------------------------------------------

CREATE TYPE uaef.hash256;
COMMENT ON TYPE uaef.hash256 IS
	'a hash of 32 bytes; its text is 64 lower-case hexadecimal digits';

CREATE FUNCTION uaef.hash256_in(cstring) RETURNS uaef.hash256
AS 'MODULE_PATHNAME', 'uaef_hash256_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_in(cstring) IS 'text to hash256: 64 hexadecimal digits, maybe after \x';

CREATE FUNCTION uaef.hash256_out(uaef.hash256) RETURNS cstring
AS 'MODULE_PATHNAME', 'uaef_hash256_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_out(uaef.hash256) IS 'hash256 to text';

CREATE FUNCTION uaef.hash256_recv(internal) RETURNS uaef.hash256
AS 'MODULE_PATHNAME', 'uaef_hash256_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_recv(internal) IS '32 bytes from a client to hash256';

CREATE FUNCTION uaef.hash256_send(uaef.hash256) RETURNS bytea
AS 'MODULE_PATHNAME', 'uaef_hash256_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_send(uaef.hash256) IS 'hash256 to 32 bytes for a client';

CREATE TYPE uaef.hash256 (
	INPUT = uaef.hash256_in,
	OUTPUT = uaef.hash256_out,
	RECEIVE = uaef.hash256_recv,
	SEND = uaef.hash256_send,
	INTERNALLENGTH = 32,
	ALIGNMENT = char,
	STORAGE = plain
);

CREATE FUNCTION uaef.hash256(bytea) RETURNS uaef.hash256
AS 'MODULE_PATHNAME', 'uaef_hash256_from_bytea'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256(bytea) IS '32 bytes as hash256';

CREATE FUNCTION uaef.bytea(uaef.hash256) RETURNS bytea
AS 'MODULE_PATHNAME', 'uaef_hash256_to_bytea'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.bytea(uaef.hash256) IS 'hash256 as 32 bytes';

-- Not implicit: where uaef is not in search_path, hash = '<digits>' would take the
-- operator of bytea, and these digits as other bytes: false, without a word.
CREATE CAST (uaef.hash256 AS bytea) WITH FUNCTION uaef.bytea(uaef.hash256) AS ASSIGNMENT;
CREATE CAST (bytea AS uaef.hash256) WITH FUNCTION uaef.hash256(bytea) AS ASSIGNMENT;

CREATE FUNCTION uaef.hash256_cmp(uaef.hash256, uaef.hash256) RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_hash256_cmp'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_cmp(uaef.hash256, uaef.hash256) IS 'order of two hashes: -1, 0 or 1';

CREATE FUNCTION uaef.hash256_hash(uaef.hash256) RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_hash256_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_hash(uaef.hash256) IS 'hash code for hash joins and hash indexes';

CREATE FUNCTION uaef.hash256_lt(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_lt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_lt(uaef.hash256, uaef.hash256) IS 'less than';

CREATE FUNCTION uaef.hash256_le(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_le'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_le(uaef.hash256, uaef.hash256) IS 'less than or equal';

CREATE FUNCTION uaef.hash256_eq(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_eq(uaef.hash256, uaef.hash256) IS 'equal';

CREATE FUNCTION uaef.hash256_ne(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_ne(uaef.hash256, uaef.hash256) IS 'not equal';

CREATE FUNCTION uaef.hash256_ge(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_ge'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_ge(uaef.hash256, uaef.hash256) IS 'greater than or equal';

CREATE FUNCTION uaef.hash256_gt(uaef.hash256, uaef.hash256) RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hash256_gt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.hash256_gt(uaef.hash256, uaef.hash256) IS 'greater than';

CREATE OPERATOR uaef.< (
	FUNCTION = uaef.hash256_lt, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.>), NEGATOR = OPERATOR(uaef.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);

CREATE OPERATOR uaef.<= (
	FUNCTION = uaef.hash256_le, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.>=), NEGATOR = OPERATOR(uaef.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);

CREATE OPERATOR uaef.= (
	FUNCTION = uaef.hash256_eq, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.=), NEGATOR = OPERATOR(uaef.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);

CREATE OPERATOR uaef.<> (
	FUNCTION = uaef.hash256_ne, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.<>), NEGATOR = OPERATOR(uaef.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);

CREATE OPERATOR uaef.>= (
	FUNCTION = uaef.hash256_ge, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.<=), NEGATOR = OPERATOR(uaef.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR uaef.> (
	FUNCTION = uaef.hash256_gt, LEFTARG = uaef.hash256, RIGHTARG = uaef.hash256,
	COMMUTATOR = OPERATOR(uaef.<), NEGATOR = OPERATOR(uaef.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR CLASS uaef.hash256_ops DEFAULT FOR TYPE uaef.hash256 USING btree AS
	OPERATOR 1 uaef.<, OPERATOR 2 uaef.<=, OPERATOR 3 uaef.=,
	OPERATOR 4 uaef.>=, OPERATOR 5 uaef.>,
	FUNCTION 1 uaef.hash256_cmp(uaef.hash256, uaef.hash256);
CREATE OPERATOR CLASS uaef.hash256_hash_ops DEFAULT FOR TYPE uaef.hash256 USING hash AS
	OPERATOR 1 uaef.=,
	FUNCTION 1 uaef.hash256_hash(uaef.hash256);

REVOKE ALL ON TYPE uaef.hash256 FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.hash256_in(cstring),
	uaef.hash256_out(uaef.hash256),
	uaef.hash256_recv(internal),
	uaef.hash256_send(uaef.hash256),
	uaef.hash256(bytea),
	uaef.bytea(uaef.hash256),
	uaef.hash256_hash(uaef.hash256),
	uaef.hash256_cmp(uaef.hash256, uaef.hash256),
	uaef.hash256_lt(uaef.hash256, uaef.hash256),
	uaef.hash256_le(uaef.hash256, uaef.hash256),
	uaef.hash256_eq(uaef.hash256, uaef.hash256),
	uaef.hash256_ne(uaef.hash256, uaef.hash256),
	uaef.hash256_ge(uaef.hash256, uaef.hash256),
	uaef.hash256_gt(uaef.hash256, uaef.hash256)
	FROM PUBLIC;
