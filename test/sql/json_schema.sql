--
-- JSON Schema: draft 2020-12 within one document.  What is wrong with a schema
-- is an error that names the place; what is wrong with a value is told by path.
--
CREATE FUNCTION pg_temp.try(schema jsonb, value jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	IF uaef.json_matches(schema, value) THEN
		RETURN 'fits';
	END IF;
	RETURN (SELECT string_agg(format('"%s" %s (%s)', path, message, keyword), '; ')
			FROM uaef.validate_json(schema, value));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

-- each keyword, with a value that fits and one that does not
SELECT s AS schema, v AS value, pg_temp.try(s::jsonb, v::jsonb) AS result
FROM (VALUES
	('true', '1'), ('false', '1'), ('{}', '1'),
	('{"type": "integer"}', '1.0'), ('{"type": "integer"}', '1.5'),
	('{"type": ["string", "null"]}', 'null'), ('{"type": ["string", "null"]}', '[]'),
	('{"enum": [1, "a", {"b": [1]}]}', '{"b": [1.0]}'), ('{"enum": [1, "a"]}', '"b"'), ('{"enum": []}', '1'),
	('{"const": null}', 'null'), ('{"const": false}', '0'),
	('{"minimum": 1.1}', '1.1'), ('{"minimum": 9007199254740993}', '9007199254740992'),
	('{"exclusiveMinimum": 1}', '1'), ('{"maximum": 1}', '2'), ('{"exclusiveMaximum": 1}', '1'),
	('{"multipleOf": 0.01}', '19.99'), ('{"multipleOf": 0.01}', '19.999'), ('{"multipleOf": 7}', '1e300'),
	('{"minLength": 2}', '"ü"'), ('{"maxLength": 1}', '"ü"'), ('{"maxLength": 1}', '5'),
	('{"pattern": "^a+$"}', '"aa"'), ('{"pattern": "^a+$"}', '"ab"'),
	('{"format": "date"}', '"2028-02-29"'), ('{"format": "date"}', '"2026-02-29"'),
	('{"format": "date-time"}', '"2026-01-31T23:59:60Z"'), ('{"format": "date-time"}', '"2026-01-31T23:58:60Z"'),
	('{"format": "date-time"}', '"2026-01-31 10:00:00Z"'), ('{"format": "date-time"}', '"2026-01-31T10:00:00.Z"'),
	('{"format": "time"}', '"10:00:00+01:00"'), ('{"format": "time"}', '"10:00:00"'),
	('{"format": "uuid"}', '"2eb8aa08-aa98-11ea-b4aa-73b441d16380"'), ('{"format": "uuid"}', '"2eb8aa08aa9811eab4aa73b441d16380"'),
	('{"format": "email"}', '"nobody checks"'),
	('{"items": {"type": "number"}}', '[1, "a", null]'),
	('{"prefixItems": [true, {"const": 2}], "items": false}', '[1, 2]'),
	('{"prefixItems": [true, {"const": 2}], "items": false}', '[1, 3, 4]'),
	('{"contains": {"const": 1}}', '[2]'), ('{"contains": {"const": 1}, "minContains": 0}', '[]'),
	('{"contains": {"const": 1}, "maxContains": 1}', '[1, 1]'), ('{"minContains": 2}', '[]'),
	('{"minItems": 1, "maxItems": 2}', '[]'), ('{"maxItems": 1}', '[1, 2]'),
	('{"uniqueItems": true}', '[1, "1", true, [1], {"a": 1}]'), ('{"uniqueItems": true}', '[{"a": [1]}, 2, {"a": [1.00]}]'),
	('{"properties": {"a/b": {"type": "string"}}}', '{"a/b": 1}'),
	('{"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": false}', '{"n_a": 1, "n_b": "x", "c": 1}'),
	('{"properties": {"a": true}, "additionalProperties": {"type": "null"}}', '{"a": 1, "b": 2}'),
	('{"propertyNames": {"maxLength": 2}}', '{"abc": 1}'),
	('{"required": ["a", "b"]}', '{"b": null}'), ('{"required": ["a"]}', '[]'),
	('{"dependentRequired": {"card": ["name"]}}', '{"card": 1}'), ('{"dependentRequired": {"card": ["name"]}}', '{}'),
	('{"dependentSchemas": {"card": {"required": ["name"]}}}', '{"card": 1}'),
	('{"minProperties": 1}', '{}'), ('{"maxProperties": 0}', '{"a": 1}'),
	('{"allOf": [{"minimum": 1}, {"maximum": 2}]}', '3'),
	('{"anyOf": [{"type": "string"}, {"minimum": 5}]}', '3'), ('{"anyOf": [{"type": "string"}, {"minimum": 5}]}', '5'),
	('{"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}', '6'), ('{"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}', '5'),
	('{"not": {"type": "null"}}', 'null'),
	('{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}', '{"a": 1}'),
	('{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}', '{}'),
	('{"$ref": "#/$defs/a%25~1b", "$defs": {"a%/b": {"type": "string"}}}', '1'),
	('{"$ref": "#name", "$defs": {"a": {"$anchor": "name", "type": "string"}}}', '1'),
	('{"$id": "https://example.com/s", "$ref": "https://example.com/s#/$defs/a", "$defs": {"a": false}}', '1'),
	('{"properties": {"next": {"$ref": "#"}}, "required": ["n"]}', '{"n": 1, "next": {"n": 2, "next": {}}}'),
	('{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}', '{"a": 1, "b": 2}'),
	('{"anyOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": true}}], "unevaluatedProperties": false}', '{"a": 2, "b": 2}'),
	('{"allOf": [{"prefixItems": [true]}], "contains": {"const": 9}, "unevaluatedItems": false}', '[1, 9, 2]'),
	('{"title": "x", "example": 1, "x-mine": {}, "unit": "kg"}', '1')
) AS c(s, v);

-- a schema that is wrong
SELECT s AS schema, pg_temp.try(s::jsonb, '1') AS result
FROM unnest(ARRAY[
	'1', '[]', '{"type": "int"}', '{"type": []}', '{"type": ["string", "string"]}',
	'{"minLength": -1}', '{"minLength": 1.5}', '{"maxItems": "2"}', '{"minimum": "1"}', '{"multipleOf": 0}',
	'{"pattern": "("}', '{"pattern": "(a)\\1"}', '{"patternProperties": {"[": true}}', '{"pattern": 1}',
	'{"required": "a"}', '{"required": ["a", "a"]}', '{"required": [1]}', '{"dependentRequired": {"a": "b"}}',
	'{"items": [true]}', '{"allOf": []}', '{"allOf": {}}', '{"properties": []}', '{"properties": {"a": {"not": 5}}}',
	'{"uniqueItems": 1}', '{"enum": 1}', '{"format": 1}',
	'{"$ref": "#/$defs/nobody"}', '{"$ref": "#nobody"}', '{"$ref": "https://example.com/other"}', '{"$ref": "#/%zz"}',
	'{"$ref": "#/$defs/a", "$defs": {"a": 1}}', '{"$ref": "#/enum", "enum": [1]}',
	'{"$ref": "#"}', '{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}',
	'{"properties": {"a": {"$id": "https://example.com/a"}}}', '{"$schema": "http://json-schema.org/draft-07/schema#"}',
	'{"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}', '{"$anchor": "9"}',
	'{"requierd": ["a"]}', '{"propertys": {}}', '{"minlength": 1}', '{"ref": "#"}', '{"additionalItems": true}', '{"dependencies": {}}'
]) AS s;

-- all failures, in order, and where they are
SELECT * FROM uaef.validate_json('{
	"type": "object",
	"required": ["customer", "lines"],
	"properties": {
		"customer": {"type": "string", "minLength": 1},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}
	},
	"$defs": {"line": {
		"type": "object", "required": ["sku", "price"], "additionalProperties": false,
		"properties": {"sku": {"pattern": "^[A-Z]{3}$"}, "price": {"minimum": 0, "multipleOf": 0.01}}
	}}
}', '{"customer": "", "lines": [{"sku": "ABC", "price": 1}, {"sku": "abc", "price": -0.001}, {"sku": "XYZ", "~a": 1}, 5]}');
SELECT count(*) FROM uaef.validate_json('{"items": false}', (SELECT jsonb_agg(g) FROM generate_series(1, 1200) g));
-- null is no value that fits
SELECT * FROM uaef.validate_json('{}', NULL);
SELECT * FROM uaef.validate_json(NULL, '1');

-- bounds: of depth, of parts, of work, of levels
SELECT pg_temp.try((repeat('{"not":', 80) || '{}' || repeat('}', 80))::jsonb, '1');
SELECT pg_temp.try((SELECT jsonb_build_object('allOf', jsonb_agg(true)) FROM generate_series(1, 5001)), '1');
SELECT pg_temp.try((SELECT jsonb_build_object('$ref', '#/$defs/1', '$defs', jsonb_object_agg(g,
	jsonb_build_object('allOf', jsonb_build_array(
		jsonb_build_object('$ref', '#/$defs/' || g + 1), jsonb_build_object('$ref', '#/$defs/' || g + 1))))
	|| '{"41": {}}') FROM generate_series(1, 40) g), '1');
SELECT pg_temp.try('{"items": {"$ref": "#"}}', (repeat('[', 1000) || repeat(']', 1000))::jsonb);
SELECT pg_temp.try('{"items": {"multipleOf": 7}}', (SELECT jsonb_agg(1e100000) FROM generate_series(1, 500)));

-- a pattern that makes others hang
SELECT pg_temp.try('{"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}', to_jsonb(repeat('a', 20000)));

-- compiled once for a query, anew for another schema
SELECT g, uaef.json_matches(jsonb_build_object('minimum', g), '2') FROM generate_series(1, 3) g;
