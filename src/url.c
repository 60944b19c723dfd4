/*-------------------------------------------------------------------------
 *
 * url.c
 *	  Addresses of HTTP requests, taken apart and put together again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <arpa/inet.h>

#include "url.h"

#define MAX_URL_LENGTH	8000
#define MAX_HOST_LENGTH	253

static const char *parse_port(const char *text, UaefUrl *url);
static const char *parse_authority(const char *text, int len, UaefUrl *url);
static char *origin(const UaefUrl *url);

/*
 * Letters, digits, hyphens and dots; or an IPv6 address.
 */
bool
uaef_url_is_host(const char *text, int len)
{
	if (len < 1 || len > MAX_HOST_LENGTH)
		return false;
	if (memchr(text, ':', len) != NULL)
	{
		struct in6_addr address;
		char	   *copy = pnstrdup(text, len);

		return inet_pton(AF_INET6, copy, &address) == 1;
	}
	for (int i = 0; i < len; i++)
	{
		if (!isascii((unsigned char) text[i]) ||
			!(isalnum((unsigned char) text[i]) ||
			  text[i] == '-' || text[i] == '.' || text[i] == '_'))
			return false;
	}
	return true;
}

/*
 * What follows the host: nothing, or a colon and a port.
 */
static const char *
parse_port(const char *text, UaefUrl *url)
{
	int			port = 0;

	url->port = url->tls ? 443 : 80;
	if (*text == '\0')
		return NULL;
	if (*text++ != ':' || *text == '\0')
		return "it has a malformed port";
	for (; *text != '\0'; text++)
	{
		if (*text < '0' || *text > '9')
			return "it has a malformed port";
		port = port * 10 + (*text - '0');
		if (port > 65535)
			return "its port is out of range";
	}
	if (port == 0)
		return "its port is out of range";
	url->port = port;
	return NULL;
}

static const char *
parse_authority(const char *text, int len, UaefUrl *url)
{
	char	   *authority = pnstrdup(text, len);
	char	   *host = authority;
	int			host_len;

	if (strchr(authority, '@') != NULL)
		return "it has a user name in it";
	if (*host == '[')
	{
		host++;
		host_len = strcspn(host, "]");
		if (host[host_len] != ']' || memchr(host, ':', host_len) == NULL)
			return "it has a malformed host";
		text = host + host_len + 1;
	}
	else
	{
		host_len = strcspn(host, ":");
		text = host + host_len;
	}
	if (!uaef_url_is_host(host, host_len))
		return "it has a malformed host";

	url->host = pnstrdup(host, host_len);
	for (char *p = url->host; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return parse_port(text, url);
}

const char *
uaef_url_parse(const char *text, UaefUrl *url)
{
	const char *problem;
	int			len;

	if (strlen(text) > MAX_URL_LENGTH)
		return "it is too long";
	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p <= ' ' || *p > '~' || strchr("\\\"<>^`{|}", *p) != NULL)
			return "it has a character that must be percent-encoded";
	}

	if (pg_strncasecmp(text, "https://", 8) == 0)
		url->tls = true;
	else if (pg_strncasecmp(text, "http://", 7) == 0)
		url->tls = false;
	else
		return "it does not begin with https:// or http://";
	text += url->tls ? 8 : 7;

	len = strcspn(text, "/?#");
	problem = parse_authority(text, len, url);
	if (problem != NULL)
		return problem;
	text += len;
	if (strchr(text, '#') != NULL)
		return "it has a fragment";
	url->target = *text == '/' ? pstrdup(text) : psprintf("/%s", text);
	return NULL;
}

void
uaef_url_require(const char *text, UaefUrl *url)
{
	const char *problem = uaef_url_parse(text, url);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid URL"),
				 errdetail("The URL is refused because %s.", problem)));
}

static char *
origin(const UaefUrl *url)
{
	bool		brackets = strchr(url->host, ':') != NULL;

	return psprintf("%s://%s%s%s:%d", uaef_url_scheme(url),
					brackets ? "[" : "", url->host, brackets ? "]" : "",
					url->port);
}

char *
uaef_url_text(const UaefUrl *url)
{
	return psprintf("%s%s", origin(url), url->target);
}

char *
uaef_url_public_text(const UaefUrl *url)
{
	return psprintf("%s%.*s", origin(url),
					(int) strcspn(url->target, "?"), url->target);
}
