--
-- Type hash256
--
SET search_path = public, uaef;

SELECT repeat('0f', 32)::hash256, ('\x' || repeat('0F', 32))::hash256 = repeat('0f', 32)::hash256 AS same;
SELECT 'xyz'::hash256;
SELECT repeat('00', 31)::hash256;
SELECT repeat('00', 33)::hash256;
SELECT (repeat('00', 31) || '0g')::hash256;

-- casts
SELECT repeat('ab', 32)::hash256::bytea;
SELECT decode(repeat('ab', 32), 'hex')::hash256;
SELECT '\x00'::bytea::hash256;
SELECT length(sha256(repeat('ab', 32)::hash256::bytea));

-- order, indexes, joins
CREATE TABLE h (n integer, hash hash256);
INSERT INTO h SELECT n, sha256(n::text::bytea) FROM generate_series(1, 200) n;
SELECT bool_and(a.hash < b.hash) = bool_and(a.hash::bytea < b.hash::bytea) AS as_bytes,
	count(*) FILTER (WHERE a.hash <= b.hash) AS le, count(*) FILTER (WHERE a.hash >= b.hash) AS ge,
	count(*) FILTER (WHERE a.hash > b.hash) AS gt, count(*) FILTER (WHERE a.hash <> b.hash) AS ne
FROM h a, h b;
CREATE UNIQUE INDEX ON h (hash);
CREATE INDEX ON h USING hash (hash);
SELECT count(*) FROM h a JOIN h b USING (hash);
SET enable_hashjoin = off;
SELECT count(*) FROM h a JOIN h b USING (hash);
SET enable_mergejoin = off;
SET enable_seqscan = off;
SELECT n FROM h WHERE hash = sha256('7')::hash256;
SELECT array_agg(n ORDER BY hash) = (SELECT array_agg(n ORDER BY hash::bytea) FROM h) AS ordered FROM h;
INSERT INTO h SELECT 0, hash FROM h WHERE n = 1;

-- where the operators are not in search_path, nothing else takes their place
SET search_path = public;
SELECT count(*) FROM h WHERE hash = 'ab';
SELECT hash OPERATOR(uaef.=) hash::text::uaef.hash256 AS equal, hash OPERATOR(uaef.=) repeat('00', 32)::uaef.hash256 AS zero,
	hash::text = encode(hash::bytea, 'hex') AS text FROM h WHERE n = 1;
SET search_path = public, uaef;

-- as clients see it
CREATE TABLE h_copy (LIKE h);
\copy (SELECT hash FROM h WHERE n = 1) TO PROGRAM 'cat'
SELECT to_jsonb(hash) FROM h WHERE n = 1;
DROP TABLE h, h_copy;
