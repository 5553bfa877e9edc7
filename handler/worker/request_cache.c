/* request:cache_key(): the name that the server's cache has for what a request asks for. */
#include "request.h"

int mb_cache_key(lua_State *L)
{
	const mb_head *h = &exchange.head;
	const char *host = "";
	mb_request_check(L, 1);
	size_t n = 0;
	if (!mb_field_find(L, "host", &host, &n)) /* the server has put the authority of the target there, if there is one */
		n = 0;
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++)
		luaL_addchar(&b, host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 'a' - 'A') : host[i]);
	luaL_addchar(&b, '/');
	mb_settle_head(L);
	const char *raw = (const char *)exchange.head_bytes + h->raw_off;
	if (!(h->flags & MB_HEAD_ASTERISK)) {
		luaL_addlstring(&b, raw + h->path_off, h->path_len);
		luaL_addlstring(&b, raw + h->query_off, h->query_len);
	}
	luaL_pushresult(&b);
	return 1;
}
