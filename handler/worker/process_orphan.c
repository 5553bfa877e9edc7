/* Code of the script that runs in the fork server, or in a tester, may never come back: nobody reads
 * the control socket then, and these processes have one thread. So the system sends a signal when
 * something happens on the socket, and the end of the server ends the process. The signal that
 * Linux can send to the children of a process is of no use: it comes when the thread ends that has
 * started the child. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#ifdef O_ASYNC

static struct sigaction before;

/* The script may wait for something that it has started in this group. */
static void end_orphan(void)
{
	struct pollfd p = {.fd = process.control};
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP))
		return;
	if (getpgrp() == getpid())
		kill(0, SIGKILL);
	_exit(0);
}

static void on_sigio(int sig)
{
	int e = errno;
	(void)sig;
	end_orphan();
	errno = e;
}

void mb_orphan_watch(void)
{
	struct sigaction a = {.sa_handler = on_sigio, .sa_flags = SA_RESTART};
	sigaction(SIGIO, &a, &before);
	fcntl(process.control, F_SETOWN, getpid());
	fcntl(process.control, F_SETFL, fcntl(process.control, F_GETFL) | O_ASYNC);
	end_orphan(); /* of a server that has ended before */
}

void mb_orphan_unwatch(void)
{
	struct sigaction a;
	fcntl(process.control, F_SETFL, fcntl(process.control, F_GETFL) & ~O_ASYNC);
	if (!sigaction(SIGIO, NULL, &a) && a.sa_handler == on_sigio) /* not if the script has its own by now */
		sigaction(SIGIO, &before, NULL);
}

#else

void mb_orphan_watch(void) {}
void mb_orphan_unwatch(void) {}

#endif
