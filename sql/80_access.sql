------------------------------------------------------------------------
-- Access: who may call what (src/access.c)
------------------------------------------------------------------------

-- Rights alone do not tell which access gave them, and accesses overlap.
CREATE TABLE uaef.access_grant (
	role			regrole,
	access			text,
	PRIMARY KEY (role, access)
);
COMMENT ON TABLE uaef.access_grant IS
	'which role was given which access; the rights themselves are ordinary grants';
REVOKE ALL ON uaef.access_grant FROM PUBLIC;
-- A role that is gone would come back as whoever has its number.
SELECT pg_catalog.pg_extension_config_dump('uaef.access_grant',
	'WHERE role IN (SELECT oid FROM pg_catalog.pg_roles)');

--
-- grant_access()
--
CREATE FUNCTION uaef.grant_access(role regrole, access text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_grant_access'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.grant_access(regrole, text) IS
	'let a role act as viewer, author, operator, approver, worker, auditor or admin; give it again after an update that brings new functions';

REVOKE ALL ON FUNCTION uaef.grant_access(regrole, text) FROM PUBLIC;

--
-- revoke_access()
--
CREATE FUNCTION uaef.revoke_access(role regrole, access text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_revoke_access'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.revoke_access(regrole, text) IS
	'take away an access that grant_access() gave, except for what the role''s other accesses give';

REVOKE ALL ON FUNCTION uaef.revoke_access(regrole, text) FROM PUBLIC;

--
-- list_access()
--
CREATE FUNCTION uaef.list_access()
RETURNS TABLE (access text, privilege text, object text)
AS 'MODULE_PATHNAME', 'uaef_list_access'
LANGUAGE C STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.list_access() IS
	'list what each access gives: privileges on the functions and views of this schema';

REVOKE ALL ON FUNCTION uaef.list_access() FROM PUBLIC;
