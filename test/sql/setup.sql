--
-- The extension that every other test uses.
--
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
