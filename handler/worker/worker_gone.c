/* The end of a handler whose client has gone, if its script has asked for that with
 * on_client_gone = "error". A Lua error ends it: a debug hook raises one. Where no hook runs,
 * in a C function or a compiled loop, the server kills the worker after
 * client_gone_timeout. On a raw connection the worker does that by itself. */
#include "worker.h"

#include <string.h>

static int wanted, overdue;
static struct {
	lua_Hook f; /* the application's own hook, which ours replaces for a moment */
	int mask, count;
} before;

void mb_gone_wanted(void)
{
	__atomic_store_n(&wanted, 1, __ATOMIC_RELEASE);
	mb_timeout_interrupt(); /* hooks may be set in a signal handler, but by no other thread */
}

/* The order may come late, when another exchange is in progress. So what counts is the state
 * of that one. */
int mb_gone_applies(void)
{
	return exchange.active && exchange.options && exchange.options->on_client_gone != 0 &&
	       response.state != MB_RESPONSE_DONE && mb_cancelled();
}

static void raise_gone(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_sethook(process.L, before.f, before.mask, before.count);
	if (L != process.L)
		lua_sethook(L, before.f, before.mask, before.count);
	if (mb_is_own() && memory.armed && !exchange.cancelled && mb_gone_applies())
		mb_raise_cancelled(L);
}

void mb_gone_set_hook(void)
{
	/* Without an exchange there is nothing to end, and at the end of the worker no Lua. */
	if (!__atomic_exchange_n(&wanted, 0, __ATOMIC_ACQ_REL) || !exchange.active)
		return;
	lua_State *L = process.L;
	if (lua_gethook(L) != raise_gone) {
		before.f = lua_gethook(L);
		before.mask = lua_gethookmask(L);
		before.count = lua_gethookcount(L);
	}
	/* Not at calls: it must not fail the message handler of another error. */
	lua_sethook(L, raise_gone, LUA_MASKCOUNT, 1);
}

/* --- on a raw connection ------------------------------------------------------- */

static mb_last_words words;

/* Makes what is logged, in case the worker is ended. */
void mb_gone_prepare(void)
{
	if (exchange.options->on_client_gone == 0 || exchange.options->client_gone_timeout == 0)
		return;
	mb_origin o = {0};
	mb_origin_set(&o);
	mb_words_set(&words, &o, "on_client_gone: still running, ending the worker");
}

void mb_gone_overdue(void)
{
	__atomic_store_n(&overdue, 1, __ATOMIC_RELEASE);
	mb_timeout_interrupt();
}

const mb_last_words *mb_gone_end(void)
{
	return __atomic_exchange_n(&overdue, 0, __ATOMIC_ACQ_REL) && mb_gone_applies() ? &words : NULL;
}
