/* Whether the peer of a raw connection is still there. */
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#ifdef POLLRDHUP
#define PEER_END POLLRDHUP
#else
#define PEER_END 0
#endif

/* Where poll does not report a FIN it is seen once all bytes before it have been read. */
static int at_end(int fd)
{
	char c;
	return !PEER_END && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

int mb_peer_is_there(int fd)
{
	struct pollfd p = {.fd = fd, .events = PEER_END};
	int n;
	do
		n = poll(&p, 1, 0);
	while (n < 0 && errno == EINTR);
	return !(n > 0 && (p.revents & (PEER_END | POLLHUP | POLLERR | POLLNVAL))) && !at_end(fd);
}
