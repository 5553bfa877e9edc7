/* The global function listen. It sends the table to the server unchecked, and the server
 * reports what is wrong with it. */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mb_pool *pools;
static uint32_t npools;

uint32_t mb_pools(void) { return npools; }
const mb_pool *mb_pool_at(uint32_t i) { return i < npools ? &pools[i] : NULL; }

const mb_connect *mb_connect_of(uint32_t pool, uint32_t listener)
{
	const mb_pool *p = mb_pool_at(pool);
	if (!p)
		return NULL;
	if (listener < p->listeners && p->listener[listener].ref != LUA_NOREF)
		return &p->listener[listener];
	return p->connect.ref != LUA_NOREF ? &p->connect : NULL;
}

/* The message is built in a userdata, so that Lua frees it after an error. */
typedef struct {
	size_t len;
	uint8_t text[MB_MSG_MAX];
} message;

static void add_bytes(lua_State *L, message *m, const void *p, size_t n)
{
	if (n > sizeof m->text - m->len)
		luaL_error(L, "listen: more than %d bytes of options", (int)MB_MSG_MAX);
	if (n)
		memcpy(m->text + m->len, p, n);
	m->len += n;
}

static void add_entry(lua_State *L, message *m, uint32_t scope, const char *k, size_t kn,
	uint32_t type, const char *v, size_t vn)
{
	mb_entry e = {.scope = scope, .key_len = (uint32_t)kn, .val_len = (uint32_t)vn, .type = type};
	add_bytes(L, m, &e, sizeof e);
	add_bytes(L, m, k, kn);
	add_bytes(L, m, v, vn);
}

/* The options as numbers, perhaps a line of types, an empty line, and static_headers. */
static void add_http(lua_State *L, message *m, uint32_t scope, const char *k, size_t kn,
	const mb_http_options *o)
{
	static const char close[] = "Connection: close\r\n";
	char text[2048];
	size_t n = mb_http_options_text(o, text, sizeof text), cn = o->static_close ? sizeof close - 1 : 0;
	static const char types[] = "compress_types=";
	size_t tn = o->types_len ? sizeof types - 1 + o->types_len + 1 : 0;
	size_t all = n + tn + 1 + o->static_len + cn;
	mb_entry e = {.scope = scope, .key_len = (uint32_t)kn, .val_len = (uint32_t)all, .type = MB_T_HTTP};
	add_bytes(L, m, &e, sizeof e);
	add_bytes(L, m, k, kn);
	add_bytes(L, m, text, n);
	if (tn) {
		add_bytes(L, m, types, sizeof types - 1);
		add_bytes(L, m, o->static_text + o->static_len, o->types_len);
		add_bytes(L, m, "\n", 1);
	}
	add_bytes(L, m, "\n", 1);
	add_bytes(L, m, o->static_text, o->static_len);
	add_bytes(L, m, close, cn);
}

/* The value is on top of the stack. */
static void add_value(lua_State *L, message *m, uint32_t scope, const char *k, size_t kn)
{
	char text[1024];
	size_t n;
	const char *s;
	const mb_http_options *o;
	switch (lua_type(L, -1)) {
	case LUA_TBOOLEAN:
		add_entry(L, m, scope, k, kn, MB_T_BOOL, lua_toboolean(L, -1) ? "1" : "0", 1);
		return;
	case LUA_TNUMBER:
		n = (size_t)snprintf(text, sizeof text, "%.17g", (double)lua_tonumber(L, -1));
		add_entry(L, m, scope, k, kn, MB_T_NUMBER, text, n);
		return;
	case LUA_TSTRING:
		s = lua_tolstring(L, -1, &n);
		add_entry(L, m, scope, k, kn, MB_T_STRING, s, n);
		return;
	case LUA_TFUNCTION:
		if ((o = mb_http_handler(L, -1))) {
			lua_pop(L, 1);
			add_http(L, m, scope, k, kn, o);
		} else {
			add_entry(L, m, scope, k, kn, MB_T_FUNC, NULL, 0);
		}
		return;
	}
	s = luaL_typename(L, -1);
	add_entry(L, m, scope, k, kn, MB_T_OTHER, s, strlen(s));
}

static void bad_key(lua_State *L, const char *where, int i);

/* A value of the rule for a path, of the option static or routes; it is on top of the stack. The entry's key is the option,
 * the path and the name of the value, with a NUL between them. */
static void add_rule_value(lua_State *L, message *m, const char *option, const char *prefix, size_t pn, const char *name)
{
	size_t kn;
	int value = lua_gettop(L);
	lua_pushlstring(L, option, strlen(option) + 1); /* with its NUL */
	lua_pushlstring(L, prefix, pn);
	lua_pushlstring(L, "", 1);
	lua_pushstring(L, name);
	lua_concat(L, 4);
	const char *k = lua_tolstring(L, -1, &kn);
	lua_pushvalue(L, value);
	add_value(L, m, 0, k, kn);
	lua_settop(L, value);
}

/* A value that may be a list: each element becomes an entry with the same key. */
static void add_rule_values(lua_State *L, message *m, const char *option, const char *prefix, size_t pn, const char *name)
{
	size_t n = lua_istable(L, -1) ? mb_rawlen(L, -1) : 0;
	if (!n) {
		add_rule_value(L, m, option, prefix, pn, name);
		return;
	}
	int list = lua_gettop(L);
	for (size_t i = 1; i <= n; i++, lua_pop(L, 1)) {
		lua_rawgeti(L, list, (int)i);
		add_rule_value(L, m, option, prefix, pn, name);
	}
}

/* A rule: a value, or a table of values with names. Of static it may have one without a name, the path. It is on top of
 * the stack. */
static void add_rule(lua_State *L, message *m, const char *option, const char *prefix, size_t pn)
{
	if (!lua_istable(L, -1)) {
		add_rule_value(L, m, option, prefix, pn, "");
		return;
	}
	int t = lua_gettop(L), files = !strcmp(option, "static"), any = 0;
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), any = 1) {
		if (lua_type(L, -2) == LUA_TSTRING && files)
			add_rule_value(L, m, option, prefix, pn, lua_tostring(L, -2));
		else if (lua_type(L, -2) == LUA_TSTRING)
			add_rule_values(L, m, option, prefix, pn, lua_tostring(L, -2));
		else if (files && lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) == 1)
			add_rule_value(L, m, option, prefix, pn, "");
		else
			bad_key(L, files ? "a table in static" : "a table in routes", -2);
	}
	if (files && mb_rawlen(L, t) == 0)
		luaL_error(L, "listen: option static: there is no path for \"%s\"", prefix);
	if (!any)
		luaL_error(L, "listen: option %s: \"%s\": proxy is missing", option, prefix);
}

/* The table of static or routes is on top of the stack. */
static void add_rules(lua_State *L, message *m, const char *option)
{
	int t = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		size_t pn;
		if (lua_type(L, -2) != LUA_TSTRING)
			bad_key(L, option, -2);
		const char *prefix = lua_tolstring(L, -2, &pn);
		if (memchr(prefix, 0, pn))
			luaL_error(L, "listen: option %s: a path has a NUL in it", option);
		add_rule(L, m, option, prefix, pn);
	}
}

/* An option that is a table of values is on top of the stack. The key of an entry is its name, a NUL
 * and the name of the value. Returns 0 if the table is empty. */
static int add_table(lua_State *L, message *m, const char *name)
{
	int t = lua_gettop(L), any = 0;
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), any = 1) {
		size_t n;
		if (lua_type(L, -2) != LUA_TSTRING)
			bad_key(L, name, -2);
		lua_pushlstring(L, name, strlen(name) + 1);
		lua_pushvalue(L, -3);
		lua_concat(L, 2);
		const char *k = lua_tolstring(L, -1, &n);
		lua_pushvalue(L, -2);
		add_value(L, m, 0, k, n);
		lua_settop(L, t + 2);
	}
	return any;
}

/* An empty table would be no limit. */
static void add_limit(lua_State *L, message *m, const char *name, const char *needs)
{
	if (!add_table(L, m, name))
		luaL_error(L, "listen: option %s is an empty table: it needs %s", name, needs);
}

static void bad_key(lua_State *L, const char *where, int i)
{
	if (lua_type(L, i) == LUA_TNUMBER) {
		lua_pushvalue(L, i); /* a copy: lua_tostring would change the key that lua_next needs */
		luaL_error(L, "listen: %s has an unexpected entry [%s]: values need names, as in "
			"{ proto = \"tcp4\", port = 8080 }", where, lua_tostring(L, -1));
	}
	luaL_error(L, "listen: %s has a %s as a key", where, luaL_typename(L, i));
}

/* A list of values is on top of the stack. The key of each entry is the name with a NUL after it. */
static void add_list(lua_State *L, message *m, const char *name, size_t name_size)
{
	int t = lua_gettop(L);
	size_t count = mb_rawlen(L, t);
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		lua_Number i = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
		if (i < 1 || i > (lua_Number)count)
			luaL_error(L, "listen: option %s: a list of strings expected, as in { \"a\", \"b\" }", name);
	}
	for (size_t i = 1; i <= count; i++, lua_pop(L, 1)) {
		lua_rawgeti(L, t, (int)i);
		add_value(L, m, 0, name, name_size);
	}
}

/* A value of the table tls, which is on top of the stack, as an entry. Its key is "tls", the number of the
 * certificate, and the name, with a NUL between them. A table in it sends its own entry, of no type that is known, and then
 * those of its values: "acme.email" is the name of one. */
static void add_tls_value(lua_State *L, message *m, uint32_t scope, int number, const char *name)
{
	char key[256];
	int n = snprintf(key, sizeof key, "tls%c%d%c%s", 0, number, 0, name);
	if (n < 0 || (size_t)n >= sizeof key)
		luaL_error(L, "listen: listener %d: tls has an option with a long name", (int)scope);
	add_value(L, m, scope, key, (size_t)n);
}

/* A table within tls, of values and lists of values, is on top of the stack. The names of its entries are its own name, a
 * point, and that of the value. An element of a list is an entry of its own. */
static void add_tls_table(lua_State *L, message *m, uint32_t scope, const char *table)
{
	int t = lua_gettop(L);
	char name[128];
	luaL_checkstack(L, 8, "listen");
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			bad_key(L, table, -2);
		int n = snprintf(name, sizeof name, "%s.%s", table, lua_tostring(L, -2)), list = lua_gettop(L);
		if (n < 0 || (size_t)n >= sizeof name)
			luaL_error(L, "listen: listener %d: tls: %s has an option with a long name", (int)scope, table);
		size_t count = lua_istable(L, list) ? mb_rawlen(L, list) : 0;
		for (size_t i = 1; i <= count; i++, lua_pop(L, 1)) {
			lua_rawgeti(L, list, (int)i);
			add_tls_value(L, m, scope, 0, name);
		}
		if (!count)
			add_tls_value(L, m, scope, 0, name);
	}
}

/* A value of the table tls with a name, which is on top of the stack. */
static void add_tls_named(lua_State *L, message *m, uint32_t scope, int number, const char *name)
{
	if (number == 0 && lua_istable(L, -1) && (!strcmp(name, "acme") || !strcmp(name, "hsts"))) {
		add_tls_value(L, m, scope, 0, name);
		add_tls_table(L, m, scope, name);
	} else {
		add_tls_value(L, m, scope, number, name);
	}
}

/* The table of a certificate, or of all, on top of the stack. */
static void add_tls(lua_State *L, message *m, uint32_t scope, int number)
{
	int t = lua_gettop(L), any = 0;
	luaL_checkstack(L, 8, "listen");
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), any = 1) {
		lua_Number i = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
		if (lua_type(L, -2) == LUA_TSTRING)
			add_tls_named(L, m, scope, number, lua_tostring(L, -2));
		else if (number == 0 && lua_istable(L, -1) && i >= 1 && i <= 1000 && i == (lua_Number)(int)i)
			add_tls(L, m, scope, (int)i);
		else
			bad_key(L, "tls", -2);
	}
	if (!any)
		luaL_error(L, "listen: listener %d: tls is an empty table: it needs cert and key, or acme", (int)scope);
}

static void add_listener(lua_State *L, message *m, int t, uint32_t scope)
{
	int any = 0;
	char where[32];
	snprintf(where, sizeof where, "listener %u", scope);
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), any = 1) {
		size_t n;
		if (lua_type(L, -2) != LUA_TSTRING)
			bad_key(L, where, -2);
		const char *k = lua_tolstring(L, -2, &n);
		if (!n)
			luaL_error(L, "listen: %s has an option without a name", where);
		if (!strcmp(k, "tls") && lua_istable(L, -1))
			add_tls(L, m, scope, 0);
		else
			add_value(L, m, scope, k, n);
	}
	if (!any)
		add_entry(L, m, scope, NULL, 0, MB_T_NONE, NULL, 0);
}

static void serialise(lua_State *L, message *m)
{
	size_t count = mb_rawlen(L, 1);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, (int)i);
		if (!lua_istable(L, -1))
			luaL_error(L, "listen: listener %d is a %s, not a table", (int)i, luaL_typename(L, -1));
		add_listener(L, m, lua_gettop(L), (uint32_t)i);
		lua_pop(L, 1);
	}
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		if (lua_type(L, -2) == LUA_TNUMBER) {
			lua_Number k = lua_tonumber(L, -2);
			if (k >= 1 && k <= (lua_Number)count && k == (lua_Number)(size_t)k)
				continue;
		}
		if (lua_type(L, -2) != LUA_TSTRING)
			bad_key(L, "the table", -2);
		size_t n;
		const char *k = lua_tolstring(L, -2, &n);
		if ((!strcmp(k, "static") || !strcmp(k, "routes")) && lua_istable(L, -1))
			add_rules(L, m, k);
		else if (!strcmp(k, "trusted_proxies") && lua_istable(L, -1))
			add_list(L, m, "trusted_proxies", sizeof "trusted_proxies");
		else if (!strcmp(k, "rate_limit") && lua_istable(L, -1))
			add_limit(L, m, k, "rate");
		else if (!strcmp(k, "connection_limit") && lua_istable(L, -1))
			add_limit(L, m, k, "rate or open");
		else if (!strcmp(k, "error_page") && lua_isfunction(L, -1)) {
			mb_error_pages(L);
			add_table(L, m, k);
		} else
			add_value(L, m, 0, k, n);
	}
}

/* Sends the message and waits for the answer. If the server refuses, its text is raised as
 * an error. */
static void ask_server(lua_State *L, const message *m)
{
	if (!mb_ask_server(L, "listen", MB_MSG_LISTEN, m->text, m->len, MB_MSG_LISTEN_OK, NULL, 0, NULL))
		luaL_error(L, "%s", lua_tostring(L, -1));
}

static int keep_function(lua_State *L, int t, const char *name)
{
	lua_pushstring(L, name);
	lua_rawget(L, t);
	if (lua_isfunction(L, -1))
		return luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	return LUA_NOREF;
}

/* The server has refused all values that are neither a number nor false. */
static double get_number(lua_State *L, const char *name)
{
	lua_pushstring(L, name);
	lua_rawget(L, 1);
	double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
	lua_pop(L, 1);
	return n;
}

/* The server has checked that it is a list of strings. Without memory nothing is trusted. */
static char *keep_proxies(lua_State *L)
{
	char *text = NULL;
	int top = lua_gettop(L);
	lua_pushliteral(L, "trusted_proxies");
	lua_rawget(L, 1);
	if (lua_istable(L, -1)) {
		luaL_Buffer b;
		int t = lua_gettop(L);
		luaL_buffinit(L, &b);
		for (size_t i = 1, n = mb_rawlen(L, t); i <= n; i++) {
			lua_rawgeti(L, t, (int)i);
			luaL_addvalue(&b);
			luaL_addchar(&b, '\n');
		}
		luaL_pushresult(&b);
		text = strdup(lua_tostring(L, -1));
	}
	lua_settop(L, top);
	return text;
}

/* Options that workers apply themselves. */
static void keep_options(lua_State *L, mb_pool *p)
{
	p->memory_limit = get_number(L, "memory_limit");
	p->min_requests = get_number(L, "min_requests_per_fork");
	lua_pushliteral(L, "recycle_on_error");
	lua_rawget(L, 1);
	p->recycle_on_error = lua_toboolean(L, -1);
	lua_pop(L, 1);
	p->proxies = keep_proxies(L);
}

/* name is connect or handler. */
static mb_connect keep_connect(lua_State *L, int t, const char *name)
{
	mb_connect c = {.ref = LUA_NOREF};
	lua_pushstring(L, name);
	lua_rawget(L, t);
	if (lua_isfunction(L, -1)) {
		lua_pushvalue(L, -1);
		c.ref = luaL_ref(L, LUA_REGISTRYINDEX);
		if ((c.http = mb_http_handler(L, -1)))
			/* The closure owns the options, so its reference is kept, too. */
			c.ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_pop(L, 1);
	return c;
}

/* Does the function at the top mention a word, as socket.word or otherwise? It is popped. */
static int mentions(lua_State *L, const char *word)
{
	size_t n;
	const char *s = NULL;
	lua_getglobal(L, "string");
	lua_getfield(L, -1, "dump");
	lua_pushvalue(L, -3);
	lua_pushboolean(L, 1); /* without names of files and variables */
	if (lua_pcall(L, 2, 1, 0) == 0)
		s = lua_tolstring(L, -1, &n);
	int found = s && memmem(s, n, word, strlen(word));
	lua_pop(L, 3);
	return found;
}

/* Does the connect handler of the pool call the handler of the listener at t itself? That of
 * WebMCP does, after it has made everything ready. It tells timers, and mains, from
 * connections by a field of its argument. */
static int pool_dispatches(lua_State *L, int t)
{
	lua_pushliteral(L, "proto");
	lua_rawget(L, t);
	const char *proto = lua_tostring(L, -1);
	int named = proto && (!strcmp(proto, "interval") || !strcmp(proto, "main")), dispatches = 0;
	lua_pushliteral(L, "connect");
	lua_rawget(L, 1);
	if (named && lua_isfunction(L, -1))
		dispatches = mentions(L, proto);
	else
		lua_pop(L, 1);
	lua_pop(L, 1);
	return dispatches;
}

/* The own handler of the listener at t. */
static mb_connect keep_own(lua_State *L, int t)
{
	mb_connect c = keep_connect(L, t, "connect");
	if (c.ref == LUA_NOREF && !pool_dispatches(L, t))
		c = keep_connect(L, t, "handler");
	return c;
}

int mb_listen(lua_State *L)
{
	mb_own_only();
	if (process.script_ended)
		return luaL_error(L, "listen() must be called by the script itself, not from a handler");
	if (!lua_istable(L, 1))
		return luaL_error(L, "listen: one table expected, as in "
			"listen{ { proto = \"tcp4\", port = 8080 }, connect = handler }, got %s", luaL_typename(L, 1));
	lua_settop(L, 1);
	message *m = lua_newuserdata(L, sizeof *m);
	m->len = 0;
	serialise(L, m);
	size_t count = mb_rawlen(L, 1);
	mb_connect *l = lua_newuserdata(L, (count + 1) * sizeof *l);
	/* Room is allocated before the server opens anything. The server has counted the pool when it answers, so it is counted here at
	 * once: all that follows may run a finalizer, which may call listen, too. */
	mb_pool *room = realloc(pools, (npools + 1) * sizeof *room);
	if (!room)
		return luaL_error(L, "not enough memory");
	pools = room;
	ask_server(L, m);
	mb_pool p = {.prepare = LUA_NOREF, .finish = LUA_NOREF, .selftest = LUA_NOREF, .connect = {.ref = LUA_NOREF}};
	const uint32_t number = npools++;
	pools[number] = p;
	luaL_ref(L, LUA_REGISTRYINDEX); /* keeps l as long as the process lives */
	p.prepare = keep_function(L, 1, "prepare");
	p.finish = keep_function(L, 1, "finish");
	p.selftest = keep_function(L, 1, "selftest");
	keep_options(L, &p);
	p.connect = keep_connect(L, 1, "connect");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 1, (int)i + 1);
		l[i] = keep_own(L, lua_gettop(L));
		lua_pop(L, 1);
	}
	p.listeners = (uint32_t)count;
	p.listener = l;
	pools[number] = p;
	return 0;
}
