/* The functions of moonbridge_http that turn text into other text, and its table of statuses.
 * Their results are those of the later original. */
#include "process.h"

#include <string.h>

static const char *entity(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	}
	return NULL;
}

static int encode_html(lua_State *L)
{
	size_t n;
	const char *s = mb_check_text(L, 1, &n);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		const char *e = entity(s[i]);
		if (e)
			luaL_addstring(&b, e);
		else
			luaL_addchar(&b, s[i]);
	}
	luaL_pushresult(&b);
	return 1;
}

/* RFC 3986 §2.3. isalnum would depend on the locale. */
static int is_unreserved(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

static int encode_uri(lua_State *L)
{
	static const char hex[] = "0123456789abcdef";
	size_t n;
	const char *s = mb_check_text(L, 1, &n);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		if (is_unreserved(s[i])) {
			luaL_addchar(&b, s[i]);
			continue;
		}
		luaL_addchar(&b, '%');
		luaL_addchar(&b, hex[(unsigned char)s[i] >> 4]);
		luaL_addchar(&b, hex[s[i] & 15]);
	}
	luaL_pushresult(&b);
	return 1;
}

/* A malformed sequence stays as it is, as in forms. */
static int decode_uri(lua_State *L)
{
	size_t n;
	const char *s = mb_check_text(L, 1, &n);
	mb_pairs_push(L, s, n);
	return 1;
}

/* Statuses whose response has no body. That of 205 needs Content-Length: 0. */
static void push_bodiless(lua_State *L)
{
	static const char *const statuses[] = {"101", "204", "304"};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, statuses[i]);
	}
	lua_pushliteral(L, "zero_content_length");
	lua_setfield(L, -2, "205");
}

void mb_http_text(lua_State *L)
{
	static const luaL_Reg functions[] = {{"decode_uri", decode_uri}, {"encode_html", encode_html},
		{"encode_uri", encode_uri}, {NULL, NULL}};
	mb_set_functions(L, functions);
	push_bodiless(L);
	lua_setfield(L, -2, "status_without_response_body");
}
