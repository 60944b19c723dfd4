# What the benchmarks are told on their command lines.
package UaefOptions;

use strict;
use warnings;

use Exporter qw(import);
use Getopt::Long;

our @EXPORT_OK = qw(read_options chosen);

use constant MOST => 1_000_000_000;

# What is wrong with the value of an option, or undef: what is counted or lasts is more than 0.
sub _fault
{
	my ($spec, $value) = @_;
	my ($name, $type) = split /=/, $spec;

	return if !defined $value || ($type // '') !~ /^[if]$/;
	return if $value > 0 && $value <= MOST;
	return "--$name must be more than 0 and at most ${\MOST}, not $value";
}

# Read the options, as Getopt::Long does (specification => reference); ends the
# program with what is wrong and its usage if they cannot be used.
sub read_options
{
	my ($usage, %option) = @_;
	my $good = GetOptions(%option);
	my @faults = grep { defined } map { _fault($_, ${ $option{$_} }) } sort keys %option;

	push @faults, "unknown argument: $ARGV[0]" if @ARGV;
	die map({ "$_\n" } @faults), "usage: $usage\n" if @faults || !$good;
	return;
}

# Which of these names a list has, separated by commas: (name => 1).  Ends the
# program if it has others, or none.
sub chosen
{
	my ($option, $list, @names) = @_;
	my %known = map { $_ => 1 } @names;
	my @wanted = split /,/, $list;

	for my $name (@wanted ? @wanted : '')
	{
		die "--$option: there is no \"$name\", only " . join(', ', @names) . "\n" if !$known{$name};
	}
	return map { $_ => 1 } @wanted;
}

1;
