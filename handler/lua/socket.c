/* Raw connections: the socket object that a connect handler gets. */
#include "mb.h"

int mb_socket_run(lua_State *L)
{
	return luaL_error(L, "raw connections are not supported yet");
}

int mb_request_socket(lua_State *L)
{
	return luaL_error(L, "request.socket is not supported yet");
}
