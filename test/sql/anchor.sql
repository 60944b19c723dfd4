-- Anchors: what is refused, who may do what.  What they do: test/t/023_anchor.pl
\set VERBOSITY terse
SELECT uaef.create_connector('place', 'webhook', '{"url": "https://anchor.example/x?y"}') > 0 AS made;

-- names, kinds, targets
SELECT uaef.create_anchor('', 'file', '/tmp/x');
SELECT uaef.create_anchor('a', 'blockchain', 'place');
SELECT uaef.create_anchor('a', 'webhook', 'nowhere');
SELECT uaef.create_anchor('a', NULL, 'place');

-- configs
SELECT uaef.create_anchor('a', 'webhook', 'place', '[]');
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"vkey": "x"}');
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"interval": 5}');
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"interval": "1ms"}');
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"interval": "-1h"}');
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"interval": "soon"}');

-- keys of witnesses
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT uaef.create_anchor('a', 'witness', 'place');
SELECT uaef.create_anchor('a', 'witness', 'place', '{"vkey": "w.example"}');
SELECT uaef.create_anchor('a', 'witness', 'place', '{"vkey": "w1.example+11c8f4c9+BEtCePP28bkSi/ZxLF65+cydHDRh+AhwUc5Okowfb9iu"}');
-- one for signatures, of the kind 0x01
SELECT uaef.create_anchor('a', 'witness', 'place', '{"vkey": "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"}');
-- a good one, but nothing can be put behind this URL
SELECT uaef.create_anchor('a', 'witness', 'place', '{"vkey": "w1.example+11c8f4c8+BEtCePP28bkSi/ZxLF65+cydHDRh+AhwUc5Okowfb9iu"}');

-- certificates of authorities
SELECT uaef.create_anchor('a', 'timestamp', 'place', '{"ca": "none"}');
SELECT uaef.create_anchor('a', 'timestamp', 'place', '{"ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}');

-- files
SELECT uaef.create_anchor('a', 'file', 'notes');
SELECT uaef.create_anchor('a', 'file', '/tmp/');
SELECT uaef.create_anchor('a', 'file', '/tmp');
SELECT uaef.create_anchor('a', 'file', '/no/such/folder/notes');
DO $$
BEGIN
	PERFORM uaef.create_anchor('a', 'file', current_setting('data_directory') || '/base/notes');
EXCEPTION WHEN invalid_name THEN
	RAISE NOTICE 'in the data directory: %', SQLSTATE;
END
$$;

-- a good one, and it is an event
SELECT uaef.create_anchor('a', 'webhook', 'place', '{"interval": "1h"}');
SELECT uaef.create_anchor('a', 'webhook', 'place');
SELECT anchor, kind, target, state, tree_size, error FROM uaef.anchor_status;
SELECT uaef.pause_anchor('a');
SELECT state, next_at FROM uaef.anchor_status;
SELECT uaef.resume_anchor('a');
SELECT uaef.drop_anchor('a');
SELECT uaef.drop_anchor('a');
SELECT uaef.pause_anchor('a');
SELECT event_type, actor_type, payload FROM uaef.ledger_event
WHERE event_type LIKE 'anchor_%' ORDER BY event_id;

-- nobody records the ledger's own news
SELECT uaef.record_event('ledger_timestamped');

-- cosignatures are there to stay
DELETE FROM uaef.ledger_cosignature;

-- whose rights count: an admin of uaef is no superuser
CREATE ROLE regress_uaef_keeper;
SELECT uaef.grant_access('regress_uaef_keeper', 'admin');
SET ROLE regress_uaef_keeper;
SELECT uaef.create_anchor('f', 'file', '/tmp/notes');
SELECT uaef.create_anchor('f', 'webhook', 'place', '{"interval": "1h"}');
SELECT uaef.max_unanchored_age() >= '0' AS age;
RESET ROLE;
SELECT uaef.drop_anchor('f');
SELECT uaef.revoke_access('regress_uaef_keeper', 'admin');
SET ROLE regress_uaef_keeper;
SELECT uaef.create_anchor('f', 'webhook', 'place');
SELECT uaef.max_unanchored_age();
RESET ROLE;
DROP ROLE regress_uaef_keeper;
