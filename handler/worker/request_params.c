/* Query, form and cookie tables. Go parses the bytes, with the package that also parses
 * requests. This file makes tables of the pairs. */
#include "request.h"

#include <string.h>

static int list_metatable;
static mb_buf pairs; /* length of name, length of value (uint32_t), name, value … */

/* Unknown names have an empty sequence of values. */
static int list_index(lua_State *L)
{
	lua_newtable(L);
	return 1;
}

void mb_params_install(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, list_index);
	lua_setfield(L, -2, "__index");
	list_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
	mb_form_stream_install(L);
}

/* Appends the pairs in p. Their number is checked before room is allocated. */
static void parse_pairs(lua_State *L, int kind, const uint8_t *p, size_t n)
{
	char sep = kind == MB_PARSE_FORM ? '&' : ';';
	size_t items = n > 0;
	for (const uint8_t *s = p, *end = p + n; s < end; s++, items++)
		if (!(s = memchr(s, sep, (size_t)(end - s))))
			break;
	if (items > MB_PARAMS_MAX) {
		exchange.peer_status = 413;
		luaL_error(L, "request: more than %d parameters", (int)MB_PARAMS_MAX);
	}
	if (!n)
		return;
	if (mb_buf_room(&pairs, n + items * 8))
		luaL_error(L, "not enough memory");
	pairs.len += mbParsePairs(kind, (void *)p, n, pairs.p + pairs.len, pairs.cap - pairs.len);
}

void mb_params_new(lua_State *L)
{
	lua_newtable(L);
	lua_newtable(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, list_metatable);
	lua_setmetatable(L, -2);
}

/* Pops name and value from the top. */
void mb_params_add(lua_State *L, int first)
{
	int name = lua_gettop(L) - 1, value = name + 1, list = first + 1;
	lua_pushvalue(L, name);
	lua_rawget(L, list);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_createtable(L, 1, 0);
		lua_pushvalue(L, name);
		lua_pushvalue(L, -2);
		lua_rawset(L, list);
		lua_pushvalue(L, name);
		lua_pushvalue(L, value);
		lua_rawset(L, first);
	}
	lua_pushvalue(L, value);
	lua_rawseti(L, -2, (int)mb_rawlen(L, -2) + 1);
	lua_settop(L, name - 1);
}

/* Pushes the table of first values and the table of sequences. */
static void push_tables(lua_State *L)
{
	luaL_checkstack(L, 10, "parameters");
	mb_params_new(L);
	int first = lua_gettop(L) - 1;
	for (size_t at = 0; at + 8 <= pairs.len;) {
		uint32_t len[2];
		memcpy(len, pairs.p + at, 8);
		const char *name = (const char *)pairs.p + at + 8;
		at += 8 + (size_t)len[0] + len[1];
		lua_pushlstring(L, name, len[0]);
		lua_pushlstring(L, name + len[0], len[1]);
		mb_params_add(L, first);
	}
	if (pairs.cap > 1u << 20)
		mb_buf_free(&pairs);
}

void mb_params_form(lua_State *L, int key, int list_key, const uint8_t *p, size_t n)
{
	pairs.len = 0;
	parse_pairs(L, MB_PARSE_FORM, p, n);
	push_tables(L);
	mb_cache_set(L, list_key);
	lua_pop(L, 1);
	mb_cache_set(L, key);
	lua_pop(L, 1);
}

void mb_params_get(lua_State *L)
{
	const uint8_t *p = NULL;
	size_t n = 0;
	if (!(exchange.head.flags & MB_HEAD_ASTERISK) && exchange.head.query_len > 1) {
		p = mb_span(L, exchange.head.query_off, exchange.head.query_len) + 1; /* without the question mark */
		n = exchange.head.query_len - 1;
	}
	mb_params_form(L, MB_CACHE_GET, MB_CACHE_GET_LIST, p, n);
}

void mb_params_cookies(lua_State *L)
{
	pairs.len = 0;
	for (uint32_t i = 0; i < exchange.head.nfields; i++) {
		const mb_field *f = mb_field_at(L, i);
		const uint8_t *raw = exchange.head_bytes + exchange.head.raw_off;
		if (mb_same_word((const char *)raw + f->name_off, f->name_len, "cookie"))
			parse_pairs(L, MB_PARSE_COOKIE, raw + f->value_off, f->value_len);
	}
	push_tables(L);
	lua_pop(L, 1);
	mb_cache_set(L, MB_CACHE_COOKIES);
	lua_pop(L, 1);
}
