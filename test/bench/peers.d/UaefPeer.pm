# One peer in one database: a process of node that test/bench/peers drives, by the
# protocol that driver.js tells.
package UaefPeer;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use IPC::Open2 qw(open2);
use JSON::PP;

my $json = JSON::PP->new->canonical;
my $here = dirname(__FILE__);

# By name: the packages of npm, and what is needed of the sources.
my %peer = (
	'graphile-worker' => { packages => ['graphile-worker@0.17'] },
	'pg-boss'         => { packages => ['pg-boss@10'] },
	'dbos'            => { packages => ['@dbos-inc/dbos-sdk@5'] },
	'absurd'          => { packages => ['absurd-sdk@0.5'], sources => ['absurd/sql/absurd.sql'] },
	'pgflow'          => { packages => [], sources => [ 'pgflow/pkgs/core/schemas', 'pgmq/pgmq-extension/sql/pgmq.sql' ] });

sub names { return ('graphile-worker', 'pg-boss', 'dbos', 'absurd', 'pgflow'); }

# Why a peer cannot be here, or nothing; installs its packages into a directory.
sub missing
{
	my ($class, $name, $modules, $sources) = @_;

	return 'there is no node' if system('node --version >/dev/null 2>&1') != 0;
	for my $file (@{ $peer{$name}{sources} || [] })
	{
		return "its sources are not there: --sources DIR, with DIR/$file" if !defined $sources || !-e "$sources/$file";
	}
	return _install($modules, 'pg@8', @{ $peer{$name}{packages} });
}

# Install what of some packages is not there yet.
sub _install
{
	my ($modules, @packages) = @_;
	my @absent = grep { !-e "$modules/node_modules/" . s/(?<=.)\@[^\@]*$//r } @packages;

	return if !@absent;
	make_path($modules, { mode => 0700 });
	return "$modules belongs to somebody else" if !-o $modules;
	if (!-e "$modules/package.json")
	{
		open my $file, '>', "$modules/package.json" or return "could not write to $modules: $!";
		print $file "{\"private\": true}\n";
		close $file or return "could not write to $modules: $!";
	}
	system('npm', 'install', '--silent', '--no-audit', '--no-fund', '--fetch-retries=1', '--prefix', $modules, @absent) == 0
	  or return 'npm could not install ' . join(' ', @absent);
	return;
}

# Start a peer in a database of a cluster.
sub open
{
	my ($class, $cluster, $name, $modules, $sources) = @_;
	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($cluster->dir, 5432, 'postgres', $cluster->database);
	my $pid = open2(my $out, my $in, 'node', "$here/driver.js", $name, $modules, $sources // '');
	my $self = bless { name => $name, pid => $pid, in => $in, out => $out }, $class;

	$in->autoflush(1);
	my $hello = $self->_answer;
	$self->{version} = $hello->{version};
	$self->{can} = { map { $_ => 1 } @{ $hello->{workloads} } };
	return $self;
}

sub _answer
{
	my ($self) = @_;
	my $line = readline $self->{out};
	my $answer = defined $line ? $json->decode($line) : { error => 'it ended' };

	die "$self->{name}: $answer->{error}\n" if $answer->{error};
	return $answer;
}

sub _ask
{
	my ($self, %command) = @_;

	print { $self->{in} } $json->encode(\%command), "\n";
	return $self->_answer;
}

sub version { my ($self) = @_; return $self->{version}; }

sub can_do { my ($self, $workload) = @_; return $self->{can}{$workload} || $workload eq 'idle'; }

sub prepare { my ($self, $workload, $n) = @_; return $self->_ask(do => 'prepare', workload => $workload, n => $n + 0); }

sub run { my ($self, $workload, $n) = @_; return $self->_ask(do => 'run', workload => $workload, n => $n + 0); }

# How many tasks are done since prepare, as the peer's own tables tell.
sub tasks { my ($self, $workload) = @_; return $self->_ask(do => 'check', workload => $workload)->{tasks}; }

sub start_sql { my ($self) = @_; return $self->_ask(do => 'start')->{sql}; }

# Peers keep no ledger, so there is nothing that could be found.
sub problems { return; }

sub end
{
	my ($self) = @_;

	return if !$self->{pid};
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } $json->encode({ do => 'end' }), "\n";
	close $self->{in};
	close $self->{out};
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;

	return if !$self->{pid};
	local ($?, $@, $!);
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

1;
