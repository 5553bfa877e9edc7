/* The option error_page of listen: a function that makes the bodies of the responses that the
 * server makes itself. It is called here, for each status, and not again. */
#include "process.h"

#include <stdio.h>
#include <string.h>

#define ERROR_PAGE_MAX (16u << 10) /* bytes of a body: all of them have to fit into a message */

static const struct {
	int code;
	const char *reason;
} statuses[] = {
	{400, "Bad Request"}, {404, "Not Found"}, {408, "Request Timeout"}, {413, "Content Too Large"}, {414, "URI Too Long"},
	{415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
	{503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"}};

/* Calls the function at index f, which leaves its two results on top. */
static void call(lua_State *L, int f, int code, const char *reason, int json)
{
	lua_pushvalue(L, f);
	lua_pushinteger(L, code);
	lua_createtable(L, 0, 2);
	lua_pushstring(L, reason);
	lua_setfield(L, -2, "reason");
	lua_pushstring(L, json ? "json" : "html");
	lua_setfield(L, -2, "type");
	if (lua_pcall(L, 2, 2, 0))
		luaL_error(L, "listen: error_page for %d (%s): %s", code, json ? "json" : "html",
			lua_tostring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
}

/* Adds the body on top, and the type after it, to the table at index t, and pops both. */
static void add(lua_State *L, int t, int code, int json)
{
	const char *kind = json ? "json" : "html", *type = json ? "application/json" : "text/html; charset=utf-8";
	char key[32];
	if (lua_toboolean(L, -2)) {
		size_t n;
		if (lua_type(L, -2) != LUA_TSTRING || !(lua_isnil(L, -1) || lua_type(L, -1) == LUA_TSTRING))
			luaL_error(L, "listen: error_page for %d (%s): a string expected, and perhaps its media type", code, kind);
		lua_tolstring(L, -2, &n);
		if (n > ERROR_PAGE_MAX)
			luaL_error(L, "listen: error_page for %d (%s): more than %d bytes", code, kind, (int)ERROR_PAGE_MAX);
		if (!lua_isnil(L, -1))
			type = lua_tostring(L, -1);
		snprintf(key, sizeof key, "%d %s", code, kind);
		lua_pushfstring(L, "%s\n", type);
		lua_pushvalue(L, -3);
		lua_concat(L, 2);
		lua_setfield(L, t, key);
	}
	lua_pop(L, 2);
}

/* Replaces the function on top by a table: "404 html" → media type, line end, body. */
void mb_error_pages(lua_State *L)
{
	int f = lua_gettop(L), t = f + 1;
	luaL_checkstack(L, 10, "error pages");
	lua_newtable(L);
	lua_pushboolean(L, 1);
	lua_setfield(L, t, ""); /* there are JSON objects even if the function makes nothing */
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		for (int json = 0; json < 2; json++) {
			call(L, f, statuses[i].code, statuses[i].reason, json);
			add(L, t, statuses[i].code, json);
		}
	lua_replace(L, f);
}
