/* Handles: what all of them have in common, and their end. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define METATABLE "moonbridge_io handle"

mb_handle *mb_handle_push(lua_State *L)
{
	mb_handle *h = lua_newuserdata(L, sizeof *h);
	h->fd = -1;
	h->closed = 1;
	h->socket = h->finished = h->failed = 0;
	h->in_at = h->in_end = h->out_at = 0;
	h->out = (mb_buf){0};
	luaL_getmetatable(L, METATABLE);
	lua_setmetatable(L, -2);
	return h;
}

void mb_handle_attach(mb_handle *h, int fd, int socket)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	h->fd = fd;
	h->socket = socket;
	h->closed = 0;
}

mb_handle *mb_handle_test(lua_State *L, int i)
{
	mb_handle *h = lua_touserdata(L, i);
	if (!h || !lua_getmetatable(L, i))
		return NULL;
	luaL_getmetatable(L, METATABLE);
	int same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same ? h : NULL;
}

mb_handle *mb_handle_check(lua_State *L, int i, const char *what)
{
	mb_handle *h = mb_handle_test(L, i);
	if (!h)
		luaL_argerror(L, i, "handle expected: call it as a method, with a colon");
	if (h->closed)
		luaL_error(L, "%s: the handle is closed", what);
	return h;
}

void mb_handle_wait(const mb_handle *h, short events)
{
	struct pollfd p = {.fd = h->fd, .events = events};
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* --- the end --------------------------------------------------------------------- */

static void release(mb_handle *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	h->closed = 1;
	mb_buf_free(&h->out);
}

static int handle_close(lua_State *L)
{
	mb_handle *h = mb_handle_check(L, 1, "close");
	int r = mb_handle_send(h, 1), e = errno;
	release(h);
	errno = e;
	return mb_push_result(L, r == 0);
}

/* Ends the output. A pipe has one direction, so it is closed. */
static int handle_finish(lua_State *L)
{
	mb_handle *h = mb_handle_check(L, 1, "finish");
	if (h->finished)
		return luaL_error(L, "finish: the handle is already finished");
	int r = mb_handle_send(h, 1), e = errno;
	h->finished = 1;
	if (h->socket) {
		shutdown(h->fd, SHUT_WR);
	} else {
		close(h->fd);
		h->fd = -1;
	}
	errno = e;
	return mb_push_result(L, r == 0);
}

static int handle_gc(lua_State *L)
{
	mb_handle *h = mb_handle_test(L, 1);
	if (h)
		release(h);
	return 0;
}

static int handle_tostring(lua_State *L)
{
	const mb_handle *h = mb_handle_test(L, 1);
	lua_pushfstring(L, h && h->closed ? "handle (closed): %p" : "handle: %p", (const void *)h);
	return 1;
}

void mb_handle_install(lua_State *L)
{
	static const luaL_Reg methods[] = {{"close", handle_close}, {"finish", handle_finish},
		{"flush", mb_handle_flush}, {"flush_nb", mb_handle_flush_nb}, {"read", mb_handle_read},
		{"read_nb", mb_handle_read_nb}, {"write", mb_handle_write}, {"write_nb", mb_handle_write_nb},
		{NULL, NULL}};
	static const luaL_Reg meta[] = {{"__gc", handle_gc}, {"__tostring", handle_tostring}, {NULL, NULL}};
	luaL_newmetatable(L, METATABLE);
	mb_set_functions(L, meta);
	mb_push_functions(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
