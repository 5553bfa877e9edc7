/* The floor: a server of events that does nothing but send. It holds subscribers, and sends each message to one after the other, with
 * one call for each. It keeps no history, no order and no time, and formats a message once. What a real server needs above this is its
 * own.
 *
 * floor ADDRESS THREADS, with ADDRESS = host:port. GET /sub subscribes, POST /pub publishes its body, and any other request is answered
 * with the text of hello. Requests must not be pipelined. Each thread has an epoll of its own, and its part of the subscribers;
 * connections are dealt to the threads in turn. Between pieces of a message, a thread looks for requests. It runs until a signal ends it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { threads_max = 64, events_max = 512, input_max = 64 << 10, backlog = 4096, ring_size = 4096, piece = 32, list_step = 1024 };

/* A connection belongs to the thread whose epoll it is in. */
struct conn {
	int fd;
	int index;   /* in the list of subscribers, from 1; 0: it is none */
	long bytes;  /* of input */
	char *input; /* of a request that is not complete */
};

struct message {
	long bytes;
	char text[];
};

struct thread {
	int epoll, bell;
	struct conn **subscribers;
	int count, room;
	unsigned long taken; /* messages that it has sent, or is sending */
	struct message *now; /* that it is sending; NULL: none */
	int next;            /* subscribers below this do not have it yet */
};

static struct thread threads[threads_max];
static int listener, threads_count;
static atomic_uint dealt;

/* Messages are written under the lock. They are freed when their place is used again. */
static struct message *ring[ring_size];
static atomic_ulong published;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char subscribed[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nid: 0\n\n";
static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n";

static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(void *old, size_t bytes)
{
	void *p = realloc(old, bytes);
	if (!p)
		fail("realloc");
	return p;
}

static void drop(struct thread *t, struct conn *c)
{
	if (c->index) {
		struct conn *last = t->subscribers[--t->count];
		t->subscribers[c->index - 1] = last;
		last->index = c->index;
	}
	close(c->fd); /* which takes it out of the epoll */
	free(c->input);
	free(c);
}

/* Sends a short text. Returns 0 if the socket does not take it whole. */
static int put(struct conn *c, const char *text, long bytes)
{
	return send(c->fd, text, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == bytes;
}

static void subscribe(struct thread *t, struct conn *c)
{
	if (t->count == t->room)
		t->subscribers = allocate(t->subscribers, (t->room += list_step) * sizeof *t->subscribers);
	t->subscribers[t->count++] = c;
	c->index = t->count;
}

static void publish(const char *body, long bytes)
{
	struct message *m = allocate(NULL, sizeof *m + bytes + 64);
	unsigned long at;
	pthread_mutex_lock(&lock);
	at = atomic_load(&published);
	m->bytes = sprintf(m->text, "id: 0123456789abcdef-%lu\ndata: ", at + 1);
	memcpy(m->text + m->bytes, body, bytes);
	memcpy(m->text + m->bytes + bytes, "\n\n", 2);
	m->bytes += bytes + 2;
	free(ring[at % ring_size]);
	ring[at % ring_size] = m;
	atomic_store(&published, at + 1);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < threads_count; i++)
		if (eventfd_write(threads[i].bell, 1) < 0)
			fail("eventfd_write");
}

/* Returns the bytes of the body that a head announces. */
static long length(const char *head)
{
	const char *field = strcasestr(head, "\r\ncontent-length:");
	return field ? atol(field + 17) : 0;
}

/* Answers the request of c, if it is complete. Returns 0 if the connection is over. */
static int answer(struct thread *t, struct conn *c)
{
	char *body;
	long bytes;
	c->input[c->bytes] = 0;
	body = strstr(c->input, "\r\n\r\n");
	if (!body)
		return c->bytes < input_max;
	body += 4;
	bytes = length(c->input);
	if (c->input + c->bytes - body < bytes)
		return c->bytes < input_max;
	c->bytes = 0;
	if (!strncmp(c->input, "GET /sub ", 9)) {
		subscribe(t, c);
		free(c->input);
		c->input = NULL;
		return put(c, subscribed, sizeof subscribed - 1);
	}
	if (!strncmp(c->input, "POST /pub ", 10))
		publish(body, bytes);
	return put(c, hello, sizeof hello - 1);
}

static void serve(struct thread *t, struct conn *c)
{
	ssize_t n;
	if (!c->input)
		c->input = allocate(NULL, input_max + 1);
	n = recv(c->fd, c->input + c->bytes, input_max - c->bytes, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		c->bytes += n;
		if (answer(t, c))
			return;
	}
	drop(t, c);
}

static void accept_all(void)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (!c)
			fail("calloc");
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (epoll_ctl(threads[dealt++ % threads_count].epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			fail("epoll_ctl");
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		fail("accept");
}

/* Sends the next piece of what is published. Returns whether there is more. A subscriber that does not take it whole is dropped. */
static int spread(struct thread *t)
{
	if (!t->now) {
		if (t->taken == atomic_load(&published))
			return 0;
		t->now = ring[t->taken++ % ring_size];
		t->next = t->count;
	}
	for (int i = 0; i < piece && t->next > 0; i++) {
		struct conn *c;
		if (t->next > t->count)
			t->next = t->count;
		if (t->next == 0)
			break;
		c = t->subscribers[--t->next];
		if (!put(c, t->now->text, t->now->bytes))
			drop(t, c);
	}
	if (t->next == 0)
		t->now = NULL;
	return 1;
}

static void *loop(void *arg)
{
	struct thread *t = arg;
	struct epoll_event events[events_max];
	for (;;) {
		int n = epoll_wait(t->epoll, events, events_max, spread(t) ? 0 : -1);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			eventfd_t rung;
			if (events[i].data.ptr == t)
				eventfd_read(t->bell, &rung);
			else if (events[i].data.ptr)
				serve(t, events[i].data.ptr);
			else
				accept_all();
		}
	}
	return NULL;
}

static void listen_at(char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char *port = strrchr(address, ':');
	int on = 1;
	if (!port || !(*port = 0, inet_aton(address, &to.sin_addr))) {
		fprintf(stderr, "floor: not an address: %s\n", address);
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

static void watch(int epoll, int fd, unsigned events, void *what)
{
	struct epoll_event e = { .events = events, .data.ptr = what };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		fail("epoll_ctl");
}

int main(int argc, char **argv)
{
	if (argc != 3 || (threads_count = atoi(argv[2])) < 1 || threads_count > threads_max) {
		fprintf(stderr, "usage: floor ADDRESS THREADS\n");
		return 1;
	}
	listen_at(argv[1]);
	for (int i = 0; i < threads_count; i++) {
		struct thread *t = &threads[i];
		if ((t->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 || (t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
			fail("epoll_create1");
		watch(t->epoll, t->bell, EPOLLIN, t);
		watch(t->epoll, listener, EPOLLIN | EPOLLEXCLUSIVE, NULL);
	}
	for (int i = 0; i < threads_count; i++) {
		pthread_t thread;
		if ((errno = pthread_create(&thread, NULL, loop, &threads[i])))
			fail("pthread_create");
	}
	pause();
	return 0;
}
