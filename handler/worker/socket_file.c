/* Lua file handles. One is made for a descriptor of ours so that io.type, the read formats,
 * io.input and C modules accept it. Also, access to the buffers of the C library. */
#include "socket.h"

#include <errno.h>
#include <stdio_ext.h>
#include <string.h>

#if LUA_VERSION_NUM >= 502

static int handle_close(lua_State *L)
{
	mb_file *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	FILE *f = s->f;
	s->f = NULL;
	return luaL_fileresult(L, !f || fclose(f) == 0, NULL);
}

mb_file *mb_file_push(lua_State *L)
{
	mb_file *s = lua_newuserdata(L, sizeof *s);
	s->f = NULL;
	s->closef = NULL;
	luaL_getmetatable(L, LUA_FILEHANDLE);
	lua_setmetatable(L, -2);
	return s;
}

void mb_file_attach(mb_file *s, FILE *f)
{
	s->f = f;
	s->closef = handle_close;
}

FILE *mb_file_stdio(const mb_file *s) { return s->closef ? s->f : NULL; }

int mb_file_close(mb_file *s)
{
	FILE *f = mb_file_stdio(s);
	s->closef = NULL;
	s->f = NULL;
	return f ? fclose(f) : 0;
}

#else

static int io_open_ref;

/* LuaJIT recognises its handles by a mark that only its own functions can set. */
mb_file *mb_file_push(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, io_open_ref);
	lua_pushliteral(L, "/dev/null");
	lua_call(L, 1, 2);
	mb_file *s = lua_touserdata(L, -2);
	if (!s)
		luaL_error(L, "socket: no file handle: %s", lua_tostring(L, -1));
	lua_pop(L, 1);
	fclose(s->f);
	s->f = NULL;
	return s;
}

void mb_file_attach(mb_file *s, FILE *f) { s->f = f; }

FILE *mb_file_stdio(const mb_file *s) { return s->f; }

int mb_file_close(mb_file *s)
{
	FILE *f = s->f;
	s->f = NULL;
	return f ? fclose(f) : 0;
}

/* Returns the handle, as later versions of Lua do, so that calls can be chained. */
static int handle_write(lua_State *L)
{
	mb_file *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	if (!s->f)
		return luaL_error(L, "attempt to use a closed file");
	int top = lua_gettop(L);
	for (int i = 2; i <= top; i++) {
		size_t n;
		const char *p = luaL_checklstring(L, i, &n);
		if (!s->f) /* a number was made a string, and a finalizer has closed the file */
			return luaL_error(L, "attempt to use a closed file");
		if (fwrite(p, 1, n, s->f) != n)
			return mb_push_result(L, 0);
	}
	lua_settop(L, 1);
	return 1;
}

#endif

int mb_push_result(lua_State *L, int ok)
{
	int e = errno;
	if (ok) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, strerror(e));
	lua_pushinteger(L, e);
	return 3;
}

/* A C function that is called by another C function does not find the line of the script.
 * Its errors get it here. */
int mb_forward_call(lua_State *L, int n)
{
	int below = lua_gettop(L) - n - 1;
	int e = lua_pcall(L, n, LUA_MULTRET, 0);
	mb_memory_after(e);
	if (e == 0)
		return lua_gettop(L) - below;
	if (e == LUA_ERRRUN && lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

/* --- buffers ------------------------------------------------------------------ */

/* Both C libraries give access to the buffer. That saves a copy, and memchr can search it. */
const char *mb_stdio_peek(FILE *f, size_t *n)
{
#ifdef __GLIBC__
	*n = (size_t)(f->_IO_read_end - f->_IO_read_ptr);
	return f->_IO_read_ptr;
#else
	*n = 0;
	return __freadptr(f, n);
#endif
}

void mb_stdio_skip(FILE *f, size_t n)
{
#ifdef __GLIBC__
	f->_IO_read_ptr += n;
#else
	if (n)
		__freadptrinc(f, n);
#endif
}

/* Returns NULL if the library hides the buffer. */
const char *mb_stdio_unsent(FILE *f, size_t *n)
{
	*n = __fpending(f);
#ifdef __GLIBC__
	return f->_IO_write_base;
#else
	return NULL;
#endif
}

/* --- closing ------------------------------------------------------------------ */

/* Replaces file:close and io.close. Upvalue 1 is the original. */
static int handle_closed(lua_State *L)
{
	int n = lua_gettop(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	int results = mb_forward_call(L, n);
	mb_socket_half_close();
	return results;
}

static void wrap_close(lua_State *L, const char *name)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, handle_closed, 1);
	lua_setfield(L, -2, name);
}

void mb_file_install(lua_State *L)
{
	lua_getglobal(L, "io");
	wrap_close(L, "close");
#if LUA_VERSION_NUM < 502
	lua_getfield(L, -1, "open");
	io_open_ref = luaL_ref(L, LUA_REGISTRYINDEX);
#endif
	luaL_getmetatable(L, LUA_FILEHANDLE);
#if LUA_VERSION_NUM >= 504
	wrap_close(L, "__close"); /* local output <close> = socket.output */
#endif
	lua_getfield(L, -1, "__index");
	wrap_close(L, "close");
	lua_pushcfunction(L, mb_readuntil);
	lua_setfield(L, -2, "readuntil");
#if LUA_VERSION_NUM < 502
	lua_pushcfunction(L, handle_write);
	lua_setfield(L, -2, "write");
#endif
	lua_pop(L, 3);
}
