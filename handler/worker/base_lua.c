/* Helpers for Lua values: text, counts, tables of functions, names of options, errors. */
#include "base.h"

#include <stdio.h>
#include <string.h>

/* Does what tostring() does, in place, and does not use the global of that name. */
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
		luaL_tolstring(L, i, NULL); /* it knows __name */
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

/* Pushes a count as digits. lua_pushfstring cannot do it: depending on the version, its %f
 * shows 10.0 or 1e+15, and its %d takes an int. */
const char *mb_push_count(lua_State *L, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	lua_pushstring(L, text);
	return lua_tostring(L, -1);
}

/* Returns argument i as text, for places where numbers are whole. Lua 5.4 shows the float
 * 200.0 as such, but here it is "200", as in versions with one kind of number. */
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

void mb_keep_function(lua_State *L, lua_CFunction f)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)f);
	lua_pushcfunction(L, f);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void mb_push_kept(lua_State *L, lua_CFunction f)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)f);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

int mb_call_kept(lua_State *L, lua_CFunction f, void *with, int results)
{
	mb_push_kept(L, f);
	lua_pushlightuserdata(L, with);
	return lua_pcall(L, 1, results, 0);
}

/* Strings up to this length are made of a copy, which is cheaper than a call. */
#define COPIED_MAX 1024

static int push_content(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	lua_pushlstring(L, (const char *)b->p, b->len);
	return 1;
}

void mb_keep_push(lua_State *L) { mb_keep_function(L, push_content); }

/* LuaJIT runs the collector before it makes a string. A finalizer may call the function that has filled the buffer, so it
 * is not where that finds it meanwhile. */
void mb_push_content(lua_State *L, mb_buf *b)
{
	char copy[COPIED_MAX];
	if (b->len <= sizeof copy) {
		if (b->len)
			memcpy(copy, b->p, b->len);
		lua_pushlstring(L, copy, b->len);
		return;
	}
	mb_buf mine = *b;
	*b = (mb_buf){0};
	int failed = mb_call_kept(L, push_content, &mine, 1);
	mb_buf_free(b);
	*b = mine;
	if (failed)
		lua_error(L);
}

void mb_set_functions(lua_State *L, const luaL_Reg *f)
{
	for (; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
}

int mb_push_functions(lua_State *L, const luaL_Reg *f)
{
	lua_newtable(L);
	mb_set_functions(L, f);
	return 1;
}

int mb_key_among(lua_State *L, const char *const *names)
{
	for (int i = 0; lua_type(L, -2) == LUA_TSTRING && names[i]; i++)
		if (!strcmp(names[i], lua_tostring(L, -2)))
			return i;
	return -1;
}

void mb_each_option(lua_State *L, const char *verb, const char *const *known, unsigned used,
	void (*read)(lua_State *L, void *with, int option), void *with)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	for (lua_pushnil(L); lua_next(L, 2); lua_insert(L, -2)) {
		luaL_checkstack(L, LUA_MINSTACK, verb);
		int i = mb_key_among(L, known);
		if (i < 0 || !(used >> i & 1))
			luaL_error(L, "%s: there is no option '%s'", verb,
				lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2));
		read(L, with, i);
	}
}

const char *mb_error_text(lua_State *L, size_t *n)
{
	const char *s = lua_tolstring(L, -1, n);
	if (!s) {
		s = "unknown error";
		*n = strlen(s);
	}
	return s;
}

void mb_buf_put(lua_State *L, mb_buf *b, const void *p, size_t n)
{
	if (mb_buf_add(b, p, n))
		luaL_error(L, "not enough memory");
}

void mb_buf_put_part(lua_State *L, mb_buf *b, uint32_t *len, const void *p, size_t n)
{
	*len = (uint32_t)n;
	if (n)
		mb_buf_put(L, b, p, n);
}

void mb_own_or_method(lua_State *L)
{
	mb_get_own(L, 1);
	lua_pushvalue(L, 2);
	lua_rawget(L, -2);
	if (!lua_isnil(L, -1))
		return;
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
}
