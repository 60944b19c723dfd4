/*-------------------------------------------------------------------------
 *
 * http_pool.c
 *	  Many HTTP requests at once, in one process and one thread of ours.
 *
 * This is the only file that knows libcurl.
 *
 * Callbacks run on libcurl's stack, so they must not raise: they use malloc(),
 * never palloc, and leave word in the transfer instead of calling ereport().
 * Signals are blocked around every call into libcurl, because it starts
 * resolver threads, which would otherwise inherit our mask and run PostgreSQL's
 * signal handlers.
 *
 * Requests are HTTP/1.1.  When a connection that it used again turns out to be
 * closed, libcurl would repeat the request by itself; that is refused, so that
 * an attempt is one request.  What must not be sent twice gets a new connection
 * each time, because there a closed connection would leave it in doubt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_buffer.h"
#include "http_pool.h"
#include "http_sharing.h"
#include "http_watch.h"

#if LIBCURL_VERSION_NUM < 0x075000
#error "libcurl 7.80 or newer is needed"
#endif

#define MAX_HEAD_BYTES		65536
#define MAX_HEAD_LINES		200
#define MAX_IDLE_FAMILIES	8
#define MAX_IDLE_HANDLES	64
#define MAX_IDLE_S			4	/* less than servers usually keep them */
#define EVENTS_PER_ROUND	64
#define MAX_ROUNDS			16

/*
 * Requests that may share connections and TLS sessions: the same networks are
 * open to them, and they have the same TLS identity and proxy.
 */
typedef struct Family
{
	uint8		id[UAEF_SHARING_ID_LEN];	/* a hash of all that */
	UaefHttpPool *pool;
	int			number;			/* its place in the pool */
	CURLM	   *multi;
	int			timer_fd;
	bool		timer_due;		/* it was set to expire at once, and not read */
	int			in_flight;
	uint64		used;			/* the pool's count when it was used last */
} Family;

struct UaefHttpPool
{
	int			epoll_fd;
	int			wake_fd;		/* a timer, for the stillborn */
	int			in_flight;
	int			n_families;		/* places; some may be empty */
	Family	  **families;
	uint64		used;
	dlist_head	transfers;		/* of Transfer, in flight */
	dlist_head	stillborn;		/* results of requests that could not begin */
	int			n_idle;
	CURL	   *idle[MAX_IDLE_HANDLES]; /* handles to be used again */
};

/* What epoll keeps for us: a descriptor, or a timer, and the family's number. */
#define NO_FAMILY			PG_UINT32_MAX
#define TIMER				(-1)
#define epoll_mark(fd, number)	((uint64) (number) << 32 | (uint32) (fd))
#define mark_fd(mark)		((int) ((mark) & 0xffffffff))
#define mark_number(mark)	((uint32) ((mark) >> 32))

/* One request in flight; the handle's private data. */
typedef struct Transfer
{
	dlist_node	node;
	int64		id;
	int			attempt;
	void	   *tag;
	Family	   *family;
	CURL	   *easy;
	struct curl_slist *headers;
	char	   *key;			/* of the client's certificate; wiped */
	bool		has_password;	/* libcurl was given one */
	UaefNetwork *networks;
	int			n_networks;
	bool		denied;			/* an address was refused */
	bool		dialled;		/* an address was allowed */
	bool		sent;			/* the request was about to be written */
	bool		repeated;		/* and libcurl wanted to write it again */
	bool		head_done;
	int			head_lines;
	UaefHttpBuffer head;
	UaefHttpBuffer body;
	char		error[CURL_ERROR_SIZE];
} Transfer;

static void block_signals(sigset_t *saved);
static void restore_signals(const sigset_t *saved);
static bool address_allowed(Transfer *transfer, const UaefNetwork *address);
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
								 struct curl_sockaddr *address);
static int	before_request(void *arg, char *remote_ip, char *local_ip,
						   int remote_port, int local_port);
static size_t on_header(char *data, size_t size, size_t n, void *arg);
static size_t on_body(char *data, size_t size, size_t n, void *arg);
static int	watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
						 void *socket_arg);
static int	set_timer(CURLM *multi, long timeout_ms, void *arg);
static int	family_place(UaefHttpPool *pool);
static Family *family_make(UaefHttpPool *pool, const uint8 *id);
static void family_free(Family *family);
static Family *family_find(UaefHttpPool *pool, const UaefHttpRequest *request);
static bool transfer_headers(Transfer *transfer,
							 const UaefHttpRequest *request);
static void set_safety(Transfer *transfer, const UaefHttpRequest *request);
static void set_blob(CURL *easy, CURLoption option, const char *text,
					 unsigned int flags);
static bool set_transport(Transfer *transfer, const UaefTransport *transport);
static void set_request(Transfer *transfer, const UaefHttpRequest *request);
static CURL *take_handle(UaefHttpPool *pool);
static void give_handle(UaefHttpPool *pool, CURL *easy, bool has_password);
static Transfer *transfer_make(UaefHttpPool *pool,
							   const UaefHttpRequest *request);
static void transfer_free(UaefHttpPool *pool, Transfer *transfer);
static void send_one(UaefHttpPool *pool, const UaefHttpRequest *request);
static void classify(const Transfer *transfer, CURLcode rc,
					 UaefHttpResult *result);
static const char *code_not_sent(const Transfer *transfer, CURLcode rc,
								 bool *transient);
static const char *code_sent(const Transfer *transfer, CURLcode rc,
							 bool *transient);
static void read_info(CURL *easy, UaefHttpResult *result);
static UaefHttpResult *finish(UaefHttpPool *pool, Transfer *transfer,
							  CURLcode rc);
static void run_events(UaefHttpPool *pool);
static void run_event(UaefHttpPool *pool, const struct epoll_event *event);
static void collect_family(Family *family, dlist_head *results);
static void collect(UaefHttpPool *pool, dlist_head *results);

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static bool
address_allowed(Transfer *transfer, const UaefNetwork *address)
{
	if (uaef_network_allows(transfer->networks, transfer->n_networks, address))
		return true;
	transfer->denied = true;
	return false;
}

/*
 * libcurl wants a socket: the first gate, before a packet leaves.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer   *transfer = arg;
	UaefNetwork network;

	if (!uaef_network_from_sockaddr(&address->addr, &network))
	{
		transfer->denied = true;
		return CURL_SOCKET_BAD;
	}
	if (!address_allowed(transfer, &network))
		return CURL_SOCKET_BAD;
	transfer->dialled = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC,
				  address->protocol);
}

/*
 * The connection stands and the request is about to be written: the second
 * gate, which sees connections that are used again too.
 */
static int
before_request(void *arg, char *remote_ip, char *local_ip,
			   int remote_port, int local_port)
{
	Transfer   *transfer = arg;
	UaefNetwork network;

	if (!uaef_network_from_text(remote_ip, &network) ||
		!address_allowed(transfer, &network))
	{
		transfer->denied = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (transfer->sent)
	{
		transfer->repeated = true;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->sent = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * A header line.  The lines of an interim answer (1xx) give way to those of the
 * next; trailers, which follow the body, are left out.
 */
static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * n;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		transfer->head.len = 0;
		transfer->head_lines = 0;
		transfer->head_done = false;
		return len;
	}
	if (transfer->head_done)
		return len;
	if (len <= 2)
	{
		transfer->head_done = true;
		return len;
	}
	if (++transfer->head_lines > MAX_HEAD_LINES)
		transfer->head.overflow = true;
	return !transfer->head.overflow &&
		uaef_http_buffer_append(&transfer->head, data, len) ? len : 0;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;

	return uaef_http_buffer_append(&transfer->body, data, size * n) ? size * n : 0;
}

/*
 * libcurl says what it waits for on a socket.  What is assigned to a socket says
 * that epoll has it already.
 */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
			 void *socket_arg)
{
	Family	   *family = arg;
	UaefHttpPool *pool = family->pool;
	uint32		events = 0;

	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (socket_arg == NULL)
		(void) curl_multi_assign(family->multi, fd, family);
	return uaef_watch_socket(pool->epoll_fd, fd,
							 epoll_mark(fd, family->number), events,
							 socket_arg != NULL);
}

/*
 * libcurl says when it wants to be called at the latest; -1: never.
 */
static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	Family	   *family = arg;

	if (timeout_ms == 0 && family->timer_due)
		return 0;
	family->timer_due = timeout_ms == 0;
	return uaef_watch_arm(family->timer_fd, timeout_ms);
}

UaefHttpPool *
uaef_http_pool_create(void)
{
	UaefHttpPool *pool = calloc(1, sizeof(UaefHttpPool));
	sigset_t	saved;
	CURLcode	rc;

	if (pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	dlist_init(&pool->transfers);
	dlist_init(&pool->stillborn);
	pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	pool->wake_fd = pool->epoll_fd < 0 ? -1 : uaef_watch_timer(pool->epoll_fd,
															   epoll_mark(TIMER, NO_FAMILY));

	block_signals(&saved);
	rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	restore_signals(&saved);
	if (rc != CURLE_OK || pool->wake_fd < 0)
	{
		uaef_http_pool_destroy(pool);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not set up outgoing HTTP")));
	}
	return pool;
}

/*
 * A place for a new family: an empty one; else that of the family that was idle
 * for the longest time, if there are enough idle ones; else a new one.  -1: no
 * memory.
 */
static int
family_place(UaefHttpPool *pool)
{
	Family	   *oldest = NULL;
	Family	  **grown;
	int			idle = 0;

	for (int i = 0; i < pool->n_families; i++)
	{
		Family	   *family = pool->families[i];

		if (family == NULL)
			return i;
		if (family->in_flight > 0)
			continue;
		idle++;
		if (oldest == NULL || family->used < oldest->used)
			oldest = family;
	}
	if (idle >= MAX_IDLE_FAMILIES)
	{
		int			number = oldest->number;

		family_free(oldest);
		return number;
	}
	grown = realloc(pool->families, (pool->n_families + 1) * sizeof(Family *));
	if (grown == NULL)
		return -1;
	pool->families = grown;
	grown[pool->n_families] = NULL;
	return pool->n_families++;
}

/*
 * NULL when there is no memory for it.
 */
static Family *
family_make(UaefHttpPool *pool, const uint8 *id)
{
	int			number = family_place(pool);
	Family	   *family = number < 0 ? NULL : calloc(1, sizeof(Family));

	if (family == NULL)
		return NULL;
	memcpy(family->id, id, UAEF_SHARING_ID_LEN);
	family->pool = pool;
	family->number = number;
	family->multi = curl_multi_init();
	family->timer_fd = uaef_watch_timer(pool->epoll_fd,
										epoll_mark(TIMER, number));
	pool->families[number] = family;
	if (family->multi == NULL || family->timer_fd < 0)
	{
		family_free(family);
		return NULL;
	}
	curl_multi_setopt(family->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(family->multi, CURLMOPT_SOCKETDATA, family);
	curl_multi_setopt(family->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(family->multi, CURLMOPT_TIMERDATA, family);
	curl_multi_setopt(family->multi, CURLMOPT_MAXCONNECTS,
					  uaef_http_idle_connections(MAX_IDLE_FAMILIES));
	return family;
}

static void
family_free(Family *family)
{
	family->pool->families[family->number] = NULL;
	if (family->multi != NULL)
		curl_multi_cleanup(family->multi);
	if (family->timer_fd >= 0)
		close(family->timer_fd);
	free(family);
}

static Family *
family_find(UaefHttpPool *pool, const UaefHttpRequest *request)
{
	uint8		id[UAEF_SHARING_ID_LEN];
	Family	   *found = NULL;

	if (!uaef_http_sharing_id(request, id))
		return NULL;
	for (int i = 0; found == NULL && i < pool->n_families; i++)
	{
		Family	   *family = pool->families[i];

		if (family != NULL && memcmp(family->id, id, UAEF_SHARING_ID_LEN) == 0)
			found = family;
	}
	if (found == NULL)
		found = family_make(pool, id);
	if (found != NULL)
		found->used = ++pool->used;
	return found;
}

int
uaef_http_pool_fd(const UaefHttpPool *pool)
{
	return pool->epoll_fd;
}

int
uaef_http_pool_in_flight(const UaefHttpPool *pool)
{
	return pool->in_flight;
}

/*
 * Copy the headers; "Expect:" keeps libcurl from waiting for a 100, and from
 * sending the request again when the server answers 417.  libcurl would sign
 * that header, and not send it; what is signed must be less than the 1 MB from
 * which on libcurl waits.
 */
static bool
transfer_headers(Transfer *transfer, const UaefHttpRequest *request)
{
	struct curl_slist *list = NULL;
	int			n = 0;

	if (request->aws_sigv4 == NULL)
		list = curl_slist_append(list, "Expect:");
	transfer->headers = list;
	for (int i = 0; i < request->n_headers; i++)
	{
		struct curl_slist *longer = curl_slist_append(list,
													  request->headers[i]);

		if (longer == NULL)
			break;
		transfer->headers = list = longer;
		n++;
	}
	if (list == NULL || n < request->n_headers)
		return false;
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, list);
	return true;
}

/*
 * What holds for every request: one protocol, no redirects, no netrc, no cookies, certificates verified, both gates.
 */
static void
set_safety(Transfer *transfer, const UaefHttpRequest *request)
{
	CURL	   *easy = transfer->easy;

#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
					 request->tls ? "https" : "http");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
					 (long) (request->tls ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
#endif
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT,
					 request->may_reuse ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) MAX_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) request->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
}

/*
 * An option that takes a text as it is; it must stay until the transfer ends,
 * unless libcurl copies it.
 */
static void
set_blob(CURL *easy, CURLoption option, const char *text, unsigned int flags)
{
	struct curl_blob blob = {
		.data = unconstify(char *, text),
		.len = strlen(text),
		.flags = flags
	};

	curl_easy_setopt(easy, option, &blob);
}

/*
 * The proxy, and who is who.  The empty proxy keeps libcurl from asking the
 * environment for one, the empty list from asking it when not to use it.  False
 * when there is no memory.
 */
static bool
set_transport(Transfer *transfer, const UaefTransport *transport)
{
	CURL	   *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PROXY,
					 transport->proxy ? transport->proxy : "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (transport->ca != NULL || transport->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (transport->ca != NULL)
		set_blob(easy, CURLOPT_CAINFO_BLOB, transport->ca, CURL_BLOB_COPY);
	if (transport->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, transport->ca_file);
	if (transport->cert != NULL)
		set_blob(easy, CURLOPT_SSLCERT_BLOB, transport->cert, CURL_BLOB_COPY);
	if (transport->cert_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, transport->cert_file);
	if (transport->key_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, transport->key_file);
	if (transport->key == NULL)
		return true;
	transfer->key = strdup(transport->key);
	if (transfer->key == NULL)
		return false;
	set_blob(easy, CURLOPT_SSLKEY_BLOB, transfer->key, CURL_BLOB_NOCOPY);
	return true;
}

static void
set_request(Transfer *transfer, const UaefHttpRequest *request)
{
	CURL	   *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	if (request->aws_sigv4 != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->aws_sigv4);
		curl_easy_setopt(easy, CURLOPT_USERPWD, request->user_password);
		transfer->has_password = true;
	}
	if (request->body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
						 (curl_off_t) request->body_len);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
	}
	else if (strcmp(request->method, "POST") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, "");
	}
	if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

/* A handle without options, used or new; NULL: no memory. */
static CURL *
take_handle(UaefHttpPool *pool)
{
	return pool->n_idle > 0 ? pool->idle[--pool->n_idle] : curl_easy_init();
}

/*
 * Keep a handle, which is in no multi, for another request.  Connections are
 * the multi's; what the handle itself remembers is reset, but for TLS sessions,
 * which libcurl takes up with the same host, authorities and certificate only,
 * and copies of a password: one that has had any is not kept.
 */
static void
give_handle(UaefHttpPool *pool, CURL *easy, bool has_password)
{
	if (has_password || pool->n_idle == MAX_IDLE_HANDLES)
	{
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	pool->idle[pool->n_idle++] = easy;
}

/* NULL when memory ran out. */
static Transfer *
transfer_make(UaefHttpPool *pool, const UaefHttpRequest *request)
{
	Transfer   *transfer = calloc(1, sizeof(Transfer));
	size_t		networks_size = request->n_networks * sizeof(UaefNetwork);

	if (transfer == NULL)
		return NULL;
	transfer->id = request->id;
	transfer->attempt = request->attempt;
	transfer->tag = request->tag;
	transfer->head.limit = MAX_HEAD_BYTES;
	transfer->body.limit = request->max_response;
	transfer->networks = malloc(Max(networks_size, 1));
	transfer->easy = take_handle(pool);
	if (transfer->networks == NULL || transfer->easy == NULL ||
		!transfer_headers(transfer, request) ||
		!set_transport(transfer, &request->transport))
	{
		transfer_free(pool, transfer);
		return NULL;
	}
	if (networks_size > 0)
		memcpy(transfer->networks, request->networks, networks_size);
	transfer->n_networks = request->n_networks;
	set_safety(transfer, request);
	set_request(transfer, request);
	return transfer;
}

/* The handle must not be in the multi any more. */
static void
transfer_free(UaefHttpPool *pool, Transfer *transfer)
{
	if (transfer->easy != NULL)
		give_handle(pool, transfer->easy, transfer->has_password);
	if (transfer->key != NULL)
		explicit_bzero(transfer->key, strlen(transfer->key));
	free(transfer->key);
	for (struct curl_slist *line = transfer->headers; line != NULL;
		 line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(transfer->headers);
	free(transfer->networks);
	free(transfer->head.data);
	free(transfer->body.data);
	free(transfer);
}

static void
send_one(UaefHttpPool *pool, const UaefHttpRequest *request)
{
	Family	   *family = family_find(pool, request);
	Transfer   *transfer = family == NULL ? NULL
		: transfer_make(pool, request);

	if (transfer != NULL &&
		curl_multi_add_handle(family->multi, transfer->easy) == CURLM_OK)
	{
		transfer->family = family;
		dlist_push_tail(&pool->transfers, &transfer->node);
		pool->in_flight++;
		family->in_flight++;
	}
	else
	{
		UaefHttpResult *result;

		if (transfer != NULL)
			transfer_free(pool, transfer);
		result = uaef_http_result_make(request->id, request->attempt,
									   UAEF_HTTP_NOT_SENT, "http_connect",
									   "out of memory");
		if (result != NULL)
		{
			result->tag = request->tag;
			result->transient = true;
			dlist_push_tail(&pool->stillborn, &result->node);
			(void) uaef_watch_arm(pool->wake_fd, 0);
		}
	}
}

void
uaef_http_pool_send(UaefHttpPool *pool, const UaefHttpRequest *requests, int n)
{
	sigset_t	saved;

	block_signals(&saved);
	for (int i = 0; i < n; i++)
		send_one(pool, &requests[i]);
	restore_signals(&saved);
}

/*
 * Why nothing was sent.
 */
static const char *
code_not_sent(const Transfer *transfer, CURLcode rc, bool *transient)
{
	*transient = true;
	if (transfer->denied && (!transfer->dialled ||
							 rc == CURLE_ABORTED_BY_CALLBACK))
	{
		*transient = false;
		return "egress_denied";
	}
	switch (rc)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
			return "http_dns";
		case CURLE_OPERATION_TIMEDOUT:
			return "http_timeout";
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
			*transient = false;
			return "http_tls";
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
			return "http_tls";
		default:
			return "http_connect";
	}
}

/*
 * Why no complete answer came.
 */
static const char *
code_sent(const Transfer *transfer, CURLcode rc, bool *transient)
{
	*transient = true;
	if (transfer->body.overflow || transfer->head.overflow)
	{
		*transient = false;
		return "response_too_large";
	}
	if (transfer->repeated)
		return "http_reset";
	switch (rc)
	{
		case CURLE_OPERATION_TIMEDOUT:
			return "http_timeout";
		case CURLE_GOT_NOTHING:
		case CURLE_PARTIAL_FILE:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_ERROR:
			return "http_reset";
		default:
			return "http_protocol";
	}
}

static void
classify(const Transfer *transfer, CURLcode rc, UaefHttpResult *result)
{
	const char *code = "";

	if (rc == CURLE_OK)
		result->phase = UAEF_HTTP_ANSWERED;
	else if (transfer->sent)
	{
		result->phase = UAEF_HTTP_SENT;
		code = code_sent(transfer, rc, &result->transient);
	}
	else
		code = code_not_sent(transfer, rc, &result->transient);

	strlcpy(result->code, code, sizeof(result->code));
	if (strcmp(code, "egress_denied") == 0)
		uaef_http_result_say(result, "no egress rule allows the address of the host");
	else if (strcmp(code, "response_too_large") == 0)
		uaef_http_result_say(result, "the response is larger than the limit");
	else if (transfer->repeated)
		uaef_http_result_say(result, "the connection was closed before an answer came");
	else if (rc != CURLE_OK)
		uaef_http_result_say(result, transfer->error[0] != '\0' ? transfer->error
							 : curl_easy_strerror(rc));
}

static void
read_info(CURL *easy, UaefHttpResult *result)
{
	long		size = 0;
	long		status = 0;
	curl_off_t	value = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	result->status = (int) status;
	if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &value) == CURLE_OK &&
		value > 0)
		result->retry_after_ms = Min(value, PG_INT32_MAX) * (int64) 1000;

	curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &value);
	result->times.dns = value;
	curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &value);
	result->times.connect = value;
	curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &value);
	result->times.tls = value;
	curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &value);
	result->times.first_byte = value;
	curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &value);
	result->times.total = value;
	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &value);
	result->bytes_sent = value;
	curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &size);
	result->bytes_sent += size;
}

/*
 * Turn a transfer that ended into its result; NULL when there is no memory
 * for it, and the transfer is as good as lost in a crash.
 */
static UaefHttpResult *
finish(UaefHttpPool *pool, Transfer *transfer, CURLcode rc)
{
	UaefHttpResult *result = uaef_http_result_make(transfer->id,
												   transfer->attempt,
												   UAEF_HTTP_NOT_SENT, "", "");

	if (result != NULL)
	{
		result->tag = transfer->tag;
		classify(transfer, rc, result);
		read_info(transfer->easy, result);
		result->bytes_received = transfer->body.len;
		result->head = transfer->head.data;
		result->head_len = transfer->head.len;
		transfer->head.data = NULL;
		if (!transfer->body.overflow)
		{
			result->body = transfer->body.data;
			result->body_len = transfer->body.len;
			transfer->body.data = NULL;
		}
	}
	curl_multi_remove_handle(transfer->family->multi, transfer->easy);
	dlist_delete(&transfer->node);
	transfer->family->in_flight--;
	transfer_free(pool, transfer);
	pool->in_flight--;
	return result;
}

/*
 * Tell libcurl that a socket is ready, or that its time has come.
 */
static void
run_event(UaefHttpPool *pool, const struct epoll_event *event)
{
	int			fd = mark_fd(event->data.u64);
	uint32		number = mark_number(event->data.u64);
	Family	   *family = number == NO_FAMILY ? NULL : pool->families[number];
	int			running;

	if (family == NULL)
	{
		if (number == NO_FAMILY)
			uaef_watch_read(pool->wake_fd);
	}
	else if (fd == TIMER)
	{
		uaef_watch_read(family->timer_fd);
		family->timer_due = false;
		curl_multi_socket_action(family->multi, CURL_SOCKET_TIMEOUT, 0,
								 &running);
	}
	else
		curl_multi_socket_action(family->multi, fd,
								 ((event->events & EPOLLIN) ? CURL_CSELECT_IN : 0) |
								 ((event->events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
								 ((event->events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0),
								 &running);
}

static void
run_events(UaefHttpPool *pool)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int			n;

	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		n = epoll_wait(pool->epoll_fd, events, EVENTS_PER_ROUND, 0);
		for (int i = 0; i < n; i++)
			run_event(pool, &events[i]);
		if (n <= 0)
			break;
	}
}

static void
collect_family(Family *family, dlist_head *results)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(family->multi, &left)) != NULL)
	{
		Transfer   *transfer;
		UaefHttpResult *result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		result = finish(family->pool, transfer, message->data.result);
		if (result != NULL)
			dlist_push_tail(results, &result->node);
	}
}

static void
collect(UaefHttpPool *pool, dlist_head *results)
{
	for (int i = 0; i < pool->n_families; i++)
	{
		if (pool->families[i] != NULL)
			collect_family(pool->families[i], results);
	}
	while (!dlist_is_empty(&pool->stillborn))
		dlist_push_tail(results, dlist_pop_head_node(&pool->stillborn));
}

void
uaef_http_pool_run(UaefHttpPool *pool, dlist_head *results)
{
	sigset_t	saved;

	block_signals(&saved);
	run_events(pool);
	collect(pool, results);
	restore_signals(&saved);
}

void
uaef_http_pool_destroy(UaefHttpPool *pool)
{
	sigset_t	saved;

	block_signals(&saved);
	while (!dlist_is_empty(&pool->transfers))
	{
		Transfer   *transfer = dlist_head_element(Transfer, node,
												  &pool->transfers);

		curl_multi_remove_handle(transfer->family->multi, transfer->easy);
		dlist_delete(&transfer->node);
		transfer_free(pool, transfer);
	}
	while (!dlist_is_empty(&pool->stillborn))
		uaef_http_result_free(dlist_container(UaefHttpResult, node,
											  dlist_pop_head_node(&pool->stillborn)));
	for (int i = 0; i < pool->n_families; i++)
	{
		if (pool->families[i] != NULL)
			family_free(pool->families[i]);
	}
	while (pool->n_idle > 0)
		curl_easy_cleanup(pool->idle[--pool->n_idle]);
	free(pool->families);
	if (pool->epoll_fd >= 0)
		close(pool->epoll_fd);
	if (pool->wake_fd >= 0)
		close(pool->wake_fd);
	free(pool);
	restore_signals(&saved);
}
