/* lean: a load generator for servers that are faster than wrk. It takes the arguments of wrk that the comparison uses, and prints a
 * report like that of wrk. It sends the next request of a connection when it has the response, and parses nothing: the first response
 * tells how long they all are, and each must begin with the same status line. It has one thread.
 *
 * lean [-tN] -cCONNECTIONS -dSECONDSs [--latency] http://HOST:PORT/PATH, with an IPv4 address as HOST. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	events_max = 512,
	buffer_bytes = 4096,
	status_bytes = 12,      /* of "HTTP/1.1 200" that each response begins with */
	times_max = 10 * 1000 * 1000 /* microseconds that are counted one by one; longer ones count as this */
};

struct conn {
	int fd;
	size_t seen;    /* bytes of the response that have come */
	int64_t sent;   /* when the request was sent, in nanoseconds */
};

static char request[1024], buffer[buffer_bytes];
static size_t request_bytes, response_bytes;
static uint32_t *times; /* how many responses took so many microseconds */
static uint64_t responses, bytes, bad, broken;
static int64_t longest;

static void fail(const char *what)
{
	fprintf(stderr, "lean: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0 || connect(fd, (const void *)to, sizeof *to) < 0)
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* The length of a response, which is read as a whole. Its body is as long as Content-Length says. */
static size_t measure(const struct sockaddr_in *to)
{
	int fd = dial(to);
	size_t got = 0;
	if (send(fd, request, request_bytes, MSG_NOSIGNAL) < 0)
		fail("send");
	for (;;) {
		ssize_t n = recv(fd, buffer + got, sizeof buffer - 1 - got, 0);
		if (n <= 0)
			fail("the first response");
		buffer[got += (size_t)n] = 0;
		char *end = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "\r\nContent-Length:");
		if (!end)
			continue;
		if (!length || length > end) {
			fprintf(stderr, "lean: the first response has no Content-Length\n");
			exit(1);
		}
		close(fd);
		return (size_t)(end + 4 - buffer) + strtoul(length + 17, NULL, 10);
	}
}

static int ask(struct conn *c)
{
	c->seen = 0;
	c->sent = now();
	return send(c->fd, request, request_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)request_bytes ? 0 : -1;
}

/* Takes what has come. Only the beginning of a response is looked at; the rest is not even copied. */
static int take(struct conn *c)
{
	ssize_t n;
	if (c->seen < status_bytes) {
		n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (n >= status_bytes && memcmp(buffer, "HTTP/1.1 200", status_bytes) != 0)
			bad++;
	} else {
		n = recv(c->fd, NULL, response_bytes - c->seen, MSG_DONTWAIT | MSG_TRUNC);
	}
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	bytes += (uint64_t)n;
	c->seen += (size_t)n;
	if (c->seen < response_bytes)
		return 0;
	if (c->seen > response_bytes)
		return -1;
	int64_t took = now() - c->sent;
	if (took > longest)
		longest = took;
	times[took / 1000 < times_max ? took / 1000 : times_max]++;
	responses++;
	return ask(c);
}

static double quantile(double q)
{
	uint64_t rank = (uint64_t)(q * (double)responses), sum = 0;
	for (uint32_t i = 0; i <= times_max; i++)
		if ((sum += times[i]) > rank)
			return i;
	return times_max;
}

int main(int argc, char **argv)
{
	unsigned conns = 0, seconds = 0;
	char host[64] = "", path[512] = "/";
	unsigned port = 0;
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "-c", 2) == 0)
			conns = (unsigned)atoi(argv[i] + 2);
		else if (strncmp(argv[i], "-d", 2) == 0)
			seconds = (unsigned)atoi(argv[i] + 2);
		else if (argv[i][0] != '-')
			sscanf(argv[i], "http://%63[^:]:%u%511s", host, &port, path);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (!conns || !seconds || inet_pton(AF_INET, host, &to.sin_addr) != 1) {
		fprintf(stderr, "usage: lean -cCONNECTIONS -dSECONDSs http://ADDRESS:PORT/PATH\n");
		return 2;
	}
	request_bytes = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n", path, host, port);
	response_bytes = measure(&to);
	times = calloc(times_max + 1, sizeof *times);
	struct conn *all = calloc(conns, sizeof *all);
	int poll = epoll_create1(EPOLL_CLOEXEC);
	if (!times || !all || poll < 0)
		fail("start");
	for (unsigned i = 0; i < conns; i++) {
		all[i].fd = dial(&to);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &all[i] };
		if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e) < 0)
			fail("epoll_ctl");
	}
	int64_t began = now(), end = began + seconds * INT64_C(1000000000);
	for (unsigned i = 0; i < conns; i++)
		if (ask(&all[i]) < 0)
			fail("send");
	while (now() < end) {
		struct epoll_event events[events_max];
		int n = epoll_wait(poll, events, events_max, 100);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (take(c) < 0) {
				broken++;
				close(c->fd);
			}
		}
	}
	double took = (double)(now() - began) / 1e9;
	printf("    Latency 0.00us 0.00us %.2fms 0.00%%\n  Latency Distribution\n", (double)longest / 1e6);
	printf("     50%% %.2fus\n     99%% %.2fus\n", quantile(0.5), quantile(0.99));
	printf("  %llu requests in %.2fs, %.2fMB read\n", (unsigned long long)responses, took, (double)bytes / 1048576);
	if (broken)
		printf("  Socket errors: connect 0, read %llu, write 0, timeout 0\n", (unsigned long long)broken);
	if (bad)
		printf("  Non-2xx or 3xx responses: %llu\n", (unsigned long long)bad);
	printf("Requests/sec: %.2f\nTransfer/sec: %.2fMB\n", (double)responses / took, (double)bytes / 1048576 / took);
	return 0;
}
