/* Logs a traceback of what Lua is doing before the server ends this worker because of
 * request_timeout. A hook runs neither in a compiled loop nor in a C function. In these
 * cases the log only has the server's own line. */
#include "worker.h"

static int wanted;

void mb_trace_wanted(void)
{
	__atomic_store_n(&wanted, 1, __ATOMIC_RELEASE);
	mb_timeout_interrupt(); /* hooks may be set in a signal handler, but by no other thread */
}

static void log_traceback(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	if (!exchange.active || !mb_is_own())
		return; /* the exchange has ended, or a handler has forked this process */
	int armed = memory.armed;
	memory.armed = 0;
	static const char text[] = "request_timeout: still running, ending the worker";
	mb_origin o;
	mb_origin_set(&o);
	mb_origin_fails(&o);
	luaL_traceback(L, L, text, 0);
	mb_report_error(L, &o);
	lua_pop(L, 1);
	memory.armed = armed;
}

int mb_trace_set_hook(void)
{
	/* At the end of the worker there is no Lua any more. */
	if (!__atomic_exchange_n(&wanted, 0, __ATOMIC_ACQ_REL) || !exchange.active)
		return 0;
	lua_sethook(process.L, log_traceback, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
	return 1;
}
