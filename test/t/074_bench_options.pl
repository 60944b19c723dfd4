# Benches refuse what they cannot measure, before they make a cluster.
use strict;
use warnings;

use FindBin;
use Test::More;

my %refused = (
	'scale --only nonsense'              => qr/^--only: there is no "nonsense", only history, snapshot, items, workflows, databases$/m,
	'scale --only items --items 7'       => qr/^--items must be a multiple of 10/m,
	'engine --only map,nonsense'         => qr/^--only: there is no "nonsense"/m,
	'peers --peers none --only nonsense' => qr/^--only: there is no "nonsense"/m,
	'peers --peers none --only ""'       => qr/^--only: there is no "", only chain/m,
	'peers --peers nonsense'             => qr/^--peers: there is no "nonsense"/m,
	'peers --runs 99999999999999999999'  => qr/^--runs must be more than 0 and at most 1000000000, not /m,
	'external --runs 0'                  => qr/^--runs must be more than 0/m,
	'soak --minutes -1'                  => qr/^--minutes must be more than 0/m,
	'books --seconds 0 --small'          => qr/^--seconds must be more than 0/m,
	'figures more words'                 => qr/^unknown argument: more\nusage: figures /m);

for my $command (sort keys %refused)
{
	my $said = `'$^X' '$FindBin::Bin/../bench/'$command 2>&1`;

	isnt($?, 0, "$command is an error");
	like($said, $refused{$command}, 'which says why');
}
done_testing();
