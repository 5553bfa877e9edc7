/* The state of a process, and what all higher layers do with it: wait for the server, notify
 * it, look at the exchange in progress. */
#include "core.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mb_role;
mb_process process;
mb_worker worker;
mb_exchange exchange;
mb_memory memory;

/* --- waiting and waking ------------------------------------------------------ */

/* One read clears all rings. The descriptor usually blocks, but it works if it does not. */
void mb_doorbell_wait(void)
{
	char rings[512];
	ssize_t k;
	while ((k = read(worker.doorbell, rings, sizeof rings)) < 0 && (errno == EAGAIN || errno == EINTR)) {
		struct pollfd p = {.fd = worker.doorbell, .events = POLLIN};
		poll(&p, 1, -1);
	}
	if (k <= 0) {
		fflush(NULL);
		_exit(0); /* the other end of the pipe is closed: the server is gone */
	}
}

void mb_wait(int (*ready)(void))
{
	if (exchange.active && exchange.transport) {
		exchange.transport->wait(ready);
		return;
	}
	while (!ready()) {
		mb_sleep_begin();
		if (!ready())
			mb_doorbell_wait();
		mb_sleep_end();
	}
}

/* Waits for the doorbell until a time. 0: it did not ring. */
static int doorbell_until(double deadline)
{
	struct pollfd p = {.fd = worker.doorbell, .events = POLLIN};
	return poll(&p, 1, mb_remaining_ms(deadline)) > 0;
}

int mb_wait_until(int (*ready)(void), double deadline)
{
	while (!ready()) {
		mb_sleep_begin();
		if (!ready() && doorbell_until(deadline))
			mb_doorbell_wait();
		mb_sleep_end();
		if (mb_now() >= deadline)
			return ready();
	}
	return 1;
}

/* Tells the loop that this cell has changed, and wakes the loop if it sleeps. */
void mb_notify(void)
{
	if (exchange.transport) {
		exchange.transport->notify();
		return;
	}
	mb_out_loop *l = exchange.out_loop;
	__atomic_fetch_or(&l->ready[exchange.cell >> 6], 1ull << (exchange.cell & 63), __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&l->asleep, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&l->asleep, 0, __ATOMIC_SEQ_CST)) {
		uint64_t one = 1;
		ssize_t k = write(worker.loop_doorbells[exchange.loop], &one, sizeof one);
		(void)k; /* full: it has already been rung */
	}
}

/* --- the exchange in progress ----------------------------------------------- */

int mb_cancelled(void)
{
	return (__atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE) & exchange.end_flags) != 0;
}

int mb_client_gone(void)
{
	if (exchange.cancelled)
		return 1;
	if (exchange.transport)
		return exchange.transport->gone();
	return (__atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE) & (MB_IN_CANCEL | MB_IN_PEER_END)) != 0;
}

int mb_raise_cancelled(lua_State *L)
{
	exchange.cancelled = 1;
	return luaL_error(L, "client has closed the connection");
}

int mb_body_complete(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return !mb_has_body() || ((f & MB_IN_END) && !(f & MB_IN_ABORT));
}

int mb_body_received(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return !mb_has_body() || ((f & (MB_IN_END | MB_IN_RECEIVED)) && !(f & MB_IN_ABORT));
}

void mb_input_consume(uint64_t n)
{
	exchange.taken += n;
	__atomic_store_n(&exchange.out_cell->in_tail, exchange.taken, __ATOMIC_RELEASE);
	/* The loop sets WANT_ROOM and then checks in_tail once more. It is notified only
	 * when half of the window is free: reading a socket in small pieces makes TCP send
	 * small pieces (2 GiB took three times as long). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	const mb_in_cell *c = exchange.in_cell;
	if ((__atomic_load_n(&c->flags, __ATOMIC_RELAXED) & MB_IN_WANT_ROOM) &&
	    __atomic_load_n(&c->in_head, __ATOMIC_RELAXED) - exchange.taken <= worker.header.in_window / 2)
		mb_notify();
}

void mb_input_discard(void)
{
	if (exchange.body_use != MB_BODY_DISCARDED)
		return;
	uint64_t n = __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE) - exchange.taken;
	if (n)
		mb_input_consume(n);
}

/* Moves the head out of the window. It must be called before body bytes are consumed,
 * because their room may then be overwritten. */
void mb_detach_head(lua_State *L)
{
	if (exchange.head_bytes != exchange.in_window)
		return;
	if ((__atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE) & MB_IN_END) &&
	    __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_RELAXED) <= worker.header.in_window)
		return; /* no more bytes will come, and none were overwritten */
	exchange.head_copy.len = 0;
	if (mb_buf_add(&exchange.head_copy, exchange.in_window, exchange.head.size))
		luaL_error(L, "not enough memory");
	exchange.head_bytes = exchange.head_copy.p;
}

/* Moves the head of a request whose body is still arriving. Whoever has a pointer into the head may allocate: that can run a
 * finalizer, and a finalizer can read the body. */
void mb_settle_head(lua_State *L)
{
	if (mb_has_body() && !mb_body_in_file())
		mb_detach_head(L);
}

/* Returns len bytes of raw at off, checked. */
const uint8_t *mb_span(lua_State *L, uint32_t off, uint32_t len)
{
	mb_settle_head(L);
	if (off > exchange.head.raw_len || len > exchange.head.raw_len - off)
		luaL_error(L, "request: bad head");
	return exchange.head_bytes + exchange.head.raw_off + off;
}

const mb_field *mb_field_at(lua_State *L, uint32_t i)
{
	mb_settle_head(L);
	const mb_field *f = (const mb_field *)(exchange.head_bytes + sizeof(mb_head)) + i;
	mb_span(L, f->name_off, f->name_len);
	mb_span(L, f->value_off, f->value_len);
	return f;
}

int mb_ask_server(lua_State *L, const char *who, uint32_t type, const void *p, size_t n, uint32_t want, void *answer,
	size_t size, int *fd)
{
	mb_msg m;
	uint8_t *payload = NULL;
	int fds[MB_FDS_MAX], nfds;
	if (mb_message_send(process.control, type, p, n) ||
	    mb_message_receive(process.control, &m, &payload, fds, &nfds) != 1)
		luaL_error(L, "%s: the server is gone", who);
	int accepted = m.type == want && m.len >= size && nfds == (fd != NULL);
	if (accepted) {
		if (size)
			memcpy(answer, payload, size);
		if (fd)
			*fd = fds[0];
		free(payload);
		return 1;
	}
	mb_close_all(fds, nfds);
	char text[MB_TEXT_MAX]; /* so that nothing is lost if Lua has no memory */
	size_t len = m.len > sizeof text ? sizeof text : m.len;
	memcpy(text, payload, len);
	free(payload);
	if (m.type != MB_MSG_LISTEN_ERR)
		luaL_error(L, "%s: unexpected message %d from the server", who, (int)m.type);
	lua_pushlstring(L, text, len);
	return 0;
}
