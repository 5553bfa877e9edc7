/* One exchange: from the claimed cell to the stored result. */
#include "worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- head ------------------------------------------------------------------ */

static _Noreturn void broken_segment(const char *what)
{
	mb_log("segment", what, strlen(what));
	fflush(NULL);
	_exit(4);
}

/* Have bytes of the head block arrived? It starts at count 0. The server checks heads before
 * it passes them on, so a bad one means that the memory is broken. */
static int head_arrived(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return (f & (MB_IN_CANCEL | MB_IN_ABORT)) ||
	       __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE) > exchange.taken;
}

/* Copies a head that is larger than the window out of it, piece by piece, like a body. -1:
 * the peer has gone before all of it arrived. */
static int copy_long_head(uint32_t size)
{
	exchange.head_copy.len = 0;
	if (mb_buf_room(&exchange.head_copy, size))
		broken_segment("no memory for a request head");
	while (exchange.taken < size) {
		mb_wait(head_arrived);
		uint64_t n = __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE) - exchange.taken;
		if (n == 0)
			return -1;
		uint64_t at = exchange.taken & (worker.header.in_window - 1);
		if (n > size - exchange.taken)
			n = size - exchange.taken;
		if (n > worker.header.in_window - at)
			n = worker.header.in_window - at;
		memcpy(exchange.head_copy.p + exchange.taken, exchange.in_window + at, n);
		mb_input_consume(n);
	}
	exchange.head_bytes = exchange.head_copy.p;
	return 0;
}

int mb_exchange_head(void)
{
	uint64_t n = __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE);
	if (n < sizeof(mb_head))
		broken_segment("an exchange without a head");
	memcpy(&exchange.head, exchange.in_window, sizeof exchange.head);
	exchange.head_bytes = exchange.in_window;
	const mb_head *h = &exchange.head;
	if (h->size < sizeof *h || h->size > MB_REQUEST_HEAD_MAX || h->size % 8 ||
	    h->raw_off > h->size || h->raw_len > h->size - h->raw_off ||
	    h->nfields > (h->size - sizeof *h) / sizeof(mb_field))
		broken_segment("an exchange with a bad head");
	if (h->size > worker.header.in_window)
		return copy_long_head(h->size);
	if (n < h->size)
		broken_segment("an exchange with half a head");
	exchange.taken = h->size;
	return 0;
}

/* --- running --------------------------------------------------------------- */

/* The functions that are called protected. Each has a stack of its own. It returns what the
 * callback has returned, or nil. */
int mb_exchange_serve(lua_State *L)
{
	mb_request_push(L); /* it stays here, so that it is not collected */
	lua_pushvalue(L, 1);
	lua_pushvalue(L, -2);
	lua_call(L, 1, 1);
	mb_own_only();
	if (response.state != MB_RESPONSE_DONE)
		mb_response_finish(L);
	return 1;
}

static int run_http(lua_State *L)
{
	const mb_connect *c = mb_connect_of(worker.pool, exchange.head.listener);
	if (!c || !c->http)
		return luaL_error(L, "this listener has no HTTP handler");
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
	return mb_exchange_serve(L);
}

/* What the handler of proto main gets can be called as moonbridge_io.poll: handlers that are
 * written for WebMCP get that function itself. */
static int call_poll(lua_State *L)
{
	lua_remove(L, 1);
	return mb_io_poll(L);
}

static void make_callable(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, call_poll);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
}

static int run_named(lua_State *L)
{
	const mb_connect *c = mb_connect_of(worker.pool, exchange.head.listener);
	int is_main = exchange.head.kind == MB_KIND_MAIN;
	if (!c || c->http)
		return luaL_error(L, "this listener has no handler");
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
	lua_createtable(L, 0, 1);
	lua_pushlstring(L, (const char *)mb_span(L, 0, exchange.head.raw_len), exchange.head.raw_len);
	lua_setfield(L, -2, is_main ? "main" : "interval");
	if (is_main)
		make_callable(L);
	lua_call(L, 1, 1);
	return 1;
}

/* For logs and figures. The server accepts the time within limits. */
static void note_claim(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	__atomic_store_n(&exchange.out_cell->claimed, now, __ATOMIC_RELAXED);
}

/* A client that has gone, or has sent an incomplete or malformed body, is not the
 * application's fault. Errors that say no more than that are not logged as errors. To read a
 * body after the response is: the server does not wait for the rest of it then. */
static int peers_fault(const char *s)
{
	if (exchange.cancelled && strstr(s, "client has closed the connection"))
		return 1;
	if (exchange.out_flags & MB_OUT_COMPLETE)
		return 0;
	return (exchange.peer_status && strstr(s, "request body: ")) ||
	       (exchange.peer_status == 413 &&
		       (strstr(s, "request body exceeds request_body_size_limit") || strstr(s, "request: more than ")));
}

int mb_exchange_log(lua_State *L)
{
	mb_origin o;
	mb_origin_set(&o);
	size_t n;
	const char *s = lua_tolstring(L, -1, &n);
	if (!s || !peers_fault(s)) {
		exchange.peer_status = 0; /* an error of the peer was caught before */
		mb_origin_fails(&o);
		mb_report_error(L, &o);
		return 1;
	}
	if (exchange.peer_status) {
		mb_report r = {.level = MB_LEVEL_INFO, .status = (uint32_t)exchange.peer_status,
			.message = s, .message_len = mb_traceback_after(s, n)};
		mb_report_send(&r, &o);
	}
	return 0;
}

static int answer_status(lua_State *L)
{
	mb_response_error(L, *(const int *)lua_touserdata(L, 1));
	return 0;
}

/* Was the handler ended because its client had gone, on a connection that is still there? */
static int ended_by_client(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return exchange.cancelled && (f & (MB_IN_PEER_END | MB_IN_CANCEL)) == MB_IN_PEER_END;
}

/* Decides what happens to the response after the handler has ended. */
uint32_t mb_exchange_settle(lua_State *L, int failed)
{
	if (exchange.head.kind == MB_KIND_WEBSOCKET || exchange.websocket) {
		response.state = MB_RESPONSE_DONE; /* what is left of a handler that has failed is not sent */
		return MB_DONE | (failed ? MB_RESET : 0);
	}
	if (exchange.head.kind != MB_KIND_HTTP)
		return MB_DONE | (failed && exchange.head.kind == MB_KIND_MAIN ? MB_RESET : 0);
	if (response.state == MB_RESPONSE_DONE && !response.broken)
		return MB_DONE | (response.close || !mb_body_received() ? MB_CLOSE : 0);
	/* A response that is not finished now is no longer flushed. */
	mb_response_lock();
	response.pending = 0;
	mb_response_unlock();
	if (exchange.out_flags & MB_OUT_COMPLETE) /* the client has it, whatever went wrong then */
		return MB_DONE | (exchange.out_flags & MB_OUT_CLOSE ? MB_CLOSE : 0);
	if (ended_by_client() && response.written == 0 && !response.broken)
		return MB_DONE | MB_CLOSE | MB_CLIENT_GONE << MB_STATUS_SHIFT;
	if (response.published || response.broken || mb_cancelled())
		return MB_DONE | MB_RESET;
	int status = failed && exchange.peer_status ? exchange.peer_status : 500;
	if (process.error_pages && failed && status == 500 && response.written == 0) {
		if (mb_devpage_answer(L) == 0)
			return MB_DONE | (response.close ? MB_CLOSE : 0);
		if (response.published || response.broken)
			return MB_DONE | MB_RESET;
	}
	if (response.written == 0)
		return MB_DONE | (mb_body_received() ? 0 : MB_CLOSE) | (uint32_t)status << MB_STATUS_SHIFT;
	/* Interim responses have gone out. On a raw connection the answer after them has to come
	 * from here, so it always does. */
	if (mb_call_kept(L, answer_status, &status, 0) || response.broken)
		return MB_DONE | MB_RESET;
	return MB_DONE | MB_CLOSE;
}

/* Gives the cell back. It must not be touched after this. */
void mb_exchange_end(uint32_t result)
{
	mb_request_end(process.L);
	/* Buffers are kept for the next exchange, unless a large one has made them grow. */
	mb_buf *kept[] = {&exchange.scratch, &exchange.head_copy, &response.held};
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (kept[i]->cap > 1u << 18)
			mb_buf_free(kept[i]);
	mb_response_lock();
	if (response.state == MB_RESPONSE_DONE && !(result & MB_RESET))
		mb_output_store();
	response.state = MB_RESPONSE_IDLE;
	response.pending = 0;
	exchange.active = 0;
	__atomic_store_n(&exchange.out_cell->result, MB_RESULT(worker.generation, result), __ATOMIC_RELEASE);
	mb_response_unlock();
}

static void end_exchange(uint32_t result)
{
	mb_exchange_end(result);
	__atomic_store_n(&worker.out_slot->finished, worker.out_slot->finished + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&worker.out_slot->at, 0, __ATOMIC_RELEASE);
	mb_notify();
}

void mb_exchange_begin(const mb_in_cell *ic, mb_out_cell *oc, const mb_transport *via)
{
	exchange.active = 1;
	exchange.transport = via;
	exchange.in_cell = ic;
	exchange.out_cell = oc;
	exchange.in_window = (const uint8_t *)(ic + 1);
	exchange.out_window = (uint8_t *)(oc + 1);
	exchange.options = NULL;
	exchange.end_flags = MB_IN_CANCEL;
	exchange.taken = 0;
	exchange.out_flags = 0;
	exchange.body_wanted = exchange.reading_deferred = exchange.peer_status = exchange.cancelled = exchange.websocket = 0;
	exchange.body_use = MB_BODY_UNREAD;
	exchange.nth = 0;
}

static void begin_exchange(uint32_t loop, uint32_t cell, uint32_t gen)
{
	worker.generation = gen;
	__atomic_store_n(&worker.out_slot->at, MB_AT(loop, cell), __ATOMIC_RELAXED);
	exchange.loop = loop;
	exchange.cell = cell;
	exchange.out_loop = mb_out_loop_at(loop);
	mb_exchange_begin(mb_in_cell_at(loop, cell), mb_out_cell_at(loop, cell), NULL);
}

void mb_exchange_use(const mb_http_options *o)
{
	exchange.options = o;
	if (o && o->on_client_gone != 0)
		exchange.end_flags |= MB_IN_PEER_END;
}

/* The stack holds these values between exchanges, so that they need not be fetched. */
enum { AT_TRACEBACK = 1, AT_HTTP, AT_NAMED, AT_WEBSOCKET, AT_SOCKET };

static const lua_CFunction handlers[] = {run_http, run_named, mb_websocket_run, mb_socket_run};
#define HANDLERS (sizeof handlers / sizeof *handlers)

void mb_exchange_install(lua_State *L)
{
	mb_websocket_install(L);
	mb_websocket_blocking_install(L);
	mb_keep_function(L, answer_status);
	mb_devpage_install(L);
	for (size_t i = 0; i < HANDLERS; i++)
		mb_keep_function(L, handlers[i]);
}

void mb_exchange_prepare_stack(lua_State *L)
{
	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	for (size_t i = 0; i < HANDLERS; i++)
		mb_push_kept(L, handlers[i]);
}

enum { WENT_WELL, FAILED, FAILED_BY_PEER };

/* Runs the handler with the message handler. Its result is on top, or the text of its error. */
static int run_handler(lua_State *L)
{
	if (exchange.head.kind == MB_KIND_HTTP) {
		const mb_connect *c = mb_connect_of(worker.pool, exchange.head.listener);
		mb_exchange_use(c ? c->http : NULL);
		mb_response_begin();
		if (mb_gone_applies()) { /* before it began */
			exchange.cancelled = 1;
			return FAILED_BY_PEER;
		}
		lua_pushvalue(L, AT_HTTP);
	} else if (exchange.head.kind == MB_KIND_WEBSOCKET) {
		mb_output_begin_verbs();
		lua_pushvalue(L, AT_WEBSOCKET);
	} else {
		lua_pushvalue(L, exchange.head.kind == MB_KIND_SOCKET ? AT_SOCKET : AT_NAMED);
	}
	memory.armed = 1;
	int failed = lua_pcall(L, 0, 1, AT_TRACEBACK);
	mb_own_only_after(L, failed);
	memory.armed = 0;
	mb_memory_after(failed);
	mb_socket_after_exchange(failed);
	mb_timeout_clear();
	if (!failed)
		return WENT_WELL;
	return mb_exchange_log(L) ? FAILED : FAILED_BY_PEER;
}

int mb_exchange_may_retire(void)
{
	const mb_pool *p = mb_pool_at(worker.pool);
	return !p || (double)worker.out_slot->finished + 1 >= p->min_requests;
}

/* Decides what happens to the worker after the handler, whose result is on top. */
static int verdict(lua_State *L, int how)
{
	const mb_pool *p = mb_pool_at(worker.pool);
	if (how != WENT_WELL && exchange.head.kind == MB_KIND_SOCKET)
		return MB_RUN_EXIT; /* the failed handler may have left any state behind */
	if (mb_socket_was_withdrawn())
		return MB_RUN_RETIRE; /* the next exchange must not get it */
	if (how == WENT_WELL && lua_isboolean(L, -1) && !lua_toboolean(L, -1) && mb_exchange_may_retire())
		return MB_RUN_RETIRE; /* the handler wants no other exchange here */
	if (how == FAILED && p && p->recycle_on_error)
		return MB_RUN_RETIRE;
	return mb_memory_exhausted(L) ? MB_RUN_RETIRE : MB_RUN_ON;
}

int mb_exchange_run(uint32_t loop, uint32_t cell, uint32_t gen)
{
	lua_State *L = process.L;
	begin_exchange(loop, cell, gen);
	if ((uint32_t)__atomic_load_n(&exchange.in_cell->gen, __ATOMIC_ACQUIRE) != gen)
		broken_segment("an exchange of another generation");
	if (mb_exchange_head()) {
		end_exchange(MB_DONE | MB_RESET);
		return MB_RUN_ON;
	}
	if (exchange.head.flags & MB_HEAD_LOGGED)
		note_claim();
	int how = run_handler(L), what = verdict(L, how);
	end_exchange(mb_exchange_settle(L, how != WENT_WELL) | (how == FAILED ? MB_FAILED : 0) |
	             (what != MB_RUN_ON ? MB_RETIRE : 0));
	lua_settop(L, AT_SOCKET);
	return what;
}
