/* Stream handlers of POST fields: how they are registered, which of them gets a field, and
 * what happens to their errors. */
#include "request.h"

static int find_ref; /* string.find as it was before the script ran */

/* The table of handlers: callbacks by name, and a sequence of patterns, each
 * followed by its callback. */
enum { BY_NAME = 1, BY_PATTERN };

void mb_form_stream_install(lua_State *L)
{
	lua_getglobal(L, "string");
	lua_getfield(L, -1, "find");
	find_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
}

static void push_handlers(lua_State *L)
{
	if (mb_cache_get(L, MB_CACHE_STREAMS))
		return;
	lua_createtable(L, 2, 0);
	lua_newtable(L);
	lua_rawseti(L, -2, BY_NAME);
	lua_newtable(L);
	lua_rawseti(L, -2, BY_PATTERN);
	mb_cache_set(L, MB_CACHE_STREAMS);
}

/* Checks the arguments and that it is not too late. Pushes the table for the callback. */
static void begin_registration(lua_State *L, const char *verb, int table)
{
	mb_request_check(L, 1);
	luaL_checktype(L, 2, LUA_TSTRING);
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_settop(L, 3);
	mb_body_exclude(L, verb);
	if (exchange.body_processed)
		luaL_error(L, "%s: the request body has already been processed", verb);
	push_handlers(L);
	lua_rawgeti(L, -1, table);
}

/* A second handler for the same name would have to share the data with the first, or replace
 * it. A script that registers one most likely means neither. */
int mb_stream_post_param(lua_State *L)
{
	begin_registration(L, "stream_post_param", BY_NAME);
	lua_pushvalue(L, 2);
	lua_rawget(L, -2);
	if (!lua_isnil(L, -1))
		return luaL_error(L, "stream_post_param: '%s' already has a stream handler", lua_tostring(L, 2));
	lua_pop(L, 1);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_rawset(L, -3);
	exchange.has_stream_handlers = 1;
	return 0;
}

/* Returns whether the name matches. A malformed pattern is an error. */
static int name_matches(lua_State *L, int name, int pattern)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, find_ref);
	lua_pushvalue(L, name);
	lua_pushvalue(L, pattern);
	if (lua_pcall(L, 2, 1, 0))
		luaL_error(L, "stream_post_params: pattern '%s': %s", lua_tostring(L, pattern), lua_tostring(L, -1));
	int found = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return found;
}

int mb_stream_post_params(lua_State *L)
{
	begin_registration(L, "stream_post_params", BY_PATTERN);
	int t = lua_gettop(L), n = (int)mb_rawlen(L, t);
	for (int i = 1; i < n; i += 2, lua_settop(L, t)) {
		lua_rawgeti(L, t, i);
		if (lua_rawequal(L, -1, 2))
			return luaL_error(L, "stream_post_params: '%s' already has a stream handler", lua_tostring(L, 2));
	}
	/* This finds many malformed patterns. Others are found only by a name that matches
	 * up to the mistake. */
	lua_pushliteral(L, "");
	name_matches(L, t + 1, 2);
	lua_pop(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, t, n + 1);
	lua_pushvalue(L, 3);
	lua_rawseti(L, t, n + 2);
	exchange.has_stream_handlers = 1;
	return 0;
}

/* Exact names come first, then patterns in the order of their registration. */
void mb_form_stream_find(lua_State *L, int name)
{
	int top = lua_gettop(L);
	if (!exchange.has_stream_handlers || !mb_cache_get(L, MB_CACHE_STREAMS)) {
		lua_pushnil(L);
		return;
	}
	lua_rawgeti(L, top + 1, BY_NAME);
	lua_pushvalue(L, name);
	lua_rawget(L, -2);
	if (lua_isnil(L, -1)) {
		lua_rawgeti(L, top + 1, BY_PATTERN);
		int t = lua_gettop(L), n = (int)mb_rawlen(L, t), found = 0;
		for (int i = 1; i < n && !found; i += 2) {
			lua_rawgeti(L, t, i);
			found = name_matches(L, name, t + 1);
			lua_settop(L, t);
			if (found)
				lua_rawgeti(L, t, i + 1);
		}
		if (!found)
			lua_pushnil(L);
	}
	lua_replace(L, top + 1);
	lua_settop(L, top + 1);
}

/* Message handler. It makes the traceback where the error is raised, and keeps it in case
 * the error is not caught. The error itself is passed on unchanged. */
int mb_form_stream_failed(lua_State *L)
{
	lua_settop(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	lua_pushvalue(L, 1);
	if (lua_pcall(L, 1, 1, 0) == 0) {
		mb_cache_set(L, MB_CACHE_TRACE);
		lua_pushvalue(L, 1);
		mb_cache_set(L, MB_CACHE_ERROR);
	}
	lua_settop(L, 1);
	return 1;
}

/* Who raises the error of a stream handler in the end. An equal value that comes from elsewhere may be that error, raised again by the
 * application, or another one. */
static const void *raiser;

/* Returns the function at a level of the stack. */
static const void *function_at(lua_State *L, int level)
{
	lua_Debug ar;
	if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "f", &ar))
		return NULL;
	const void *f = lua_topointer(L, -1);
	lua_pop(L, 1);
	return f;
}

int mb_form_stream_raises(lua_State *L) { return raiser && function_at(L, 1) == raiser; }

int mb_form_stream_traceback(lua_State *L)
{
	if (!exchange.active || !mb_cache_get(L, MB_CACHE_ERROR))
		return 0;
	if (lua_rawequal(L, 1, -1) && mb_cache_get(L, MB_CACHE_TRACE))
		return 1;
	lua_settop(L, 1);
	return 0;
}

/* Function and arguments are on top, mb_form_stream_failed is directly below them. */
void mb_form_stream_call(lua_State *L, int nargs)
{
	int failed_at = lua_gettop(L) - nargs - 1;
	exchange.in_stream_handler = 1;
	int failed = lua_pcall(L, nargs, 0, failed_at);
	mb_own_only_after(L, failed);
	mb_memory_after(failed); /* the error that is raised below is another one */
	exchange.in_stream_handler = 0;
	if (!failed)
		return;
	raiser = function_at(L, 0);
	lua_error(L);
}
