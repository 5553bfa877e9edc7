/* The names and values of queries, urlencoded forms and Cookie fields, by the rules of
 * httpparse.Form and httpparse.Cookies; a test compares the results. They are found here, not
 * in Go, because a call of Go costs more than all of this, and wakes another thread. */
#include "request.h"

#include <string.h>

/* Takes what precedes the next separator. 0: there is nothing more. */
static int next_item(mb_pairs *p, int separator, const char **item, size_t *n)
{
	if (p->at == p->end)
		return 0;
	const char *stop = memchr(p->at, separator, (size_t)(p->end - p->at));
	*item = p->at;
	*n = (size_t)((stop ? stop : p->end) - p->at);
	p->at = stop ? stop + 1 : p->end;
	return 1;
}

/* The first byte that is no separator, or the end. Empty items are no items. */
static const char *skip(const char *s, const char *end, int separator)
{
	while (s < end && *s == separator)
		s++;
	return s;
}

int mb_pairs_next(mb_pairs *p)
{
	size_t n;
	p->at = skip(p->at, p->end, '&');
	if (!next_item(p, '&', &p->name, &n))
		return 0;
	const char *equals = memchr(p->name, '=', n);
	p->name_len = equals ? (size_t)(equals - p->name) : n;
	p->value = p->name + p->name_len + (equals != NULL);
	p->value_len = n - p->name_len - (equals != NULL);
	return 1;
}

static void trim(const char **s, size_t *n)
{
	while (*n && (**s == ' ' || **s == '\t'))
		++*s, --*n;
	while (*n && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
		--*n;
}

int mb_pairs_next_cookie(mb_pairs *p)
{
	size_t n;
	while (next_item(p, ';', &p->name, &n)) {
		const char *equals = memchr(p->name, '=', n);
		if (!equals)
			continue;
		p->name_len = (size_t)(equals - p->name);
		p->value = equals + 1;
		p->value_len = n - p->name_len - 1;
		trim(&p->name, &p->name_len);
		if (p->name_len == 0)
			continue;
		trim(&p->value, &p->value_len);
		if (p->value_len >= 2 && p->value[0] == '"' && p->value[p->value_len - 1] == '"')
			p->value++, p->value_len -= 2;
		return 1;
	}
	return 0;
}

void mb_pairs_limit(lua_State *L, size_t items)
{
	if (items <= MB_PARAMS_MAX)
		return;
	exchange.peer_status = 413;
	luaL_error(L, "request: more than %d parameters", (int)MB_PARAMS_MAX);
}

size_t mb_pairs_count(lua_State *L, int separator, const uint8_t *p, size_t n)
{
	size_t items = 0;
	const char *s = (const char *)p, *end = s + n;
	while (s && (s = skip(s, end, separator)) < end) {
		items++;
		s = memchr(s, separator, (size_t)(end - s));
	}
	mb_pairs_limit(L, items);
	return items;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes n bytes, and returns how many that are then. */
static size_t decode(char *to, const char *s, size_t n)
{
	char *start = to;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%' && i + 2 < n) {
			int high = hex_value(s[i + 1]), low = hex_value(s[i + 2]);
			if (high >= 0 && low >= 0) {
				c = (char)(high << 4 | low);
				i += 2;
			}
		}
		*to++ = c;
	}
	return (size_t)(to - start);
}

void mb_pairs_push(lua_State *L, const char *s, size_t n)
{
	static mb_buf decoded;
	const char *special = memchr(s, '%', n);
	const char *plus = memchr(s, '+', special ? (size_t)(special - s) : n);
	if (plus)
		special = plus;
	if (!special) {
		lua_pushlstring(L, s, n);
		return;
	}
	decoded.len = 0;
	if (mb_buf_room(&decoded, n))
		luaL_error(L, "not enough memory");
	size_t before = (size_t)(special - s);
	memcpy(decoded.p, s, before);
	decoded.len = before + decode((char *)decoded.p + before, special, n - before);
	mb_push_content(L, &decoded);
	if (decoded.cap > 1u << 20)
		mb_buf_free(&decoded);
}
