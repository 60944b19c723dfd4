/*-------------------------------------------------------------------------
 *
 * signer_server.c
 *	  Signing for whoever may open a Unix socket.
 *
 * One process and one thread: requests are answered one after the other, so
 * nothing can come between looking at the state and writing it.  A client has
 * some seconds for each request and for taking its answer; then its connection
 * is closed, and nobody else has waited for it.
 *
 * A request is "VERB LENGTH\n" and that many bytes, an answer "CODE LENGTH\n"
 * and that many; a connection may carry several.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "signer_request.h"
#include "signer_server.h"

#define MAX_CLIENTS		32
#define CLIENT_SECONDS	10

/* The longest request: a proof and a checkpoint, and its header. */
#define MAX_HEADER		64
#define MAX_REQUEST		(MAX_HEADER + 16384)

typedef struct Client
{
	int			fd;				/* -1: nobody */
	time_t		deadline;
	size_t		got;			/* bytes of the request */
	size_t		to_send;		/* bytes of the answer; 0: reading */
	size_t		sent;
	int			last;			/* close after the answer */
	char		in[MAX_REQUEST];
	char		out[MAX_HEADER + sizeof(((Answer *) 0)->body)];
} Client;

static volatile sig_atomic_t told_to_end = 0;

static int	listen_on(const Service *service);
static int	remove_stale(const char *path);
static void serve_once(const Service *service, int listener,
					   Client *clients, const sigset_t *open_mask);
static void take_client(int listener, Client *clients);
static void drop(Client *client);
static void read_from(const Service *service, Client *client);
static void answer_requests(const Service *service, Client *client);
static void write_to(const Service *service, Client *client);
static time_t now(void);

static void
end_soon(int signal_no)
{
	(void) signal_no;
	told_to_end = 1;
}

static time_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/*
 * Signals get through only while we wait, so none is missed.
 */
int
serve(const Service *service)
{
	struct sigaction action = {.sa_handler = end_soon};
	sigset_t	closed;
	sigset_t	open_mask;
	Client	   *clients = calloc(MAX_CLIENTS, sizeof(Client));
	int			listener;

	if (clients == NULL)
	{
		fprintf(stderr, "uaef-signer: out of memory\n");
		return 1;
	}
	sigemptyset(&closed);
	sigaddset(&closed, SIGTERM);
	sigaddset(&closed, SIGINT);
	sigprocmask(SIG_BLOCK, &closed, &open_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);

	listener = listen_on(service);
	if (listener < 0)
		return 1;
	for (int i = 0; i < MAX_CLIENTS; i++)
		clients[i].fd = -1;
	fprintf(stderr, "uaef-signer: serving \"%s\"\n", service->socket_path);
	while (!told_to_end)
		serve_once(service, listener, clients, &open_mask);
	unlink(service->socket_path);
	free(clients);
	return 0;
}

/*
 * Make the socket, with the rights it shall have from the first moment on.
 */
static int
listen_on(const Service *service)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			fd;
	mode_t		mask;
	int			bound;

	if (strlen(service->socket_path) >= sizeof(address.sun_path))
	{
		fprintf(stderr, "uaef-signer: the path of the socket is longer than %zu bytes\n",
				sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, service->socket_path);
	if (remove_stale(service->socket_path) != 0)
		return -1;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(~service->socket_mode & 0777);
	bound = fd >= 0 &&
		bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
	umask(mask);
	if (!bound || listen(fd, MAX_CLIENTS) != 0)
	{
		fprintf(stderr, "uaef-signer: could not listen on \"%s\": %s\n",
				service->socket_path, strerror(errno));
		return -1;
	}
	return fd;
}

/*
 * A signer that was killed leaves its socket; the lock on the key, which the
 * caller has, says that none of this key is alive.
 */
static int
remove_stale(const char *path)
{
	struct stat status;

	if (lstat(path, &status) != 0)
		return 0;
	if (!S_ISSOCK(status.st_mode))
	{
		fprintf(stderr, "uaef-signer: \"%s\" exists and is not a socket\n",
				path);
		return -1;
	}
	if (unlink(path) != 0)
	{
		fprintf(stderr, "uaef-signer: could not remove the old socket \"%s\": %s\n",
				path, strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * Wait for something to happen, at most a second, and serve it.
 */
static void
serve_once(const Service *service, int listener, Client *clients,
		   const sigset_t *open_mask)
{
	struct pollfd fds[MAX_CLIENTS + 1];
	struct timespec second = {1, 0};
	int			busy = 0;

	for (int i = 0; i < MAX_CLIENTS; i++)
	{
		Client	   *client = &clients[i];

		if (client->fd >= 0 && client->deadline <= now())
			drop(client);
		fds[i].fd = client->fd;
		fds[i].events = client->to_send > 0 ? POLLOUT : POLLIN;
		fds[i].revents = 0;
		busy += client->fd >= 0;
	}
	fds[MAX_CLIENTS].fd = busy < MAX_CLIENTS ? listener : -1;
	fds[MAX_CLIENTS].events = POLLIN;
	fds[MAX_CLIENTS].revents = 0;

	if (ppoll(fds, MAX_CLIENTS + 1, busy > 0 ? &second : NULL,
			  open_mask) <= 0)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++)
	{
		if (fds[i].revents == 0)
			continue;
		if (clients[i].to_send > 0)
			write_to(service, &clients[i]);
		else
			read_from(service, &clients[i]);
	}
	if (fds[MAX_CLIENTS].revents != 0)
		take_client(listener, clients);
}

static void
take_client(int listener, Client *clients)
{
	int			fd = accept4(listener, NULL, NULL,
							 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
	{
		/* Out of descriptors or memory: do not spin. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			poll(NULL, 0, 100);
		return;
	}
	for (int i = 0; i < MAX_CLIENTS; i++)
	{
		Client	   *client = &clients[i];

		if (client->fd >= 0)
			continue;
		client->fd = fd;
		client->got = client->to_send = client->sent = 0;
		client->last = 0;
		client->deadline = now() + CLIENT_SECONDS;
		return;
	}
	close(fd);
}

static void
drop(Client *client)
{
	close(client->fd);
	client->fd = -1;
	client->to_send = 0;
}

static void
read_from(const Service *service, Client *client)
{
	ssize_t		n = read(client->fd, client->in + client->got,
						 sizeof(client->in) - client->got);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
	{
		drop(client);
		return;
	}
	client->got += n;
	answer_requests(service, client);
}

static void
put_answer(Client *client, const Answer *answer)
{
	client->to_send = sprintf(client->out, "%d %zu\n%s", answer->code,
							  strlen(answer->body), answer->body);
	client->sent = 0;
	client->deadline = now() + CLIENT_SECONDS;
}

static void
refuse(Client *client, const char *why)
{
	Answer		answer = {.code = 400};

	snprintf(answer.body, sizeof(answer.body), "%s\n", why);
	client->last = 1;
	put_answer(client, &answer);
}

/*
 * Answer the request that has arrived, if it is whole; more may follow it.
 */
static void
answer_requests(const Service *service, Client *client)
{
	char	   *stop = memchr(client->in, '\n', client->got);
	char	   *space;
	size_t		header_len;
	int64_t		len;
	Answer		answer = {.code = 200};

	if (stop == NULL || stop - client->in >= MAX_HEADER)
	{
		if (client->got >= MAX_HEADER)
			refuse(client, "the request does not open with \"VERB LENGTH\"");
		return;
	}
	header_len = stop + 1 - client->in;
	space = memchr(client->in, ' ', header_len);
	len = space == NULL ? -1 : parse_size(space + 1, stop - space - 1);
	if (len < 0 || len > MAX_REQUEST - MAX_HEADER)
	{
		refuse(client, "the request does not open with \"VERB LENGTH\", or is too long");
		return;
	}
	if (client->got < header_len + len)
		return;

	if (space - client->in == 14 &&
		memcmp(client->in, "add-checkpoint", 14) == 0)
		answer_add_checkpoint(service, stop + 1, len, &answer);
	else if (space - client->in == 4 && memcmp(client->in, "vkey", 4) == 0)
	{
		key_public_text(service->key, answer.body);
		strcat(answer.body, "\n");
	}
	else
	{
		refuse(client, "the verbs are \"add-checkpoint\" and \"vkey\"");
		return;
	}
	client->got -= header_len + len;
	memmove(client->in, stop + 1 + len, client->got);
	put_answer(client, &answer);
}

static void
write_to(const Service *service, Client *client)
{
	ssize_t		n = write(client->fd, client->out + client->sent,
						  client->to_send - client->sent);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
	{
		drop(client);
		return;
	}
	client->sent += n;
	if (client->sent < client->to_send)
		return;
	client->to_send = 0;
	if (client->last)
		drop(client);
	else
		answer_requests(service, client);
}
