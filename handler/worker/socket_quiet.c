/* The end of quiet raw connections at a stop of the server. A handler may wait for its peer for
 * ever. When the server is about to end and nothing happens on the connection, the input ends,
 * so that the handler can end too. Its output is not touched. */
#include "socket.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static clockid_t clock_of_lua;  /* processor time of the thread that runs Lua */
static int watched = -1;        /* the descriptor of the connection; -1: none */
static struct timespec spent;   /* processor time at the last order */
static int ended;               /* the input was ended here */

void mb_quiet_open(void) { pthread_getcpuclockid(pthread_self(), &clock_of_lua); }

/* From now on the input of this connection may be ended; -1: of none. The descriptor must not
 * be closed before it is taken back. */
void mb_quiet_watch(int fd)
{
	pthread_mutex_lock(&lock);
	watched = fd;
	spent.tv_sec = -1;
	if (fd >= 0)
		__atomic_store_n(&ended, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
}

/* Has the handler been blocked since the last order, with all of its input read? */
static int is_quiet(void)
{
	struct timespec now;
	int there = 0;
	if (clock_gettime(clock_of_lua, &now))
		return 0;
	int same = now.tv_sec == spent.tv_sec && now.tv_nsec == spent.tv_nsec;
	spent = now;
	return same && ioctl(watched, FIONREAD, &there) == 0 && there == 0;
}

/* On the thread that reads the control socket: MB_CTL_END_INPUT. */
void mb_quiet_order(void)
{
	pthread_mutex_lock(&lock);
	if (watched >= 0 && is_quiet()) {
		__atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
		shutdown(watched, SHUT_RD);
		watched = -1;
	}
	pthread_mutex_unlock(&lock);
}

int mb_quiet_ended(void) { return __atomic_load_n(&ended, __ATOMIC_ACQUIRE); }
