/* The option compress of generate_handler. The server does the work. */
#include "process.h"

#include <math.h>
#include <string.h>

/* One packet holds about this much: a smaller response gains nothing. */
#define COMPRESS_MIN_BYTES 1024
#define COMPRESS_LEVEL_MAX 9
/* More than any list of media types. The server gets them in one line. */
#define TYPES_MAX 8192u

/* Collects the types. Each call reuses the buffer, so that a Lua error does not leak it. */
static mb_buf types;

void mb_compress_begin(mb_http_options *o)
{
	types.len = 0;
	o->compress_min_bytes = COMPRESS_MIN_BYTES;
}

const char *mb_compress_types(void) { return (const char *)types.p; }

/* The value is on top of the stack. */
static double number(lua_State *L, const char *name, double min, double max)
{
	double v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(v >= min) || v > max || v != floor(v))
		luaL_error(L, "generate_handler: option 'compress': '%s' must be %s", name,
			min > 0 ? "a whole number from 1 to 9" : "a number of bytes");
	return v;
}

/* Is it the name of a media type, all types of a kind, or all with a suffix? */
static int is_type(const char *s, size_t n)
{
	size_t slashes = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] <= ' ' || s[i] > '~' || s[i] == ';' || s[i] == ',')
			return 0;
		slashes += s[i] == '/';
	}
	if (n > 2 && s[0] == '*' && s[1] == '+')
		return slashes == 0;
	return slashes == 1 && s[0] != '/' && s[0] != '*' && s[n - 1] != '/';
}

static void add_type(lua_State *L, int i)
{
	size_t n = 0;
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : "";
	if (!is_type(s, n))
		luaL_error(L, "generate_handler: option 'compress': entry %d of 'types' is not a media type, such as "
			"\"text/html\", \"text/*\" or \"*+json\"", i);
	if (types.len + n + 1 > TYPES_MAX)
		luaL_error(L, "generate_handler: option 'compress': 'types' is longer than %d bytes", (int)TYPES_MAX);
	if (types.len)
		mb_buf_put(L, &types, " ", 1);
	mb_buf_put(L, &types, s, n);
}

/* The list is on top of the stack. */
static void read_types(lua_State *L)
{
	if (!lua_istable(L, -1))
		luaL_error(L, "generate_handler: option 'compress': 'types' must be a table, not a %s", luaL_typename(L, -1));
	int t = lua_gettop(L), count = (int)mb_rawlen(L, t);
	if (count == 0)
		luaL_error(L, "generate_handler: option 'compress': 'types' is empty");
	for (int i = 1; i <= count; i++, lua_settop(L, t)) {
		lua_rawgeti(L, t, i);
		add_type(L, i);
	}
}

/* Key and value are the two values on top. */
static void suboption(lua_State *L, mb_http_options *o)
{
	const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
	if (!strcmp(name, "types"))
		read_types(L);
	else if (!strcmp(name, "min_bytes"))
		o->compress_min_bytes = number(L, name, 0, 1e15);
	else if (!strcmp(name, "level"))
		o->compress_level = number(L, name, 1, COMPRESS_LEVEL_MAX);
	else
		luaL_error(L, "generate_handler: option 'compress' has 'types', 'min_bytes' and 'level'; got '%s'",
			*name ? name : luaL_typename(L, -2));
}

void mb_compress_option(lua_State *L, mb_http_options *o)
{
	o->compress = mb_http_suboptions(L, "compress", o, suboption);
	o->types_len = types.len;
}
