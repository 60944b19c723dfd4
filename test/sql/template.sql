--
-- Templates: {{path}} in the strings of JSON documents.
--
CREATE FUNCTION pg_temp.try(template jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.fill_template(template, '{
		"in": {"n": 1.50, "s": "text", "t": true, "nil": null, "l": [1, "b"],
			   "o": {"k": "v"}, "q\"k": 2, "e}}": 3},
		"task": {"a-b": {"x": 7}}, "quote": "say \"hi\" {{in.n}}"}');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

-- A string that is exactly a path becomes the value, with its type.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'"{{in.n}}"', '"{{ in.s }}"', '"{{in.t}}"', '"{{in.nil}}"', '"{{in.l}}"',
	'"{{in.l[1]}}"', '"{{in.o}}"', '"{{in}}"', '"{{task.a-b.x}}"',
	'"{{in.\"q\"\"k\"}}"', '"{{in.\"e}}\"}}"'
]) t;

-- Within a longer string it becomes text.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'"n={{in.n}} s={{in.s}} t={{in.t}} nil={{in.nil}}"',
	'"{{in.n}}{{in.s}}"', '" {{in.n}}"', '"l={{in.l}} o={{in.o}}"'
]) t;

-- What is filled in is not looked at again.
SELECT pg_temp.try('"{{quote}}"'), pg_temp.try('"<{{quote}}>"');

-- Four braces are two; without braces a string is itself.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'"{{{{in.n}}"', '"{{{{"', '"{{{{{{in.n}}"', '"{ {in.n} }"', '"}}"', '""',
	'"{in.n}"'
]) t;

-- Documents keep their shape.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'{"a": ["{{in.n}}", {"b": "{{in.l}}"}], "c": {}, "d": [], "e": null}',
	'[[], [["{{in.s}}"]], {"x": {"y": 1}}]', '{}', '[]', '7', 'null', '{"a": {"b": [1, 2.50]}}'
]) t;

-- A missing path is a failure, never an empty string.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'"{{in.nope}}"', '"x{{in.nope}}"', '{"a": {"b": ["{{in.s.x}}"]}}',
	'"{{in.l[2]}}"'
]) t;

-- What is wrong with a template is found when it is compiled.
SELECT t, pg_temp.try(t::jsonb) FROM unnest(ARRAY[
	'"{{}}"', '"{{in.}}"', '"{{in..n}}"', '"{{in.n"', '"x {{in.n} y"',
	'"{{in n}}"', '"{{in[x]}}"', '"{{in.\"x}}"', '{"{{in.s}}": 1}', '"{{.n}}"',
	'"{{in[123456789012]}}"'
]) t;
SELECT left(pg_temp.try(to_jsonb('{{' || repeat('a', 1001) || '}}')), 30);
SELECT regexp_replace(pg_temp.try(to_jsonb('{{a' || repeat('.a', 64) || '}}')), '^.*\|', '');

SELECT uaef.fill_template(NULL, '{}') IS NULL AS nothing;
