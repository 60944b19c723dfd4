--
-- Proofs of the ledger
--
-- That proofs hold is for test/t to show, with a verifier of its own; here is
-- what they look like, and what is refused.
--
SET client_min_messages = warning;
DO $$
BEGIN
	PERFORM uaef.record_event('prf_one', jsonb_build_object('n', n)) FROM generate_series(1, 5) n;
END
$$;
DO $$
BEGIN
	FOR i IN 1..1000 LOOP
		PERFORM uaef.seal_ledger();
		EXIT WHEN NOT EXISTS (SELECT FROM uaef.ledger_unsealed WHERE event_type = 'prf_one');
		COMMIT;
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END
$$;
SELECT min(event_id) AS event, max(event_id) AS last FROM uaef.ledger_event WHERE event_type = 'prf_one' \gset

-- an inclusion proof
WITH proof AS (
	SELECT uaef.inclusion_proof(:event) AS p
)
SELECT (p->>'event_id')::bigint = :event AS event, (p->>'leaf_hash')::uaef.hash256 OPERATOR(uaef.=) e.event_hash AS leaf,
	(p->>'root')::uaef.hash256 OPERATOR(uaef.=) b.tree_root AS root, (p->>'tree_size')::bigint = b.tree_size AS size,
	jsonb_array_length(p->'proof') BETWEEN 1 AND 64 AS proof, array(SELECT jsonb_object_keys(p)) AS keys
FROM proof, uaef.ledger_event e, (SELECT * FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1) b
WHERE e.event_id = :event;

-- in the smallest tree that has it, the event is the last leaf
SELECT (p->>'leaf_index')::bigint + 1 = (p->>'tree_size')::bigint AS last_leaf
FROM uaef.inclusion_proof(:event, (uaef.inclusion_proof(:event)->>'leaf_index')::bigint + 1) p;

-- of each tree, the empty and the whole one too, the newest is the continuation
SELECT bool_and((p->>'new_root')::uaef.hash256 OPERATOR(uaef.=) b.tree_root) AS root, min((p->>'old_size')::bigint) AS least,
	max(jsonb_array_length(p->'proof')) < 64 AS length,
	min(p->>'old_root') FILTER (WHERE p->>'old_size' = '0') AS root_of_nothing
FROM (SELECT * FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1) b,
	generate_series(0, b.tree_size) n, uaef.consistency_proof(n) p;

-- what is refused
SELECT uaef.inclusion_proof(NULL);
SELECT uaef.inclusion_proof(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.inclusion_proof(:event, 0);
SELECT uaef.consistency_proof(NULL);
SELECT uaef.consistency_proof(2, 1);
SELECT uaef.consistency_proof(-1);
\set VERBOSITY terse
SELECT uaef.consistency_proof(1, 1000000000000);
\set VERBOSITY default
BEGIN;
SELECT uaef.record_event('prf_open') AS open \gset
\set VERBOSITY sqlstate
SELECT uaef.inclusion_proof(:open);
\set VERBOSITY default
ROLLBACK;
