/* request:websocket: the connection becomes a WebSocket that this worker has to itself. The
 * server still speaks the protocol: the worker publishes verbs, as for an event of another
 * WebSocket, and takes records of what has happened from the in-window. It asks for each
 * message, so that one at most is on its way. */
#include "request.h"

#include <string.h>

#define SECONDS_MAX 1000000000.0

static char metatable_key;

static struct {
	const void *object; /* of Lua */
	int asked;          /* for a message, which has not come yet */
	int closing;        /* close was called: nothing can be sent */
	int closed;         /* the last record was taken */
	uint32_t code;      /* with closed */
	size_t reason_len;
	char reason[MB_WS_REASON_MAX];
} ws;

/* --- records ------------------------------------------------------------------------ */

static uint64_t arrived(void)
{
	return __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE) - exchange.taken;
}

static int some_arrived(void) { return arrived() > 0 || mb_cancelled(); }

/* Has the client gone, or closed the connection? The last record may still wait. */
static int over(void)
{
	return (__atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE) & (MB_IN_END | MB_IN_ABORT | MB_IN_CANCEL)) != 0;
}

/* Takes n bytes, which have arrived or are about to. */
static void take(lua_State *L, void *to, size_t n)
{
	uint8_t *p = to;
	mb_detach_head(L); /* its room is used again */
	while (n) {
		mb_wait(some_arrived);
		if (!arrived())
			mb_raise_cancelled(L);
		uint64_t at = exchange.taken & (worker.header.in_window - 1), k = arrived();
		if (k > worker.header.in_window - at)
			k = worker.header.in_window - at;
		if (k > n)
			k = n;
		memcpy(p, exchange.in_window + at, k);
		mb_input_consume(k);
		p += k;
		n -= k;
	}
}

/* Takes a record; what follows it is in exchange.scratch. The server has made it: anything wrong means that the memory is broken. */
static mb_ws_record take_record(lua_State *L)
{
	mb_ws_record r;
	take(L, &r, sizeof r);
	if (r.len > (r.event == MB_WS_CLOSE ? MB_WS_REASON_MAX : MB_WS_MESSAGE_MAX))
		luaL_error(L, "malformed record of a WebSocket");
	exchange.scratch.len = 0;
	if (mb_buf_room(&exchange.scratch, r.len + 1))
		luaL_error(L, "not enough memory");
	take(L, exchange.scratch.p, r.len);
	return r;
}

/* --- methods ------------------------------------------------------------------------ */

static void check(lua_State *L, const char *name)
{
	mb_own_only();
	if (!exchange.active || !exchange.websocket || lua_topointer(L, 1) != ws.object)
		luaL_error(L, "%s: the WebSocket has ended with the handler of its request", name);
}

static int push_closed(lua_State *L)
{
	lua_pushnil(L);
	lua_pushliteral(L, "closed");
	if (!ws.closed)
		return 2;
	lua_pushinteger(L, ws.code);
	lua_pushlstring(L, ws.reason, ws.reason_len);
	return 4;
}

static void note_close(const mb_ws_record *r)
{
	ws.closed = 1;
	ws.code = r->code;
	memcpy(ws.reason, exchange.scratch.p, r->len);
	ws.reason_len = r->len;
}

static void ask(lua_State *L)
{
	if (!ws.asked)
		mb_output_verb(L, MB_WS_RECEIVE, NULL, 0, NULL, 0);
	ws.asked = 1;
	mb_output_pending(); /* what was sent, too */
}

/* ws:receive([timeout]): the message and "text" or "binary"; or nil and "timeout"; or nil, "closed", code and reason. */
static int receive(lua_State *L)
{
	check(L, "receive");
	lua_Number seconds = luaL_optnumber(L, 2, SECONDS_MAX);
	if (!(seconds >= 0 && seconds <= SECONDS_MAX))
		return luaL_error(L, "receive: the timeout is a number of seconds from 0 to 1e9");
	if (ws.closed)
		return push_closed(L);
	ask(L);
	if (!mb_wait_until(some_arrived, mb_now() + seconds)) {
		lua_pushnil(L);
		lua_pushliteral(L, "timeout");
		return 2;
	}
	mb_ws_record r = take_record(L);
	if (r.event == MB_WS_CLOSE) {
		note_close(&r);
		return push_closed(L);
	}
	ws.asked = 0;
	exchange.scratch.len = r.len;
	mb_push_content(L, &exchange.scratch);
	lua_pushstring(L, r.code == 2 ? "binary" : "text");
	return 2;
}

/* What a for loop calls: the object, and the message before. */
static int next_message(lua_State *L)
{
	lua_settop(L, 1);
	return receive(L);
}

/* for data, kind in ws:messages() do */
static int messages(lua_State *L)
{
	check(L, "messages");
	lua_pushcfunction(L, next_message);
	lua_pushvalue(L, 1);
	return 2;
}

/* ws:send(data [, kind]): true; or nil and "closed". */
static int send_message(lua_State *L)
{
	size_t n;
	const char *p;
	check(L, "send");
	uint32_t kind = mb_websocket_check_send(L, "send", 2, MB_WS_MESSAGE_MAX, &p, &n);
	if (ws.closing || ws.closed || over())
		return push_closed(L);
	mb_output_verb(L, kind, p, n, NULL, 0);
	lua_pushboolean(L, 1);
	return 1;
}

/* ws:close([code [, reason]]) */
static int close_it(lua_State *L)
{
	size_t n;
	const char *reason;
	check(L, "close");
	uint32_t code = mb_websocket_check_close(L, "close", 2, &reason, &n);
	if (!ws.closing && !ws.closed)
		mb_output_verb(L, MB_WS_END, &code, sizeof code, reason, n);
	ws.closing = 1;
	return 0;
}

void mb_websocket_blocking_install(lua_State *L)
{
	static const luaL_Reg f[] = {{"receive", receive}, {"messages", messages}, {"send", send_message}, {"close", close_it}, {NULL, NULL}};
	lua_pushlightuserdata(L, &metatable_key);
	lua_createtable(L, 0, 1);
	mb_push_functions(L, f);
	lua_setfield(L, -2, "__index");
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* request:websocket([options]): the object, or nil and a message after a request that begins no WebSocket was refused. */
int mb_websocket(lua_State *L)
{
	if (!mb_websocket_begin(L))
		return 2;
	memset(&ws, 0, sizeof ws);
	take_record(L); /* MB_WS_OPEN */
	lua_newtable(L);
	lua_pushlightuserdata(L, &metatable_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	ws.object = lua_topointer(L, -1);
	return 1;
}
