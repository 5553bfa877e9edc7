/* The limit: a server that reads, counts the empty lines that end request heads, and sends the same answer for each of
 * them. It parses nothing, keeps no time and calls no handler, so it costs little more than the system calls. What a real
 * server needs above this is its own.
 *
 * limit ADDRESS WORKLOAD, with ADDRESS = host:port. Each core that it may use has a thread with an epoll of its own. All accept from the
 * one listening socket; connections are dealt to the threads in turn. It runs until a signal ends it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { threads_max = 256, events_max = 512, input_bytes = 16384, copies = 32, backlog = 4096, head_max = 512 };

/* A connection belongs to the thread whose epoll it is in. */
struct conn {
	int fd;
	int seen;            /* bytes of "\r\n\r\n" that the input ended with */
	int waits;           /* whether it waits until it can be written to */
	unsigned long owed;  /* bytes of answers that are still to be sent */
	unsigned long at;    /* bytes of the answer that were sent before them */
};

static char *answers;              /* as many copies of the answer, so that one write sends several */
static unsigned long answer_bytes;
static int closes;                 /* whether each answer ends its connection */
static int listener, threads, epolls[threads_max];
static atomic_uint dealt;

static void fail(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Workloads of proxies have a body of this many bytes, which is the text of hello over and over. 0: the body is hello itself. */
static unsigned long body_bytes(const char *workload)
{
	if (!strcmp(workload, "proxy1k") || !strcmp(workload, "tcpproxy1k"))
		return 1 << 10;
	if (!strcmp(workload, "proxy100k") || !strcmp(workload, "tcpproxy100k"))
		return 100 << 10;
	return 0;
}

static int is_hello(const char *workload)
{
	return !strcmp(workload, "hello") || !strcmp(workload, "pipelined") || !strcmp(workload, "goserver");
}

static void prepare(const char *workload)
{
	static const char hello[] = "Hello, world!\n";
	char date[64], head[head_max];
	time_t now = time(NULL);
	unsigned long head_bytes, size = body_bytes(workload);
	closes = !strcmp(workload, "connection");
	if (!closes && !size && !is_hello(workload)) {
		fprintf(stderr, "limit: unknown workload %s\n", workload);
		exit(1);
	}
	if (!size)
		size = sizeof hello - 1;
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
	head_bytes = snprintf(head, sizeof head,
		"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %lu\r\n%s\r\n",
		date, size, closes ? "Connection: close\r\n" : "");
	answer_bytes = head_bytes + size;
	answers = malloc(copies * answer_bytes);
	if (!answers)
		fail("malloc");
	for (unsigned long i = 0; i < copies; i++) {
		char *at = answers + i * answer_bytes;
		memcpy(at, head, head_bytes);
		for (unsigned long k = 0; k < size; k++)
			at[head_bytes + k] = hello[k % (sizeof hello - 1)];
	}
}

static void drop(struct conn *c)
{
	close(c->fd); /* which takes it out of the epoll */
	free(c);
}

/* Returns the number of request heads that end in the input. */
static int heads(struct conn *c, const char *input, long n)
{
	int found = 0;
	for (long i = 0; i < n; i++) {
		if (input[i] == "\r\n\r\n"[c->seen]) {
			if (++c->seen == 4)
				c->seen = 0, found++;
		} else {
			c->seen = input[i] == '\r';
		}
	}
	return found;
}

/* Sends what is owed, and waits for room if there is none. Returns 0 if the connection is over. */
static int pay(struct conn *c, int epoll)
{
	while (c->owed > 0) {
		unsigned long n = copies * answer_bytes - c->at;
		ssize_t sent = send(c->fd, answers + c->at, n < c->owed ? n : c->owed, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return 0;
		if (sent < 0)
			break;
		c->owed -= sent;
		c->at = (c->at + sent) % answer_bytes;
	}
	if (c->waits != (c->owed > 0)) {
		struct epoll_event e = { .events = c->owed > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c };
		c->waits = c->owed > 0;
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
			return 0;
	}
	return !(closes && c->at == 0 && c->owed == 0);
}

static void serve(struct conn *c, int epoll, unsigned events)
{
	char input[input_bytes];
	int found = 0;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = recv(c->fd, input, sizeof input, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			drop(c);
			return;
		}
		if (n > 0)
			found = heads(c, input, n);
	}
	c->owed += found * answer_bytes;
	if ((found > 0 || c->waits) && !pay(c, epoll))
		drop(c);
}

static void accept_all(int mine)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (!c)
			fail("calloc");
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		/* Another thread may serve and free c as soon as it is in that thread's epoll. */
		if (epoll_ctl(closes ? mine : epolls[dealt++ % threads], EPOLL_CTL_ADD, fd, &e) < 0)
			fail("epoll_ctl");
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		fail("accept");
}

static void *loop(void *arg)
{
	int epoll = *(int *)arg;
	struct epoll_event events[events_max];
	for (;;) {
		int n = epoll_wait(epoll, events, events_max, -1);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				serve(events[i].data.ptr, epoll, events[i].events);
			else
				accept_all(epoll);
	}
	return NULL;
}

static void listen_at(char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char *port = strrchr(address, ':');
	int on = 1;
	if (!port || !(*port = 0, inet_aton(address, &to.sin_addr))) {
		fprintf(stderr, "limit: not an address: %s\n", address);
		exit(1);
	}
	to.sin_port = htons(atoi(port + 1));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&to, sizeof to) < 0)
		fail("bind");
	if (listen(listener, backlog) < 0)
		fail("listen");
}

int main(int argc, char **argv)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	if (argc != 3) {
		fprintf(stderr, "usage: limit ADDRESS WORKLOAD\n");
		return 1;
	}
	prepare(argv[2]);
	listen_at(argv[1]);
	cpu_set_t mine;
	threads = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
	if (threads > threads_max)
		threads = threads_max;
	for (int i = 0; i < threads; i++)
		if ((epolls[i] = epoll_create1(EPOLL_CLOEXEC)) < 0)
			fail("epoll_create1");
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		if (epoll_ctl(epolls[i], EPOLL_CTL_ADD, listener, &e) < 0)
			fail("epoll_ctl");
		if ((errno = pthread_create(&thread, NULL, loop, &epolls[i])))
			fail("pthread_create");
	}
	pause();
	return 0;
}
