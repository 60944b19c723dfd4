#!/usr/bin/env perl
# An HTTP server that answers well or badly, as the path says.
#
# usage: http_server.pl LOG [ADDRESS]
#
# Listens on a free port of ADDRESS (127.0.0.1), prints "port N", and writes a
# line to LOG for each request: path, method, idempotency key.  It serves each
# connection in a process of its own and ends when its standard input does.
#
#   /echo            the request as JSON
#   /status/N        status N; /status/N/HEADER/VALUE with one header more
#   /retry-date/S    503 with Retry-After as a date, S seconds ahead
#   /fail-first/N/X  503 to the first N requests of this path, then 200
#   /hang            reads the request and never answers
#   /reset           reads the request and resets the connection
#   /reset-body      sends half of what it promised and resets
#   /drip            one byte each 100 ms, for ever
#   /big/N           N bytes of body, streamed
#   /gzip-bomb       few bytes that say that they are gzip and inflate to 50 MB
#   /headers/N       N header lines of 1 kB
#   /bytes/HEX       a body of these bytes, as text
#   /json/HEX        the same, as JSON
#   /ones/N          a JSON array of N ones
#   /redirect/URL    302 to the rest of the path
use strict;
use warnings;

use Compress::Zlib ();
use Fcntl qw(:flock);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(strftime);
use Socket qw(SOL_SOCKET SO_LINGER);

my ($log_file, $address) = @ARGV;
my $json = JSON::PP->new->canonical->latin1;

my %routes = (
	'echo' => sub {
		my ($client, $request) = @_;
		answer($client, $request, 200, $json->encode($request),
			'Content-Type: application/json');
	},
	'status' => sub {
		my ($client, $request, $status, $name, $value) = @_;
		answer($client, $request, $status, "status $status",
			defined $value ? "$name: $value" : ());
	},
	'retry-date' => sub {
		my ($client, $request, $seconds) = @_;
		answer($client, $request, 503, 'later',
			strftime('Retry-After: %a, %d %b %Y %H:%M:%S GMT',
				gmtime(time() + $seconds)));
	},
	'fail-first' => sub {
		my ($client, $request, $count) = @_;
		my $ok = $request->{count} > $count;
		answer($client, $request, $ok ? 200 : 503, $ok ? 'now' : 'not yet');
	},
	'hang' => sub { sleep 600; },
	'reset' => sub { reset_connection($_[0]); },
	'reset-body' => sub {
		my ($client) = @_;
		print $client "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
		select(undef, undef, undef, 0.2);
		reset_connection($client);
	},
	'drip' => sub {
		my ($client) = @_;
		print $client "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
		while (print $client '.')
		{
			select(undef, undef, undef, 0.1);
		}
	},
	'big' => sub {
		my ($client, $request, $size) = @_;
		my $chunk = "10000\r\n" . 'x' x 65536 . "\r\n";

		print $client "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
		for (1 .. $size / 65536)
		{
			print $client $chunk or return;
		}
		print $client "0\r\n\r\n";
	},
	'gzip-bomb' => sub {
		my ($client, $request) = @_;
		answer($client, $request, 200,
			Compress::Zlib::memGzip("\0" x 50_000_000),
			'Content-Encoding: gzip');
	},
	'headers' => sub {
		my ($client, $request, $count) = @_;
		answer($client, $request, 200, '',
			map { "X-$_: " . 'y' x 1000 } 1 .. $count);
	},
	'bytes' => sub {
		my ($client, $request, $hex) = @_;
		answer($client, $request, 200, pack('H*', $hex),
			'Content-Type: text/plain');
	},
	'json' => sub {
		my ($client, $request, $hex) = @_;
		answer($client, $request, 200, pack('H*', $hex),
			'Content-Type: application/json; charset=utf-8');
	},
	'ones' => sub {
		my ($client, $request, $count) = @_;
		answer($client, $request, 200, '[' . join(',', (1) x $count) . ']',
			'Content-Type: application/json');
	},
	'redirect' => sub {
		my ($client, $request, @url) = @_;
		answer($client, $request, 302, '', 'Location: ' . join('/', @url));
	});

sub answer
{
	my ($client, $request, $status, $body, @headers) = @_;
	my $length = $status == 204 ? '' : 'Content-Length: ' . length $body;

	$body = '' if $request->{method} eq 'HEAD' || $status == 204;
	print $client join("\r\n",
		"HTTP/1.1 $status Whatever",
		grep({ $_ ne '' } @headers, $length), '', $body);
	return;
}

sub reset_connection
{
	my ($client) = @_;

	setsockopt($client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	close $client;
	return;
}

# Returns the request, or nothing at the end of the connection.
sub read_request
{
	my ($client) = @_;
	my $line = <$client>;
	my %request;

	return unless defined $line;
	@request{qw(method path)} = split / /, $line;
	while (defined($line = <$client>) && $line =~ /\S/)
	{
		my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\r?\n/;
		$request{headers}{ lc $name } = $value;
	}
	read $client, $request{body}, $request{headers}{'content-length'} || 0;
	return \%request;
}

# Write the request to the log; how many of its path stand there now.
sub note
{
	my ($request) = @_;
	my $count = 0;

	open my $log, '+>>', $log_file or die "$log_file: $!";
	flock $log, LOCK_EX;
	print $log join(' ', @{$request}{qw(path method)},
		$request->{headers}{'idempotency-key'} // '-'), "\n";
	$log->flush;
	seek $log, 0, 0;
	while (<$log>)
	{
		$count++ if (split / /)[0] eq $request->{path};
	}
	close $log;
	return $count;
}

sub serve
{
	my ($client) = @_;

	$client->autoflush(1);
	while (my $request = read_request($client))
	{
		my (undef, $route, @rest) = split m{/}, $request->{path} =~ s/\?.*//r;

		$request->{count} = note($request);
		if ($routes{$route})
		{
			$routes{$route}->($client, $request, @rest);
		}
		else
		{
			answer($client, $request, 404, 'not found');
		}
		last unless defined fileno $client;
	}
	return;
}

my $server = IO::Socket::INET->new(
	LocalAddr => $address // '127.0.0.1',
	Listen => 128,
	ReuseAddr => 1) or die "cannot listen: $!";

$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$| = 1;
printf "port %d\n", $server->sockport;

my $ready = IO::Select->new($server, \*STDIN);
while (1)
{
	foreach my $handle ($ready->can_read)
	{
		exit 0 if $handle == \*STDIN && !sysread(STDIN, my $nothing, 1);
		next if $handle != $server;
		my $client = $server->accept or next;
		my $pid = fork // die "cannot fork: $!";
		if ($pid == 0)
		{
			close $server;
			close STDIN;
			serve($client);
			exit 0;
		}
		close $client;
	}
}
