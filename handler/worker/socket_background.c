/* Output of closed raw connections that the kernel had no room for. Threads send it while
 * the worker goes on. */
#include "socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARCELS_MAX 64       /* at the same time; at the limit close() waits for its peer */
#define PARCEL_SECONDS 60    /* as long as the server allows for a response that makes no progress;
                                then the connection is reset */
#define STACK (64u << 10)

typedef struct {
	int fd;
	size_t n;
	char bytes[];
} parcel;

static int running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_less = PTHREAD_COND_INITIALIZER;

static void *deliver(void *arg)
{
	parcel *p = arg;
	if (mb_send_patiently(p->fd, p->bytes, p->n, PARCEL_SECONDS, mb_unacknowledged) == 0)
		mb_socket_end(p->fd);
	else
		close(p->fd); /* this sends a reset, as set for the socket */
	free(p);
	pthread_mutex_lock(&lock);
	running--;
	pthread_cond_signal(&one_less);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int start(parcel *p)
{
	pthread_t t;
	pthread_attr_t a;
	sigset_t all, before;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, STACK);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	/* Signals must go to Go's threads, which have a stack for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int e = pthread_create(&t, &a, deliver, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&a);
	return e;
}

int mb_background_send(int fd, const char *bytes, size_t n)
{
	parcel *p = malloc(sizeof *p + n);
	if (!p)
		return -1;
	p->fd = fd;
	p->n = n;
	memcpy(p->bytes, bytes, n);
	pthread_mutex_lock(&lock);
	int failed = running == PARCELS_MAX || start(p);
	running += !failed;
	pthread_mutex_unlock(&lock);
	if (failed)
		free(p);
	return failed ? -1 : 0;
}

void mb_background_wait(void)
{
	pthread_mutex_lock(&lock);
	while (running)
		pthread_cond_wait(&one_less, &lock);
	pthread_mutex_unlock(&lock);
}
