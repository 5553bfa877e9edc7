/* HTTP on a raw socket: a handler of generate_handler that a connect handler of the script
 * has called. It serves the requests of the connection in this worker, one after the other,
 * until the connection ends.
 *
 * To all other files these exchanges look like those from the server. They have a cell too,
 * but in memory of this process, and a rawhttp.Conn does with it what the server's loop does
 * with others. While a request is served, `exchange` is that of the request, and the one
 * that brought the socket waits in rawhttp.other. The two change places under the lock of
 * the response, because other threads look at them. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	mb_exchange other; /* the exchange that is not in progress; its buffers are kept */
	mb_in_cell *in_cell; /* the in-window follows it; allocated when first needed */
	mb_out_cell *out_cell;
	const mb_http_options *options;
	uint32_t settled;  /* the peer has all responses so far, or the kernel has; see rawhttp.Config */
	int retired;       /* a callback has returned false */
	uint32_t requests; /* of this connection so far */
} rawhttp;

static void notify_conn(void) { mbConnNotify(); }

static void wait_for_conn(int (*ready)(void))
{
	for (int begin = 1; !ready(); begin = 0)
		mbConnStep(begin);
}

/* Called from Go. */
void mb_rawhttp_refused(uint32_t status, const uint8_t *cause, size_t n, const uint8_t *method, size_t method_len,
	const uint8_t *path, size_t path_len)
{
	mb_origin o = {.in = "request", .remote = rawhttp.other.head.remote};
	mb_quote(o.method, sizeof o.method, method, method_len);
	mb_quote(o.path, sizeof o.path, path, path_len);
	mb_report r = {.level = MB_LEVEL_INFO, .status = status, .message = (const char *)cause, .message_len = n};
	mb_report_send(&r, &o);
}

static int client_has_gone(void) { return mbConnGone(); }

static const mb_transport transport = {notify_conn, wait_for_conn, client_has_gone};

int mb_rawhttp_delivered(void)
{
	return __atomic_load_n(&rawhttp.settled, __ATOMIC_ACQUIRE) ||
	       (exchange.active && exchange.transport && (exchange.out_flags & MB_OUT_COMPLETE) &&
		       __atomic_load_n(&exchange.in_cell->out_tail, __ATOMIC_ACQUIRE) >= response.written);
}

/* os.exit in a handler. Lua may be closed already. */
static void at_exit(void)
{
	if (mb_is_own() && mb_rawhttp_delivered())
		mb_socket_settle();
}

/* The signal handler of a time limit may give up the exchange. It does not wait for the lock for ever, so it comes after this. */
static void change_places(void)
{
	sigset_t alarm, mask;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &mask);
	mb_response_lock();
	mb_exchange before = exchange;
	exchange = rawhttp.other;
	rawhttp.other = before;
	/* If this exchange is given up, the cell to give up is the one that the worker has
	 * claimed. */
	exchange.loop = before.loop;
	exchange.cell = before.cell;
	exchange.out_loop = before.out_loop;
	mb_response_unlock();
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* --- exchanges --------------------------------------------------------------- */

enum { AT_CALLBACK = 1, AT_TRACEBACK, AT_SERVE };

static uint32_t run_exchange(lua_State *L)
{
	mb_exchange_begin(rawhttp.in_cell, rawhttp.out_cell, &transport);
	mb_exchange_use(rawhttp.options);
	exchange.nth = ++rawhttp.requests;
	if (mb_exchange_head())
		return MB_DONE | MB_RESET;
	mb_response_begin();
	if (mb_gone_applies()) { /* before it began */
		exchange.cancelled = 1;
		return mb_exchange_settle(L, 1) | (rawhttp.retired ? MB_RETIRE : 0);
	}
	mb_gone_prepare();
	mb_limits before;
	mb_timeout_save(&before);
	lua_pushvalue(L, AT_SERVE);
	lua_pushvalue(L, AT_CALLBACK);
	int failed = lua_pcall(L, 1, 1, AT_TRACEBACK);
	mb_own_only_after(L, failed);
	mb_memory_after(failed);
	mb_timeout_restore(&before);
	if (failed) {
		const mb_pool *p = mb_pool_at(worker.pool);
		if (mb_exchange_log(L) && p && p->recycle_on_error)
			rawhttp.retired = 1;
	} else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1) && mb_exchange_may_retire()) {
		rawhttp.retired = 1;
	}
	if (mb_memory_exhausted(L))
		rawhttp.retired = 1;
	return mb_exchange_settle(L, failed) | (rawhttp.retired ? MB_RETIRE : 0);
}

/* Called protected. Its argument is the callback. */
static int run_exchanges(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	lua_pushcfunction(L, mb_exchange_serve);
	while (mbConnNext()) {
		uint32_t result = run_exchange(L);
		mb_exchange_end(result);
		lua_settop(L, AT_SERVE);
		if (!mbConnEnd(result))
			break;
	}
	return 0;
}

/* --- the connection ------------------------------------------------------------ */

static void make_cell(lua_State *L)
{
	if (!rawhttp.in_cell)
		rawhttp.in_cell = aligned_alloc(64, sizeof *rawhttp.in_cell + worker.header.in_window);
	if (!rawhttp.out_cell)
		rawhttp.out_cell = aligned_alloc(64, sizeof *rawhttp.out_cell + worker.header.out_window);
	if (!rawhttp.in_cell || !rawhttp.out_cell)
		luaL_error(L, "handler: not enough memory");
	memset(rawhttp.in_cell, 0, sizeof *rawhttp.in_cell);
	memset(rawhttp.out_cell, 0, sizeof *rawhttp.out_cell);
}

static mb_socket *check_socket(lua_State *L)
{
	if (!exchange.active)
		luaL_error(L, "handler: only a connect handler may call it");
	if (exchange.head.kind == MB_KIND_HTTP)
		luaL_error(L, "handler: called while a request is already being handled; only a connect "
			"handler may call it, with its socket");
	if (exchange.head.kind == MB_KIND_INTERVAL)
		luaL_error(L, "handler: an interval timer has no connection");
	if (exchange.head.kind == MB_KIND_MAIN)
		luaL_error(L, "handler: proto main has no connection");
	if (lua_type(L, 1) != LUA_TUSERDATA)
		luaL_error(L, "handler: expected the socket of the connect handler as its argument, got a %s",
			luaL_typename(L, 1));
	mb_socket *s = mb_socket_check(L, 1);
	if (s->fd < 0)
		luaL_error(L, "handler: the socket is closed");
	if (!mb_file_stdio(s->in) || !mb_file_stdio(s->out) || s->half_closed)
		luaL_error(L, "handler: the %s of the socket is closed",
			mb_file_stdio(s->in) ? "output" : "input");
	return s;
}

/* The connection gets its own descriptor, so that close() in the application cannot take it
 * away in the middle of a write. -1: it could not be opened. */
static int open_conn(const mb_socket *s, const mb_http_options *o)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -1;
	FILE *in = mb_file_stdio(s->in);
	size_t early;
	mb_rawhttp c = {.fd = fd, .bell = worker.doorbell, .socket = &mb_socket_fd, .settled = &rawhttp.settled,
		.in_cell = rawhttp.in_cell, .in_window = worker.header.in_window,
		.out_cell = rawhttp.out_cell, .out_window = worker.header.out_window,
		.quit = &worker.in_slot->quit, .asleep = &worker.out_slot->asleep,
		.options = o, .raw = &exchange.head, .early = mb_stdio_peek(in, &early)};
	c.early_len = early;
	if (exchange.head.flags & MB_HEAD_TLS)
		c.tls = (const char *)exchange.head_bytes + exchange.head.id_off + exchange.head.id_len;
	const mb_pool *p = mb_pool_at(worker.pool);
	if (p)
		c.proxies = p->proxies;
	mbConnOpen(&c);
	mb_stdio_skip(in, early);
	mb_quiet_watch(-1); /* the connection knows by itself when it is idle */
	return 0;
}

int mb_rawhttp_serve(lua_State *L, const mb_http_options *o)
{
	static int prepared;
	mb_socket *s = check_socket(L);
	make_cell(L);
	if (!prepared)
		prepared = !atexit(at_exit);
	if (fflush(mb_file_stdio(s->out))) { /* the peer has gone */
		mb_socket_cancel(s);
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushcfunction(L, run_exchanges); /* the last that needs memory before the connection has to be closed */
	lua_pushvalue(L, 2);
	if (open_conn(s, o))
		return luaL_error(L, "handler: %s", strerror(errno));
	rawhttp.options = o;
	rawhttp.retired = 0;
	rawhttp.requests = 0;
	change_places();
	int failed = lua_pcall(L, 1, 0, 0); /* this can only be a lack of memory */
	if (exchange.active)
		mb_exchange_end(MB_DONE | MB_RESET);
	int reset = mbConnClose(failed);
	change_places();
	if (reset)
		mb_socket_cancel(s);
	else
		mb_socket_close(s, 0);
	if (failed)
		return lua_error(L);
	lua_pushboolean(L, !rawhttp.retired);
	return 1;
}
