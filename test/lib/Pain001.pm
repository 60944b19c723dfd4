# A bank file against the published facts of pain.001.001.09 (ISO 20022): order
# and number of elements, lengths, patterns, check digits, decimals, counts and
# sums.  It shares nothing with the extension.
package Pain001;

use strict;
use warnings;

use Exporter qw(import);
use Math::BigFloat;

our @EXPORT_OK = qw(problems);

my %type = (
	text35   => qr/\A.{1,35}\z/s,
	text140  => qr/\A.{1,140}\z/s,
	count    => qr/\A[0-9]{1,15}\z/,
	time     => qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\z/,
	date     => qr/\A\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\z/,
	method   => qr/\A(CHK|TRF|TRA)\z/,
	iban     => qr/\A[A-Z]{2}[0-9]{2}[a-zA-Z0-9]{1,30}\z/,
	bic      => qr/\A[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?\z/,
	decimal  => qr/\A(?=(\D*\d){1,18}\D*\z)\d+(\.\d{1,17})?\z/,
	amount   => qr/\A(?=(\D*\d){1,18}\D*\z)\d+(\.\d{1,5})?\z/);

# What stands in an element, in its order: name, a type or another element's
# content, and how often: 1, ?, + or *.  What we never write is not named, and so
# would be a problem.
my %content = (
	Document         => [ [ 'CstmrCdtTrfInitn', 'Initiation', '1' ] ],
	Initiation       => [ [ 'GrpHdr', 'Header', '1' ], [ 'PmtInf', 'Payment', '+' ] ],
	Header           => [ [ 'MsgId', 'text35', '1' ], [ 'CreDtTm', 'time', '1' ], [ 'NbOfTxs', 'count', '1' ],
		[ 'CtrlSum', 'decimal', '?' ], [ 'InitgPty', 'Party', '1' ] ],
	Party            => [ [ 'Nm', 'text140', '?' ] ],
	Payment          => [ [ 'PmtInfId', 'text35', '1' ], [ 'PmtMtd', 'method', '1' ], [ 'NbOfTxs', 'count', '?' ],
		[ 'CtrlSum', 'decimal', '?' ], [ 'ReqdExctnDt', 'Day', '1' ], [ 'Dbtr', 'Party', '1' ], [ 'DbtrAcct', 'Account', '1' ],
		[ 'DbtrAgt', 'Agent', '1' ], [ 'CdtTrfTxInf', 'Transfer', '+' ] ],
	Day              => [ [ 'Dt', 'date', '1' ] ],
	Account          => [ [ 'Id', 'AccountId', '1' ] ],
	AccountId        => [ [ 'IBAN', 'iban', '1' ] ],
	Agent            => [ [ 'FinInstnId', 'Institution', '1' ] ],
	Institution      => [ [ 'BICFI', 'bic', '?' ], [ 'Othr', 'Other', '?' ] ],
	Other            => [ [ 'Id', 'text35', '1' ] ],
	Transfer         => [ [ 'PmtId', 'PaymentId', '1' ], [ 'Amt', 'Amount', '1' ], [ 'CdtrAgt', 'Agent', '?' ],
		[ 'Cdtr', 'Party', '?' ], [ 'CdtrAcct', 'Account', '?' ] ],
	PaymentId        => [ [ 'EndToEndId', 'text35', '1' ] ],
	Amount           => [ [ 'InstdAmt', 'amount', '1' ] ]);

my %decimals = (EUR => 2, NOK => 2, USD => 2, JPY => 0, KWD => 3, CLF => 4);

# A document as a tree: [ name, { attributes }, [ elements ], text ].
sub parse
{
	my ($xml) = @_;
	my $root = [ '', {}, [], '' ];
	my @open = ($root);

	$xml =~ s/\A<\?xml version="1\.0" encoding="UTF-8"\?>\s*// or die "no declaration\n";
	while ($xml =~ /\G(?:<(\/?)(\w+)((?:\s+\w+="[^"<]*")*)>|([^<>]+))/gc)
	{
		my ($ends, $name, $attributes, $text) = ($1, $2, $3, $4);

		if (defined $text)
		{
			die "a bare \"&\"\n" if $text =~ /&(?!(amp|lt|gt|quot|apos|#\d+);)/;
			$text =~ s/&lt;/</g;
			$text =~ s/&gt;/>/g;
			$text =~ s/&amp;/&/g;
			$open[-1][3] .= $text;
			next;
		}
		if ($ends)
		{
			die "\"$name\" ends where \"$open[-1][0]\" is open\n" if $open[-1][0] ne $name;
			pop @open;
			next;
		}
		my $element = [ $name, { $attributes =~ /(\w+)="([^"]*)"/g }, [], '' ];
		push @{ $open[-1][2] }, $element;
		push @open, $element;
	}
	die 'not understood: ' . substr($xml, pos $xml // 0, 40) . "\n" if (pos $xml // 0) != length $xml;
	die "not closed\n" if @open != 1 || @{ $root->[2] } != 1;
	return $root->[2][0];
}

sub iban_fits
{
	my ($iban) = @_;
	my $number = join '', map { /\d/ ? $_ : ord(uc) - 55 } split //, substr($iban, 4) . substr($iban, 0, 4);

	return Math::BigInt->new($number)->bmod(97) == 1;
}

sub check
{
	my ($element, $model, $place, $found) = @_;
	my @children = @{ $element->[2] };

	if (my $pattern = $type{$model})
	{
		push @$found, "$place: \"$element->[3]\" is no $model" if $element->[3] !~ $pattern || @children;
		push @$found, "$place: \"$element->[3]\" has wrong check digits" if $model eq 'iban' && !iban_fits($element->[3]);
		return;
	}
	push @$found, "$place: text" if $element->[3] =~ /\S/;
	foreach my $part (@{ $content{$model} })
	{
		my ($name, $below, $often) = @$part;
		my $n = 0;

		while (@children && $children[0][0] eq $name)
		{
			check(shift @children, $below, "$place/$name", $found);
			$n++;
		}
		push @$found, "$place: $n of $name"
		  if $n == 0 && $often =~ /[1+]/ || $n > 1 && $often =~ /[1?]/;
	}
	push @$found, "$place: $children[0][0] does not belong there" if @children;
	return;
}

# All elements of a name below one.
sub all_of
{
	my ($element, $name) = @_;

	return map { ($_->[0] eq $name ? $_ : (), all_of($_, $name)) } @{ $element->[2] };
}

sub first_of { my ($element, $name) = @_; return (all_of($element, $name))[0]; }

# Counts and sums of a part, said and true.
sub check_sums
{
	my ($said, $counted, $place, $found) = @_;
	my @amounts = all_of($counted, 'InstdAmt');
	my $sum = Math::BigFloat->bzero;

	$sum->badd($_->[3]) foreach @amounts;
	push @$found, "$place: NbOfTxs" if first_of($said, 'NbOfTxs')->[3] != @amounts;
	push @$found, "$place: CtrlSum" if $sum->bcmp(first_of($said, 'CtrlSum')->[3]) != 0;
	return;
}

# What is wrong with a document: a list of texts.
sub problems
{
	my ($xml) = @_;
	my @found;
	my $root = eval { parse($xml) } or return "not well formed: $@";
	my %seen;

	push @found, 'the namespace' if ($root->[1]{xmlns} // '') ne 'urn:iso:std:iso:20022:tech:xsd:pain.001.001.09';
	check($root, 'Document', '', \@found);
	return @found if @found;
	check_sums(first_of($root, 'GrpHdr'), $root, 'GrpHdr', \@found);
	check_sums($_, $_, 'PmtInf', \@found) foreach all_of($root, 'PmtInf');
	foreach my $amount (all_of($root, 'InstdAmt'))
	{
		my $currency = $amount->[1]{Ccy} // '';
		my (undef, $fraction) = split /\./, $amount->[3];

		push @found, "currency \"$currency\"" if $currency !~ /\A[A-Z]{3}\z/;
		push @found, "$amount->[3] $currency" if length($fraction // '') != ($decimals{$currency} // -1) || $amount->[3] <= 0;
	}
	foreach my $name (qw(EndToEndId PmtInfId))
	{
		push @found, "$name twice" foreach grep { $seen{$name}{ $_->[3] }++ } all_of($root, $name);
	}
	return @found;
}

1;
