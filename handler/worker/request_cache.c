/* request:cache_key(): the name that the server's cache has for what a request asks for. */
#include "request.h"

#include <string.h>

/* The authority of the target, or else the value of Host, as RFC 9112 §3.2.2 wants it. */
static size_t find_host(lua_State *L, const char **host)
{
	const mb_head *h = &exchange.head;
	const char *raw = (const char *)exchange.head_bytes + h->raw_off;
	const char *target = raw + h->method_off + h->method_len + 1, *end = raw + h->raw_len;
	size_t n = 0;
	if (*target != '/' && !(h->flags & MB_HEAD_ASTERISK)) {
		const char *s = memchr(target, ':', (size_t)(end - target));
		*host = s + strlen("://");
		while (*host + n < end && !strchr("/? ", (*host)[n]))
			n++;
		return n;
	}
	return mb_field_find(L, "host", host, &n) ? n : 0;
}

int mb_cache_key(lua_State *L)
{
	const mb_head *h = &exchange.head;
	const char *host = "";
	mb_request_check(L, 1);
	size_t n = find_host(L, &host);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++)
		luaL_addchar(&b, host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 'a' - 'A') : host[i]);
	luaL_addchar(&b, '/');
	const char *raw = (const char *)exchange.head_bytes + h->raw_off;
	if (!(h->flags & MB_HEAD_ASTERISK)) {
		luaL_addlstring(&b, raw + h->path_off, h->path_len);
		luaL_addlstring(&b, raw + h->query_off, h->query_len);
	}
	luaL_pushresult(&b);
	return 1;
}
