/*-------------------------------------------------------------------------
 *
 * http_sharing.c
 *	  Which requests may share connections and TLS sessions, and how many of
 *	  them are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include <openssl/evp.h>

#include "http_sharing.h"

#define MIN_IDLE_CONNECTIONS 16
#define MAX_IDLE_CONNECTIONS 256

static void add_text(EVP_MD_CTX *hash, const char *text);

static void
add_text(EVP_MD_CTX *hash, const char *text)
{
	EVP_DigestUpdate(hash, text ? "+" : "-", 1);
	if (text != NULL)
		EVP_DigestUpdate(hash, text, strlen(text) + 1);
}

bool
uaef_http_sharing_id(const UaefHttpRequest *request, uint8 *id)
{
	const UaefTransport *transport = &request->transport;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool		done = hash != NULL &&
		EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	if (done)
	{
		for (int i = 0; i < request->n_networks; i++)
		{
			const UaefNetwork *network = &request->networks[i];
			uint8		size[2] = {network->v6, network->bits};

			EVP_DigestUpdate(hash, size, sizeof(size));
			EVP_DigestUpdate(hash, network->bytes, sizeof(network->bytes));
		}
		add_text(hash, transport->proxy);
		add_text(hash, transport->ca);
		add_text(hash, transport->ca_file);
		add_text(hash, transport->cert);
		add_text(hash, transport->cert_file);
		add_text(hash, transport->key);
		add_text(hash, transport->key_file);
		done = EVP_DigestFinal_ex(hash, id, NULL) == 1;
	}
	EVP_MD_CTX_free(hash);
	return done;
}

long
uaef_http_idle_connections(int ids)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return MIN_IDLE_CONNECTIONS;
	if (files.rlim_cur == RLIM_INFINITY)
		return MAX_IDLE_CONNECTIONS;
	return Max(Min((long) (files.rlim_cur / (2 * ids)), MAX_IDLE_CONNECTIONS),
			   MIN_IDLE_CONNECTIONS);
}
