/*-------------------------------------------------------------------------
 *
 * http_watch.c
 *	  Sockets and timers that are waited for on one descriptor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http_watch.h"

int
uaef_watch_timer(int epoll_fd, uint64 mark)
{
	struct epoll_event event = {.events = EPOLLIN};
	int			fd = timerfd_create(CLOCK_MONOTONIC,
									TFD_CLOEXEC | TFD_NONBLOCK);

	event.data.u64 = mark;
	if (fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int
uaef_watch_arm(int timer_fd, long timeout_ms)
{
	struct itimerspec when = {{0}};

	if (timeout_ms == 0)
		when.it_value.tv_nsec = 1;
	else if (timeout_ms > 0)
	{
		when.it_value.tv_sec = timeout_ms / 1000;
		when.it_value.tv_nsec = (timeout_ms % 1000) * 1000000L;
	}
	return timerfd_settime(timer_fd, 0, &when, NULL) == 0 ? 0 : -1;
}

void
uaef_watch_read(int timer_fd)
{
	uint64		expirations;

	(void) !read(timer_fd, &expirations, sizeof(expirations));
}

int
uaef_watch_socket(int epoll_fd, int fd, uint64 mark, uint32 events,
				  bool watched)
{
	struct epoll_event event = {.events = events};
	int			first = watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int			other = watched ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	event.data.u64 = mark;
	if (epoll_ctl(epoll_fd, first, fd, &event) == 0)
		return 0;
	return epoll_ctl(epoll_fd, other, fd, &event) == 0 ? 0 : -1;
}
