--
-- Signed notes: published examples, and every way to be none
--
SET client_min_messages = warning;
SET timezone = 'UTC';

-- The example of Go's package note: two keys, each with its signature.
\set peter 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
\set enoch 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
\set other 'PeterNeumann+27494be1+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk'
-- A checkpoint by a log and a witness.
\set log 'example.com/log+556406d6+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk'
\set witness 'witness.example+7e81f231+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4'

CREATE TEMPORARY TABLE sample (name text PRIMARY KEY, line text);
INSERT INTO sample VALUES
	('peter', '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM='),
	('enoch', '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ='),
	('log', '— example.com/log VWQG1ipgndfudUXdwFG22PwiyWSpFE7eU3rrm5kDL7dqNBL+5tuaZCUk6l+NbyC+bu/SOVvuAUiWRRpzjFPW/x++bwo='),
	('witness', '— witness.example foHyMQAAAABkGFDLlTPD99k7fZkTGGtTA8dR4/eHSTXRlD4OmMGhfK51pYylrHWWSmUgomv+LkTp6z23+4odaMSAjExLMGtZhOFbDQ=='),
	('witness of another', '— witness.example foHyMQAAAABkGFDLQsp9ZXzS/TqoHATx9+sGuPzMSmur14V2ZmRQX3avPrhNU1ZNlEd7+hUdoCAnzb7Ya1P38Dbs3tmO8BmawTSPCw=='),
	('unknown', '— somebody 00000000ABCD');

CREATE FUNCTION pg_temp.lines(VARIADIC names text[]) RETURNS text
BEGIN ATOMIC
	SELECT string_agg(line || E'\n', '' ORDER BY no)
	FROM unnest(names) WITH ORDINALITY AS n (name, no) JOIN sample USING (name);
END;
CREATE FUNCTION pg_temp.body(OUT text)
RETURN E'If you think cryptography is the answer to your problem,\nthen you don''t know what your problem is.\n';
CREATE FUNCTION pg_temp.checkpoint(size text DEFAULT '20852163',
	root text DEFAULT 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', rest text DEFAULT '') RETURNS text
RETURN E'example.com/log\n' || size || E'\n' || root || E'\n' || rest;

-- What is wrong with a note, by the error that it raises.
CREATE FUNCTION pg_temp.fault(note text, VARIADIC keys text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.read_note(note, keys) ->> 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || SQLERRM || '; ' || detail;
END $$;

SELECT jsonb_pretty(uaef.read_note(pg_temp.body() || E'\n' || pg_temp.lines('peter', 'enoch')));
SELECT jsonb_path_query(uaef.read_note(pg_temp.body() || E'\n' || pg_temp.lines('peter', 'enoch'),
									   ARRAY[:'enoch', :'peter']), '$.signatures[*]');
SELECT jsonb_pretty(uaef.read_note(pg_temp.checkpoint() || E'\n' || pg_temp.lines('log', 'unknown', 'witness'),
								   ARRAY[:'log', :'witness']));

-- A key of the same name with another id says nothing.
SELECT uaef.read_note(pg_temp.body() || E'\n' || pg_temp.lines('peter'), ARRAY[:'other'])->'signatures';

-- More than 16 signatures, most of them by keys that nobody knows.
SELECT count(*), count(*) FILTER (WHERE (s->>'verified')::bool) AS verified
FROM jsonb_array_elements(uaef.read_note(pg_temp.checkpoint() || E'\n' || repeat(pg_temp.lines('unknown'), 98)
	|| pg_temp.lines('log', 'witness'), ARRAY[:'log', :'witness'])->'signatures') AS s;

-- The text may have empty lines; extensions of a checkpoint may not.
SELECT uaef.read_note(E'a\n\nb\n\n' || pg_temp.lines('unknown'))->>'text' AS text;
SELECT uaef.read_note(pg_temp.checkpoint(rest => E'one\ntwo\n') || E'\n' || pg_temp.lines('unknown'))->'checkpoint'->'extensions' AS extensions;
SELECT uaef.read_note(pg_temp.checkpoint(rest => E'one\n\ntwo\n') || E'\n' || pg_temp.lines('unknown')) ? 'checkpoint' AS checkpoint;

-- Every way to be no note.
SELECT what, pg_temp.fault(note) AS fault
FROM (VALUES
	(1, 'empty', ''),
	(2, 'no newline at the end', pg_temp.body() || E'\n' || rtrim(pg_temp.lines('peter'), E'\n')),
	(3, 'no signature', pg_temp.body()),
	(4, 'nothing after the empty line', pg_temp.body() || E'\n'),
	(5, 'an empty line after the signatures', pg_temp.body() || E'\n' || pg_temp.lines('peter') || E'\n'),
	(6, 'no empty line', pg_temp.body() || pg_temp.lines('peter')),
	(7, 'a tab', E'a\tb\n\n' || pg_temp.lines('peter')),
	(8, 'a carriage return in a signature', E'a\n\n' || rtrim(pg_temp.lines('peter'), E'\n') || E'\r\n'),
	(9, '64 KB and a byte', repeat('x', 65536 - 20) || E'\n\n' || pg_temp.lines('unknown')),
	(10, '101 signatures', E'a\n\n' || repeat(pg_temp.lines('unknown'), 101)),
	(11, 'a hyphen for a dash', E'a\n\n' || pg_temp.lines('unknown') || E'- somebody 00000000ABCD\n'),
	(12, 'no space after the dash', E'a\n\n—somebody 00000000ABCD\n'),
	(13, 'no name', E'a\n\n—  00000000ABCD\n'),
	(14, 'a plus in the name', E'a\n\n— some+body 00000000ABCD\n'),
	(15, 'a no-break space in the name', E'a\n\n— some\u00a0body 00000000ABCD\n'),
	(16, 'no signature after the name', E'a\n\n— somebody\n'),
	(17, 'two spaces', E'a\n\n— somebody  00000000ABCD\n'),
	(18, 'something after it', E'a\n\n— somebody 00000000ABCD x\n'),
	(19, 'no base64', E'a\n\n— somebody 0000000*ABCD\n'),
	(20, 'no padding', E'a\n\n— somebody 00000000ABC\n'),
	(21, 'stray bits', E'a\n\n— somebody 00000000AAAAAAAB==\n'),
	(22, 'a key id alone', E'a\n\n— somebody AAAAAA==\n')
) AS v (no, what, note) ORDER BY no;

-- A key that is known, and a signature that is not its own.
SELECT what, pg_temp.fault(note, :'peter', :'log', :'witness') AS fault
FROM (VALUES
	(1, 'another text', 'x' || pg_temp.body() || E'\n' || pg_temp.lines('unknown', 'peter')),
	(2, 'another size', pg_temp.checkpoint(size => '20852164') || E'\n' || pg_temp.lines('log')),
	(3, 'a cosignature of another text', pg_temp.checkpoint() || E'\n' || pg_temp.lines('log', 'witness of another')),
	(4, 'another time', pg_temp.checkpoint() || E'\n' || replace(pg_temp.lines('witness'), 'BkGFDL', 'BkGFDM')),
	(5, 'cut short', pg_temp.body() || E'\n' || replace(pg_temp.lines('peter'), 'RyyBwJnAM=', 'Q=')),
	(6, 'the second time', pg_temp.body() || E'\n' || pg_temp.lines('peter') || replace(pg_temp.lines('peter'), 'x08go/Z', 'x08go/A'))
) AS v (no, what, note) ORDER BY no;

-- What is a note, but no checkpoint.
SELECT what, uaef.read_note(text || E'\n' || pg_temp.lines('unknown')) ? 'checkpoint' AS checkpoint
FROM (VALUES
	(0, 'sound', pg_temp.checkpoint()),
	(0, 'an empty tree', pg_temp.checkpoint(size => '0')),
	(0, 'the largest', pg_temp.checkpoint(size => '9223372036854775807')),
	(1, 'one larger', pg_temp.checkpoint(size => '9223372036854775808')),
	(2, 'leading zero', pg_temp.checkpoint(size => '01')),
	(3, 'negative', pg_temp.checkpoint(size => '-1')),
	(4, 'a space', pg_temp.checkpoint(size => '1 ')),
	(5, 'no size', pg_temp.checkpoint(size => '')),
	(6, '31 bytes', pg_temp.checkpoint(root => encode(decode(repeat('00', 31), 'hex'), 'base64'))),
	(7, '33 bytes', pg_temp.checkpoint(root => encode(decode(repeat('00', 33), 'hex'), 'base64'))),
	(8, 'two lines', E'example.com/log\n1\n'),
	(9, 'no origin', E'\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n')
) AS v (no, what, text) ORDER BY no, what;

-- Keys.
SELECT what, pg_temp.fault(pg_temp.body() || E'\n' || pg_temp.lines('peter'), key) AS fault
FROM (VALUES
	(1, 'null', NULL),
	(2, 'empty', ''),
	(3, 'a private key', 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'),
	(4, 'no name', replace(:'peter', 'PeterNeumann', '')),
	(5, 'another name', replace(:'peter', 'Neumann', 'Newman')),
	(6, 'a space in its name', replace(:'peter', 'Neumann', ' Neumann')),
	(7, 'capitals in its hash', replace(:'peter', 'c74f20a3', 'C74F20A3')),
	(8, 'a short hash', replace(:'peter', 'c74f20a3', 'c74f20a')),
	(9, 'another hash', replace(:'peter', 'c74f20a3', 'c74f20a4')),
	(10, 'no base64', replace(:'peter', 'ARpc', '.Rpc')),
	(11, 'too short', replace(:'peter', 'ARpc', '')),
	(12, 'another kind', replace(:'peter', 'ARpc', 'AhpZ'))
) AS v (no, what, key) ORDER BY no;

-- Only a role with an access may ask.
SELECT proname, proacl FROM pg_proc WHERE proname = 'read_note' AND proacl::text LIKE '%{=%';
