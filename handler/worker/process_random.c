/* The seed of math.random. Lua would start with the same one in every process (LuaJIT: in
 * every process of every machine), and workers, which are copies, would draw the same
 * numbers. */
#include "process.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int randomseed_ref; /* math.randomseed as it was before the script ran */

/* Fills r with secret random numbers. */
static void draw(uint64_t r[2])
{
	if (getentropy(r, 2 * sizeof *r) == 0)
		return;
	struct timespec t; /* a system without: at least no two processes get the same */
	clock_gettime(CLOCK_REALTIME, &t);
	r[0] = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec;
	r[1] = (uint64_t)getpid();
	r[0] ^= r[1] << 40;
}

void mb_random_seed(lua_State *L)
{
	uint64_t r[2];
	draw(r);
	lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed_ref);
#if LUA_VERSION_NUM >= 504
	lua_pushinteger(L, (lua_Integer)r[0]);
	lua_pushinteger(L, (lua_Integer)r[1]);
	lua_call(L, 2, 0);
#else
	lua_pushnumber(L, (lua_Number)(r[0] >> 11)); /* 53 bits: all of them count */
	lua_call(L, 1, 0);
#endif
}

void mb_random_install(lua_State *L)
{
	lua_getglobal(L, "math");
	lua_getfield(L, -1, "randomseed");
	randomseed_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	mb_random_seed(L);
}
