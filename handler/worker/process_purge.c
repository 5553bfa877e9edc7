/* The module moonbridge_cache: workers tell the server what of its caches is out of date. */
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Far longer than the server needs. A worker must not wait for one that hangs. */
#define PURGE_SECONDS 2

/* The answers of the server. Another thread counts them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t counted = PTHREAD_COND_INITIALIZER;
static uint64_t answers;

static uint64_t sent; /* messages */

void mb_purge_answered(size_t n)
{
	pthread_mutex_lock(&lock);
	answers += n;
	pthread_cond_signal(&counted);
	pthread_mutex_unlock(&lock);
}

/* Waits until there are so many answers. 0: not in time. */
static int await(uint64_t wanted)
{
	struct timespec until;
	int in_time = 1;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PURGE_SECONDS;
	pthread_mutex_lock(&lock);
	while (answers < wanted && in_time)
		in_time = pthread_cond_timedwait(&counted, &lock, &until) != ETIMEDOUT;
	in_time = answers >= wanted;
	pthread_mutex_unlock(&lock);
	return in_time;
}

/* Returns true when the server has removed what was asked for; otherwise nil and a message. */
static int ask(lua_State *L, uint8_t kind, const char *name)
{
	size_t n;
	mb_own_only();
	if (lua_type(L, 1) != LUA_TSTRING)
		return luaL_error(L, "moonbridge_cache.%s: expected a string, got a %s", name, luaL_typename(L, 1));
	const char *key = lua_tolstring(L, 1, &n);
	if (mb_role != MB_ROLE_WORKER)
		return luaL_error(L, "moonbridge_cache.%s works in handlers, timers and prepare only: nothing is cached "
			"while the script runs", name);
	uint8_t message[1 + MB_PURGE_MAX] = {kind};
	lua_pushboolean(L, 1);
	if (n > MB_PURGE_MAX)
		return 1; /* no key is so long */
	memcpy(message + 1, key, n);
	/* each message gets one answer; that to an earlier one may come late */
	if (!mb_message_room(process.control, PURGE_SECONDS) ||
	    mb_message_send(process.control, MB_MSG_PURGE, message, 1 + n) || !await(++sent)) {
		lua_pushnil(L);
		lua_pushliteral(L, "the server does not answer");
		return 2;
	}
	return 1;
}

static int purge(lua_State *L) { return ask(L, MB_PURGE_KEY, "purge"); }

static int purge_prefix(lua_State *L) { return ask(L, MB_PURGE_PREFIX, "purge_prefix"); }

int mb_purge_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"purge", purge}, {"purge_prefix", purge_prefix}, {NULL, NULL}};
	return mb_push_functions(L, f);
}
