/* Messages on control sockets, and the descriptors that come with them. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

#define TRY_MAX 8192u /* longest message of mb_message_try */

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	poll(&p, 1, -1);
}

static int send_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				return -1;
			wait_for(fd, POLLOUT);
			continue;
		}
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static volatile sig_atomic_t sending;

static int send_message(int fd, uint32_t type, const void *p, size_t n)
{
	mb_msg m = {.type = type, .len = (uint32_t)n};
	if (n <= 1024) {
		/* Most messages are short, and are sent in one piece. */
		uint8_t b[sizeof m + 1024];
		memcpy(b, &m, sizeof m);
		if (n)
			memcpy(b + sizeof m, p, n);
		return send_all(fd, b, sizeof m + n);
	}
	if (send_all(fd, (const uint8_t *)&m, sizeof m))
		return -1;
	return send_all(fd, p, n);
}

int mb_message_send(int fd, uint32_t type, const void *p, size_t n)
{
	sending = 1;
	int r = send_message(fd, type, p, n > MB_MSG_MAX ? MB_MSG_MAX : n);
	sending = 0;
	return r;
}

/* Sends the header with a descriptor, which comes with the first byte. */
static int send_header_with(int fd, mb_msg *m, int passed)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	memset(&c, 0, sizeof c);
	struct iovec v = {.iov_base = m, .iov_len = sizeof *m};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof c.room};
	struct cmsghdr *r = CMSG_FIRSTHDR(&h);
	r->cmsg_level = SOL_SOCKET;
	r->cmsg_type = SCM_RIGHTS;
	r->cmsg_len = CMSG_LEN(sizeof passed);
	memcpy(CMSG_DATA(r), &passed, sizeof passed);
	for (;;) {
		ssize_t k = sendmsg(fd, &h, MSG_NOSIGNAL);
		if (k >= 0)
			return send_all(fd, (const uint8_t *)m + k, sizeof *m - (size_t)k);
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_for(fd, POLLOUT);
		else if (errno != EINTR)
			return -1;
	}
}

int mb_message_pass(int fd, uint32_t type, const void *p, size_t n, int passed)
{
	mb_msg m = {.type = type, .len = (uint32_t)n};
	sending = 1;
	int r = send_header_with(fd, &m, passed) ? -1 : send_all(fd, p, n);
	sending = 0;
	return r;
}

int mb_message_send_now(int fd, const void *p, size_t n)
{
	if (sending || !n)
		return -1;
	return send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

int mb_message_room(int fd, int seconds)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int n;
	while ((n = poll(&p, 1, seconds * 1000)) < 0 && errno == EINTR)
		;
	return n > 0;
}

/* Never waits for room. The kernel takes a short message whole or not at all on most systems;
 * where it takes a part, the rest has to follow. */
int mb_message_try(int fd, uint32_t type, const void *p, size_t n)
{
	uint8_t b[TRY_MAX];
	mb_msg m = {.type = type, .len = (uint32_t)n};
	if (n > sizeof b - sizeof m)
		return -1;
	memcpy(b, &m, sizeof m);
	memcpy(b + sizeof m, p, n);
	ssize_t k;
	do
		k = send(fd, b, sizeof m + n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (k < 0 && errno == EINTR);
	return k < 0 ? -1 : send_all(fd, b + k, sizeof m + n - (size_t)k);
}

static void take_fds(struct msghdr *h, int *fds, int *nfds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (!MSG_CMSG_CLOEXEC)
				fcntl(fd, F_SETFD, FD_CLOEXEC);
			if (*nfds < MB_FDS_MAX)
				fds[(*nfds)++] = fd;
			else
				close(fd);
		}
	}
}

/* Returns the number of bytes received, at least one. 0: end of file; -1: error. */
ssize_t mb_receive_some(int fd, uint8_t *p, size_t n, int *fds, int *nfds)
{
	union {
		struct cmsghdr align;
		uint8_t room[CMSG_SPACE(MB_FDS_MAX * sizeof(int))];
	} c;
	for (;;) {
		struct iovec v = {.iov_base = p, .iov_len = n};
		struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1,
			.msg_control = &c, .msg_controllen = sizeof c};
		ssize_t k = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
		if (k >= 0) {
			take_fds(&h, fds, nfds);
			return k;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_for(fd, POLLIN);
		else if (errno != EINTR)
			return -1;
	}
}

static int recv_all(int fd, uint8_t *p, size_t n, int *fds, int *nfds)
{
	size_t got = 0;
	while (got < n) {
		ssize_t k = mb_receive_some(fd, p + got, n - got, fds, nfds);
		if (k < 0)
			return -1;
		if (k == 0)
			return got ? -1 : 0;
		got += (size_t)k;
	}
	return 1;
}

int mb_message_receive(int fd, mb_msg *m, uint8_t **payload, int *fds, int *nfds)
{
	*payload = NULL;
	*nfds = 0;
	int r = recv_all(fd, (uint8_t *)m, sizeof *m, fds, nfds);
	if (r == 1 && m->len > MB_MSG_MAX)
		r = -1;
	if (r == 1) {
		*payload = malloc((size_t)m->len + 1);
		if (!*payload || (m->len && recv_all(fd, *payload, m->len, fds, nfds) != 1))
			r = -1;
		else
			(*payload)[m->len] = 0;
	}
	if (r != 1) {
		mb_close_all(fds, *nfds);
		*nfds = 0;
		free(*payload);
		*payload = NULL;
	}
	return r;
}
