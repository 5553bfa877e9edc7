/* Small things that every other file needs. */
#include "mb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mb_buf_room(mb_buf *b, size_t n)
{
	if (b->cap - b->len >= n)
		return 0;
	size_t cap = b->cap ? b->cap : 512;
	while (cap - b->len < n) {
		if (cap > SIZE_MAX / 2)
			return -1;
		cap *= 2;
	}
	uint8_t *p = realloc(b->p, cap);
	if (!p)
		return -1;
	b->p = p;
	b->cap = cap;
	return 0;
}

int mb_buf_add(mb_buf *b, const void *p, size_t n)
{
	if (mb_buf_room(b, n))
		return -1;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	return 0;
}

void mb_buf_free(mb_buf *b)
{
	free(b->p);
	memset(b, 0, sizeof *b);
}

void mb_close(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* One write keeps the lines of a traceback together in the server's log. */
void mb_log(const char *what, const char *text, size_t len)
{
	char small[4096];
	size_t n = strlen(what), all = n + 2 + len + 1;
	char *p = all <= sizeof small ? small : malloc(all);
	if (!p) {
		p = small;
		if (n > sizeof small / 2)
			n = sizeof small / 2;
		len = sizeof small - n - 3;
		all = sizeof small;
	}
	memcpy(p, what, n);
	memcpy(p + n, ": ", 2);
	memcpy(p + n + 2, text, len);
	p[n + 2 + len] = '\n';
	for (size_t done = 0; done < all;) {
		ssize_t k = write(2, p + done, all - done);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		done += (size_t)k;
	}
	if (p != small)
		free(p);
}

/* Bytes of a peer for a log: printable, and cut short with an ellipsis. The
 * result is NUL-terminated; its length is returned. */
size_t mb_quote(char *to, size_t cap, const uint8_t *p, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		if (len + 8 > cap) {
			memcpy(to + len, "...", 3);
			len += 3;
			break;
		}
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			to[len++] = (char)p[i];
		else
			len += (size_t)snprintf(to + len, 5, "\\x%02x", p[i]);
	}
	to[len] = 0;
	return len;
}

int mb_same_word(const char *a, size_t n, const char *lower)
{
	for (size_t i = 0; i < n; i++) {
		char c = a[i];
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!lower[i] || c != lower[i])
			return 0;
	}
	return lower[n] == 0;
}

/* tostring(), in place and without a look at the global of that name. */
const char *mb_tostring(lua_State *L, int i, size_t *n)
{
	switch (lua_type(L, i)) {
	case LUA_TSTRING:
	case LUA_TNUMBER:
		return lua_tolstring(L, i, n);
	case LUA_TBOOLEAN:
		lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
		break;
	case LUA_TNIL:
	case LUA_TNONE:
		lua_pushliteral(L, "nil");
		break;
	default:
#if LUA_VERSION_NUM >= 503
		luaL_tolstring(L, i, NULL); /* which knows __name */
#else
		if (luaL_callmeta(L, i, "__tostring")) {
			if (!lua_isstring(L, -1))
				luaL_error(L, "'__tostring' must return a string");
		} else {
			lua_pushfstring(L, "%s: %p", luaL_typename(L, i), lua_topointer(L, i));
		}
#endif
	}
	lua_replace(L, i);
	return lua_tolstring(L, i, n);
}

/* Pushes a count in digits. The %f and %d of lua_pushfstring will not do: one
 * shows 10.0 or 1e+15, depending on the version, the other is an int. */
const char *mb_push_count(lua_State *L, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	lua_pushstring(L, text);
	return lua_tostring(L, -1);
}

/* Argument i as text, for places where numbers are whole: 200.0, which Lua 5.4
 * shows like this, is "200" there as it is with one kind of number. */
const char *mb_check_text(lua_State *L, int i, size_t *n)
{
#if LUA_VERSION_NUM >= 503
	if (lua_type(L, i) == LUA_TNUMBER && !lua_isinteger(L, i)) {
		int whole;
		lua_Integer v = lua_tointegerx(L, i, &whole);
		if (whole) {
			lua_pushinteger(L, v);
			lua_replace(L, i);
		}
	}
#endif
	return luaL_checklstring(L, i, n);
}

#define SHOWN_FIELDS 8

/* What is known of the error object at index 1, which has no text of its own. The
 * fields of a table are what its author wanted to say; nothing of it is called. */
static void push_object_text(lua_State *L)
{
	lua_pushfstring(L, "(error object is a %s value", luaL_typename(L, 1));
	int text = lua_gettop(L), n = 0;
	if (lua_istable(L, 1)) {
		for (lua_pushnil(L); n < SHOWN_FIELDS && lua_next(L, 1); lua_settop(L, text + 1)) {
			if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
				continue;
			lua_pushfstring(L, "%s%s%s = %s", lua_tostring(L, text), n++ ? ", " : ": ",
				lua_tostring(L, -2), lua_tostring(L, -1));
			lua_replace(L, text);
		}
		lua_settop(L, text);
	}
	lua_pushliteral(L, ")");
	lua_concat(L, 2);
}

/* Message handler: makes a string of any error value and puts a traceback
 * after it. Upvalue 1 is debug.traceback as it was before the script ran. */
static int traceback(lua_State *L)
{
	if (mb_post_trace(L))
		return 1;
	if (!lua_isstring(L, 1)) {
		if (!luaL_callmeta(L, 1, "__tostring") || !lua_isstring(L, -1))
			push_object_text(L);
		lua_replace(L, 1);
	}
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 2);
	if (lua_pcall(L, 2, 1, 0) != 0 || !lua_isstring(L, -1))
		lua_settop(L, 1);
	return 1;
}

/* The memory that the error may be about is still in use then. */
int mb_traceback(lua_State *L)
{
	int armed = mb_memory.armed;
	mb_memory.armed = 0;
	int n = traceback(L);
	mb_memory.armed = armed;
	return n;
}

void mb_set_functions(lua_State *L, const luaL_Reg *f)
{
	for (; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
}
