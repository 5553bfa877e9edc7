/* The module moonbridge_shared. */
#include "shared.h"

/* While the script runs, the dictionary for limits is opened with the module: a worker cannot open
 * one. It takes no memory until it is used. */
int mb_shared_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"shared", mb_shared_open}, {"limit", mb_shared_limit}, {NULL, NULL}};
	mb_own_only();
	if (mb_role != MB_ROLE_WORKER && !process.script_ended)
		mb_shared_open_as(L, MB_SHARED_LIMITS, MB_SHARED_LIMITS_SIZE, 1);
	return mb_push_functions(L, f);
}
