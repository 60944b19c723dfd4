# A server of test/servers that is told to misbehave by a file: it runs until
# the test ends.
package FaultServer;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils ();

my @running;

# start(NAME, ARGUMENT...): runs test/servers/NAME.py FOLDER ARGUMENT...
sub start
{
	my ($class, $name, @arguments) = @_;
	my $self = bless {
		program => "$ENV{TESTDIR}/test/servers/$name.py",
		folder => PostgreSQL::Test::Utils::tempdir,
		arguments => \@arguments
	}, $class;

	$self->run;
	push @running, $self;
	return $self;
}

# Start it, or start it again on its port.
sub run
{
	my ($self) = @_;
	my @port = $self->{port} // ();

	$self->{output} = $self->{input} = '';
	$self->{process} = IPC::Run::start(
		[ 'python3', $self->{program}, $self->{folder}, @{ $self->{arguments} }, @port ],
		'<' => \$self->{input},
		'>' => \$self->{output},
		IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	$self->{process}->pump until $self->{output} =~ /^port (\d+)\n/m;
	$self->{port} = $1;
	return;
}

sub folder { return $_[0]->{folder}; }

sub port { return $_[0]->{port}; }

sub url { return "http://127.0.0.1:$_[0]->{port}"; }

# What it said of itself when it started: "vkey".
sub said
{
	my ($self, $word) = @_;

	return $self->{output} =~ /^$word (.*)\n/m ? $1 : die "no $word";
}

# Write a file that it reads; without a text, take it away.
sub put
{
	my ($self, $file, $text) = @_;
	my $path = "$self->{folder}/$file";

	unlink $path;
	PostgreSQL::Test::Utils::append_to_file($path, $text) if defined $text;
	return;
}

sub get
{
	my ($self, $file) = @_;

	return PostgreSQL::Test::Utils::slurp_file("$self->{folder}/$file");
}

sub stop
{
	my ($self) = @_;

	$self->{process}->kill_kill if $self->{process};
	delete $self->{process};
	return;
}

# The status with which the test ends is not that of a server.
END { local $?; $_->stop foreach @running; }

1;
