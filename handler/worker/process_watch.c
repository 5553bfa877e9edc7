/* Notes which files make up the script, for a server that reloads it when one of them
 * changes. These are the files that require, dofile and loadfile are about to read. Their
 * state is noted before they are read, so that a change during the read counts as a change.
 * Files that a script opens to read are not noted. */
#include "process.h"

#include <string.h>

/* Calls upvalue 1 with the arguments and returns its results. */
static int pass_on(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Replaces dofile and loadfile. */
static int load_noting(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		mb_files_note(lua_tostring(L, 1));
	return pass_on(L);
}

/* Replaces a searcher of require. Upvalue 2 is the table package, 3 the name of the path in
 * it, 4 package.searchpath, 5 whether it searches for the root of the name. */
static int search_noting(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING) {
		const char *name = lua_tostring(L, 1), *dot = strchr(name, '.');
		lua_pushvalue(L, lua_upvalueindex(4));
		if (!lua_toboolean(L, lua_upvalueindex(5)))
			lua_pushvalue(L, 1);
		else
			lua_pushlstring(L, name, dot ? (size_t)(dot - name) : 0);
		lua_pushvalue(L, lua_upvalueindex(3));
		lua_gettable(L, lua_upvalueindex(2));
		if (lua_pcall(L, 2, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
			mb_files_note(lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return pass_on(L);
}

static void wrap_global(lua_State *L, const char *name)
{
	lua_getglobal(L, name);
	lua_pushcclosure(L, load_noting, 1);
	lua_setglobal(L, name);
}

void mb_watch_install(lua_State *L)
{
	static const char *const path[] = {"path", "cpath", "cpath"};
	wrap_global(L, "dofile");
	wrap_global(L, "loadfile");
	lua_getglobal(L, "package");
	int package = lua_gettop(L);
	lua_getfield(L, package, LUA_VERSION_NUM >= 502 ? "searchers" : "loaders");
	for (int i = 0; i < 3; i++) { /* the first searcher is for preloaded modules */
		lua_rawgeti(L, -1, i + 2);
		lua_pushvalue(L, package);
		lua_pushstring(L, path[i]);
		lua_getfield(L, package, "searchpath");
		lua_pushboolean(L, i == 2);
		lua_pushcclosure(L, search_noting, 5);
		lua_rawseti(L, -2, i + 2);
	}
	lua_settop(L, package - 1);
}
