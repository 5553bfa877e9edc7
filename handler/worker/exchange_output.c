/* The bytes of a response on their way through the out-window.
 *
 * A response starts in window mode: the body is collected in the place that it will be sent
 * from. At the end the head, whose length is only known then, is put directly before it. If
 * the body outgrows the window, or if part of it has to go out earlier, the response
 * switches to ring mode: the window becomes a ring, with back-pressure.
 *
 * In window mode another thread may flush (mb_flush_now), so everything happens under the
 * lock. In ring mode all that has reached the minimum is already published. The other thread
 * then has nothing to do, and no lock is needed. */
#include "exchange.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Room for an ordinary head before the body. A longer head gets more. */
#define HEADROOM 1024u
#define HEAD_GROWTH 256u /* added by completion and a chunk header */
#define TAILROOM 8u      /* CR LF after a chunk */

void mb_response_lock_slow(void)
{
	/* It is held for the duration of a copy, or longer if its thread lost the CPU. */
	while (__atomic_exchange_n(&response.lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static int in_ring_mode(void) { return __atomic_load_n(&response.ring, __ATOMIC_ACQUIRE); }

static void enter_ring_mode(void) { __atomic_store_n(&response.ring, 1, __ATOMIC_RELEASE); }

/* out_head counts the bytes of the response. The first of them is at out_start in the ring. */
void mb_output_store(void)
{
	__atomic_store_n(&exchange.out_cell->out_start, response.out_start, __ATOMIC_RELAXED);
	__atomic_store_n(&exchange.out_cell->out_head, response.written, __ATOMIC_RELEASE);
	if (response.head_written)
		response.published = 1;
}

static void store_flags(uint32_t flags)
{
	exchange.out_flags = flags;
	__atomic_store_n(&exchange.out_cell->flags, flags, __ATOMIC_RELEASE);
}

/* Called under the lock, unless nothing is pending, as always in ring mode. */
static void clear_pending(void)
{
	if (!response.pending)
		return;
	response.pending = 0;
	store_flags(exchange.out_flags & ~MB_OUT_PENDING);
}

void mb_output_publish(void)
{
	clear_pending();
	mb_output_store();
	mb_notify();
}

/* Has the application sent as much as it has announced? Nothing may follow then. */
static int length_reached(void) { return response.has_length && response.sent == response.length; }

/* Does the client wait for nothing more, once all that the application has sent is
 * published? A request body that is still on its way may be read by the handler, unless that
 * has finished the response. */
static int is_whole(void)
{
	if (response.state == MB_RESPONSE_DONE)
		return 1;
	return response.head_written && mb_body_complete() &&
	       (mb_is_head() || response.bodiless || length_reached());
}

/* Publishes what the application has sent so far, all of it. If that is the whole response,
 * the server is told: then it does not wait for the handler. */
static void publish_all(void)
{
	clear_pending();
	mb_output_store();
	if (is_whole())
		store_flags(exchange.out_flags | MB_OUT_COMPLETE |
			(response.close || !mb_body_received() ? MB_OUT_CLOSE : 0));
	mb_notify();
}

/* Writing into nothing fails when the peer has gone. */
static void check_peer(lua_State *L)
{
	if (mb_cancelled()) {
		response.broken = 1;
		mb_raise_cancelled(L);
	}
}

/* The loop sees the flag when it goes through its exchanges. Ringing for it would cost every
 * page a wake-up that its end is about to cause anyway. */
static void set_pending(void)
{
	if (response.pending)
		return;
	response.pending = 1;
	store_flags(exchange.out_flags | MB_OUT_PENDING);
}

/* --- the ring ----------------------------------------------------------------- */

static uint64_t ring_room(void)
{
	uint64_t used = response.written - __atomic_load_n(&exchange.in_cell->out_tail, __ATOMIC_ACQUIRE);
	return used < worker.header.out_window ? worker.header.out_window - used : 0;
}

static int room_or_cancelled(void)
{
	mb_input_discard();
	return ring_room() > 0 || mb_cancelled();
}

/* Copies n bytes, for which there is room. */
static void ring_copy(const void *p, size_t n)
{
	uint64_t at = (response.out_start + response.written) & (worker.header.out_window - 1);
	size_t first = worker.header.out_window - at;
	if (first > n)
		first = n;
	memcpy(exchange.out_window + at, p, first);
	memcpy(exchange.out_window, (const uint8_t *)p + first, n - first);
	response.written += n;
}

/* Puts n bytes into the ring and waits for room if necessary. If it raises an error, the
 * response is cut off at some point and can only be reset. */
static void ring_put(lua_State *L, const void *p, size_t n)
{
	const uint8_t *s = p;
	while (n) {
		size_t k = ring_room();
		if (k == 0) {
			mb_output_publish();
			mb_wait(room_or_cancelled);
			check_peer(L);
			continue;
		}
		if (k > n)
			k = n;
		ring_copy(s, k);
		s += k;
		n -= k;
	}
}

static size_t chunk_header(char *to, size_t cap, uint64_t n)
{
	return (size_t)snprintf(to, cap, "%llx\r\n", (unsigned long long)n);
}

/* --- window mode -------------------------------------------------------------- */

/* Chooses where the body is collected. If the head leaves no room for it, the response goes
 * through the ring from the start. */
static void place_body(void)
{
	uint32_t off = HEADROOM, need = (uint32_t)response.head.len + HEAD_GROWTH;
	if (off < need)
		off = (need + 63) & ~63u;
	if (off > worker.header.out_window / 2)
		enter_ring_mode();
	else
		response.body_off = off;
}

/* Is the body collected in the window? The place for it is found first. The lock is held. */
static int in_window(void)
{
	if (!in_ring_mode() && !response.body_off)
		place_body();
	return !in_ring_mode();
}

/* Puts the complete head (and a chunk header) directly before the body. */
static void join_head(const char *chunk, size_t n)
{
	response.out_start = (uint32_t)(response.body_off - n - response.head.len);
	memcpy(exchange.out_window + response.out_start, response.head.p, response.head.len);
	memcpy(exchange.out_window + response.out_start + response.head.len, chunk, n);
	response.written = response.head.len + n + response.body_len;
	response.head_written = 1;
}

/* Prepares for ring mode, which the caller enters. The bytes collected so far, and extra
 * bytes that the caller will add, are the first chunk. The lock is held. */
static void leave_window(uint64_t extra)
{
	char chunk[24];
	size_t n = 0;
	clear_pending();
	mb_response_complete(0);
	if (response.chunked && response.body_len + extra)
		n = chunk_header(chunk, sizeof chunk, response.body_len + extra);
	join_head(chunk, n);
	if (n && !extra)
		ring_copy("\r\n", 2); /* TAILROOM is for this */
}

/* Returns 1 if the bytes were accepted in window mode. */
static int window_data(lua_State *L, const char *p, size_t n)
{
	mb_response_lock();
	if (!in_window()) {
		mb_response_unlock();
		return 0;
	}
	uint32_t end = response.body_off + response.body_len;
	if (n <= worker.header.out_window - TAILROOM - end) {
		memcpy(exchange.out_window + end, p, n);
		response.body_len += (uint32_t)n;
		response.sent += n;
		if (response.body_len >= response.min_chunk || length_reached())
			set_pending();
		mb_response_unlock();
		return 1;
	}
	leave_window(n);
	enter_ring_mode();
	response.sent += n;
	mb_response_unlock();
	ring_put(L, p, n);
	if (response.chunked)
		ring_put(L, "\r\n", 2);
	publish_all();
	return 1;
}

/* --- ring mode ---------------------------------------------------------------- */

static void put_head(lua_State *L)
{
	response.head_written = 1;
	ring_put(L, response.head.p, response.head.len);
}

/* Puts the held bytes and n more into the ring as one chunk. */
static void put_chunk(lua_State *L, const char *p, size_t n)
{
	char chunk[24];
	uint64_t all = response.held.len + n;
	if (!response.head_written) {
		mb_response_complete(0);
		put_head(L);
	}
	if (all) {
		if (response.chunked)
			ring_put(L, chunk, chunk_header(chunk, sizeof chunk, all));
		ring_put(L, response.held.p, response.held.len);
		ring_put(L, p, n);
		if (response.chunked)
			ring_put(L, "\r\n", 2);
	}
	response.held.len = 0;
}

static void send_chunk(lua_State *L, const char *p, size_t n)
{
	put_chunk(L, p, n);
	publish_all();
}

static void ring_data(lua_State *L, const char *p, size_t n)
{
	check_peer(L);
	response.sent += n;
	if (response.held.len + n >= response.min_chunk || length_reached()) {
		send_chunk(L, p, n);
	} else if (mb_buf_add(&response.held, p, n)) {
		response.sent -= n;
		luaL_error(L, "send_data: not enough memory");
	}
}

/* The data of a response to HEAD is only counted, for the Content-Length, which is that of
 * GET. The head goes out when that of GET would. */
static void head_data(lua_State *L, size_t n)
{
	response.sent += n;
	if (in_ring_mode() && response.head_written) {
		check_peer(L);
		return;
	}
	if (response.sent < response.min_chunk && !length_reached())
		return;
	mb_response_lock();
	int full = !in_window() || response.sent > worker.header.out_window - TAILROOM - response.body_off;
	if (!full)
		set_pending();
	mb_response_unlock();
	if (full)
		mb_output_flush(L);
}

/* --- what the methods call ----------------------------------------------------- */

void mb_output_data(lua_State *L, const char *p, size_t n)
{
	if (mb_is_head()) {
		head_data(L, n);
		return;
	}
	if (n == 0 || (!in_ring_mode() && window_data(L, p, n)))
		return;
	ring_data(L, p, n);
}

static void flush_ring(lua_State *L)
{
	if (response.head_written)
		check_peer(L);
	if (!(exchange.out_flags & MB_OUT_COMPLETE))
		send_chunk(L, NULL, 0);
}

/* Publishes a response in window mode, and ends that. The lock is held. The mode changes
 * last, because the other thread does not need the lock in ring mode. */
static void flush_window(void)
{
	leave_window(0);
	publish_all();
	enter_ring_mode();
}

/* Sends everything so far. The header section is closed. */
void mb_output_flush(lua_State *L)
{
	mb_response_lock();
	int window = in_window();
	if (window)
		flush_window();
	mb_response_unlock();
	if (!window)
		flush_ring(L);
}

/* The application has closed the header section: it need not wait for the body. */
void mb_output_head(lua_State *L)
{
	mb_response_lock();
	if (in_window()) {
		set_pending();
		mb_response_unlock();
		return;
	}
	mb_response_unlock();
	send_chunk(L, NULL, 0);
}

/* Sends the head of a 1xx. Everything after it goes through the ring. */
void mb_output_interim(lua_State *L)
{
	/* An HTTP/1.0 client would take it for the response (RFC 9110 §15.2). */
	if (!(exchange.head.flags & MB_HEAD_HTTP10)) {
		mb_response_lock();
		enter_ring_mode();
		mb_response_unlock();
		ring_put(L, response.head.p, response.head.len);
		ring_put(L, "\r\n", 2);
		mb_output_publish();
	}
}

void mb_output_in_file(void)
{
	mb_response_lock();
	clear_pending();
	store_flags(exchange.out_flags | MB_OUT_FILE);
	mb_response_unlock();
}

/* Gives the loop a message in place of a response. No other method of the request may send then. The lock is held. */
static void put_message(uint32_t flags, const void *p, size_t n)
{
	memcpy(exchange.out_window, p, n);
	/* The loop may see the message before the flags: it reads them first. */
	response.out_start = MB_OUT_START_MESSAGE;
	response.written = n;
	response.head_written = 1;
	response.state = MB_RESPONSE_DONE;
	clear_pending();
	mb_output_store();
	store_flags(exchange.out_flags | flags);
	mb_notify();
}

void mb_output_instead(uint32_t flag, const void *p, size_t n)
{
	mb_response_lock();
	put_message(flag | MB_OUT_COMPLETE, p, n);
	mb_response_unlock();
}

void mb_output_begin_verbs(void)
{
	mb_response_lock();
	response.pending = 0;
	response.published = response.broken = response.closing = 0;
	response.written = response.earlier = 0;
	response.out_start = 0;
	response.head_written = 1;
	response.state = MB_RESPONSE_BODY;
	enter_ring_mode();
	mb_response_unlock();
}

void mb_output_begin_websocket(const void *p, size_t n)
{
	mb_response_lock();
	exchange.websocket = 1;
	enter_ring_mode();
	put_message(MB_OUT_WEBSOCKET_BLOCKING, p, n);
	mb_response_unlock();
}

void mb_output_pending(void)
{
	mb_response_lock();
	if (response.pending)
		mb_output_publish();
	mb_response_unlock();
}

/* If there is room it is done under the lock, so that mb_flush_now finds whole verbs only. */
void mb_output_verb(lua_State *L, uint32_t verb, const void *a, size_t an, const void *b, size_t bn)
{
	mb_ws_verb v = {verb, (uint32_t)(an + bn)};
	mb_response_lock();
	if (ring_room() >= sizeof v + an + bn) {
		ring_copy(&v, sizeof v);
		ring_copy(a, an);
		ring_copy(b, bn);
		set_pending();
		mb_response_unlock();
		return;
	}
	clear_pending();
	mb_response_unlock();
	ring_put(L, &v, sizeof v);
	ring_put(L, a, an);
	ring_put(L, b, bn);
	mb_output_publish();
}

/* The loop is not notified: it finds the answers to all messages of the event together. If the worker dies in the next one, it
 * finds those to the earlier ones. */
void mb_output_message_done(lua_State *L, int used)
{
	if (used)
		response.earlier = response.written;
	mb_output_verb(L, MB_WS_DONE, NULL, 0, NULL, 0);
	mb_response_lock();
	mb_output_store();
	mb_response_unlock();
}

static int earlier_taken(void)
{
	return __atomic_load_n(&exchange.in_cell->out_tail, __ATOMIC_ACQUIRE) >= response.earlier || mb_cancelled();
}

void mb_output_await_earlier(void)
{
	if (!exchange.active || exchange.head.kind != MB_KIND_WEBSOCKET || earlier_taken())
		return;
	mb_response_lock();
	mb_output_publish();
	mb_response_unlock();
	mb_wait(earlier_taken);
}

/* The response is finished. If the handler has returned, the loop is woken once, for output
 * and end together. If not, the output does not wait for the end. The end is usually seen
 * together with it all the same, because the loop takes longer to wake up than the handler
 * takes to return. */
static void finished(int returned)
{
	response.state = MB_RESPONSE_DONE;
	if (returned)
		set_pending();
	else
		publish_all();
}

static void finish_ring(int returned)
{
	mb_response_lock();
	finished(returned);
	mb_response_unlock();
}

void mb_output_finish(lua_State *L, int returned)
{
	mb_response_lock();
	if (exchange.out_flags & MB_OUT_COMPLETE) { /* nothing is left to be sent */
		response.state = MB_RESPONSE_DONE;
		mb_response_unlock();
		return;
	}
	if (!in_ring_mode()) {
		response.state = MB_RESPONSE_DONE;
		mb_response_complete(1);
		if (!response.body_off && response.head.len <= worker.header.out_window)
			response.body_off = (uint32_t)response.head.len; /* only a head */
		if (response.body_off) {
			join_head(NULL, 0);
			finished(returned);
			mb_response_unlock();
			return;
		}
		enter_ring_mode(); /* a head longer than the window */
		mb_response_unlock();
		response.state = MB_RESPONSE_BODY;
		put_head(L);
		finish_ring(returned);
		return;
	}
	mb_response_unlock();
	if (!response.head_written) {
		response.state = MB_RESPONSE_DONE; /* for the Connection field */
		mb_response_complete(1);
		response.state = MB_RESPONSE_BODY;
		put_head(L);
		ring_put(L, response.held.p, response.held.len);
	} else if (response.held.len) {
		put_chunk(L, NULL, 0);
	}
	if (response.chunked)
		ring_put(L, "0\r\n\r\n", 5);
	finish_ring(returned);
}

/* Handles MB_CTL_FLUSH, on a thread of its own: the handler is busy in Lua code, perhaps for
 * long, and pending output has waited long enough. */
void mb_flush_now(void)
{
	mb_response_lock();
	if (exchange.active && response.pending) {
		if (exchange.head.kind == MB_KIND_WEBSOCKET || exchange.websocket)
			mb_output_publish();
		else if (response.state == MB_RESPONSE_DONE)
			publish_all();
		else
			flush_window();
	}
	mb_response_unlock();
}
