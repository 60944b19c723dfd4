# A cluster with connectors to test/servers/peer_server.py.
package PeerCluster;

use strict;
use warnings;

use FaultServer;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use UaefNode;

# A running node and a running server that it may reach.
sub start
{
	my ($class, $name, $conf) = @_;
	my $self = bless { made => 0 }, $class;

	$self->{node} = UaefNode->new($name);
	$self->{node}->init;
	$self->{node}->append_conf('postgresql.conf', "log_statement = none\n" . ($conf // ''));
	$self->{node}->start;
	$self->sql('CREATE EXTENSION uaef CASCADE');
	$self->{server} = FaultServer->start('peer_server');
	$self->allow($self->{server}->port);
	return $self;
}

sub node { return $_[0]->{node}; }

sub server { return $_[0]->{server}; }

sub sql
{
	my ($self, $statement) = @_;

	return $self->{node}->safe_psql('postgres', $statement);
}

sub allow
{
	my ($self, $port) = @_;

	$self->sql("SELECT uaef.allow_egress('127.0.0.1', $port, 'http', '127.0.0.1/32')");
	return;
}

my %made = (
	webhook => sub { return ({ url => "$_[0]/hook/any" }, {}); },
	sqs => sub {
		return ({ url => "$_[0]/123/plain", region => 'eu-west-1' },
			{ access_key_id => 'AKIDEXAMPLE', secret_access_key => 'canary-sqs-secret/+=' });
	},
	servicebus => sub {
		return ({ url => "$_[0]/sb/plain", key_name => 'sender' },
			{ key => 'Y2FuYXJ5LXNiLXNlY3JldA==' });
	},
	sap => sub {
		return ({ url => "$_[0]/sap", auth => { type => 'basic', username => "us\x{e9}r" } },
			{ password => 'canary-password' });
	},
	oracle => sub {
		return ({ url => "$_[0]/fusion", auth => {
				type => 'oauth2', token_url => "$_[0]/oauth/token", client_id => 'uaef client',
				scope => 'all' } },
			{ client_secret => 'canary:client&secret' });
	},
	anthropic => sub {
		return ({ url => "$_[0]/claude", model => 'large',
				prices => { input => '3.00', output => 15, currency => 'USD' } },
			{ api_key => 'canary-value' });
	},
	openai => sub {
		return ({ url => "$_[0]/gpt", model => 'small', prices => { input => 1, output => 2 } },
			{ api_key => 'canary-token' });
	},
	langserve => sub { return ({ url => "$_[0]/chain" }, {}); },
	agent_http => sub {
		return ({ url => "$_[0]/chain/ask", body => { question => '{{payload}}' },
				text => 'reply.text', input_tokens => 'reply.used[0]',
				output_tokens => 'reply.used[1]' }, {});
	},
	payout => sub {
		return ({ url => "$_[0]/pay", key_header => 'X-Pay-Key', state => 'status',
				lookup_url => "$_[0]/pay/by/{{payload.reference}}",
				contract => { idempotency => 'native', key_ttl => '24h', lookup => 'by_reference',
					reference => 'id', currencies => ['EUR'] } }, {});
	});

# Make a connector of a type, with changes to what is usual for it.
sub connector
{
	my ($self, @connector) = @_;
	my $name = $self->make_later(@connector);

	$self->run_later;
	return $name;
}

# The same, when run_later() is called.
sub make_later
{
	my ($self, $type, $config, $secret) = @_;
	my $name = "$type-" . ++$self->{made};
	my ($usual, $key) = $made{$type}->($self->{server}->url);
	my $json = JSON::PP->new->ascii->canonical;

	$config = $json->encode({ %$usual,
		retry => { max_attempts => 3, initial => '20ms', jitter => 0 }, %{ $config // {} } });
	$secret = $json->encode($secret // $key);
	push @{ $self->{later} },
	  "SELECT uaef.create_connector('$name', '$type', '$config', '$secret')";
	return $name;
}

sub send_later
{
	my ($self, $connector, $payload, $operation) = @_;
	my $json = JSON::PP->new->ascii->canonical->allow_nonref;

	$payload = $json->encode($payload) =~ s/'/''/gr;
	$operation = defined $operation ? "'$operation'" : 'NULL';
	push @{ $self->{later} }, "SELECT uaef.send('$connector', '$payload', NULL, $operation)";
	return;
}

# In one session; what the last statement gave.
sub run_later
{
	my ($self) = @_;
	my $said = $self->sql(join ";\n", @{ delete $self->{later} });

	return (split /\n/, $said)[-1];
}

# Returns the delivery's id.
sub send
{
	my ($self, @delivery) = @_;

	$self->send_later(@delivery);
	return $self->run_later;
}

# Wait for its end; then the values of these columns, as psql writes them.
sub ended
{
	my ($self, $id, $columns) = @_;

	$self->{node}->poll_query_until('postgres',
		"SELECT finished_at IS NOT NULL FROM uaef.delivery WHERE delivery_id = $id")
	  or die "delivery $id: " . $self->sql("SELECT d FROM uaef.delivery d WHERE delivery_id = $id");
	return $self->sql("SELECT $columns FROM uaef.delivery d WHERE delivery_id = $id");
}

# What the server was asked, as objects.
sub requests
{
	my ($self, $filter) = @_;
	my $json = JSON::PP->new;

	return grep { !$filter || $filter->($_) }
	  map { $json->decode($_) } split /\n/, $self->{server}->get('requests');
}

1;
