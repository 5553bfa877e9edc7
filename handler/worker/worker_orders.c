/* Orders from the server to a worker. */
#include "worker.h"

#include <string.h>

/* Takes orders on a thread of its own, whatever Lua does: single bytes, and the socket of a
 * raw connection. */
void mb_take_orders(int fd)
{
	for (;;) {
		uint8_t b[64];
		int fds[MB_FDS_MAX], nfds = 0;
		ssize_t k = mb_receive_some(fd, b, sizeof b, fds, &nfds);
		for (int i = 0; i < nfds; i++)
			mb_handover_offer(fds[i]); /* MB_CTL_SOCKET, whichever byte carried it */
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
	}
}
