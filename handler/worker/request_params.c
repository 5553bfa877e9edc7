/* Query, form and cookie tables. The table of first values and that of sequences are built
 * when they are first used, each from the bytes: most handlers use one of them. */
#include "request.h"

#include <string.h>

/* A table is made for as many names as it will have, within reason: a client may repeat one. */
#define ROOM_MAX 64

static int list_metatable;

/* The form of the exchange in progress. Its bytes stay where they are until the end. */
static struct {
	const uint8_t *p;
	size_t n;
} post;

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

static void set_list_metatable(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, list_metatable);
	lua_setmetatable(L, -2);
}

/* --- parts of a form that come one by one ------------------------------------ */

void mb_params_new(lua_State *L)
{
	lua_newtable(L);
	lua_newtable(L);
	set_list_metatable(L);
}

/* Pushes the sequence of the name on top, from the table at list. It is made if it does not
 * exist: then 1 is returned. */
static int push_sequence(lua_State *L, int list)
{
	lua_pushvalue(L, -1);
	lua_rawget(L, list);
	if (!lua_isnil(L, -1))
		return 0;
	lua_pop(L, 1);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, -2);
	lua_pushvalue(L, -2);
	lua_rawset(L, list);
	return 1;
}

/* Pops name and value from the top. */
void mb_params_add(lua_State *L, int first)
{
	int name = lua_gettop(L) - 1, value = name + 1;
	lua_pushvalue(L, name);
	if (push_sequence(L, first + 1)) {
		lua_pushvalue(L, name);
		lua_pushvalue(L, value);
		lua_rawset(L, first);
	}
	lua_pushvalue(L, value);
	lua_rawseti(L, -2, (int)mb_rawlen(L, -2) + 1);
	lua_settop(L, name - 1);
}

/* --- queries and urlencoded forms -------------------------------------------- */

/* Pushes a table with room for n names, or as many as seems reasonable. */
static void push_table(lua_State *L, size_t n)
{
	luaL_checkstack(L, 10, "parameters");
	lua_createtable(L, 0, n < ROOM_MAX ? (int)n : ROOM_MAX);
}

/* Has the table below the name on top no entry of that name? */
static int is_new(lua_State *L)
{
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	int none = lua_isnil(L, -1);
	lua_pop(L, 1);
	return none;
}

static void push_first_values(lua_State *L, const uint8_t *p, size_t n)
{
	mb_pairs pair = {.at = (const char *)p, .end = (const char *)p + n};
	push_table(L, mb_pairs_count(L, '&', p, n));
	while (mb_pairs_next(&pair)) {
		mb_pairs_push(L, pair.name, pair.name_len);
		if (is_new(L)) {
			mb_pairs_push(L, pair.value, pair.value_len);
			lua_rawset(L, -3);
		} else {
			lua_pop(L, 1);
		}
	}
}

static void push_sequences(lua_State *L, const uint8_t *p, size_t n)
{
	mb_pairs pair = {.at = (const char *)p, .end = (const char *)p + n};
	push_table(L, mb_pairs_count(L, '&', p, n));
	set_list_metatable(L);
	int list = lua_gettop(L);
	while (mb_pairs_next(&pair)) {
		mb_pairs_push(L, pair.name, pair.name_len);
		push_sequence(L, list);
		mb_pairs_push(L, pair.value, pair.value_len);
		lua_rawseti(L, -2, (int)mb_rawlen(L, -2) + 1);
		lua_settop(L, list);
	}
}

void mb_params_push_get(lua_State *L, int key)
{
	const uint8_t *p = NULL;
	size_t n = 0;
	if (!(exchange.head.flags & MB_HEAD_ASTERISK) && exchange.head.query_len > 1) {
		p = mb_span(L, exchange.head.query_off, exchange.head.query_len) + 1; /* without the question mark */
		n = exchange.head.query_len - 1;
	}
	if (key == MB_CACHE_GET_LIST)
		push_sequences(L, p, n);
	else
		push_first_values(L, p, n);
	mb_cache_set(L, key);
}

void mb_params_set_post(const uint8_t *p, size_t n)
{
	post.p = p;
	post.n = n;
}

void mb_params_push_post(lua_State *L, int key)
{
	if (key == MB_CACHE_POST_LIST)
		push_sequences(L, post.p, post.n);
	else
		push_first_values(L, post.p, post.n);
	mb_cache_set(L, key);
}

/* --- cookies ----------------------------------------------------------------- */

/* *count is the number of cookies of the request so far. */
static void add_cookies(lua_State *L, const char *s, size_t n, size_t *count)
{
	mb_pairs pair = {.at = s, .end = s + n};
	mb_pairs_limit(L, *count += mb_pairs_count(L, ';', (const uint8_t *)s, n));
	while (mb_pairs_next_cookie(&pair)) {
		lua_pushlstring(L, pair.name, pair.name_len);
		if (is_new(L)) {
			lua_pushlstring(L, pair.value, pair.value_len);
			lua_rawset(L, -3);
		} else {
			lua_pop(L, 1);
		}
	}
}

void mb_params_push_cookies(lua_State *L)
{
	size_t count = 0;
	push_table(L, 0);
	for (uint32_t i = 0; i < exchange.head.nfields; i++) {
		const mb_field *f = mb_field_at(L, i);
		const char *raw = (const char *)exchange.head_bytes + exchange.head.raw_off;
		if (mb_same_word(raw + f->name_off, f->name_len, "cookie"))
			add_cookies(L, raw + f->value_off, f->value_len, &count);
	}
	mb_cache_set(L, MB_CACHE_COOKIES);
}
