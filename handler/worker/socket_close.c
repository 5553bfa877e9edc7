/* The end of a raw connection. While a handler has the socket, it is set up so that the
 * kernel resets the connection when the process ends: a worker that crashes or is killed
 * must not look like one that has sent everything. */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/sockios.h>
#else
#define SIOCOUTQ TIOCOUTQ
#endif

#define PAUSE_MIN_NS 100000  /* between two checks of what the peer has acknowledged */
#define PAUSE_MAX_NS 5000000
#define WAIT_SECONDS 60      /* for a peer that takes nothing, if close() has to wait */

static void set_reset(int fd, int on)
{
	struct linger l = {.l_onoff = on, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

int mb_socket_fd = -1;

void mb_socket_abort(void)
{
	if (mb_socket_fd >= 0)
		set_reset(mb_socket_fd, 1);
}

static void close_handles(mb_socket *s)
{
	if (mb_file_stdio(s->in))
		mb_file_close(s->in);
	if (mb_file_stdio(s->out)) {
		__fpurge(mb_file_stdio(s->out)); /* what is left in the buffer must not be sent */
		mb_file_close(s->out);
	}
}

void mb_socket_cancel(mb_socket *s)
{
	if (s->fd < 0)
		return;
	int fd = s->fd;
	s->fd = mb_socket_fd = -1;
	mb_quiet_watch(-1);
	set_reset(fd, 1);
	close_handles(s);
	close(fd);
}

void mb_socket_half_close(void)
{
	mb_socket *s = mb_socket_current();
	if (!s || s->fd < 0 || s->half_closed || mb_file_stdio(s->out))
		return;
	mb_own_only();
	s->half_closed = 1;
	shutdown(s->fd, SHUT_WR);
}

/* --- time ----------------------------------------------------------------------- */

/* --- flushing -------------------------------------------------------------------- */

/* Sends *n bytes, and moves *p and *n by what was sent. */
static int send_until(int fd, const char **p, size_t *n, double deadline)
{
	while (*n) {
		ssize_t k = send(fd, *p, *n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k >= 0) {
			*p += k;
			*n -= (size_t)k;
			continue;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		struct pollfd w = {.fd = fd, .events = POLLOUT};
		int ms = mb_remaining_ms(deadline);
		if (ms == 0 || (poll(&w, 1, ms) == 0 && mb_remaining_ms(deadline) == 0)) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return 0;
}

int mb_unacknowledged(int fd)
{
	int left;
	return ioctl(fd, SIOCOUTQ, &left) ? -1 : left;
}

int mb_send_patiently(int fd, const char *p, size_t n, double patience, int (*unacknowledged)(int fd))
{
	int left = unacknowledged(fd);
	for (;;) {
		size_t before = n;
		if (send_until(fd, &p, &n, mb_now() + patience) == 0)
			return 0;
		if (errno != ETIMEDOUT)
			return -1;
		int now = unacknowledged(fd);
		if (n == before && (now < 0 || now >= left)) {
			errno = ETIMEDOUT;
			return -1;
		}
		left = now;
	}
}

/* Like fflush, with a deadline. The C library would start again after each part that the
 * kernel accepts, however slowly the peer reads. */
static int flush_until(mb_socket *s, FILE *f, double deadline)
{
	size_t n;
	const char *p = mb_stdio_unsent(f, &n);
	if (n == 0)
		return 0;
	if (p) {
		int r = send_until(s->fd, &p, &n, deadline), e = errno;
		__fpurge(f);
		errno = e;
		return r;
	}
	int ms = mb_remaining_ms(deadline);
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1};
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	return fflush(f);
}

/* Waits until the peer's system has all output. With a Unix socket that is so at once. */
static int wait_acknowledged(mb_socket *s, double deadline)
{
	struct timespec pause = {.tv_nsec = PAUSE_MIN_NS};
	for (;;) {
		struct pollfd p = {.fd = s->fd};
		int left = 0, e = 0;
		socklen_t n = sizeof e;
		if (!s->tcp || ioctl(s->fd, SIOCOUTQ, &left) || left == 0) {
			/* The kernel may have discarded output because of an error. */
			if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0 && e) {
				errno = e;
				return -1;
			}
			return 0;
		}
		if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR)) {
			errno = getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0 && e ? e : ECONNRESET;
			return -1;
		}
		if (mb_remaining_ms(deadline) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_MAX_NS)
			pause.tv_nsec += pause.tv_nsec;
	}
}

/* If there is unread input, the kernel resets the connection at close, and the peer may lose
 * what was sent to it. So input that has arrived by now is discarded. Waiting for more is up
 * to the handler. */
static void discard_input(int fd)
{
	char b[16384];
	int there = 0;
	if (ioctl(fd, FIONREAD, &there))
		return;
	while (there > 0) {
		ssize_t k = recv(fd, b, sizeof b, MSG_DONTWAIT);
		if (k <= 0 && !(k < 0 && errno == EINTR))
			return;
		there -= k > 0 ? (int)k : 0;
	}
}

void mb_socket_settle(void)
{
	if (mb_socket_fd < 0)
		return;
	discard_input(mb_socket_fd);
	set_reset(mb_socket_fd, 0);
}

void mb_socket_end(int fd)
{
	shutdown(fd, SHUT_WR);
	discard_input(fd);
	set_reset(fd, 0);
	close(fd);
}

/* Sends what the kernel accepts without waiting. 1: the rest is sent in the background,
 * which now owns the descriptor. */
static int flush_without_waiting(mb_socket *s, FILE *f)
{
	size_t n;
	const char *p = mb_stdio_unsent(f, &n);
	while (p && n) {
		ssize_t k = send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return -1;
		if (k > 0) {
			p += k;
			n -= (size_t)k;
			continue;
		}
		if (mb_background_send(s->fd, p, n) == 0)
			return 1;
		return mb_send_patiently(s->fd, p, n, WAIT_SECONDS, mb_unacknowledged);
	}
	return n ? fflush(f) : 0;
}

int mb_socket_close(mb_socket *s, double timeout)
{
	if (s->fd < 0)
		return 0;
	mb_quiet_watch(-1);
	double deadline = timeout > 0 ? mb_now() + timeout : 0;
	FILE *out = mb_file_stdio(s->out);
	int r = 0;
	if (out)
		r = timeout > 0 ? flush_until(s, out, deadline) : flush_without_waiting(s, out);
	if (r == 0 && timeout > 0) {
		shutdown(s->fd, SHUT_WR);
		r = wait_acknowledged(s, deadline);
	}
	if (r < 0) {
		int e = errno;
		mb_socket_cancel(s);
		errno = e;
		return -1;
	}
	int fd = s->fd;
	s->fd = mb_socket_fd = -1;
	close_handles(s);
	if (r == 0)
		mb_socket_end(fd);
	return 0;
}
