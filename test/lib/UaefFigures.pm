# Figures with goals: medians of what was measured, as a table or as JSON.
#
# A figure is [ name, what a person reads, unit, comparison, goal ]; the last two
# may be missing.  A comparison is >=, < or <=.
package UaefFigures;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;
use UaefCluster qw(median);

our @EXPORT_OK = qw(report_figures);

# Print the medians of measurements (name => list); returns the code to exit with:
# 1 if goals count and one was missed.
sub report_figures
{
	my ($figures, $got, $json, $goals_count) = @_;
	my @results = map { _result($_, @{ $got->{ $_->[0] } }) } @$figures;

	if ($json)
	{
		print JSON::PP->new->canonical->pretty->encode(\@results);
	}
	else
	{
		_print_table(@results);
	}
	return $goals_count && grep({ defined $_->{met} && !$_->{met} } @results) ? 1 : 0;
}

sub _result
{
	my ($figure, @runs) = @_;
	my ($name, $what, $unit, $compare, $goal) = @$figure;
	my $value = median(@runs);
	my %result = (name => $name, what => $what, unit => $unit, value => $value + 0, runs => [ map { $_ + 0 } @runs ]);

	if (defined $goal)
	{
		$result{goal} = "$compare $goal";
		$result{met} = ($compare eq '>=' ? $value >= $goal : $compare eq '<' ? $value < $goal : $value <= $goal)
		  ? JSON::PP::true : JSON::PP::false;
	}
	return \%result;
}

sub _print_table
{
	printf "%-56s %12s %-4s %10s\n", 'figure', 'median of ' . @{ $_[0]{runs} }, '', 'goal';
	for my $result (@_)
	{
		my $value = $result->{value};

		printf "%-56s %12s %-4s %10s %s\n", $result->{what},
		  $value >= 100 || $value == int $value ? sprintf('%.0f', $value) : sprintf('%.3f', $value),
		  $result->{unit}, $result->{goal} // '',
		  !defined $result->{met} ? '' : $result->{met} ? 'met' : 'MISSED';
	}
	return;
}

1;
