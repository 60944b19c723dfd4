--
-- The extension that every other test uses.
--
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;

-- Tests drop the tables of their workflows; only the one of DDL wants to hear of it.
ALTER DATABASE :"DBNAME" SET uaef.ddl_check = off;
