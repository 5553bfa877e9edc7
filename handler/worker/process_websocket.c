/* The module moonbridge_websocket: handlers of the events of WebSockets, and messages to any of
 * them. */
#include "process.h"

#include <string.h>

/* The value of a field of the table at index 2 must be a function, or may be nil. */
static void check_function(lua_State *L, const char *name, int needed)
{
	lua_getfield(L, 2, name);
	if (!lua_isfunction(L, -1) && (needed || !lua_isnil(L, -1)))
		luaL_error(L, "moonbridge_websocket.handler: '%s' must be a function", name);
	lua_pop(L, 1);
}

static void check_fields(lua_State *L)
{
	for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
		const char *s = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		if (strcmp(s, "open") && strcmp(s, "message") && strcmp(s, "close"))
			luaL_error(L, "moonbridge_websocket.handler: there is no event '%s' (there are open, message and close)", s);
	}
}

/* handler(name, events): while the script is loaded. */
static int handler(lua_State *L)
{
	size_t n;
	mb_own_only();
	if (mb_role == MB_ROLE_WORKER || process.script_ended)
		return luaL_error(L, "moonbridge_websocket.handler can only be called while the script is loaded");
	luaL_checklstring(L, 1, &n);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	if (!n || n > MB_WS_NAME_MAX)
		return luaL_error(L, "moonbridge_websocket.handler: a name has 1 to %d bytes", (int)MB_WS_NAME_MAX);
	check_fields(L);
	check_function(L, "message", 1);
	check_function(L, "open", 0);
	check_function(L, "close", 0);
	mb_websocket_handlers(L);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawset(L, -3);
	return 0;
}

/* Makes true or false of a number that is on top of the stack; results: what mb_ask_number has returned. */
static int to_boolean(lua_State *L, int results)
{
	if (results == 1)
		lua_pushboolean(L, lua_tonumber(L, -1) != 0);
	return results;
}

static void check_role(lua_State *L, const char *name)
{
	mb_own_only();
	if (mb_role != MB_ROLE_WORKER)
		luaL_error(L, "moonbridge_websocket.%s works in handlers, timers and prepare only", name);
}

/* No connection has a longer id. */
#define ID_MAX 255

/* send(id, data [, "binary"]): true, false if there is no such connection any more, or nil and a message. */
static int send_to(lua_State *L)
{
	size_t in, n;
	const char *p;
	check_role(L, "send");
	const char *id = luaL_checklstring(L, 1, &in);
	if (in > ID_MAX) {
		lua_pushboolean(L, 0);
		return 1;
	}
	/* The answer of the server is at most that it is too large. */
	uint32_t kind = mb_websocket_check_send(L, "moonbridge_websocket.send", 2, MB_MSG_MAX - sizeof(mb_ask) - in, &p, &n);
	return to_boolean(L, mb_ask_number(L, MB_ASK_WS_SEND, kind, id, in, p, n));
}

/* close(id [, code [, reason]]): the same. */
static int close_it(lua_State *L)
{
	size_t in, n;
	const char *reason;
	check_role(L, "close");
	const char *id = luaL_checklstring(L, 1, &in);
	uint32_t code = mb_websocket_check_close(L, "moonbridge_websocket.close", 2, &reason, &n);
	if (in > ID_MAX) {
		lua_pushboolean(L, 0);
		return 1;
	}
	response.closing = 1; /* it may be the one whose event this is */
	return to_boolean(L, mb_ask_number(L, MB_ASK_WS_CLOSE, code, id, in, reason, n));
}

int mb_websocket_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"handler", handler}, {"send", send_to}, {"close", close_it}, {NULL, NULL}};
	return mb_push_functions(L, f);
}
