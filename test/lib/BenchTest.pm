# For tests of benchmarks: that their figures come out.  Their size says nothing
# there: the runs are far too short, and other tests run beside.
package BenchTest;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use JSON::PP;
use Test::More;

our @EXPORT = qw(figures_of have_goals are_none);

# The figures of a benchmark's small form, by name.
sub figures_of
{
	my ($bench, $message) = @_;
	my $output = `'$^X' '$FindBin::Bin/../bench/$bench' --small --json`;

	is($?, 0, $message);
	return map { $_->{name} => $_ } @{ decode_json($output) };
}

# These are numbers, and have goals.
sub have_goals
{
	my ($figures, @names) = @_;

	for my $name (@names)
	{
		like($figures->{$name}{value}, qr/^[\d.e-]+$/, "$name is a number");
		like($figures->{$name}{goal}, qr/^[<>]=? \d/, "$name has a goal");
	}
	return;
}

# Of these there must be none, such as problems.
sub are_none
{
	my ($figures, @names) = @_;

	is($figures->{$_}{value}, 0, "$_: none") for @names;
	return;
}

1;
