/* Methods for lists. */
#include "shared.h"

/* A method that returns the length of the list. */
static int count(lua_State *L, int (*what)(mb_dict_at *), int has_value)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	lua_settop(L, 3);
	if (has_value)
		op.value = mb_shared_value(L, 3, 0);
	int r = mb_dict_run(d, &op, what);
	if (r != MB_DICT_OK)
		return mb_shared_fail(L, r);
	lua_pushinteger(L, (lua_Integer)op.count);
	return 1;
}

static int lpush(lua_State *L) { return count(L, mb_dict_lpush, 1); }
static int rpush(lua_State *L) { return count(L, mb_dict_rpush, 1); }
static int lpop(lua_State *L) { return mb_shared_take(L, mb_dict_lpop); }
static int rpop(lua_State *L) { return mb_shared_take(L, mb_dict_rpop); }
static int llen(lua_State *L) { return count(L, mb_dict_llen, 0); }

void mb_shared_lists(lua_State *L)
{
	static const luaL_Reg f[] = {{"lpush", lpush}, {"rpush", rpush}, {"lpop", lpop}, {"rpop", rpop}, {"llen", llen}, {NULL, NULL}};
	mb_set_functions(L, f);
}
