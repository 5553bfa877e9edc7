/* The module moonbridge_io. The later original has it as a global too, which its applications
 * use without require. */
#include "io.h"

/* Returns seconds that only go forward, less the optional argument. */
static int timeref(lua_State *L)
{
	lua_pushnumber(L, mb_now() - luaL_optnumber(L, 1, 0));
	return 1;
}

void mb_io_install(lua_State *L)
{
	static const luaL_Reg functions[] = {{"exec", mb_io_exec}, {"localconnect", mb_io_localconnect},
		{"poll", mb_io_poll}, {"tcpconnect", mb_io_tcpconnect}, {"timeref", timeref}, {NULL, NULL}};
	mb_handle_install(L);
	mb_child_install(L);
	lua_newtable(L);
	mb_set_functions(L, functions);
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "loaded");
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "moonbridge_io");
	lua_pop(L, 2);
	lua_setglobal(L, "moonbridge_io");
}
