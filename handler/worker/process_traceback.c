/* The message handler for all calls of the application's functions. It makes the traceback
 * of an error while the stack still exists. */
#include "process.h"

#define SHOWN_FIELDS 8

/* Describes the error object at index 1, which has no text of its own. The fields of a table
 * tell what its author meant. None of its functions is called. */
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

/* Turns any error value into a string and appends a traceback. Upvalue 1 is debug.traceback
 * as it was before the script ran. */
static int traceback(lua_State *L)
{
	if (mb_form_stream_traceback(L))
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

/* If the error is a lack of memory, that memory is still in use here. */
int mb_traceback(lua_State *L)
{
	int armed = memory.armed;
	memory.armed = 0;
	int n = traceback(L);
	memory.armed = armed;
	return n;
}
