/* A last searcher for require, which finds nothing: it replaces Lua's list of paths by a hint if
 * the name looks like that of a module of this server. */
#include "process.h"

#include <ctype.h>
#include <string.h>

static const char *const own[] = {"moonbridge_http", "moonbridge_io", "moonbridge_shared", "moonbridge_cache",
	"moonbridge_crypto", "moonbridge.web", "moonbridge_channel", "moonbridge_websocket", "moonbridge.test", NULL};

/* Are they the same but for the case of letters, and for what stands between words? */
static int alike(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a && !isalnum((unsigned char)*a))
			a++;
		while (*b && !isalnum((unsigned char)*b))
			b++;
		if (tolower((unsigned char)*a) != *b)
			return 0;
		if (!*a)
			return 1;
	}
}

/* The error is that of the caller of require. */
static int fail(lua_State *L, const char *name, const char *right)
{
	luaL_where(L, 2);
	lua_pushfstring(L, "module '%s' not found: its name is '%s'", name, right);
	lua_concat(L, 2);
	return lua_error(L);
}

static int hint(lua_State *L)
{
	const char *name = lua_tostring(L, 1);
	for (int i = 0; name && own[i]; i++)
		if (alike(name, own[i]))
			return fail(L, name, own[i]);
	return 0;
}

void mb_hint_install(lua_State *L)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, LUA_VERSION_NUM >= 502 ? "searchers" : "loaders");
	lua_pushcfunction(L, hint);
	lua_rawseti(L, -2, (int)mb_rawlen(L, -2) + 1);
	lua_pop(L, 2);
}
