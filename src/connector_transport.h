/*-------------------------------------------------------------------------
 *
 * connector_transport.h
 *	  By what ways a connector's requests go: TLS identity and proxy.
 *
 * The config's "tls" is {"ca","ca_file","cert","cert_file","key_file"}: texts in
 * PEM, or absolute paths of files of the server; the private key that is no
 * file is "tls_key" of the secret.  "proxy" is "http://host:port", or "none".
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_TRANSPORT_H
#define UAEF_CONNECTOR_TRANSPORT_H

#include "connector_type.h"

/* Says that no proxy is used, whatever uaef.http_proxy is. */
#define UAEF_NO_PROXY "none"

/* Read a config's "tls" and "proxy"; raises for what is wrong. */
extern void uaef_transport_parse(Jsonb *config, UaefTransport *transport);

/* Raise 42501 if it names files, and the role may not read those of the server. */
extern void uaef_transport_require_files(const UaefTransport *transport);

/* Raise unless a text is a PEM of this: "CERTIFICATE", "PRIVATE KEY". */
extern void uaef_transport_require_pem(const char *key, const char *text,
									   const char *what);

#endif							/* UAEF_CONNECTOR_TRANSPORT_H */
