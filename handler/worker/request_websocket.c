/* request:accept_websocket: the connection becomes a WebSocket, which the server holds. Its
 * events are exchanges of their own (worker_websocket.c), so this worker is free. */
#include "request.h"

#include <string.h>

#define NAMES_MAX 64u
#define PAUSE_MAX 1000 /* seconds between two messages of a client that has a rate */
#define EXTENSIONS_MAX 4096u /* bytes of what a client offers; more counts as nothing: it must not make the message too long */

enum { HANDLER, CHANNELS, LAST_ID, KEY, STATE, PROTOCOLS, MAX_MESSAGE, RATE, BURST, ON_ERROR, COMPRESS, OPTIONS };
static const char *const known[OPTIONS + 1] = {
	[HANDLER] = "handler", [CHANNELS] = "channels", [LAST_ID] = "last_id", [KEY] = "key", [STATE] = "state",
	[PROTOCOLS] = "protocols", [MAX_MESSAGE] = "max_message", [RATE] = "rate", [BURST] = "burst", [ON_ERROR] = "on_error", [COMPRESS] = "compress"};

typedef struct {
	mb_ws_accept head;
	mb_text handler, after, member, state, key, protocol, extensions;
	double rate; /* messages per second; 0: not given */
} wish;

static const char *verb; /* the method that was called */

/* Their memory is used again. */
static mb_buf names, message, extensions;
static char handlers_key;

void mb_websocket_handlers(lua_State *L)
{
	lua_pushlightuserdata(L, &handlers_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushlightuserdata(L, &handlers_key);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

int mb_websocket_push(lua_State *L, const char *name, size_t n)
{
	mb_websocket_handlers(L);
	lua_pushlstring(L, name, n);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	if (lua_istable(L, -1))
		return 1;
	lua_pop(L, 1);
	return 0;
}

/* --- options ---------------------------------------------------------------------- */

static mb_text text_of(lua_State *L, const char *name, size_t max)
{
	mb_text t;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "%s: the option '%s' must be a string, not a %s", verb, name, luaL_typename(L, -1));
	t.p = lua_tolstring(L, -1, &t.n); /* mb_each_option keeps it */
	if (t.n > max)
		luaL_error(L, "%s: the option '%s' has more than %d bytes", verb, name, (int)max);
	return t;
}

/* Whether the value on top is one of two words: 1: the second one. */
static int word_of(lua_State *L, const char *name, const char *first, const char *second)
{
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	if (strcmp(s, first) && strcmp(s, second))
		luaL_error(L, "%s: the option '%s' must be \"%s\" or \"%s\"", verb, name, first, second);
	return !strcmp(s, second);
}

/* Calls use for each name in the table on top, or for the name on top. */
static void each_name(lua_State *L, const char *option, void (*use)(lua_State *, const char *, size_t, void *), void *with)
{
	int n = lua_istable(L, -1) ? (int)mb_rawlen(L, -1) : 1;
	if (n > (int)NAMES_MAX)
		luaL_error(L, "%s: the option '%s' has more than %d names", verb, option, (int)NAMES_MAX);
	for (int i = 1; i <= n; i++) {
		size_t len;
		if (lua_istable(L, -1))
			lua_rawgeti(L, -1, i);
		else
			lua_pushvalue(L, -1);
		const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
		if (!s || !len || strlen(s) != len)
			luaL_error(L, "%s: the option '%s' is a name or a table of names", verb, option);
		use(L, s, len, with);
		lua_pop(L, 1);
	}
}

static void use_channel(lua_State *L, const char *s, size_t n, void *with)
{
	(void)with;
	mb_channel_check(L, verb, s, n);
	mb_buf_put(L, &names, s, n + 1);
}

/* The first name of the script that the client has offered is the protocol. */
static void use_protocol(lua_State *L, const char *s, size_t n, void *with)
{
	wish *w = with;
	const char *v, *m;
	size_t vn, mn;
	for (uint32_t i = 0; !w->protocol.n && mb_field_next(L, "sec-websocket-protocol", &i, &v, &vn);)
		for (const char *end = v + vn; mb_list_next(&v, end, &m, &mn);)
			if (mn == n && !memcmp(m, s, n)) {
				w->protocol.p = m;
				w->protocol.n = mn;
				break;
			}
}

static void read_handler(lua_State *L, wish *w)
{
	w->handler = text_of(L, "handler", MB_WS_NAME_MAX);
	if (!mb_websocket_push(L, w->handler.p, w->handler.n))
		luaL_error(L, "%s: there is no websocket.handler '%s'", verb, w->handler.p);
	lua_getfield(L, -1, "open");
	lua_getfield(L, -2, "close");
	w->head.flags |= (lua_isnil(L, -2) ? 0 : MB_WS_OPENS) | (lua_isnil(L, -1) ? 0 : MB_WS_CLOSES);
	lua_pop(L, 3);
}

static uint32_t count_of(lua_State *L, const char *name, uint32_t max)
{
	double x = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
	if (!(x >= 1 && x <= max))
		luaL_error(L, "%s: the option '%s' must be a number from 1 to %d", verb, name, (int)max);
	return (uint32_t)x;
}

static double rate_of(lua_State *L, const char *name)
{
	double x = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
	if (!(x >= 1.0 / PAUSE_MAX && x <= MB_WS_RATE_MAX))
		luaL_error(L, "%s: the option '%s' must be a number of messages per second, from 0.001 to %d", verb, name, (int)MB_WS_RATE_MAX);
	return x;
}

static void read_compress(lua_State *L, wish *w)
{
	if (lua_type(L, -1) != LUA_TBOOLEAN) {
		if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "takeover"))
			luaL_error(L, "%s: the option 'compress' must be true, false or \"takeover\"", verb);
		w->head.flags |= MB_WS_COMPRESS | MB_WS_TAKEOVER;
	} else if (lua_toboolean(L, -1)) {
		w->head.flags |= MB_WS_COMPRESS;
	}
}

/* Reads the option whose value is on top. */
static void read_option(lua_State *L, void *with, int i)
{
	wish *w = with;
	switch (i) {
	case HANDLER:
		read_handler(L, w);
		break;
	case CHANNELS:
		each_name(L, known[i], use_channel, w);
		break;
	case LAST_ID:
		w->after = text_of(L, known[i], SIZE_MAX);
		if (w->after.n > MB_LAST_ID_MAX)
			w->after.n = MB_LAST_ID_MAX;
		break;
	case KEY:
		w->member = text_of(L, known[i], 255);
		mb_channel_check_key(L, verb, w->member.p, w->member.n);
		break;
	case STATE:
		w->state = text_of(L, known[i], MB_WS_STATE_MAX);
		break;
	case PROTOCOLS:
		each_name(L, known[i], use_protocol, w);
		break;
	case MAX_MESSAGE:
		w->head.message_max = count_of(L, known[i], MB_WS_MESSAGE_MAX);
		break;
	case RATE:
		w->rate = rate_of(L, known[i]);
		break;
	case BURST:
		w->head.burst = count_of(L, known[i], MB_WS_RATE_MAX);
		break;
	case ON_ERROR:
		w->head.flags |= word_of(L, known[i], "ignore", "close") ? MB_WS_STRICT : 0;
		break;
	case COMPRESS:
		read_compress(L, w);
	}
}

/* used: which options there are. */
static void read_options(lua_State *L, wish *w, uint32_t used)
{
	mb_each_option(L, verb, known, used, read_option, w);
	if ((used >> HANDLER & 1) && !w->handler.n)
		luaL_error(L, "%s: the option 'handler' is missing", verb);
	if (w->head.burst && !w->rate)
		luaL_error(L, "%s: the option 'burst' needs 'rate'", verb);
	if (w->rate) {
		w->head.interval = (uint64_t)(1e9 / w->rate);
		if (!w->head.burst)
			w->head.burst = w->rate < 1 ? 1 : (uint32_t)w->rate;
	}
}

/* --- the handshake --------------------------------------------------------------------- */

/* A field that is a list may have several lines (RFC 9110 §5.3, RFC 6455 §11.3). */
static int field_has(lua_State *L, const char *field, const char *lower)
{
	const char *v;
	size_t n;
	for (uint32_t i = 0; mb_field_next(L, field, &i, &v, &n);)
		if (mb_list_has(v, n, lower))
			return 1;
	return 0;
}

/* All that the client offers, as one list. Nothing has to be accepted. */
static mb_text offered_extensions(lua_State *L)
{
	const char *v;
	size_t n;
	extensions.len = 0;
	for (uint32_t i = 0; mb_field_next(L, "sec-websocket-extensions", &i, &v, &n);) {
		if (extensions.len)
			mb_buf_put(L, &extensions, ", ", 2);
		if (extensions.len + n > EXTENSIONS_MAX) {
			extensions.len = 0;
			break;
		}
		if (n)
			mb_buf_put(L, &extensions, v, n);
	}
	return (mb_text){(const char *)extensions.p, extensions.len};
}

/* A field that must not have several lines (RFC 6455 §11.3): empty then. */
static mb_text field_of(lua_State *L, const char *name)
{
	mb_text t = {NULL, 0}, other;
	uint32_t i = 0;
	if (!mb_field_next(L, name, &i, &t.p, &t.n) || mb_field_next(L, name, &i, &other.p, &other.n))
		t.n = 0;
	return t;
}

static const char bad_key[] = "Sec-WebSocket-Key is missing or malformed";

/* NULL, or why the request does not begin a WebSocket. */
static const char *no_handshake(lua_State *L)
{
	const mb_head *h = &exchange.head;
	const uint8_t *raw = exchange.head_bytes + h->raw_off;
	mb_text version = field_of(L, "sec-websocket-version");
	if ((h->flags & MB_HEAD_HTTP10) || !field_has(L, "connection", "upgrade") || !field_has(L, "upgrade", "websocket"))
		return "the request does not ask for WebSocket";
	if (h->method_len != 3 || memcmp(raw + h->method_off, "GET", 3) || mb_has_body())
		return "the request is not a GET without a body";
	if (version.n != 2 || memcmp(version.p, "13", 2))
		return "the client does not speak version 13 of WebSocket";
	if (field_of(L, "sec-websocket-key").n != 24)
		return bad_key;
	return NULL;
}

/* RFC 9110 §15.5.22. A request with a bad key is malformed, whatever it is upgraded to (RFC 6455 §4.2.2). */
static int refuse(lua_State *L, const char *why)
{
	static const char upgrade[] = "Upgrade", websocket[] = "websocket", version[] = "Sec-WebSocket-Version",
		connection[] = "Connection"; /* RFC 9110 §7.8: it belongs to an Upgrade field */
	int malformed = why == bad_key;
	mb_send_begin(L, verb, malformed ? "400 Bad Request" : "426 Upgrade Required");
	response.state = MB_RESPONSE_STATUS;
	if (!malformed) {
		mb_response_field(connection, sizeof connection - 1, upgrade, sizeof upgrade - 1);
		mb_response_field(upgrade, sizeof upgrade - 1, websocket, sizeof websocket - 1);
		mb_response_field(version, sizeof version - 1, "13", 2);
	}
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 0;
}

/* Makes the message to the server. */
static void make_message(lua_State *L, wish *w)
{
	mb_ws_accept *h = &w->head;
	message.len = 0;
	mb_buf_put(L, &message, h, sizeof *h);
	mb_buf_put_part(L, &message, &h->names_len, names.p, names.len);
	mb_buf_put_part(L, &message, &h->after_len, w->after.p, w->after.n);
	mb_buf_put_part(L, &message, &h->member_len, w->member.p, w->member.n);
	mb_buf_put_part(L, &message, &h->handler_len, w->handler.p, w->handler.n);
	mb_buf_put_part(L, &message, &h->state_len, w->state.p, w->state.n);
	mb_buf_put_part(L, &message, &h->key_len, w->key.p, w->key.n);
	mb_buf_put_part(L, &message, &h->protocol_len, w->protocol.p, w->protocol.n);
	mb_buf_put_part(L, &message, &h->extensions_len, w->extensions.p, w->extensions.n);
	memcpy(message.p, h, sizeof *h);
}

static void check_state(lua_State *L)
{
	if (response.state != MB_RESPONSE_NONE || response.broken)
		luaL_error(L, "%s: a response has already begun", verb);
	if (response.ring)
		luaL_error(L, "%s: an interim response has been sent", verb);
}

/* Checks what was called, and makes the message of it. 0: the request begins no WebSocket. It was refused, and nil and a
 * message are pushed. */
static int prepare(lua_State *L, uint32_t used)
{
	wish w = {.head.message_max = MB_WS_MESSAGE_MAX};
	mb_request_check(L, 1);
	if (exchange.transport)
		return luaL_error(L, "%s: not on a raw connection", verb);
	check_state(L);
	names.len = 0;
	read_options(L, &w, used);
	check_state(L); /* again: code of the application may have run, as a finalizer */
	const char *why = no_handshake(L);
	if (why)
		return refuse(L, why);
	w.key = field_of(L, "sec-websocket-key");
	w.extensions = offered_extensions(L);
	make_message(L, &w);
	if (message.len > worker.header.out_window)
		return luaL_error(L, "%s: the options have more than %d bytes together", verb, (int)worker.header.out_window);
	return 1;
}

/* Returns true, or nil and a message after a request that begins no WebSocket was refused. */
int mb_accept_websocket(lua_State *L)
{
	verb = "accept_websocket";
	if (!prepare(L, ~0u))
		return 2;
	mb_output_instead(MB_OUT_WEBSOCKET, message.p, message.len);
	lua_pushboolean(L, 1);
	return 1;
}

int mb_websocket_begin(lua_State *L)
{
	verb = "websocket";
	if (lua_isnoneornil(L, 2)) {
		lua_settop(L, 1);
		lua_newtable(L);
	}
	if (!prepare(L, 1u << PROTOCOLS | 1u << MAX_MESSAGE | 1u << RATE | 1u << BURST | 1u << COMPRESS))
		return 0;
	mb_output_begin_websocket(message.p, message.len);
	return 1;
}

uint32_t mb_websocket_check_send(lua_State *L, const char *name, int i, size_t max, const char **p, size_t *n)
{
	*p = mb_check_text(L, i, n);
	const char *kind = luaL_optstring(L, i + 1, "text");
	if (strcmp(kind, "text") && strcmp(kind, "binary"))
		luaL_error(L, "%s: the kind is \"text\" or \"binary\"", name);
	if (*n > max)
		luaL_error(L, "%s: more than %d bytes", name, (int)max);
	return kind[0] == 't' ? MB_WS_SEND_TEXT : MB_WS_SEND_BINARY;
}

uint32_t mb_websocket_check_close(lua_State *L, const char *name, int i, const char **reason, size_t *n)
{
	lua_Number code = luaL_optnumber(L, i, 1000);
	*reason = luaL_optlstring(L, i + 1, "", n);
	if (!(code >= 1000 && code <= 4999) || *n > MB_WS_REASON_MAX)
		luaL_error(L, "%s: a code from 1000 to 4999, and a reason of at most %d bytes", name, (int)MB_WS_REASON_MAX);
	return (uint32_t)code;
}
