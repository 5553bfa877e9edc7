/* The request object. Each exchange has its own userdata, so that the use of one that was
 * kept too long is detected. All fields come from one __index function. */
#include "request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char magic; /* its address is in every request, and marks the userdata as one */
static int metatable_ref, cache_ref;

enum {
	F_PROCESS_REQUEST_BODY, F_STREAM_REQUEST_BODY, F_STREAM_POST_PARAM,
	F_STREAM_POST_PARAMS, F_DEFER_READING, F_SEND_STATUS,
	F_SEND_HEADER, F_SEND_DATA, F_FLUSH, F_FINISH_HEADERS, F_FINISH,
	F_CLOSE_AFTER_FINISH, F_CONSUME_INPUT, F_MONOLOGUE, F_STREAM_REQUEST_BODY_NOW,
	F_CLIENT_GONE, F_SEND_FILE, F_NOT_MODIFIED, F_CACHE_KEY, F_SUBSCRIBE, F_WAIT,
	F_ACCEPT_WEBSOCKET, F_WEBSOCKET,
	F_METHODS, /* the rest are fields */
	F_METHOD = F_METHODS, F_PATH, F_QUERY, F_HEADERS, F_CSV_STRING, F_CSV_TABLE,
	F_FLAGS, F_VALUE, F_COOKIES, F_GET, F_GET_LIST, F_POST, F_POST_LIST,
	F_METADATA, F_METADATA_LIST, F_BODY, F_SOCKET, F_ID, F_HOST, F_FRESH, F_FAULTY,
	F_CLIENT_IP, F_SCHEME, F_TLS, F_HTTP_VERSION, F_TRACE_ID, F_TRACEPARENT, F_TRACESTATE,
	F_ALL
};

static const char *const names[F_ALL] = {
	"process_request_body", "stream_request_body", "stream_post_param",
	"stream_post_params", "defer_reading", "send_status",
	"send_header", "send_data", "flush", "finish_headers", "finish",
	"close_after_finish", "consume_input", "monologue", "stream_request_body_now",
	"client_gone", "send_file", "not_modified", "cache_key", "subscribe", "wait", "accept_websocket",
	"websocket",
	"method", "path", "query", "headers", "headers_csv_string", "headers_csv_table",
	"headers_flags", "headers_value", "cookies", "get_params", "get_params_list",
	"post_params", "post_params_list", "post_metadata", "post_metadata_list", "body",
	"socket", "id", "host", "fresh", "faulty", "client_ip", "scheme", "tls",
	"http_version", "trace_id", "traceparent", "tracestate"};

/* Names are found by the address of their string, because Lua keeps one copy of each (Lua
 * 5.4: of strings up to 40 bytes). keep_name checks that. */
static struct {
	const char *s;
	int id;
} names_by_address[128];

static unsigned hash(const char *s) { return (unsigned)((uintptr_t)s >> 3) * 2654435761u >> 25; }

static int find_name(const char *s)
{
	for (unsigned i = hash(s);; i = (i + 1) & 127) {
		if (names_by_address[i].s == s)
			return names_by_address[i].id;
		if (!names_by_address[i].s)
			return -1;
	}
}

/* The exchange in progress has one request, which mb_exchange_serve keeps alive, so its
 * address identifies it. */
void mb_request_check(lua_State *L, int i)
{
	mb_own_only();
	const void **r = lua_touserdata(L, i);
	if (__builtin_expect(r && r == exchange.request, 1))
		return;
	if (lua_type(L, i) == LUA_TUSERDATA && mb_rawlen(L, i) == sizeof *r && *r == &magic)
		luaL_error(L, "request: the exchange is over: its handler has returned");
	luaL_argerror(L, i, "request expected: call it as a method, with a colon");
}

/* --- the cache, which lasts as long as the exchange ----------------------- */

int mb_cache_get(lua_State *L, int key)
{
	if (!exchange.has_cache)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, cache_ref);
	lua_rawgeti(L, -1, key);
	lua_remove(L, -2);
	if (!lua_isnil(L, -1))
		return 1;
	lua_pop(L, 1);
	return 0;
}

void mb_cache_set(lua_State *L, int key)
{
	if (!exchange.has_cache) {
		lua_newtable(L);
		lua_rawseti(L, LUA_REGISTRYINDEX, cache_ref);
		exchange.has_cache = 1;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, cache_ref);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, key);
	lua_pop(L, 1);
}

void mb_request_end(lua_State *L)
{
	if (exchange.has_cache) {
		lua_pushboolean(L, 0); /* not nil: luaL_ref would reuse the number */
		lua_rawseti(L, LUA_REGISTRYINDEX, cache_ref);
	}
	if (mb_body_in_file())
		mb_body_file_close();
	exchange.has_cache = exchange.has_own_fields = exchange.has_stream_handlers = 0;
	exchange.in_stream_handler = exchange.body_processed = 0;
	exchange.request = NULL;
}

/* --- access ----------------------------------------------------------------- */

static int push_span(lua_State *L, uint32_t off, uint32_t len)
{
	lua_pushlstring(L, (const char *)mb_span(L, off, len), len);
	return 1;
}

static int push_fields(lua_State *L, int key)
{
	if (!mb_cache_get(L, key))
		mb_fields_push(L, key);
	return 1;
}

static int push_params(lua_State *L, int key)
{
	if (mb_cache_get(L, key))
		return 1;
	if (key == MB_CACHE_COOKIES)
		mb_params_push_cookies(L);
	else
		mb_params_push_get(L, key);
	return 1;
}

static int push_id(lua_State *L)
{
	char id[80];
	lua_pushlstring(L, id, mb_request_id(id, sizeof id));
	return 1;
}

/* n bytes of what is known of the request's trace, from a place on, or nothing. */
static int push_trace(lua_State *L, size_t at, size_t n)
{
	size_t len;
	mb_settle_head(L);
	const char *s = mb_request_trace(&len);
	if (!s || len <= at)
		return 0;
	lua_pushlstring(L, s + at, n < len - at ? n : len - at);
	return 1;
}

/* Of what proxies say, or else of the connection; nil on a Unix socket. */
static int push_client_ip(lua_State *L, const mb_head *h)
{
	char text[INET6_ADDRSTRLEN];
	const mb_address *a = h->client.family ? &h->client : &h->remote;
	if (!a->family || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, text, sizeof text))
		return 0;
	lua_pushstring(L, text);
	return 1;
}

int mb_tls_push(lua_State *L)
{
	static const char *const keys[] = {"version", "cipher", "server_name", "alpn", "client_fingerprint", "client_subject"};
	const mb_head *h = &exchange.head;
	if (!(h->flags & MB_HEAD_TLS))
		return 0;
	mb_settle_head(L);
	const char *s = (const char *)exchange.head_bytes + h->id_off + h->id_len;
	lua_newtable(L);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		size_t n = strcspn(s, "\n");
		if (n) {
			lua_pushlstring(L, s, n);
			lua_setfield(L, -2, keys[i]);
		}
		s += n + (s[n] == '\n');
	}
	return 1;
}

int mb_request_tls(lua_State *L)
{
	if (mb_cache_get(L, MB_CACHE_TLS))
		return 1;
	if (!mb_tls_push(L))
		return 0;
	mb_cache_set(L, MB_CACHE_TLS);
	return 1;
}

/* The key under which a table is kept. */
static int cache_key(int id) { return MB_CACHE_HEADERS + id - F_HEADERS; }
_Static_assert(MB_CACHE_METADATA_LIST - MB_CACHE_HEADERS == F_METADATA_LIST - F_HEADERS, "fields and keys have one order");

static int push_field(lua_State *L, int id)
{
	const mb_head *h = &exchange.head;
	switch (id) {
	case F_METHOD:
		return push_span(L, h->method_off, h->method_len);
	case F_PATH:
		return h->flags & MB_HEAD_ASTERISK ? 0 : push_span(L, h->path_off, h->path_len);
	case F_QUERY:
		return h->flags & MB_HEAD_ASTERISK ? 0 : push_span(L, h->query_off, h->query_len);
	case F_HEADERS ... F_VALUE:
		return push_fields(L, cache_key(id));
	case F_COOKIES ... F_GET_LIST:
		return push_params(L, cache_key(id));
	case F_POST ... F_METADATA_LIST:
		return mb_body_form(L, cache_key(id));
	case F_BODY:
		return mb_body_push(L);
	case F_SOCKET:
		return mb_request_socket(L);
	case F_HOST:
		return mb_push_host(L);
	case F_FRESH:
		return mb_push_fresh(L);
	case F_FAULTY:
		return mb_push_faulty(L);
	case F_ID:
		return push_id(L);
	case F_CLIENT_IP:
		return push_client_ip(L, h);
	case F_SCHEME:
		lua_pushstring(L, h->flags & MB_HEAD_SECURE ? "https" : "http");
		return 1;
	case F_TLS:
		return mb_request_tls(L);
	case F_HTTP_VERSION:
		lua_pushstring(L, h->flags & MB_HEAD_HTTP2 ? "2" : h->flags & MB_HEAD_HTTP10 ? "1.0" : "1.1");
		return 1;
	case F_TRACE_ID:
		return push_trace(L, 3, MB_TRACE_ID_LEN);
	case F_TRACEPARENT:
		return push_trace(L, 0, MB_TRACEPARENT_LEN);
	case F_TRACESTATE:
		return push_trace(L, MB_TRACEPARENT_LEN, SIZE_MAX);
	}
	return 0;
}

/* The upvalues are the methods, in the order of their numbers. */
static int request_index(lua_State *L)
{
	mb_request_check(L, 1);
	if (exchange.has_own_fields && mb_cache_get(L, MB_CACHE_OWN)) {
		lua_pushvalue(L, 2);
		lua_rawget(L, -2);
		if (!lua_isnil(L, -1))
			return 1;
	}
	const char *s = lua_tostring(L, 2);
	int id = s ? find_name(s) : -1;
	if (id < 0)
		return 0;
	if (id < F_METHODS) {
		lua_pushvalue(L, lua_upvalueindex(id + 1));
		return 1;
	}
	return push_field(L, id);
}

/* Handlers may store fields of their own in the request. */
static int request_newindex(lua_State *L)
{
	mb_request_check(L, 1);
	luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "index is nil");
	lua_settop(L, 3);
	if (!mb_cache_get(L, MB_CACHE_OWN)) {
		lua_newtable(L);
		mb_cache_set(L, MB_CACHE_OWN);
		exchange.has_own_fields = 1;
	}
	lua_insert(L, 2);
	lua_rawset(L, 2);
	return 0;
}

static int request_tostring(lua_State *L)
{
	lua_pushfstring(L, "request: %p", lua_touserdata(L, 1));
	return 1;
}

/* The manual writes it with a dot, so it must work without an argument. */
static int defer_reading(lua_State *L)
{
	mb_own_only();
	if (lua_gettop(L) > 0)
		mb_request_check(L, 1);
	else if (!exchange.active)
		return luaL_error(L, "defer_reading: the exchange is over");
	exchange.reading_deferred = 1;
	return 0;
}

static int client_gone(lua_State *L)
{
	mb_request_check(L, 1);
	lua_pushboolean(L, mb_client_gone());
	return 1;
}

void mb_request_push(lua_State *L)
{
	const void **r = lua_newuserdata(L, sizeof *r);
	*r = &magic;
	exchange.request = r;
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_ref);
	lua_setmetatable(L, -2);
}

/* Pushes a name. A second string is made from a copy of its bytes, like one that a script
 * computes. Lua must return the first string for it. */
static const char *keep_name(lua_State *L, const char *name)
{
	char copy[64];
	snprintf(copy, sizeof copy, "%s", name);
	lua_pushstring(L, name);
	lua_pushstring(L, copy);
	const char *s = lua_tostring(L, -2);
	if (lua_tostring(L, -1) != s)
		luaL_error(L, "request.%s: this Lua keeps two strings for the name", name);
	lua_pop(L, 1);
	return s;
}

void mb_request_install(lua_State *L)
{
	static const lua_CFunction methods[F_METHODS] = {
		mb_body_process, mb_body_stream, mb_stream_post_param, mb_stream_post_params,
		defer_reading, mb_send_status, mb_send_header, mb_send_data, mb_flush,
		mb_finish_headers, mb_finish, mb_close_after_finish, mb_consume_input, mb_monologue,
		mb_body_stream_now, client_gone, mb_send_file, mb_not_modified, mb_cache_key, mb_subscribe, mb_wait_for,
		mb_accept_websocket, mb_websocket};
	static const luaL_Reg meta[] = {{"__newindex", request_newindex}, {"__tostring", request_tostring}, {NULL, NULL}};
	mb_keep_push(L);
	lua_createtable(L, F_ALL, 0);
	for (int i = 0; i < F_ALL; i++) {
		const char *s = keep_name(L, names[i]);
		unsigned h = hash(s);
		while (names_by_address[h].s)
			h = (h + 1) & 127;
		names_by_address[h].s = s;
		names_by_address[h].id = i;
		lua_rawseti(L, -2, i + 1);
	}
	luaL_ref(L, LUA_REGISTRYINDEX); /* keeps the strings alive, and so their addresses */

	lua_createtable(L, 0, 3);
	for (int i = 0; i < F_METHODS; i++)
		lua_pushcfunction(L, methods[i]);
	lua_pushcclosure(L, request_index, F_METHODS);
	lua_setfield(L, -2, "__index");
	mb_set_functions(L, meta);
	metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushboolean(L, 0);
	cache_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
