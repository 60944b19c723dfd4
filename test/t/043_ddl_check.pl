# What DDL breaks is known after a dump and restore too, and finding it out
# waits for nobody.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'uaef'
uaef.start_workers = off
CONF
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;

# What a command says, beside its result.
sub said
{
	my ($db, $sql) = @_;
	my ($status, $out, $err) = $node->psql($db, $sql);
	return $err;
}

$node->safe_psql('postgres', 'CREATE DATABASE a');
$node->safe_psql('postgres', 'CREATE DATABASE b');
$node->safe_psql('a', <<'SQL');
CREATE EXTENSION uaef CASCADE;
CREATE TABLE orders (id int, amount numeric);
CREATE TABLE other (id int);
CREATE FUNCTION fee(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT $1';
SELECT uaef.create_workflow('pay', uaef.workflow('t', uaef.sql_task('t', 'SELECT fee(amount) AS fee FROM orders, other')));
SQL
like(said('a', 'BEGIN; DROP FUNCTION fee; ROLLBACK'),
	qr/WARNING:  this command breaks workflow "pay", version 1/, 'before the dump');

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/a", '-d', $node->connstr('a') ], 'dump');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('b'), "$dir/a" ], 'restore');
is($node->safe_psql('b', 'SELECT count(*) FROM uaef.workflow_definition'), '1', 'the workflow is there');
like(said('b', 'BEGIN; DROP FUNCTION fee; ROLLBACK'),
	qr/WARNING:  this command breaks workflow "pay", version 1/, 'after the restore');
unlike(said('b', 'ALTER TABLE orders ADD COLUMN more int'), qr/WARNING/, 'a harmless change');

# A table that somebody holds: the command is not kept waiting for long.
my $holder = $node->background_psql('b', on_error_stop => 0)
  if PostgreSQL::Test::Cluster->can('background_psql');
SKIP:
{
	skip 'no background session', 2 if !$holder || !$holder->can('query');
	$holder->query('BEGIN; LOCK TABLE other');
	my $err = said('b', "SET statement_timeout = '30s'; ALTER TABLE orders ADD COLUMN again int");
	unlike($err, qr/ERROR|WARNING/, 'what cannot be found out is not told');
	is($node->safe_psql('b', "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'again'"),
		'1', 'and the command is done');
	$holder->query('ROLLBACK');
	$holder->quit;
}

# Off: the extension goes and comes without a word.
like(said('b', "SET uaef.ddl_check = error; DROP TABLE orders"),
	qr/ERROR:  this command breaks 1 workflow/, 'an error if that is wanted');
unlike(said('b', 'DROP EXTENSION uaef'), qr/WARNING|ERROR/, 'the extension can be dropped');
unlike(said('b', 'DROP TABLE orders'), qr/WARNING|ERROR/, 'and then nobody asks');

$node->stop;
done_testing();
