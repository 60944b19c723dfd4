# A node whose server may go down while it is asked.
package UaefNode;

use strict;
use warnings FATAL => 'all';

use parent -norequire, 'PostgreSQL::Test::Cluster';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

# psql that finds the server going down ends before it has read the query, and
# who writes to it dies of the broken pipe.  To a poll that is an answer like
# any other: not yet.
sub poll_query_until
{
	my ($self, @query) = @_;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	while (1)
	{
		my $answer = eval { $self->SUPER::poll_query_until(@query) };
		return $answer if !$@;
		die $@ if $@ !~ /Broken pipe/ || time() > $deadline;
		sleep 0.1;
	}
}

1;
