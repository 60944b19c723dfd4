# A node whose server may go down while it is asked.
package UaefNode;

use strict;
use warnings FATAL => 'all';

# Nothing is imported: to a class, what it imports are methods.
use parent 'PostgreSQL::Test::Cluster';
use PostgreSQL::Test::Utils ();
use Time::HiRes ();

# psql that finds the server going down ends before it has read the query, and
# who writes to it dies of the broken pipe.  To a poll that is an answer like
# any other: not yet.
sub poll_query_until
{
	my ($self, @query) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;

	while (1)
	{
		my $answer = eval { $self->SUPER::poll_query_until(@query) };
		return $answer if !$@;
		die $@ if $@ !~ /Broken pipe/ || Time::HiRes::time() > $deadline;
		Time::HiRes::sleep(0.1);
	}
}

# End a process of the server as a fault would, and wait until the server is
# there again: it must have noticed the end first, for until then it goes on
# answering, and ends the next session in the middle of its query.
# Returns how many processes there were to kill: none if it has ended by itself.
sub kill_process
{
	my ($self, $pid) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	die "no process to kill\n" if $pid !~ /^\d+$/;
	my $killed = kill 'KILL', $pid;

	while ($killed && kill 0, $pid)
	{
		die "process $pid does not end\n" if Time::HiRes::time() > $deadline;
		Time::HiRes::sleep(0.01);
	}
	$self->poll_query_until('postgres', 'SELECT true')
	  or die "the server did not come back\n";
	return $killed;
}

1;
