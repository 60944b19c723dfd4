--
-- Conditions: compiled when they are made, never quietly true or false.
--
CREATE FUNCTION pg_temp.try(condition jsonb, data jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.evaluate_condition(condition, data);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

CREATE TEMP TABLE doc AS SELECT '{
	"n": 5, "big": 9007199254740993.01, "neg": -1.50, "s": "9", "name": "Ada",
	"t": true, "f": false, "nil": null, "empty": [], "obj": {"a": 1},
	"list": [1, 2, 3], "tags": ["a", "b"], "mixed": [1, "a"],
	"items": [{"sku": "x", "qty": 1}, {"sku": "y", "qty": 9}],
	"a": {"b": {"c": 7}}, "weird key": {"x-y": 1}
}'::jsonb AS data;

-- The faults of the system that this one replaces.  An unknown operator was
-- passed over, so the condition was true:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"n": {"$gtee": 5}}',
	'{"n": {"$foo": 1, "$gte": 5}}',
	'{"n": {"$gte": 5, "note": 1}}',
	'{"$foo": [{"n": 5}]}',
	'{}',
	'{"n": {}}',
	'{"$and": []}',
	'{"$or": [{}]}',
	'{"$and": [{"n": 5}, {"$or": [{"n": {"$gt": 1}}, {"n": {"$like": "x"}}]}]}'
]) c;

-- "9" > 5 was an error that lost the settlement; true was 1:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"s": {"$gt": 5}}',
	'{"n": {"$gt": "4"}}',
	'{"t": 1}',
	'{"t": {"$eq": 1}}',
	'{"t": {"$in": [1, 2]}}',
	'{"n": {"$ne": "5"}}',
	'{"n": {"$nin": ["5"]}}',
	'{"t": {"$gt": 0}}',
	'{"obj": []}',
	'{"list": 1}'
]) c;

-- A missing field is never true and never false:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"nope": {"$lt": 100}}',
	'{"nope": {"$ne": 5}}',
	'{"nope": null}',
	'{"nope": {"$nin": [1]}}',
	'{"nope": {"$not": {"$eq": 1}}}',
	'{"$nor": [{"nope": 1}]}',
	'{"n.below": 1}',
	'{"list[3]": 1}',
	'{"nope": {"$type": "null"}}',
	'{"nope": {"$exists": false}}',
	'{"n": {"$exists": false}}',
	'{"nil": {"$exists": true}}',
	'{"nope": {"$gt": 5, "$exists": true}}',
	'{"n": {"$gt": 4, "$exists": true}}',
	'{"nope": {"$not": {"$exists": true, "$gt": 5}}}',
	'{"nope": {"$exists": false, "$gt": 5}}'
]) c;

-- null equals null only:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"nil": null}',
	'{"n": null}',
	'{"nil": {"$ne": 5}}',
	'{"nil": {"$in": [1, null]}}',
	'{"nil": {"$nin": [1]}}',
	'{"nil": {"$gt": 0}}',
	'{"nil": {"$lte": 0}}',
	'{"nil": {"$regex": "."}}',
	'{"nil": {"$type": ["null", "number"]}}'
]) c;

-- Numbers are exact:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"big": {"$gt": 9007199254740993}}',
	'{"big": 9007199254740993.010}',
	'{"big": {"$lt": 9007199254740993.02}}',
	'{"neg": {"$between": [-1.5, -1.5]}}',
	'{"n": {"$gte": 5.0, "$lte": 5.00}}',
	'{"n": {"$gt": 5}}'
]) c;

-- Every operator:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"n": 5, "name": "Ada", "t": true}',
	'{"n": 5, "name": "Bob"}',
	'{"a.b.c": {"$in": [7, 8]}}',
	'{"a.b.c": {"$nin": [7, 8]}}',
	'{"name": {"$gt": "Aa", "$lt": "B"}}',
	'{"name": {"$between": ["Ada", "Adb"]}}',
	'{"name": {"$regex": "^A.a$"}}',
	'{"name": {"$regex": "^a"}}',
	'{"name": {"$regex": "(?i)^a"}}',
	'{"obj": {"$eq": {"a": 1.0}}}',
	'{"obj": {"a": 2}}',
	'{"list": [1, 2, 3]}',
	'{"n": {"$type": "number"}, "name": {"$type": ["null", "string"]}}',
	'{"list": {"$size": 3}, "empty": {"$size": 0}}',
	'{"list": {"$size": {"$gt": 3}}}',
	'{"list": {"$all": [3, 1]}}',
	'{"list": {"$all": [3, 4]}}',
	'{"mixed": {"$all": [1]}}',
	'{"n": {"$not": {"$gt": 5}}}',
	'{"$not": {"n": 5}}',
	'{"$or": [{"n": 6}, {"name": "Ada"}]}',
	'{"$nor": [{"n": 6}, {"name": "Bob"}]}',
	'{"$and": [{"n": 5}, {"n": {"$lt": 6}}]}',
	'{"items": {"$elemMatch": {"sku": "y", "qty": {"$gt": 5}}}}',
	'{"items": {"$elemMatch": {"sku": "x", "qty": {"$gt": 5}}}}',
	'{"list": {"$elemMatch": {"$gt": 2, "$lt": 4}}}',
	'{"empty": {"$elemMatch": {"$gt": 2}}}',
	'{"items": {"$elemMatch": {"$or": [{"qty": 9}, {"qty": 8}]}}}',
	'{"items": {"$elemMatch": {"price": 1}}}',
	'{"mixed": {"$elemMatch": {"$gt": 1}}}',
	'{"items[1].qty": 9}',
	'{"\"weird key\".x-y": 1}'
]) c;

-- $jsonpath: strict, and without an answer it is an error:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"$jsonpath": "strict $.a.b.c > 6 && $.n < 6"}',
	'{"a": {"$jsonpath": "strict $.b.c > 7"}}',
	'{"a": {"$jsonpath": "strict $.nope < 100"}}',
	'{"a": {"$jsonpath": "strict $.b.c / 0 > 1"}}',
	'{"a": {"$jsonpath": "strict $.b.c"}}',
	'{"a": {"$jsonpath": "$.b.c > 6"}}',
	'{"a": {"$jsonpath": "strict $.b.c >"}}'
]) c;

-- $or stops at what is true, $and at what is false, left to right:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'{"$or": [{"n": 5}, {"nope": 1}]}',
	'{"$or": [{"nope": 1}, {"n": 5}]}',
	'{"$and": [{"n": 6}, {"nope": 1}]}',
	'{"$and": [{"nope": 1}, {"n": 6}]}'
]) c;

-- Operands are checked when a condition is compiled:
SELECT c AS condition, pg_temp.try(c::jsonb, data) AS result
FROM doc, unnest(ARRAY[
	'5',
	'[{"n": 5}]',
	'{"n": {"$gt": true}}',
	'{"n": {"$gt": null}}',
	'{"n": {"$in": 5}}',
	'{"n": {"$in": []}}',
	'{"n": {"$in": [1, "1"]}}',
	'{"n": {"$exists": 1}}',
	'{"n": {"$type": "integer"}}',
	'{"n": {"$type": []}}',
	'{"n": {"$between": [5]}}',
	'{"n": {"$between": [5, "6"]}}',
	'{"n": {"$between": [6, 5]}}',
	'{"name": {"$regex": 5}}',
	'{"name": {"$regex": "("}}',
	'{"name": {"$regex": "(a)\\1"}}',
	'{"list": {"$size": "3"}}',
	'{"list": {"$elemMatch": 5}}',
	'{"list": {"$elemMatch": {}}}',
	'{"n": {"$not": 5}}',
	'{"$or": {"n": 5}}',
	'{"$and": [5]}',
	'{"a..b": 1}',
	'{"a.b[": 1}',
	'{"a[-1]": 1}',
	'{"9a": 1}',
	'{"": 1}',
	'{"a/b~c": 1}'
]) c;

-- Too long, too deep, too many:
SELECT pg_temp.try(jsonb_build_object('name', jsonb_build_object('$regex', repeat('a', 1001))), data) FROM doc;
SELECT left(pg_temp.try((repeat('{"$not":', 70) || '{"n":5}' || repeat('}', 70))::jsonb, data), 40) FROM doc;
SELECT regexp_replace(pg_temp.try((repeat('{"$not":', 70) || '{"n":5}' || repeat('}', 70))::jsonb, data), '^.*\|', '') FROM doc;
SELECT pg_temp.try((SELECT jsonb_build_object('$and', jsonb_agg('{"n": 5}'::jsonb)) FROM generate_series(1, 1001)), data) FROM doc;
SELECT pg_temp.try((SELECT jsonb_build_object('n', jsonb_build_object('$in', jsonb_agg(i))) FROM generate_series(1, 10001) i), data) FROM doc;

-- One evaluation is bounded, whatever the data is.
SELECT pg_temp.try('{"l": {"$elemMatch": {"$elemMatch": {"$lt": 0}}}}',
	(SELECT jsonb_build_object('l', jsonb_agg(l)) FROM
		(SELECT jsonb_agg(1) AS l FROM generate_series(1, 1001)) x, generate_series(1, 1000)));

-- A call site keeps its program only for the same condition.
SELECT c, uaef.evaluate_condition(c, '{"n": 5}')
FROM (VALUES ('{"n": 5}'::jsonb), ('{"n": 6}'), ('{"n": 5}'), ('{"n": {"$lt": 9}}')) v(c);

-- Nothing in, nothing out.
SELECT uaef.evaluate_condition(NULL, '{}') IS NULL AS no_condition,
	   uaef.evaluate_condition('{"n": 1}', NULL) IS NULL AS no_data;

DROP TABLE doc;
