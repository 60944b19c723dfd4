# test/servers/http_server.pl, for a test: it ends when the test does.
package HttpServer;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils ();

my @running;

# Returns a running server that logs its requests in a temporary file.
sub start
{
	my ($class) = @_;
	my $self = bless {
		log => PostgreSQL::Test::Utils::tempdir . '/requests',
		input => '',
		output => ''
	}, $class;

	PostgreSQL::Test::Utils::append_to_file($self->{log}, '');
	$self->{process} = IPC::Run::start(
		[ 'perl', "$ENV{TESTDIR}/test/servers/http_server.pl", $self->{log} ],
		'<' => \$self->{input},
		'>' => \$self->{output},
		IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	$self->{process}->pump until $self->{output} =~ /^port (\d+)\n/;
	$self->{port} = $1;
	push @running, $self;
	return $self;
}

sub port { return $_[0]->{port}; }

sub url { return "http://127.0.0.1:$_[0]->{port}"; }

# The idempotency keys that came with the requests of a path, in order.
sub keys_of
{
	my ($self, $path) = @_;

	my @requests = map { [split] }
	  split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{log});
	return map { $_->[2] } grep { $_->[0] eq $path } @requests;
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
