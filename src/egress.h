/*-------------------------------------------------------------------------
 *
 * egress.h
 *	  Where the database may send requests to: an operator's allow-list.
 *
 * Nothing is allowed that no rule allows.  A rule names a host, a port and a
 * scheme, perhaps for one role and its members.  It lets requests reach global
 * unicast addresses of that host, and with a network also addresses inside of
 * that network.  Rules are looked at when a delivery is made and again when it
 * is sent, and then also for the address that the connection really has.
 *
 * The functions work in the caller's transaction and become the owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EGRESS_H
#define UAEF_EGRESS_H

#include "net_address.h"
#include "url.h"

/* What the rules that match a request allow besides global addresses. */
typedef struct UaefEgressGrant
{
	int			n_networks;
	UaefNetwork *networks;		/* palloc'd */
} UaefEgressGrant;

typedef struct UaefEgressRule
{
	const char *host;			/* "example.com" or "*.example.com" */
	int			port;			/* 0: any */
	const char *scheme;
	bool		has_network;
	Datum		network;		/* cidr */
	Oid			role;			/* InvalidOid: all roles */
	const char *comment;		/* or NULL */
	int			n_methods;
	char	  **methods;		/* NULL: all */
} UaefEgressRule;

/* A value of type inet or cidr. */
extern void uaef_network_from_inet(Datum from, UaefNetwork *network);

/* Do the rules let role request this?  Fills grant when they do. */
extern bool uaef_egress_find(Oid role, const char *method,
							 const UaefUrl *url, UaefEgressGrant *grant);

/* The same; raises UA401 when they do not. */
extern void uaef_egress_require(Oid role, const char *method,
								const UaefUrl *url);

/* Why a request is refused; palloc'd. */
extern char *uaef_egress_refusal(Oid role, const char *method,
								 const UaefUrl *url);

/*
 * Why the rules refuse this, or the address that its host has (NULL: any);
 * NULL when they do not.
 */
extern char *uaef_egress_check(Oid role, const char *method,
							   const UaefUrl *url, const UaefNetwork *address);

/* Add a rule, or remove one; each is an event.  Remove raises if it is not there. */
extern int64 uaef_egress_allow(const UaefEgressRule *rule);
extern void uaef_egress_remove(int64 rule_id);

#endif							/* UAEF_EGRESS_H */
