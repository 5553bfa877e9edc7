/* The option cache of generate_handler. The server does the work. */
#include "process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Thousands of pages, and little beside the memory of a few workers. */
#define CACHE_BYTES (64u << 20)
#define CACHE_ENTRY_BYTES (1u << 20)
#define CACHE_BYTES_MIN (64u << 10) /* a smaller number was meant in kilobytes or megabytes */
#define CACHE_WAIT 5

static double handlers; /* with a cache */

void mb_cache_begin(mb_http_options *o)
{
	o->cache_bytes = CACHE_BYTES;
	o->cache_entry_bytes = CACHE_ENTRY_BYTES;
	o->cache_wait = CACHE_WAIT;
	o->cache_directives = 1;
}

static int wrong(lua_State *L, const char *name, const char *want)
{
	return luaL_error(L, "generate_handler: option 'cache': '%s' must be %s", name, want);
}

/* The value is on top of the stack. */
static double bytes(lua_State *L, const char *name, double min, const char *want)
{
	double v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(v >= min) || v > 1e15 || v != floor(v))
		wrong(L, name, want);
	return v;
}

static double flag(lua_State *L, const char *name)
{
	if (lua_type(L, -1) != LUA_TBOOLEAN)
		wrong(L, name, "a boolean");
	return lua_toboolean(L, -1);
}

static double wait_seconds(lua_State *L, const char *name)
{
	double v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(v > 0) || v > 3600)
		wrong(L, name, "a number of seconds, at most 3600");
	return v;
}

/* Key and value are the two values on top. */
static void suboption(lua_State *L, mb_http_options *o)
{
	const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
	if (!strcmp(name, "bytes"))
		o->cache_bytes = bytes(L, name, CACHE_BYTES_MIN, "a number of bytes, at least 65536");
	else if (!strcmp(name, "entry_bytes"))
		o->cache_entry_bytes = bytes(L, name, 1, "a number of bytes, at least 1");
	else if (!strcmp(name, "wait"))
		o->cache_wait = wait_seconds(L, name);
	else if (!strcmp(name, "cache_status"))
		o->cache_status = flag(L, name);
	else if (!strcmp(name, "request_directives"))
		o->cache_directives = flag(L, name);
	else
		luaL_error(L, "generate_handler: option 'cache' has 'bytes', 'entry_bytes', 'wait', 'cache_status' and "
			"'request_directives'; got '%s'", *name ? name : luaL_typename(L, -2));
}

/* Handlers that share what is kept have the same number. */
void mb_cache_option(lua_State *L, mb_http_options *o)
{
	o->cache = mb_http_suboptions(L, "cache", o, suboption) ? ++handlers : 0;
}

int mb_cache_options_text(const mb_http_options *o, char *to, size_t cap)
{
	return snprintf(to, cap, "cache=%.17g\ncache_bytes=%.17g\ncache_entry_bytes=%.17g\ncache_wait=%.17g\n"
		"cache_status=%.17g\ncache_directives=%.17g\n", o->cache, o->cache_bytes,
		o->cache_entry_bytes, o->cache_wait, o->cache_status, o->cache_directives);
}
