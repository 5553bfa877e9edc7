/* How the descriptor of an exchange gets from the server to the worker: the socket of a raw
 * connection, or the file of a request body. The worker asks for it in its cell. It arrives
 * on the control socket, which another thread reads. That thread passes it to the one that
 * waits. */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NOT_ASKED = -1, ASKED = -2 }; /* otherwise the descriptor */
static int offered = NOT_ASKED;
static int bell[2] = {-1, -1}; /* the other thread wakes this one with it */

static void in_child(void) { mb_close_all(bell, 2); } /* of a fork by a handler */

void mb_descriptor_open(void)
{
	pthread_atfork(NULL, NULL, in_child);
	if (pipe(bell)) {
		mb_log("worker: pipe", strerror(errno), strlen(strerror(errno)));
		_exit(4);
	}
	for (int i = 0; i < 2; i++) {
		fcntl(bell[i], F_SETFL, O_NONBLOCK);
		fcntl(bell[i], F_SETFD, FD_CLOEXEC);
	}
}

void mb_descriptor_offer(int fd)
{
	int asked = ASKED;
	if (!__atomic_compare_exchange_n(&offered, &asked, fd, 0, __ATOMIC_ACQ_REL,
			__ATOMIC_RELAXED)) {
		close(fd);
		return;
	}
	ssize_t k = write(bell[1], "", 1);
	(void)k; /* full: it has already been rung */
}

static int arrived(int cancellable)
{
	return __atomic_load_n(&offered, __ATOMIC_ACQUIRE) >= 0 || (cancellable && mb_cancelled());
}

/* Like mb_wait, with two bells. */
static void wait_for_it(int cancellable)
{
	while (!arrived(cancellable)) {
		struct pollfd p[2] = {{.fd = bell[0], .events = POLLIN},
			{.fd = worker.doorbell, .events = POLLIN}};
		mb_sleep_begin();
		if (!arrived(cancellable) && poll(p, 2, -1) > 0) {
			char rings[64];
			while (p[0].revents && read(bell[0], rings, sizeof rings) > 0)
				;
			if (p[1].revents)
				mb_doorbell_wait();
		}
		mb_sleep_end();
	}
}

static void set_wanted(uint32_t flag)
{
	mb_response_lock();
	exchange.out_flags = (exchange.out_flags & ~MB_OUT_DESCRIPTOR_WANTED) | flag;
	__atomic_store_n(&exchange.out_cell->flags, exchange.out_flags, __ATOMIC_RELEASE);
	mb_response_unlock();
}

/* If a cancelled wait ends without it, the descriptor may still be on the way. Then the worker
 * must not ask again: it would get it for another exchange. */
int mb_descriptor_receive(int cancellable)
{
	__atomic_store_n(&offered, ASKED, __ATOMIC_RELEASE);
	set_wanted(MB_OUT_DESCRIPTOR_WANTED);
	mb_notify();
	wait_for_it(cancellable);
	int fd = __atomic_exchange_n(&offered, NOT_ASKED, __ATOMIC_ACQ_REL);
	set_wanted(0); /* else the loop would take it for a worker that still waits */
	return fd >= 0 ? fd : -1;
}
