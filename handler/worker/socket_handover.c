/* How a raw connection's socket comes from the server: the worker asks for it in
 * its cell, the descriptor arrives on the control socket, which another thread
 * reads, and that hands it to the one that waits. */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { NOBODY_ASKS = -1, ASKED = -2 }; /* else the descriptor */
static int offered = NOBODY_ASKS;
static int bell[2] = {-1, -1}; /* the other thread wakes this one */

void mb_handover_open(void)
{
	if (pipe(bell)) {
		mb_log("worker: pipe", strerror(errno), strlen(strerror(errno)));
		_exit(4);
	}
	for (int i = 0; i < 2; i++) {
		fcntl(bell[i], F_SETFL, O_NONBLOCK);
		fcntl(bell[i], F_SETFD, FD_CLOEXEC);
	}
}

void mb_handover_offer(int fd)
{
	int asked = ASKED;
	if (!__atomic_compare_exchange_n(&offered, &asked, fd, 0, __ATOMIC_ACQ_REL,
			__ATOMIC_RELAXED)) {
		close(fd);
		return;
	}
	ssize_t k = write(bell[1], "", 1);
	(void)k; /* full: it was rung already */
}

static int here(void)
{
	return __atomic_load_n(&offered, __ATOMIC_ACQUIRE) >= 0 || mb_cancelled();
}

/* As mb_wait, with two bells. */
static void wait_here(void)
{
	while (!here()) {
		struct pollfd p[2] = {{.fd = bell[0], .events = POLLIN},
			{.fd = worker.doorbell, .events = POLLIN}};
		__atomic_store_n(&worker.out_slot->asleep, 1, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!here() && poll(p, 2, -1) > 0) {
			char rings[64];
			while (p[0].revents && read(bell[0], rings, sizeof rings) > 0)
				;
			if (p[1].revents && mb_doorbell_wait()) {
				fflush(NULL);
				_exit(0); /* the server is gone */
			}
		}
		__atomic_store_n(&worker.out_slot->asleep, 0, __ATOMIC_RELAXED);
	}
}

static void want(uint32_t flag)
{
	mb_lock();
	exchange.out_flags = (exchange.out_flags & ~MB_OUT_SOCKET_WANTED) | flag;
	__atomic_store_n(&exchange.out_cell->flags, exchange.out_flags, __ATOMIC_RELEASE);
	mb_unlock();
}

int mb_handover_take(void)
{
	__atomic_store_n(&offered, ASKED, __ATOMIC_RELEASE);
	want(MB_OUT_SOCKET_WANTED);
	mb_notify();
	wait_here();
	int fd = __atomic_exchange_n(&offered, NOBODY_ASKS, __ATOMIC_ACQ_REL);
	want(0); /* the loop looks at that every now and then: a worker that waits for long waits in vain */
	return fd >= 0 ? fd : -1;
}
