/*-------------------------------------------------------------------------
 *
 * net_address.c
 *	  Which internet addresses a request may go to.
 *
 * The lists are the special-purpose address registries of IANA (RFC 6890 and
 * its updates).  Of IPv6 only 2000::/3 is global unicast, less the exceptions
 * listed here; translated addresses (NAT64, 6to4, Teredo) are refused, because
 * they lead to an IPv4 address that is not looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net_address.h"

static const UaefNetwork special_v4[] = {
	{false, 8, {0}},
	{false, 8, {10}},
	{false, 10, {100, 64}},
	{false, 8, {127}},
	{false, 16, {169, 254}},
	{false, 12, {172, 16}},
	{false, 24, {192, 0, 0}},
	{false, 24, {192, 0, 2}},
	{false, 24, {192, 88, 99}},
	{false, 16, {192, 168}},
	{false, 15, {198, 18}},
	{false, 24, {198, 51, 100}},
	{false, 24, {203, 0, 113}},
	{false, 4, {224}},
	{false, 4, {240}},
};

static const UaefNetwork global_v6 = {true, 3, {0x20}};

static const UaefNetwork special_v6[] = {
	{true, 23, {0x20, 0x01, 0x00}},
	{true, 32, {0x20, 0x01, 0x0d, 0xb8}},
	{true, 16, {0x20, 0x02}},
	{true, 20, {0x3f, 0xff}},
};

static bool contained_in_any(const UaefNetwork *networks, int n,
							 const UaefNetwork *address);

void
uaef_network_unmap(UaefNetwork *network)
{
	static const unsigned char mapped[12] = {[10] = 0xff,[11] = 0xff};

	if (!network->v6 || network->bits < 96 ||
		memcmp(network->bytes, mapped, sizeof(mapped)) != 0)
		return;
	network->v6 = false;
	network->bits -= 96;
	memmove(network->bytes, network->bytes + 12, 4);
}

bool
uaef_network_from_sockaddr(const struct sockaddr *from, UaefNetwork *address)
{
	memset(address, 0, sizeof(*address));
	if (from->sa_family == AF_INET)
	{
		address->bits = 32;
		memcpy(address->bytes,
			   &((const struct sockaddr_in *) from)->sin_addr, 4);
		return true;
	}
	if (from->sa_family == AF_INET6)
	{
		address->v6 = true;
		address->bits = 128;
		memcpy(address->bytes,
			   &((const struct sockaddr_in6 *) from)->sin6_addr, 16);
		uaef_network_unmap(address);
		return true;
	}
	return false;
}

bool
uaef_network_from_text(const char *text, UaefNetwork *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, address->bytes) == 1)
	{
		address->bits = 32;
		return true;
	}
	if (inet_pton(AF_INET6, text, address->bytes) == 1)
	{
		address->v6 = true;
		address->bits = 128;
		uaef_network_unmap(address);
		return true;
	}
	return false;
}

bool
uaef_network_contains(const UaefNetwork *network, const UaefNetwork *address)
{
	int			whole = network->bits / 8;
	int			rest = network->bits % 8;

	if (network->v6 != address->v6 || network->bits > address->bits)
		return false;
	if (memcmp(network->bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 ||
		((network->bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

static bool
contained_in_any(const UaefNetwork *networks, int n,
				 const UaefNetwork *address)
{
	for (int i = 0; i < n; i++)
	{
		if (uaef_network_contains(&networks[i], address))
			return true;
	}
	return false;
}

bool
uaef_network_is_global(const UaefNetwork *address)
{
	if (!address->v6)
		return !contained_in_any(special_v4, lengthof(special_v4), address);
	return uaef_network_contains(&global_v6, address) &&
		!contained_in_any(special_v6, lengthof(special_v6), address);
}

bool
uaef_network_allows(const UaefNetwork *networks, int n,
					const UaefNetwork *address)
{
	return uaef_network_is_global(address) ||
		contained_in_any(networks, n, address);
}
