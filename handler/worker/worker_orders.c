/* Orders from the server to a worker. */
#include "worker.h"

#include <string.h>

/* Several answers may come together. */
static void count_purges(const uint8_t *b, size_t n)
{
	size_t purges = 0;
	for (size_t i = 0; i < n; i++)
		purges += b[i] == MB_CTL_PURGED;
	if (purges)
		mb_purge_answered(purges);
}

/* Takes orders on a thread of its own, whatever Lua does: single bytes, and descriptors that
 * were asked for. */
void mb_take_orders(int fd)
{
	for (;;) {
		uint8_t b[64];
		int fds[MB_FDS_MAX], nfds = 0;
		ssize_t k = mb_receive_some(fd, b, sizeof b, fds, &nfds);
		for (int i = 0; i < nfds; i++)
			mb_descriptor_offer(fds[i]); /* MB_CTL_DESCRIPTOR, whichever byte carried it */
		if (k <= 0)
			return;
		if (memchr(b, MB_CTL_FLUSH, (size_t)k))
			mb_flush_now();
		if (memchr(b, MB_CTL_TRACEBACK, (size_t)k))
			mb_trace_wanted();
		if (memchr(b, MB_CTL_END_INPUT, (size_t)k))
			mb_quiet_order();
		if (memchr(b, MB_CTL_CLIENT_GONE, (size_t)k))
			mb_gone_wanted();
		count_purges(b, (size_t)k);
	}
}
