/* Writing to a handle. Small pieces are held back until there are MB_IO_BUFFER bytes, or a
 * flush. What a call that must not wait cannot send is kept, however much it is. */
#include "io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

size_t mb_handle_unsent(const mb_handle *h) { return h->out.len - h->out_at; }

static int fail(mb_handle *h)
{
	h->failed = errno;
	mb_buf_free(&h->out);
	h->out_at = 0;
	return -1;
}

int mb_handle_send(mb_handle *h, int wait)
{
	if (h->failed) {
		errno = h->failed;
		return -1;
	}
	while (mb_handle_unsent(h)) {
		ssize_t n = write(h->fd, h->out.p + h->out_at, mb_handle_unsent(h));
		if (n >= 0) {
			h->out_at += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return fail(h);
		if (!wait)
			return 0;
		mb_handle_wait(h, POLLOUT);
	}
	h->out.len = h->out_at = 0;
	return 0;
}

/* Moves what is left to the beginning when much room before it is unused. */
static void compact(mb_handle *h)
{
	if (h->out_at < h->out.len / 2)
		return;
	memmove(h->out.p, h->out.p + h->out_at, mb_handle_unsent(h));
	h->out.len -= h->out_at;
	h->out_at = 0;
}

/* Takes over the arguments from 2 on. */
static void take_arguments(lua_State *L, mb_handle *h, const char *name)
{
	int top = lua_gettop(L);
	for (int i = 2; i <= top; i++)
		if (!lua_isstring(L, i)) /* or a number */
			luaL_error(L, "%s: argument %d must be a string or a number, not a %s", name, i - 1,
				luaL_typename(L, i));
	if (h->finished)
		luaL_error(L, "%s: the handle is finished", name);
	if (h->failed)
		return;
	if (h->out.p)
		compact(h);
	for (int i = 2; i <= top; i++) {
		size_t n;
		const char *s = lua_tolstring(L, i, &n);
		if (mb_buf_add(&h->out, s, n))
			luaL_error(L, "%s: not enough memory", name);
	}
}

enum { WAIT = 1, FLUSH = 2 };

/* Without WAIT it returns how many bytes are left; a piece that a flush would send counts
 * only for a flush. */
static int write_handle(lua_State *L, const char *name, int how)
{
	mb_handle *h = mb_handle_check(L, 1, name);
	take_arguments(L, h, name);
	if ((how & FLUSH || h->failed || mb_handle_unsent(h) >= MB_IO_BUFFER) && mb_handle_send(h, how & WAIT))
		return mb_push_result(L, 0);
	if (how & WAIT) {
		lua_settop(L, 1);
		return 1;
	}
	size_t left = mb_handle_unsent(h);
	lua_pushinteger(L, how & FLUSH || left >= MB_IO_BUFFER ? (lua_Integer)left : 0);
	return 1;
}

int mb_handle_write(lua_State *L) { return write_handle(L, "write", WAIT); }
int mb_handle_write_nb(lua_State *L) { return write_handle(L, "write_nb", 0); }
int mb_handle_flush(lua_State *L) { return write_handle(L, "flush", WAIT | FLUSH); }
int mb_handle_flush_nb(lua_State *L) { return write_handle(L, "flush_nb", FLUSH); }
