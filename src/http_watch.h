/*-------------------------------------------------------------------------
 *
 * http_watch.h
 *	  Sockets and timers that are waited for on one descriptor.
 *
 * A mark is what epoll gives back with an event.  Nothing here raises.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_WATCH_H
#define UAEF_HTTP_WATCH_H

/* A timer that an epoll descriptor watches; -1 when there is none. */
extern int	uaef_watch_timer(int epoll_fd, uint64 mark);

/* When a timer expires; -1: never.  Returns 0, or -1 when that is not possible. */
extern int	uaef_watch_arm(int timer_fd, long timeout_ms);

/* It expired. */
extern void uaef_watch_read(int timer_fd);

/*
 * Wait for these events of a socket, which is watched already or not.  Returns 0,
 * or -1 when that is not possible.
 */
extern int	uaef_watch_socket(int epoll_fd, int fd, uint64 mark, uint32 events,
							  bool watched);

#endif							/* UAEF_HTTP_WATCH_H */
