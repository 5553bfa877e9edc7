/* readuntil(terminator, maxlen): a method of every Lua file handle. */
#include "socket.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Returns the bytes in the buffer, which is filled if it is empty. NULL: end of file or an
 * error. */
static const char *next_bytes(FILE *f, size_t *n)
{
	const char *p = mb_stdio_peek(f, n);
	if (*n)
		return p;
	int c = getc(f); /* blocks until bytes arrive, and fetches all of them */
	if (c == EOF)
		return NULL;
	ungetc(c, f);
	return mb_stdio_peek(f, n);
}

static size_t check_maxlen(lua_State *L, int i)
{
	if (lua_isnoneornil(L, i))
		return SIZE_MAX;
	if (lua_type(L, i) != LUA_TNUMBER)
		luaL_error(L, "readuntil: maxlen must be a number of bytes, not a %s",
			luaL_typename(L, i));
	lua_Number v = lua_tonumber(L, i);
	if (!(v >= 0) || v != floor(v))
		luaL_error(L, "readuntil: maxlen must be a whole number of 0 or more");
	return v < 9007199254740992.0 ? (size_t)v : SIZE_MAX;
}

static FILE *open_file(lua_State *L, const mb_file *s)
{
	FILE *f = mb_file_stdio(s);
	if (!f)
		luaL_error(L, "attempt to use a closed file");
	return f;
}

/* Pushes the bytes up to and including the terminator, but no more than max, or nil at the
 * end of the file. Each byte is examined once and copied once. */
static int read_until(lua_State *L, const mb_file *s, char terminator, size_t max)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	size_t n, got = 0;
	const char *p = NULL;
	int end = 0, failed = 0, e = 0;
	clearerr(open_file(L, s)); /* like Lua's own functions: a terminal can deliver more after an end of file */
	while (!end && (got < max || !got)) {
		char *to = luaL_prepbuffer(&b);
		FILE *f = open_file(L, s); /* again: a finalizer may have closed it, if this handle belongs to an object that nobody has */
		if (!(p = next_bytes(f, &n))) {
			e = errno;
			failed = ferror(f);
			break;
		}
		if (n > max - got)
			n = max - got;
		if (n > LUAL_BUFFERSIZE)
			n = LUAL_BUFFERSIZE;
		const char *t = memchr(p, terminator, n);
		if (t)
			n = (size_t)(t - p) + 1;
		memcpy(to, p, n);
		luaL_addsize(&b, n);
		mb_stdio_skip(f, n);
		got += n;
		end = t || got == max;
	}
	luaL_pushresult(&b);
	if (failed) {
		errno = e;
		return mb_push_result(L, 0);
	}
	if (got == 0 && !p)
		lua_pushnil(L);
	return 1;
}

int mb_readuntil(lua_State *L)
{
	const mb_file *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	size_t n;
	if (lua_type(L, 2) != LUA_TSTRING)
		return luaL_error(L, "readuntil: the terminator must be a string of one byte, not a %s",
			luaL_typename(L, 2));
	const char *t = lua_tolstring(L, 2, &n);
	if (n != 1)
		return luaL_error(L, "readuntil: the terminator must be one byte, not %d", (int)(n > 9999 ? 9999 : n));
	size_t max = check_maxlen(L, 3);
	return read_until(L, s, *t, max);
}
