------------------------------------------------------------------------
-- Rules: conditions, templates, schemas, amounts, splits.  All pure.
--
-- C functions that are immutable look no name up, so none of these pins its
-- search_path: the pin costs several times what they do themselves.
------------------------------------------------------------------------

--
-- evaluate_condition()
--
CREATE FUNCTION uaef.evaluate_condition(condition jsonb, data jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_evaluate_condition'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.evaluate_condition(jsonb, jsonb) IS
	'whether a condition holds for a document; an error when the document does not answer it';
REVOKE ALL ON FUNCTION uaef.evaluate_condition(jsonb, jsonb) FROM PUBLIC;

--
-- fill_template()
--
CREATE FUNCTION uaef.fill_template(template jsonb, data jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_fill_template'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.fill_template(jsonb, jsonb) IS
	'a template with each {{path}} replaced by its value in a document';
REVOKE ALL ON FUNCTION uaef.fill_template(jsonb, jsonb) FROM PUBLIC;

--
-- json_matches()
--
CREATE FUNCTION uaef.json_matches(schema jsonb, value jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_json_matches'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.json_matches(jsonb, jsonb) IS
	'whether a value is what a JSON Schema (draft 2020-12) asks for; UA230 when the schema is invalid';
REVOKE ALL ON FUNCTION uaef.json_matches(jsonb, jsonb) FROM PUBLIC;

--
-- validate_json()
--
CREATE FUNCTION uaef.validate_json(
	schema jsonb,
	value jsonb)
RETURNS TABLE (path text, keyword text, message text)
AS 'MODULE_PATHNAME', 'uaef_validate_json'
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION uaef.validate_json(jsonb, jsonb) IS
	'what is wrong with a value by a JSON Schema (draft 2020-12): JSON pointer, keyword and message, at most 1000; no row when it fits; raises 22004 for null, which is no value';
REVOKE ALL ON FUNCTION uaef.validate_json(jsonb, jsonb) FROM PUBLIC;

--
-- evaluate_amount()
--
CREATE FUNCTION uaef.evaluate_amount(
	expression text,
	data jsonb,
	rounding text DEFAULT 'half_even',
	OUT amount numeric,
	OUT currency text)
AS 'MODULE_PATHNAME', 'uaef_evaluate_amount'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.evaluate_amount(text, jsonb, text) IS
	'the amount of an expression on a document, rounded once to the currency''s minor unit';
REVOKE ALL ON FUNCTION uaef.evaluate_amount(text, jsonb, text) FROM PUBLIC;

--
-- evaluate_tiers()
--
CREATE FUNCTION uaef.evaluate_tiers(
	tiers jsonb,
	currency text,
	data jsonb,
	rounding text DEFAULT 'half_even')
RETURNS numeric
AS 'MODULE_PATHNAME', 'uaef_evaluate_tiers'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.evaluate_tiers(jsonb, text, jsonb, text) IS
	'the amount of a tier table on a document, rounded once to the currency''s minor unit';
REVOKE ALL ON FUNCTION uaef.evaluate_tiers(jsonb, text, jsonb, text) FROM PUBLIC;

--
-- evaluate_table()
--
CREATE FUNCTION uaef.evaluate_table(
	decision_table jsonb,
	currency text,
	data jsonb,
	rounding text DEFAULT 'half_even')
RETURNS numeric
AS 'MODULE_PATHNAME', 'uaef_evaluate_table'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.evaluate_table(jsonb, text, jsonb, text) IS
	'the amount of a decision table on a document, rounded once to the currency''s minor unit; UA214: no row matches, UA215: rows conflict';
REVOKE ALL ON FUNCTION uaef.evaluate_table(jsonb, text, jsonb, text) FROM PUBLIC;

--
-- explain_condition(), explain_amount()
--
CREATE FUNCTION uaef.explain_condition(condition jsonb, data jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_explain_condition'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.explain_condition(jsonb, jsonb) IS
	'what each clause of a condition says about a document, and the smallest change that would make it hold';
REVOKE ALL ON FUNCTION uaef.explain_condition(jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.explain_amount(
	expression text,
	data jsonb,
	rounding text DEFAULT 'half_even')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_explain_amount'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.explain_amount(text, jsonb, text) IS
	'what each part of an amount expression gives on a document, the exact amount and the rounded one, or the error';
REVOKE ALL ON FUNCTION uaef.explain_amount(text, jsonb, text) FROM PUBLIC;

--
-- allocate()
--
CREATE FUNCTION uaef.allocate(
	amount numeric,
	shares numeric[],
	currency text,
	remainder text DEFAULT 'largest')
RETURNS numeric[]
AS 'MODULE_PATHNAME', 'uaef_allocate_amount'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.allocate(numeric, numeric[], text, text) IS
	'an amount split by shares into parts of whole minor units that sum up to it';
REVOKE ALL ON FUNCTION uaef.allocate(numeric, numeric[], text, text) FROM PUBLIC;

--
-- currency_exponent()
--
CREATE FUNCTION uaef.currency_exponent(currency text)
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_currency_digits'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION uaef.currency_exponent(text) IS
	'digits after the point of a currency''s minor unit (ISO 4217)';
REVOKE ALL ON FUNCTION uaef.currency_exponent(text) FROM PUBLIC;
