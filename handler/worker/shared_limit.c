/* limit of the module moonbridge_shared. */
#include "shared.h"

#include <math.h>

static mb_buf none;

static double number_of(lua_State *L, const char *name, double otherwise, double least)
{
	lua_getfield(L, 1, name);
	if (lua_isnil(L, -1) && !isnan(otherwise)) {
		lua_pop(L, 1);
		return otherwise;
	}
	if (lua_type(L, -1) != LUA_TNUMBER)
		luaL_error(L, "limit: %s: number expected, got %s", name, luaL_typename(L, -1));
	double n = lua_tonumber(L, -1);
	if (!(n >= least && n <= 1e9))
		luaL_error(L, "limit: %s is out of range", name);
	lua_pop(L, 1);
	return n;
}

static void check_names(lua_State *L)
{
	static const char *const names[] = {"key", "rate", "burst", "cost", "dictionary", NULL};
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
		if (mb_key_among(L, names) < 0)
			luaL_error(L, "limit: unknown option \"%s\"", lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "");
}

static const mb_dict *dictionary(lua_State *L)
{
	lua_getfield(L, 1, "dictionary");
	const mb_dict *d = lua_isnil(L, -1) ? mb_shared_named(MB_SHARED_LIMITS) : mb_shared_check(L, -1);
	if (!d)
		luaL_error(L, "limit: load the module moonbridge_shared while the script is loaded, or give a dictionary");
	lua_pop(L, 1);
	return d;
}

/* Returns whether it is allowed, after how many seconds it will be, and how many are left. */
int mb_shared_limit(lua_State *L)
{
	mb_own_only();
	luaL_checktype(L, 1, LUA_TTABLE);
	check_names(L);
	mb_dict_op op = {.out = &none};
	const mb_dict *d = dictionary(L);
	op.rate = number_of(L, "rate", NAN, 1e-6);
	op.burst = number_of(L, "burst", fmax(1, floor(op.rate)), 1);
	op.cost = number_of(L, "cost", 1, 0);
	if (op.cost > op.burst)
		return luaL_error(L, "limit: a cost above burst is never allowed");
	if (op.burst / op.rate > MB_SHARED_SECONDS_MAX)
		return luaL_error(L, "limit: burst takes more than ten years to recover");
	lua_getfield(L, 1, "key");
	if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
		return luaL_error(L, "limit: key: string expected, got %s", luaL_typename(L, -1));
	op.key = mb_check_text(L, lua_gettop(L), &op.key_len);
	if (!op.key_len || op.key_len > MB_DICT_KEY_MAX)
		return luaL_error(L, "limit: a key has 1 to %d bytes", (int)MB_DICT_KEY_MAX);
	int r = mb_dict_run(d, &op, mb_dict_limit);
	if (r != MB_DICT_OK)
		return mb_shared_fail(L, r);
	lua_pushboolean(L, op.result.number != 0);
	lua_pushnumber(L, (double)op.left / 1e9);
	lua_pushinteger(L, (lua_Integer)op.remaining);
	return 3;
}
