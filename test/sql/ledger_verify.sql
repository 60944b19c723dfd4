--
-- The ledger: sealing and verifying
--
-- A worker may be sealing too, so numbers of blocks are not shown.
--
SET client_min_messages = warning;

-- Seal until what is committed is sealed, as the worker does.
CREATE PROCEDURE ver_seal() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..1000 LOOP
		COMMIT;
		PERFORM uaef.seal_ledger();
		COMMIT;
		EXIT WHEN NOT EXISTS (SELECT FROM uaef.ledger_unsealed WHERE event_type <> 'ledger_sealed');
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;

INSERT INTO uaef.ledger_event (stream, event_type, payload)
SELECT ('00000000-0000-8000-8000-00000000ee0' || 1 + n % 3)::uuid, 'ver_' || n, jsonb_build_object('n', n)
FROM generate_series(1, 12) n;
CREATE TABLE ver_event AS
SELECT event_id, row_number() OVER (ORDER BY event_id) AS n, stream, stream_seq, event_hash
FROM uaef.ledger_event WHERE event_type ~ '^ver_';
-- Problems, with places told from the first event of this test.
CREATE FUNCTION ver_problems() RETURNS TABLE (severity text, code text, stream text, seq bigint, event bigint, detail text)
LANGUAGE sql AS $$
	SELECT severity, code, right(stream::text, 2), stream_seq,
		(SELECT n FROM ver_event e WHERE e.event_id = v.event_id), detail
	FROM uaef.verify_ledger() v
	WHERE code <> 'GUARD_TAMPERED' AND code <> 'UNSEALED_OVERDUE'
	ORDER BY code, stream, stream_seq, event_id, block_no, detail
$$;

CALL ver_seal();

-- every event of ours is a leaf, in one block, in order
SELECT count(*) AS leaves, count(DISTINCT l.block_no) AS blocks, bool_and(l.n = l.expected) AS in_order
FROM (SELECT b.block_no, v.n, row_number() OVER (ORDER BY b.block_no, i.ordinality) AS expected
	  FROM uaef.ledger_block b, unnest(b.event_ids) WITH ORDINALITY i (event_id)
	  JOIN ver_event v ON v.event_id = i.event_id) l;

-- the block is told of in the ledger
SELECT count(*) AS told
FROM uaef.ledger_event e
JOIN uaef.ledger_block b ON e.payload->>'block_hash' = b.block_hash::text
WHERE e.event_type = 'ledger_sealed'
	AND (SELECT min(event_id) FROM ver_event) = ANY (b.event_ids)
	AND (e.payload->>'tree_size')::bigint = b.tree_size;

-- there is nothing more to seal, and no block for the news of blocks alone
SELECT uaef.seal_ledger();
SELECT unsealed = 0 AS all_sealed, events > sealed AS news_waits, root::text ~ '^[0-9a-f]{64}$' AS root
FROM uaef.ledger_status;

-- a transaction that has written cannot seal
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL AS written;
SELECT uaef.seal_ledger();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

-- an undamaged ledger has no problems, whole or in parts
SELECT * FROM uaef.verify_ledger();
SELECT v.* FROM (SELECT max(block_no) AS no FROM uaef.ledger_block) b, uaef.verify_ledger(b.no) v;
SELECT v.* FROM uaef.ledger_block b, uaef.verify_block(b.block_no) v;
SELECT v.* FROM ver_event e, uaef.verify_event(e.event_id) v;
SELECT uaef.verify_event(-1);
SELECT uaef.verify_block(-1);
-- a check of nothing is not one that found nothing
SELECT uaef.verify_event(NULL);
SELECT uaef.verify_block(NULL);

-- one block's hash, kept elsewhere, is all that a later check needs
SELECT b.block_no + 1 AS next, b.block_hash AS trusted FROM uaef.ledger_block b ORDER BY block_no DESC LIMIT 1 \gset
SELECT uaef.record_event('ver_later') AS later \gset
CALL ver_seal();
SELECT * FROM uaef.verify_ledger(:next, :'trusted');
SELECT code, block_no = :next - 1 AS place, detail FROM uaef.verify_ledger(:next, repeat('00', 32)::uaef.hash256);
SELECT uaef.verify_ledger(1, '\x00');

-- Damage.  Each is done by a superuser who turned the guards off, and undone.
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ALL;
ALTER TABLE uaef.ledger_block DISABLE TRIGGER ALL;

-- the guards being off is the first thing to see
SELECT code, detail FROM uaef.verify_ledger();

-- a byte of a payload
SAVEPOINT s;
UPDATE uaef.ledger_event SET payload = '{"n": 6}' WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- the same number, written in another way, is the same
UPDATE uaef.ledger_event SET payload = '{"n": 5.00}' WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- a payload removed, a salt, a commitment
UPDATE uaef.ledger_event SET payload = NULL WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;
UPDATE uaef.ledger_event SET salt = set_byte(salt::bytea, 31, get_byte(salt::bytea, 31) # 1) WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- each column that is hashed
DO $$
DECLARE
	change text;
	found text;
BEGIN
	FOREACH change IN ARRAY ARRAY['kind = 1', 'kind = 3', 'event_type = ''ver_x''', 'actor_type = NULL', 'actor_id = actor_id || ''x''',
		'session_role = session_role || ''x''', 'effective_role = session_role', 'task_id = 0', 'agent_id = ''''',
		'tx = ''3''', 'recorded_at = recorded_at + interval ''1 microsecond'''] LOOP
		BEGIN
			EXECUTE format('UPDATE uaef.ledger_event SET %s WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 11)', change);
			SELECT string_agg(code || ' ' || coalesce(event::text, '?'), ', ') INTO found FROM ver_problems();
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			RAISE WARNING '%: %', change, found;
		END;
	END LOOP;
END
$$;

-- the hash itself: the root of its block follows
UPDATE uaef.ledger_event SET event_hash = set_byte(event_hash::bytea, 0, get_byte(event_hash::bytea, 0) # 1) WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- the link
UPDATE uaef.ledger_event SET prev_hash = set_byte(prev_hash::bytea, 0, get_byte(prev_hash::bytea, 0) # 1) WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- an event removed from the middle, from the head, from the tail
DELETE FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;
DELETE FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 2);
SELECT * FROM ver_problems();
ROLLBACK TO s;
DELETE FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 12);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- a stream removed
DELETE FROM uaef.ledger_event WHERE stream = '00000000-0000-8000-8000-00000000ee02';
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- an event copied into another stream
INSERT INTO uaef.ledger_event
SELECT event_id - 1000000, '00000000-0000-8000-8000-00000000ee0f', 1, tx, recorded_at, kind, event_type, actor_type, actor_id,
	session_role, effective_role, task_id, agent_id, payload, salt, payload_hash, signer, signature, prev_hash, event_hash
FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 5);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- two events that change places
UPDATE uaef.ledger_event SET stream_seq = CASE stream_seq WHEN 2 THEN 1002 ELSE 1003 END
WHERE stream = '00000000-0000-8000-8000-00000000ee02' AND stream_seq IN (2, 3);
UPDATE uaef.ledger_event SET stream_seq = CASE stream_seq WHEN 1002 THEN 3 ELSE 2 END
WHERE stream = '00000000-0000-8000-8000-00000000ee02' AND stream_seq IN (1002, 1003);
SELECT * FROM ver_problems();
ROLLBACK TO s;

-- a fork, with the key that forbids it gone
ALTER TABLE uaef.ledger_event DROP CONSTRAINT ledger_event_pkey;
CREATE INDEX ledger_event_pkey ON uaef.ledger_event (stream, stream_seq);
INSERT INTO uaef.ledger_event
SELECT event_id - 1000000, stream, stream_seq, tx, recorded_at, kind, event_type, actor_type, actor_id,
	session_role, effective_role, task_id, agent_id, payload, salt, payload_hash, signer, signature, prev_hash, event_hash
FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 12);
SELECT code, stream, seq FROM ver_problems() WHERE code IN ('SEQ_FORK', 'LEAF_EXTRA') ORDER BY code;
ROLLBACK TO s;

-- blocks: what they list, their header, their root, the row of one
UPDATE uaef.ledger_block b SET event_ids = array_append(event_ids[2:leaf_count], event_ids[1])
WHERE (SELECT event_id FROM ver_event WHERE n = 1) = ANY (b.event_ids);
SELECT code, detail FROM ver_problems();
ROLLBACK TO s;
UPDATE uaef.ledger_block SET sealed_at = sealed_at + interval '1 microsecond' WHERE block_no = :next - 1;
SELECT code, detail FROM ver_problems();
ROLLBACK TO s;
UPDATE uaef.ledger_block SET tree_root = set_byte(tree_root::bytea, 0, get_byte(tree_root::bytea, 0) # 1) WHERE block_no = :next - 1;
SELECT code, detail FROM ver_problems();
ROLLBACK TO s;
UPDATE uaef.ledger_block SET frontier = '' WHERE block_no = :next - 1;
SELECT code, regexp_replace(detail, '\d+', 'N', 'g') AS detail FROM ver_problems() WHERE code = 'BLOCK_CHAIN_BREAK';
ROLLBACK TO s;
DELETE FROM uaef.ledger_block WHERE block_no = 1;
SELECT code, count(*) > 0 AS found FROM ver_problems() WHERE code IN ('BLOCK_CHAIN_BREAK', 'LEAF_EXTRA') GROUP BY code ORDER BY code;
ROLLBACK TO s;

-- the last block, with its events
DELETE FROM uaef.ledger_event e USING uaef.ledger_block b
WHERE b.block_no = (SELECT max(block_no) FROM uaef.ledger_block) AND e.event_id = ANY (b.event_ids);
DELETE FROM uaef.ledger_block WHERE block_no = (SELECT max(block_no) FROM uaef.ledger_block);
SELECT code, regexp_replace(detail, '\d+', 'N', 'g') AS detail FROM uaef.verify_ledger(:next)
WHERE code = 'BLOCK_CHAIN_BREAK';
SELECT code, regexp_replace(detail, '\d+', 'N', 'g') AS detail FROM ver_problems() WHERE code = 'BLOCK_CHAIN_BREAK';
ROLLBACK TO s;

-- the last block, made anew with all its hashes
UPDATE uaef.ledger_block SET tree_root = repeat('00', 32)::uaef.hash256, block_hash = tree_root
WHERE block_no = (SELECT max(block_no) FROM uaef.ledger_block);
SELECT code, detail FROM ver_problems() WHERE detail ~ 'tells';
ROLLBACK TO s;

-- a check from beyond the last block
SELECT code, block_no - max AS beyond, detail
FROM (SELECT max(block_no) FROM uaef.ledger_block) b, uaef.verify_ledger(max + 2) WHERE code <> 'GUARD_TAMPERED';

-- events of a transaction that is yet to come, of a number that is yet to be drawn; honest ones that follow them
INSERT INTO uaef.ledger_event
SELECT nextval('uaef.ledger_event_id'), stream, stream_seq + 1, '4000000000000000000', recorded_at, kind, 'ver_future', NULL, NULL,
	session_role, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, event_hash, event_hash
FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 11);
UPDATE uaef.ledger_event SET event_hash = uaef.hash_event(event_id) WHERE event_type = 'ver_future';
SELECT code, stream, seq, detail FROM ver_problems();
ROLLBACK TO s;
INSERT INTO uaef.ledger_event
SELECT 4000000000000000000, stream, stream_seq + 1, tx, recorded_at, kind, 'ver_future', NULL, NULL,
	session_role, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, event_hash, event_hash
FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 11);
UPDATE uaef.ledger_event SET event_hash = uaef.hash_event(event_id) WHERE event_type = 'ver_future';
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_chain;
INSERT INTO uaef.ledger_event (stream, event_type)
SELECT stream, 'ver_honest' FROM ver_event WHERE n = 11;
SELECT code, stream, seq, detail FROM ver_problems();
ROLLBACK TO s;

-- time that runs backwards, rewritten with all its hashes
UPDATE uaef.ledger_event SET recorded_at = recorded_at - interval '1 day' WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 12);
UPDATE uaef.ledger_event SET event_hash = uaef.hash_event(event_id) WHERE event_id = (SELECT event_id FROM ver_event WHERE n = 12);
SELECT * FROM ver_problems();
ROLLBACK TO s;
ROLLBACK;

-- guards: a trigger that is not ours, a rule, row level security, another function
BEGIN;
CREATE FUNCTION ver_swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER ver_swallow BEFORE INSERT ON uaef.ledger_event FOR EACH ROW EXECUTE FUNCTION ver_swallow();
CREATE RULE ver_rule AS ON DELETE TO uaef.ledger_block DO INSTEAD NOTHING;
ALTER TABLE uaef.ledger_event ENABLE ROW LEVEL SECURITY;
DROP TRIGGER ledger_guard ON uaef.ledger_block;
CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_block
	FOR EACH STATEMENT EXECUTE FUNCTION ver_swallow();
ALTER TABLE uaef.ledger_block ENABLE ALWAYS TRIGGER ledger_guard;
SELECT code, detail FROM uaef.verify_ledger();
ROLLBACK;

-- guards: a trigger for some columns only, with arguments, of another library; indexes; what outlives a crash
BEGIN;
DROP TRIGGER ledger_guard ON uaef.ledger_block;
CREATE TRIGGER ledger_guard BEFORE UPDATE OF incarnation OR DELETE OR TRUNCATE ON uaef.ledger_block
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard();
ALTER TABLE uaef.ledger_block ENABLE ALWAYS TRIGGER ledger_guard;
DROP TRIGGER ledger_guard ON uaef.ledger_event;
CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON uaef.ledger_event
	FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard('x');
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;
ALTER TABLE uaef.ledger DISABLE TRIGGER ledger_guard, DISABLE TRIGGER ledger_identity;
SELECT code, detail FROM uaef.verify_ledger();
ROLLBACK;
BEGIN;
UPDATE pg_proc SET probin = '/elsewhere/uaef' WHERE proname = 'ledger_chain';
SELECT code, detail FROM uaef.verify_ledger();
ROLLBACK;
BEGIN;
DROP INDEX uaef.ledger_event_event_id, uaef.ledger_event_tx;
CREATE INDEX ledger_event_event_id ON uaef.ledger_event (event_id);
ALTER TABLE uaef.ledger_event DROP CONSTRAINT ledger_event_pkey;
ALTER TABLE uaef.ledger_block SET UNLOGGED;
SELECT code, detail FROM uaef.verify_ledger();
ROLLBACK;

-- Tiles.  Enough events for two of them.
INSERT INTO uaef.ledger_event (stream, event_type, payload)
SELECT ('00000000-0000-8000-8000-00000000ee1' || n % 3)::uuid, 'ver_tile', jsonb_build_object('n', n)
FROM generate_series(1, 600) n;
CALL ver_seal();
SELECT uaef.record_event('ver_last') IS NOT NULL AS recorded;
CALL ver_seal();
CREATE TABLE ver_victim AS
SELECT event_id, (uaef.inclusion_proof(event_id)->>'leaf_index')::bigint AS leaf FROM uaef.ledger_event
WHERE stream = '00000000-0000-8000-8000-00000000ee10' AND stream_seq = 100;
SELECT count(*) >= 2 AS tiles FROM uaef.ledger_tile;
SELECT * FROM uaef.verify_ledger();
CREATE VIEW ver_tile_problems AS
SELECT code, leaf_index / 256 AS tile, leaf_index % 256 AS leaf, leaf_index = (SELECT leaf FROM ver_victim) AS victim, stream IS NOT NULL AS event, detail
FROM uaef.verify_ledger() WHERE code <> 'GUARD_TAMPERED' AND code <> 'UNSEALED_OVERDUE'
ORDER BY code, leaf_index, detail;

BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ALL;
ALTER TABLE uaef.ledger_tile DISABLE TRIGGER ALL;

-- the guard of tiles is watched too
SELECT code, detail FROM uaef.verify_ledger() ORDER BY detail;

-- a leaf, a root, both so that they fit each other
SAVEPOINT s;
UPDATE uaef.ledger_tile SET hashes = set_byte(hashes, 7 * 32, get_byte(hashes, 7 * 32) # 1) WHERE level = 0 AND tile_no = 1;
SELECT * FROM ver_tile_problems;
ROLLBACK TO s;
UPDATE uaef.ledger_tile SET root = set_byte(root::bytea, 0, get_byte(root::bytea, 0) # 1) WHERE level = 0 AND tile_no = 1;
SELECT * FROM ver_tile_problems;
ROLLBACK TO s;

-- one that is missing, one too many, one that is too short
DELETE FROM uaef.ledger_tile WHERE level = 0 AND tile_no = 0;
SELECT * FROM ver_tile_problems;
ROLLBACK TO s;
INSERT INTO uaef.ledger_tile SELECT 0, 1000, root, hashes FROM uaef.ledger_tile WHERE level = 0 AND tile_no = 0;
INSERT INTO uaef.ledger_tile SELECT 1, 0, root, hashes FROM uaef.ledger_tile WHERE level = 0 AND tile_no = 0;
SELECT * FROM ver_tile_problems;
ROLLBACK TO s;
UPDATE uaef.ledger_tile SET hashes = substr(hashes, 1, 100) WHERE level = 0 AND tile_no = 0;
SELECT * FROM ver_tile_problems;
ROLLBACK TO s;

-- an event that is forged with its hash: the leaf of its tile says so
UPDATE uaef.ledger_event SET actor_id = 'mallory' WHERE event_id = (SELECT event_id FROM ver_victim);
SELECT code, victim, event, detail FROM ver_tile_problems WHERE leaf IS NOT NULL OR code = 'EVENT_HASH_MISMATCH';
UPDATE uaef.ledger_event SET event_hash = uaef.hash_event(event_id) WHERE event_id = (SELECT event_id FROM ver_victim);
SELECT code, victim, event, detail FROM ver_tile_problems;
-- two processes find the same as one
SELECT count(*) AS differences FROM (
	(SELECT v::text FROM uaef.verify_ledger() v EXCEPT ALL SELECT v::text FROM uaef.verify_ledger(jobs => 2) v)
	UNION ALL
	(SELECT v::text FROM uaef.verify_ledger(jobs => 2) v EXCEPT ALL SELECT v::text FROM uaef.verify_ledger() v)) d;
ROLLBACK TO s;
-- gone: it was this leaf
DELETE FROM uaef.ledger_event WHERE event_id = (SELECT event_id FROM ver_victim);
SELECT code, victim, event, detail FROM ver_tile_problems WHERE code = 'LEAF_MISSING';
SELECT count(*) AS differences FROM (
	(SELECT v::text FROM uaef.verify_ledger() v EXCEPT ALL SELECT v::text FROM uaef.verify_ledger(jobs => 3) v)
	UNION ALL
	(SELECT v::text FROM uaef.verify_ledger(jobs => 3) v EXCEPT ALL SELECT v::text FROM uaef.verify_ledger() v)) d;
ROLLBACK TO s;

-- looking at what is new only, the chance to find an old forgery is that of the sample
UPDATE uaef.ledger_event SET payload = '"forged"' WHERE event_id = ANY (
	(SELECT event_ids FROM uaef.ledger_block ORDER BY block_no LIMIT 1)::bigint[]);
SELECT max(block_no) AS last FROM uaef.ledger_block \gset
SELECT count(*) FROM uaef.verify_ledger(:last, sample => 0) WHERE code = 'PAYLOAD_MISMATCH';
SELECT count(*) > 0 AS found FROM uaef.verify_ledger(:last, sample => 20000) WHERE code = 'PAYLOAD_MISMATCH';
ROLLBACK;
SELECT * FROM uaef.verify_ledger(:last);
DROP VIEW ver_tile_problems;
DROP TABLE ver_victim;

-- what it proves, in words
SELECT verdict, consistent, errors FROM uaef.ledger_verdict();
SELECT regexp_replace(verdict, '\d+', 'N', 'g') AS verdict, consistent FROM uaef.ledger_block b,
	uaef.ledger_verdict(b.block_no + 1, b.block_hash, sample => 0) WHERE b.block_no = :last - 1;

-- Checkpoints that were kept elsewhere: a log's key and a witness's
SELECT vkey FROM (VALUES ('not a key')) k (vkey), uaef.verify_ledger(keys => ARRAY[vkey]);
\echo :LAST_ERROR_SQLSTATE
SELECT code, detail FROM uaef.verify_ledger(checkpoints => ARRAY['rubbish']);
CREATE FUNCTION ver_note(size bigint, root uaef.hash256) RETURNS text LANGUAGE sql AS $$
	SELECT E'example.com/ledger\n' || size || E'\n' || encode(root::bytea, 'base64') || E'\n\n— example.com/ledger AAAAAAAA\n'
$$;
SELECT v.code, v.detail FROM uaef.ledger_block b, uaef.verify_ledger(checkpoints => ARRAY[ver_note(tree_size, tree_root)]) v
WHERE b.block_no = :last;
SELECT v.code, regexp_replace(v.detail, '\d+', 'N', 'g') AS detail FROM uaef.ledger_block b,
	uaef.verify_ledger(checkpoints => ARRAY[ver_note(tree_size + 5, tree_root)]) v WHERE b.block_no = :last;
SELECT v.code, regexp_replace(v.detail, '\d+', 'N', 'g') AS detail FROM uaef.ledger_block b,
	uaef.verify_ledger(checkpoints => ARRAY[ver_note(tree_size, repeat('ab', 32)::uaef.hash256)]) v WHERE b.block_no = :last;
-- the middle of a block has a root too
SELECT v.code FROM uaef.verify_ledger(checkpoints => ARRAY[ver_note(300,
	(uaef.consistency_proof(300, 300)->>'new_root')::uaef.hash256)]) v;
SELECT v.code, regexp_replace(v.detail, 'of \d+ events', 'of N events') AS detail FROM uaef.ledger_block b, uaef.verify_ledger(checkpoints => ARRAY[ver_note(tree_size, tree_root)],
	quorum => 2) v WHERE b.block_no = :last;
SELECT v.code, regexp_replace(v.detail, 'of \d+ events', 'of N events') AS detail FROM uaef.ledger_block b, uaef.verify_ledger(checkpoints => ARRAY[ver_note(tree_size, tree_root)],
	keys => ARRAY['PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW']) v WHERE b.block_no = :last;

-- Times: of a checkpoint that was cosigned, or time-stamped, before its events say they were recorded
BEGIN;
INSERT INTO uaef.ledger_checkpoint SELECT 'example.com/ledger', tree_size, tree_root, ver_note(tree_size, tree_root), now()
FROM uaef.ledger_block WHERE block_no <= 2;
CREATE VIEW ver_times AS SELECT v.severity, v.code, v.detail, v.block_no, count(*) > 0 AS some, min(v.event_id) IS NOT NULL AS event
	FROM uaef.verify_ledger() v GROUP BY 1, 2, 3, 4;
SELECT * FROM ver_times;
INSERT INTO uaef.ledger_cosignature SELECT 'example.com/ledger', tree_size, 'w+00000000', '— w AAAAAAAA', sealed_at
FROM uaef.ledger_block WHERE block_no <= 2;
SELECT * FROM ver_times;
SAVEPOINT s;
INSERT INTO uaef.ledger_cosignature SELECT 'example.com/ledger', tree_size, 'v+00000000', '— v AAAAAAAA', sealed_at - interval '1 day'
FROM uaef.ledger_block WHERE block_no = 1;
SELECT * FROM ver_times;
ROLLBACK TO s;
INSERT INTO uaef.ledger_anchoring (anchor, origin, tree_size, status, requested_at, anchored_at, stamped_at)
SELECT 'tsa', 'example.com/ledger', tree_size, 'anchored', now(), now(), sealed_at - interval '1 day'
FROM uaef.ledger_block WHERE block_no = 2;
SELECT * FROM ver_times;
ROLLBACK TO s;
-- times that are none
INSERT INTO uaef.ledger_cosignature SELECT 'example.com/ledger', tree_size, at || '+00000000', '— v AAAAAAAA', at::timestamptz
FROM uaef.ledger_block, unnest(ARRAY['infinity', '-infinity', '200000-01-01']) AS at WHERE block_no = 1;
SELECT * FROM ver_times;
INSERT INTO uaef.ledger_cosignature SELECT 'example.com/ledger', tree_size, 'old+00000000', '— v AAAAAAAA', '4000-01-01 BC'
FROM uaef.ledger_block WHERE block_no = 1;
SELECT * FROM ver_times;
ROLLBACK;
DROP FUNCTION ver_note(bigint, uaef.hash256);

-- an event without what all have
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ALL;
ALTER TABLE uaef.ledger_event ALTER event_hash DROP NOT NULL, ALTER prev_hash DROP NOT NULL, ALTER recorded_at DROP NOT NULL;
SELECT event_ids[2] AS victim FROM uaef.ledger_block WHERE block_no = 1 \gset
UPDATE uaef.ledger_event SET event_hash = NULL, prev_hash = NULL, recorded_at = NULL WHERE event_id = :victim;
SELECT code, detail FROM uaef.verify_event(:victim);
SELECT code, event_id = :victim AS victim, regexp_replace(detail, '[0-9]+', 'n') AS detail FROM uaef.verify_block(1);
SELECT least(300000, 30 * count(*)) AS surely FROM uaef.ledger_event \gset
SELECT DISTINCT code, detail FROM uaef.verify_ledger(:last, sample => :surely) WHERE code <> 'GUARD_TAMPERED';
ROLLBACK;

-- arguments
SELECT uaef.verify_ledger(jobs => 0);
SELECT uaef.verify_ledger(quorum => -1);
SELECT uaef.verify_ledger(sample => -1);
SELECT uaef.verify_ledger(checkpoints => ARRAY[NULL]);

-- indexes against tables
SELECT uaef.verify_ledger(indexes => true);
CREATE EXTENSION amcheck;
SELECT * FROM uaef.verify_ledger(indexes => true);
DROP EXTENSION amcheck;

-- a payload that is too large for its row is stored elsewhere
SELECT uaef.record_event('ver_large', jsonb_build_object('x', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) n))) AS large \gset
SELECT pg_column_size(payload) > 4000 AS elsewhere, event_hash OPERATOR(uaef.=) uaef.hash_event(event_id) AS hashed
FROM uaef.ledger_event WHERE event_id = :large;
SELECT * FROM uaef.verify_event(:large);
CALL ver_seal();

-- after all that
SELECT * FROM uaef.verify_ledger();

DROP FUNCTION ver_problems();
DROP PROCEDURE ver_seal();
DROP TABLE ver_event;

-- arguments that would prove nothing
\set VERBOSITY default
SELECT * FROM uaef.verify_ledger(quorum => 3);
SELECT * FROM uaef.export_ledger(-4);
