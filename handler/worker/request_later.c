/* What later versions of the original have and its first one does not, under their names:
 * methods and fields that say the same as others, or little more. */
#include "request.h"

#include <string.h>

/* Unlike process_request_body it may follow another way of reading the body. Then there is
 * nothing left to do. */
int mb_consume_input(lua_State *L)
{
	mb_request_check(L, 1);
	if (exchange.body_use == MB_BODY_UNREAD || exchange.body_use == MB_BODY_BROKEN || exchange.in_stream_handler)
		return mb_body_process_as(L, "consume_input");
	return 0;
}

/* The client may not read the response before it has sent everything, so its body makes way
 * from now on. The head lies in the same window. */
int mb_monologue(lua_State *L)
{
	mb_close_after(L, "monologue");
	if (exchange.body_use == MB_BODY_UNREAD)
		exchange.body_use = MB_BODY_DISCARDED;
	mb_detach_head(L);
	mb_input_discard();
	return 0;
}

int mb_close_after_finish(lua_State *L)
{
	mb_close_after(L, "close_after_finish");
	return 0;
}

/* --- fields ----------------------------------------------------------------------- */

/* An absolute-form target has the authority, and the Host field does not count (RFC 9112
 * §3.2.2). Returns NULL for all other forms. */
static const char *target_authority(lua_State *L, size_t *n)
{
	const mb_head *h = &exchange.head;
	uint32_t from = h->method_off + h->method_len + 1;
	if (h->flags & MB_HEAD_ASTERISK || from > h->raw_len)
		return NULL;
	const char *p = (const char *)mb_span(L, from, h->raw_len - from), *end = p + (h->raw_len - from);
	const char *space = memchr(p, ' ', (size_t)(end - p));
	if (*p == '/' || !space)
		return NULL;
	const char *s = memmem(p, (size_t)(space - p), "://", 3);
	if (!s)
		return NULL;
	s += 3;
	for (*n = 0; s + *n < space && s[*n] != '/' && s[*n] != '?'; ++*n)
		;
	return s;
}

int mb_push_host(lua_State *L)
{
	size_t n;
	const char *s = target_authority(L, &n);
	if (!s && !mb_field_find(L, "host", &s, &n))
		return 0;
	lua_pushlstring(L, s, n);
	return 1;
}

/* Has the handler done nothing with the request yet but look at it? */
int mb_push_fresh(lua_State *L)
{
	lua_pushboolean(L, exchange.body_use == MB_BODY_UNREAD && !exchange.body_processed &&
		!exchange.has_stream_handlers && !response.status && !response.broken);
	return 1;
}

/* Has an error of the connection been raised? */
int mb_push_faulty(lua_State *L)
{
	lua_pushboolean(L, response.broken || exchange.cancelled || exchange.peer_status);
	return 1;
}
