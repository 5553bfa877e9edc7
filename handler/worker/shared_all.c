/* Methods that concern all of a dictionary. */
#include "shared.h"

#include <string.h>

#define KEYS_DEFAULT 1024

/* Keys in memory of C. */
typedef struct {
	mb_buf b;
	int n;
} key_list;

/* Pushes a table of them. */
static int push_keys(lua_State *L)
{
	const key_list *k = lua_touserdata(L, 1);
	lua_createtable(L, k->n, 0);
	for (size_t at = 0, i = 1; at < k->b.len; i++) {
		uint32_t len;
		memcpy(&len, k->b.p + at, sizeof len);
		lua_pushlstring(L, (const char *)k->b.p + at + sizeof len, len);
		lua_rawseti(L, -2, (int)i);
		at += sizeof len + len;
	}
	return 1;
}

static int keys(lua_State *L)
{
	key_list found = {{0}, 0};
	mb_own_only();
	const mb_dict *d = mb_shared_check(L, 1);
	double max = luaL_optnumber(L, 2, KEYS_DEFAULT);
	if (max != 0 && !(max >= 1))
		return luaL_error(L, "bad argument #1 to 'keys' (a number of keys expected; 0: all)");
	int64_t n = mb_dict_keys(d, max != 0 && max < UINT32_MAX ? (uint32_t)max : UINT32_MAX, &found.b);
	found.n = n > 0 ? (int)n : 0;
	int failed = n < 0 || mb_call_kept(L, push_keys, &found, 1);
	mb_buf_free(&found.b);
	if (n < 0)
		return luaL_error(L, "not enough memory");
	return failed ? lua_error(L) : 1;
}

static int flush(lua_State *L)
{
	mb_own_only();
	mb_dict_flush(mb_shared_check(L, 1));
	return 0;
}

static mb_dict_stats count(lua_State *L)
{
	mb_dict_stats st;
	mb_own_only();
	mb_dict_count(mb_shared_check(L, 1), &st);
	return st;
}

static int capacity(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)count(L).capacity);
	return 1;
}

static int free_space(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)count(L).free);
	return 1;
}

static int stats(lua_State *L)
{
	mb_dict_stats st = count(L);
	const struct {
		const char *name;
		uint64_t n;
	} figures[] = {{"capacity", st.capacity}, {"free_space", st.free}, {"items", st.entries}, {"evicted", st.evicted},
		{"expired", st.expired}, {"repaired", st.repaired}};
	lua_createtable(L, 0, 6);
	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
		lua_pushinteger(L, (lua_Integer)figures[i].n);
		lua_setfield(L, -2, figures[i].name);
	}
	return 1;
}

void mb_shared_whole(lua_State *L)
{
	static const luaL_Reg f[] = {{"keys", keys}, {"flush", flush}, {"capacity", capacity}, {"free_space", free_space},
		{"stats", stats}, {NULL, NULL}};
	mb_keep_function(L, push_keys);
	mb_set_functions(L, f);
}
