/* An event of a WebSocket: open, message or close of its handler, with an object that sends. What
 * it does goes to the server as verbs, when the handler returns or after a while. */
#include "worker.h"

#include <string.h>

/* How long a worker goes on to further messages of an event. */
#define MESSAGES_MS 1

/* With how many bytes of output it goes on. The server looks whether the client takes them before it gives the next messages. */
#define MESSAGES_OUTPUT (16u << 10)

static char methods_key;
static const void *current; /* the object of the event in progress; NULL: none */

/* --- methods ------------------------------------------------------------------------ */

static void check(lua_State *L, const char *verb)
{
	mb_own_only();
	/* After a handler that has failed, current is what it was, and the cell is perhaps that of another worker. */
	if (!exchange.active || !current || lua_topointer(L, 1) != current || exchange.head.kind != MB_KIND_WEBSOCKET)
		luaL_error(L, "%s: the object is valid in its handler only (websocket.send works anywhere)", verb);
}

/* ws:send(data [, "binary"]) */
static int ws_send(lua_State *L)
{
	size_t n;
	const char *p;
	check(L, "send");
	uint32_t kind = mb_websocket_check_send(L, "send", 2, MB_WS_MESSAGE_MAX, &p, &n);
	mb_output_verb(L, kind, p, n, NULL, 0);
	return 0;
}

/* ws:close([code [, reason]]) */
static int ws_close(lua_State *L)
{
	size_t n;
	const char *reason;
	check(L, "close");
	uint32_t code = mb_websocket_check_close(L, "close", 2, &reason, &n);
	mb_output_verb(L, MB_WS_END, &code, sizeof code, reason, n);
	response.closing = 1;
	return 0;
}

/* The arguments from index 2 on are names of channels. */
static int change_channels(lua_State *L, const char *name, uint32_t verb)
{
	check(L, name);
	for (int i = 2; i <= lua_gettop(L); i++) {
		size_t n;
		const char *s = luaL_checklstring(L, i, &n);
		mb_channel_check(L, name, s, n);
		mb_output_verb(L, verb, s, n + 1, NULL, 0);
	}
	return 0;
}

static int ws_subscribe(lua_State *L) { return change_channels(L, "subscribe", MB_WS_SUBSCRIBE); }

static int ws_unsubscribe(lua_State *L) { return change_channels(L, "unsubscribe", MB_WS_UNSUBSCRIBE); }

/* ws:publish(...) is channel.publish(...). */
static int ws_publish(lua_State *L)
{
	check(L, "publish");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_replace(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

void mb_websocket_install(lua_State *L)
{
	static const luaL_Reg f[] = {{"send", ws_send}, {"close", ws_close}, {"subscribe", ws_subscribe},
		{"unsubscribe", ws_unsubscribe}, {NULL, NULL}};
	lua_pushlightuserdata(L, &methods_key);
	lua_createtable(L, 0, 1); /* the metatable */
	mb_push_functions(L, f);
	mb_channel_load(L);
	lua_getfield(L, -1, "publish");
	lua_remove(L, -2);
	lua_pushcclosure(L, ws_publish, 1);
	lua_setfield(L, -2, "publish");
	lua_setfield(L, -2, "__index");
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* --- the event ------------------------------------------------------------------------ */

typedef struct {
	mb_ws_event e;
	const char *handler, *id, *state, *reason; /* in the head block: valid until the body is read, if that is larger than the window */
	const uint8_t *message;                    /* of MB_WS_MESSAGES */
	size_t message_len;
} event;

static void broken_event(lua_State *L) { luaL_error(L, "malformed event of a WebSocket"); }

/* The server has made it: anything wrong means that the memory is broken. */
static void read_event(lua_State *L, event *v)
{
	const mb_head *h = &exchange.head;
	const char *p = (const char *)mb_span(L, 0, h->raw_len);
	if (h->raw_len < sizeof v->e)
		broken_event(L);
	memcpy(&v->e, p, sizeof v->e);
	uint64_t all = (uint64_t)v->e.handler_len + v->e.id_len + v->e.state_len + v->e.reason_len;
	if (all != h->raw_len - sizeof v->e)
		broken_event(L);
	v->handler = p + sizeof v->e;
	v->id = v->handler + v->e.handler_len;
	v->state = v->id + v->e.id_len;
	v->reason = v->state + v->e.state_len;
}

/* Pushes the object: a table with id and state, which is at index 1. Its metatable has the methods. */
static void push_object(lua_State *L, const event *v)
{
	lua_createtable(L, 0, 2);
	lua_pushlstring(L, v->id, v->e.id_len);
	lua_setfield(L, -2, "id");
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "state");
	lua_pushlightuserdata(L, &methods_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	current = lua_topointer(L, -1);
}

/* Pushes the arguments after the object; returns their number. */
static int push_arguments(lua_State *L, const event *v)
{
	const uint8_t *p = v->message;
	size_t n = v->message_len;
	switch (v->e.event) {
	case MB_WS_MESSAGE:
		p = mb_body_whole(L, &n);
		/* fall through */
	case MB_WS_MESSAGES:
		lua_pushlstring(L, (const char *)p, n);
		lua_pushstring(L, v->e.opcode == 2 ? "binary" : "text");
		return 2;
	case MB_WS_OPEN:
		lua_pushboolean(L, v->e.code != 0);
		return 1;
	case MB_WS_CLOSE:
		lua_pushinteger(L, v->e.code);
		lua_pushlstring(L, v->reason, v->e.reason_len);
		return 2;
	}
	return 0;
}

/* Tells the server of the state if the handler has changed it, and leaves it at index 1, where the old one is. The object is at
 * index 2. */
static void keep_state(lua_State *L)
{
	size_t n;
	lua_pushliteral(L, "state");
	lua_rawget(L, 2);
	if (!lua_rawequal(L, -1, 1)) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "the state of a WebSocket is a string, not a %s", luaL_typename(L, -1));
		const char *s = lua_tolstring(L, -1, &n);
		if (n > MB_WS_STATE_MAX)
			luaL_error(L, "the state of a WebSocket has more than %d bytes", (int)MB_WS_STATE_MAX);
		mb_output_verb(L, MB_WS_STATE, s, n, NULL, 0);
	}
	lua_replace(L, 1);
}

/* Calls the handler. The state is at index 1, and nothing else is on the stack. What the handler has returned is on top then. */
static void call_handler(lua_State *L, const event *v)
{
	static const char *const names[] = {[MB_WS_OPEN] = "open", [MB_WS_MESSAGE] = "message", [MB_WS_CLOSE] = "close",
		[MB_WS_MESSAGES] = "message"};
	push_object(L, v);
	if (!mb_websocket_push(L, v->handler, v->e.handler_len)) {
		mb_output_verb(L, MB_WS_UNKNOWN, NULL, 0, NULL, 0);
		response.closing = 1;
		lua_pushnil(L);
		return;
	}
	lua_getfield(L, -1, names[v->e.event]);
	if (lua_isnil(L, -1)) /* the script that is loaded now has none */
		return;
	lua_pushvalue(L, 2);
	lua_call(L, 1 + push_arguments(L, v), 1);
	mb_own_only();
	keep_state(L);
	current = NULL;
}

/* Takes the next record of the body. */
static void take_record(lua_State *L, event *v, const uint8_t **p, size_t *n)
{
	mb_ws_record r;
	if (*n < sizeof r)
		broken_event(L);
	memcpy(&r, *p, sizeof r);
	if (r.len > *n - sizeof r)
		broken_event(L);
	v->e.opcode = r.code;
	v->message = *p + sizeof r;
	v->message_len = r.len;
	*p += sizeof r + r.len;
	*n -= sizeof r + r.len;
}

/* Runs the handler for several messages, as if each were an event of its own. It stops early if the connection may have been closed or the
 * worker is to end, after a while, so that a slow handler neither keeps back answers nor keeps other clients waiting, and after large
 * answers: the client may not take them. */
static void run_messages(lua_State *L, event *v)
{
	double until = mb_now() + MESSAGES_MS * 1e-3;
	size_t n;
	const uint8_t *p = mb_body_whole(L, &n);
	if (exchange.scratch.len) /* the server puts head and body into the window */
		broken_event(L);
	for (uint32_t left = v->e.count; left; left--) {
		take_record(L, v, &p, &n);
		lua_settop(L, 1);
		uint64_t before = response.written;
		call_handler(L, v);
		mb_output_message_done(L, response.written != before);
		int retires = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
		if (response.closing || retires || mb_quitting() || response.written > MESSAGES_OUTPUT || mb_now() > until)
			break;
		mb_timeout_clear();
	}
}

int mb_websocket_run(lua_State *L)
{
	event v = {.message = NULL};
	current = NULL;
	read_event(L, &v);
	lua_pushlstring(L, v.state, v.e.state_len);
	if (v.e.event < MB_WS_OPEN || v.e.event > MB_WS_MESSAGES)
		broken_event(L);
	if (v.e.event == MB_WS_MESSAGES) {
		run_messages(L, &v);
		return 1;
	}
	call_handler(L, &v);
	return 1;
}
