/* The five header tables of a request. Each is built completely when it is first used, with
 * lower-case keys, so that pairs() works. A metatable finds names in other spellings, and
 * supplies the value for unknown ones. */
#include "request.h"

#include <string.h>

/* Indexed by MB_CACHE_HEADERS … MB_CACHE_VALUE. The last one is for the flags of one header. */
static int metatables[MB_CACHE_VALUE + 2];
#define ONE_HEADERS_FLAGS (MB_CACHE_VALUE + 1)

static void push_lower(lua_State *L, const char *s, size_t n)
{
	char small[128] = {0};
	/* Longer names are rare. Lua frees its memory even after an error. */
	char *to = n <= sizeof small ? small : lua_newuserdata(L, n);
	for (size_t i = 0; i < n; i++)
		to[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 'a' - 'A') : s[i];
	lua_pushlstring(L, to, n);
	if (to != small)
		lua_remove(L, -2);
}

static void set_metatable(lua_State *L, int kind)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatables[kind]);
	lua_setmetatable(L, -2);
}

/* Called for missing keys. Upvalue 1: the kind of table. */
static int fields_index(lua_State *L)
{
	int kind = (int)lua_tointeger(L, lua_upvalueindex(1));
	if (lua_type(L, 2) == LUA_TSTRING) {
		size_t n;
		const char *s = lua_tolstring(L, 2, &n);
		push_lower(L, s, n);
		lua_rawget(L, 1);
		if (!lua_isnil(L, -1))
			return 1;
	}
	switch (kind) {
	case MB_CACHE_VALUE:
		lua_pushnil(L);
		break;
	case MB_CACHE_CSV_STRING:
		lua_pushliteral(L, "");
		break;
	case ONE_HEADERS_FLAGS:
		lua_pushboolean(L, 0);
		break;
	default:
		lua_newtable(L);
		if (kind == MB_CACHE_FLAGS)
			set_metatable(L, ONE_HEADERS_FLAGS);
	}
	return 1;
}

void mb_fields_install(lua_State *L)
{
	for (int kind = MB_CACHE_HEADERS; kind <= ONE_HEADERS_FLAGS; kind++) {
		lua_createtable(L, 0, 1);
		lua_pushinteger(L, kind);
		lua_pushcclosure(L, fields_index, 1);
		lua_setfield(L, -2, "__index");
		metatables[kind] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

int mb_field_next(lua_State *L, const char *lower, uint32_t *i, const char **v, size_t *n)
{
	while (*i < exchange.head.nfields) {
		const mb_field *f = mb_field_at(L, (*i)++);
		const char *raw = (const char *)exchange.head_bytes + exchange.head.raw_off;
		if (mb_same_word(raw + f->name_off, f->name_len, lower)) {
			*v = raw + f->value_off;
			*n = f->value_len;
			return 1;
		}
	}
	return 0;
}

int mb_field_find(lua_State *L, const char *lower, const char **v, size_t *n)
{
	uint32_t i = 0;
	return mb_field_next(L, lower, &i, v, n);
}

/* Adds one field line to the entry for its name, which is the table on top. */
static void add_line(lua_State *L, int kind, const char *v, size_t vn)
{
	const char *s = v, *m;
	size_t n;
	switch (kind) {
	case MB_CACHE_HEADERS:
		lua_pushlstring(L, v, vn);
		lua_rawseti(L, -2, (int)mb_rawlen(L, -2) + 1);
		break;
	case MB_CACHE_CSV_TABLE:
		for (int i = (int)mb_rawlen(L, -1) + 1; mb_list_next(&s, v + vn, &m, &n); i++) {
			lua_pushlstring(L, m, n);
			lua_rawseti(L, -2, i);
		}
		break;
	case MB_CACHE_FLAGS:
		while (mb_list_next(&s, v + vn, &m, &n)) {
			push_lower(L, m, n);
			lua_pushboolean(L, 1);
			lua_rawset(L, -3);
		}
	}
}

/* Builds the tables whose entries are tables. */
static void build_tables(lua_State *L, int kind)
{
	for (uint32_t i = 0; i < exchange.head.nfields; i++) {
		const mb_field *f = mb_field_at(L, i);
		const char *raw = (const char *)exchange.head_bytes + exchange.head.raw_off;
		push_lower(L, raw + f->name_off, f->name_len);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
			if (kind == MB_CACHE_FLAGS)
				set_metatable(L, ONE_HEADERS_FLAGS);
			lua_pushvalue(L, -2);
			lua_pushvalue(L, -2);
			lua_rawset(L, -5);
		}
		add_line(L, kind, raw + f->value_off, f->value_len);
		lua_pop(L, 2);
	}
}

static void build_values(lua_State *L)
{
	for (uint32_t i = 0; i < exchange.head.nfields; i++) {
		const mb_field *f = mb_field_at(L, i);
		const char *raw = (const char *)exchange.head_bytes + exchange.head.raw_off;
		push_lower(L, raw + f->name_off, f->name_len);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		int first = lua_isnil(L, -1);
		lua_pop(L, 1);
		if (first)
			lua_pushlstring(L, raw + f->value_off, f->value_len);
		else
			lua_pushboolean(L, 0);
		lua_rawset(L, -3);
	}
}

/* Uses the finished table of sequences. Joining line by line would take quadratic time. */
static void build_strings(lua_State *L)
{
	int t = lua_gettop(L);
	if (!mb_cache_get(L, MB_CACHE_HEADERS))
		mb_fields_push(L, MB_CACHE_HEADERS);
	int h = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, h); lua_settop(L, h + 1)) {
		if (!lua_istable(L, h + 2) || lua_type(L, h + 1) != LUA_TSTRING)
			continue; /* the application has changed its table */
		luaL_Buffer b;
		int n = (int)mb_rawlen(L, h + 2);
		lua_pushvalue(L, h + 1);
		luaL_buffinit(L, &b);
		for (int i = 1; i <= n; i++) {
			if (i > 1)
				luaL_addlstring(&b, ", ", 2);
			lua_rawgeti(L, h + 2, i);
			luaL_addvalue(&b);
		}
		luaL_pushresult(&b);
		lua_rawset(L, t);
	}
	lua_settop(L, t);
}

void mb_fields_push(lua_State *L, int kind)
{
	luaL_checkstack(L, 20, "header tables");
	lua_createtable(L, 0, (int)exchange.head.nfields);
	if (kind == MB_CACHE_VALUE)
		build_values(L);
	else if (kind == MB_CACHE_CSV_STRING)
		build_strings(L);
	else
		build_tables(L, kind);
	set_metatable(L, kind);
	mb_cache_set(L, kind);
}
