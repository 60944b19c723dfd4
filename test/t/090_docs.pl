# The SQL that README.md and docs/*.md show does what they say.
#
# A block that opens with ```sql run is run by psql; blocks of a file are one
# session, in a database of its own.  Where the next block, with nothing but
# blank lines between, opens with ``` alone, it is the output.  In it, "..."
# stands for any text within a line, and a line of only "..." for any lines.
# A block without output must not fail.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use UaefCluster;

my $top = "$FindBin::Bin/../..";
my @files = grep { blocks($_) } glob "$top/README.md $top/docs/*.md";
plan skip_all => 'the documents are not beside the tests' if !@files;

my $cluster = UaefCluster->new(conf => "fsync = off\nmax_worker_processes = 40\n");
check($files[$_], "docs$_") for 0 .. $#files;
check_reference();
done_testing();

# The blocks of a file that are to be run: each a hash of line, sql and output.
sub blocks
{
	my ($file) = @_;
	my $text = slurp($file);
	my @blocks;

	while ($text =~ /^```sql run\n(.*?)^```\n(?:\n*^```\n(.*?)^```\n)?/gms)
	{
		my ($sql, $output) = ($1, $2);
		my $before = substr($text, 0, $-[0]);
		push @blocks,
		  { line => 1 + ($before =~ tr/\n//), sql => $sql, output => $output };
	}
	return @blocks;
}

# Run a file's blocks in one session and compare.
sub check
{
	my ($file, $database) = @_;
	my ($name) = $file =~ m{([^/]+)$};
	my @blocks = blocks($file);
	my $script = $cluster->dir . "/$database.sql";

	open my $handle, '>', $script or die $!;
	print $handle "\\echo :block $_:\n$blocks[$_]{sql}\n" for 0 .. $#blocks;
	close $handle or die $!;
	$cluster->query_in('postgres', "CREATE DATABASE $database");
	$cluster->query_in($database, 'CREATE EXTENSION uaef CASCADE')
	  if !grep { $_->{sql} =~ /CREATE EXTENSION/ } @blocks;
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	my $psql = join ' ', 'psql -X -q -d', $database, $cluster->connect_args, '-f', $script;
	my $all = qx{$psql 2>&1};
	my %got = $all =~ /^:block (\d+):\n(.*?)(?=^:block \d|\z)/gms;

	for my $i (0 .. $#blocks)
	{
		my $where = "$name line $blocks[$i]{line}";
		my $got = $got{$i} // '';

		$got =~ s/^psql:\S+: //gm;
		if (!defined $blocks[$i]{output})
		{
			unlike($got, qr/^(?:ERROR|FATAL): /m, "$where runs");
			diag($got) if $got =~ /^ERROR/m;
			next;
		}
		like(tidy($got), pattern($blocks[$i]{output}), "$where gives what it shows");
	}
	return;
}

# docs/reference.md is what the comments in the database say.
sub check_reference
{
	my $psql = join ' ', 'psql -X -q -d', $cluster->database, $cluster->connect_args;

	is(slurp("$top/docs/reference.md"), scalar qx{$psql < $top/docs/reference.sql},
		'docs/reference.md is up to date; else: make docs');
	return;
}

# White space at the ends of lines and around the whole does not count.
sub tidy
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//gm;
	$text =~ s/^\n+|\n+$//g;
	return $text;
}

sub pattern
{
	my $pattern = quotemeta(tidy($_[0]));

	$pattern =~ s/^(?:\\ )*\\\.\\\.\\\.\\$/(?s:.*)\\/gm;
	$pattern =~ s/\\\.\\\.\\\./[^\\n]*/g;
	return qr/\A$pattern\z/;
}

sub slurp
{
	my ($path) = @_;

	open my $handle, '<', $path or die "$path: $!";
	local $/;
	return <$handle>;
}
