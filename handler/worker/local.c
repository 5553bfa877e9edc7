/* HTTP on a raw socket: a handler of generate_handler, called by a connect handler
 * of the script's own. It serves the requests of the connection in this worker,
 * one after the other, until the connection ends.
 *
 * The exchanges are the same to all other files as those from the server: they have
 * a cell, but one in memory of this process, and what the server's loop does with it
 * is done by rawhttp.Conn. While a request is served X is that exchange; the one that
 * brought the socket waits in M.other. The two change places under the lock of the
 * response, because other threads look at X. */
#include "mb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "_cgo_export.h"

static struct {
	mb_exchange other; /* the one of the two that is not X; its buffers are kept */
	mb_in_cell *ic;    /* with the in-window behind it; made when first needed */
	mb_out_cell *oc;
	const mb_http_options *opt;
	int retired;       /* a callback has returned false */
} M;

static void local_notify(void) { mbConnNotify(); }

static void local_wait(int (*ready)(void))
{
	for (int begin = 1; !ready(); begin = 0)
		mbConnStep(begin);
}

static const mb_transport transport = {local_notify, local_wait};

static void change_places(void)
{
	mb_lock();
	mb_exchange x = X;
	X = M.other;
	M.other = x;
	/* Whoever gives up this exchange gives up the cell that the worker has claimed. */
	X.loop = x.loop;
	X.cell = x.cell;
	X.ol = x.ol;
	mb_unlock();
}

/* --- exchanges --------------------------------------------------------------- */

enum { AT_CALLBACK = 1, AT_TRACEBACK, AT_SERVE };

static uint32_t run(lua_State *L)
{
	mb_exchange_begin(M.ic, M.oc, &transport);
	X.opt = M.opt;
	if (mb_exchange_head())
		return MB_DONE | MB_RESET;
	mb_response_begin();
	mb_limits before;
	mb_timeout_save(&before);
	lua_pushvalue(L, AT_SERVE);
	lua_pushvalue(L, AT_CALLBACK);
	int failed = lua_pcall(L, 1, 1, AT_TRACEBACK);
	mb_timeout_restore(&before);
	if (failed) {
		const mb_pool *p = mb_pool_at(W.pool);
		if (mb_exchange_log(L) && p && p->recycle_on_error)
			M.retired = 1;
	} else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1) && mb_exchange_may_end()) {
		M.retired = 1;
	}
	if (mb_memory_over(L))
		M.retired = 1;
	return mb_exchange_settle(L, failed) | (M.retired ? MB_RETIRE : 0);
}

/* Protected; its argument is the callback. */
static int run_all(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, P.traceback_ref);
	lua_pushcfunction(L, mb_exchange_serve);
	while (mbConnNext()) {
		uint32_t result = run(L);
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
	if (!M.ic)
		M.ic = aligned_alloc(64, sizeof *M.ic + W.h.in_window);
	if (!M.oc)
		M.oc = aligned_alloc(64, sizeof *M.oc + W.h.out_window);
	if (!M.ic || !M.oc)
		luaL_error(L, "handler: not enough memory");
	memset(M.ic, 0, sizeof *M.ic);
	memset(M.oc, 0, sizeof *M.oc);
}

static mb_socket *check(lua_State *L)
{
	if (!X.active)
		luaL_error(L, "handler: a connect handler must call it");
	if (X.hd.kind == MB_KIND_HTTP)
		luaL_error(L, "handler: called while a request is being handled already; a connect handler is "
			"to call it, with its socket");
	if (X.hd.kind == MB_KIND_INTERVAL)
		luaL_error(L, "handler: an interval timer has no connection");
	if (lua_type(L, 1) != LUA_TUSERDATA)
		luaL_error(L, "handler: the socket of the connect handler expected as argument, got a %s",
			luaL_typename(L, 1));
	mb_socket *s = mb_socket_check(L, 1);
	if (s->fd < 0)
		luaL_error(L, "handler: the socket is closed");
	if (!mb_stream_file(s->in) || !mb_stream_file(s->out) || s->half_closed)
		luaL_error(L, "handler: the %s of the socket is closed",
			mb_stream_file(s->in) ? "output" : "input");
	return s;
}

/* The connection gets a descriptor of its own, so that no close() of the application
 * can take it away in the middle of a write. -1: it could not be opened. */
static int open_conn(const mb_socket *s, const mb_http_options *o)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -1;
	FILE *in = mb_stream_file(s->in);
	size_t early;
	mb_local l = {.fd = fd, .bell = W.doorbell, .socket = &s->fd, .ic = M.ic, .oc = M.oc,
		.in_window = W.h.in_window, .out_window = W.h.out_window, .quit = &W.inw->quit,
		.asleep = &W.outw->asleep, .opt = o, .raw = &X.hd, .early = mb_file_peek(in, &early)};
	l.early_len = early;
	int err = mbConnOpen(&l);
	if (err) {
		close(fd);
		errno = err;
		return -1;
	}
	mb_file_skip(in, early);
	return 0;
}

int mb_local_serve(lua_State *L, const mb_http_options *o)
{
	mb_socket *s = check(L);
	make_cell(L);
	if (fflush(mb_stream_file(s->out))) { /* the peer is gone */
		mb_socket_cancel(s);
		lua_pushboolean(L, 1);
		return 1;
	}
	if (open_conn(s, o))
		return luaL_error(L, "handler: %s", strerror(errno));
	M.opt = o;
	M.retired = 0;
	lua_pushcfunction(L, run_all);
	lua_pushvalue(L, 2);
	change_places();
	int failed = lua_pcall(L, 1, 0, 0); /* not enough memory, at the most */
	if (X.active)
		mb_exchange_end(MB_DONE | MB_RESET);
	int reset = mbConnClose(failed);
	change_places();
	if (reset)
		mb_socket_cancel(s);
	else
		mb_socket_close(s, 0);
	if (failed)
		return lua_error(L);
	lua_pushboolean(L, !M.retired);
	return 1;
}
