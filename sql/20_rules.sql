------------------------------------------------------------------------
-- Rules: conditions, templates, amounts, splits.  All pure.
------------------------------------------------------------------------

--
-- evaluate_condition()
--
CREATE FUNCTION uaef.evaluate_condition(condition jsonb, data jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_evaluate_condition'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.evaluate_condition(jsonb, jsonb) IS
	'whether a condition holds for a document; an error when the document does not answer it';
REVOKE ALL ON FUNCTION uaef.evaluate_condition(jsonb, jsonb) FROM PUBLIC;

--
-- fill_template()
--
CREATE FUNCTION uaef.fill_template(template jsonb, data jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_fill_template'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.fill_template(jsonb, jsonb) IS
	'a template with each {{path}} replaced by its value in a document';
REVOKE ALL ON FUNCTION uaef.fill_template(jsonb, jsonb) FROM PUBLIC;
