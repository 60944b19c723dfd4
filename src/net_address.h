/*-------------------------------------------------------------------------
 *
 * net_address.h
 *	  Which internet addresses a request may go to.
 *
 * Pure, and free of palloc and ereport: libcurl's callbacks call it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_NET_ADDRESS_H
#define UAEF_NET_ADDRESS_H

struct sockaddr;

/* A network, or with all bits one address. */
typedef struct UaefNetwork
{
	bool		v6;
	int			bits;
	unsigned char bytes[16];	/* 4 of them unless v6 */
} UaefNetwork;

/*
 * From a socket address or a text.  An IPv4 address mapped into IPv6 becomes
 * the IPv4 address.  Returns false for any other family or form.
 */
extern bool uaef_network_from_sockaddr(const struct sockaddr *from,
									   UaefNetwork *address);
extern bool uaef_network_from_text(const char *text, UaefNetwork *address);

/* IPv4-mapped to IPv4; anything else stays. */
extern void uaef_network_unmap(UaefNetwork *network);

extern bool uaef_network_contains(const UaefNetwork *network,
								  const UaefNetwork *address);

/* A host that anyone on the internet may address: no private, no special use. */
extern bool uaef_network_is_global(const UaefNetwork *address);

/* Global, or inside of one of these networks. */
extern bool uaef_network_allows(const UaefNetwork *networks, int n,
								const UaefNetwork *address);

#endif							/* UAEF_NET_ADDRESS_H */
