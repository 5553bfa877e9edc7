/* request:subscribe and request:wait. The server answers with the messages of channels, so that
 * the worker is free. */
#include "request.h"

#include <string.h>

#define NAMES_MAX 64u /* channels of one request */
#define WAIT_MAX 600  /* seconds */

enum { CHANNELS, LAST_ID, KEY, FIRST, RETRY, KEEPALIVE, TIMEOUT, OPTIONS };
static const char *const known[OPTIONS + 1] = {
	[CHANNELS] = "channels", [LAST_ID] = "last_id", [KEY] = "key", [FIRST] = "first",
	[RETRY] = "retry", [KEEPALIVE] = "keepalive", [TIMEOUT] = "timeout"};

typedef struct {
	const char *verb;
	unsigned used; /* a bit for each option that the method has */
	mb_subscription head;
	mb_text after, key, first;
} wish;

/* Their memory is used again. */
static mb_buf names, message;

/* --- names ------------------------------------------------------------------------ */

/* The bounds of package channel: the server would refuse the client, without a word to the script. */
#define NAME_MAX_BYTES 255u

/* Control characters would end a line of an event. */
static int printable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return 0;
	return 1;
}

void mb_channel_check(lua_State *L, const char *verb, const char *s, size_t n)
{
	if (!n || n > NAME_MAX_BYTES || memchr(s, '*', n) || !printable(s, n))
		luaL_error(L, "%s: the name of a channel has 1 to %d bytes, without control characters and '*'", verb, (int)NAME_MAX_BYTES);
}

void mb_channel_check_key(lua_State *L, const char *verb, const char *s, size_t n)
{
	if (n > NAME_MAX_BYTES || !printable(s, n))
		luaL_error(L, "%s: a key has at most %d bytes, without control characters", verb, (int)NAME_MAX_BYTES);
}

/* --- options ---------------------------------------------------------------------- */

/* Adds the name of a channel, which is on top. */
static void add_name(lua_State *L, wish *w, unsigned *count)
{
	size_t n;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "%s: the names of channels are strings, not a %s", w->verb, luaL_typename(L, -1));
	const char *s = lua_tolstring(L, -1, &n);
	mb_channel_check(L, w->verb, s, n);
	if (++*count > NAMES_MAX)
		luaL_error(L, "%s: more than %d channels", w->verb, (int)NAMES_MAX);
	mb_buf_put(L, &names, s, n + 1);
}

/* One name, or a table of names. */
static void read_channels(lua_State *L, wish *w)
{
	unsigned count = 0;
	names.len = 0;
	if (!lua_istable(L, -1)) {
		add_name(L, w, &count);
		return;
	}
	for (int i = 1, n = (int)mb_rawlen(L, -1); i <= n; i++) {
		lua_rawgeti(L, -1, i);
		add_name(L, w, &count);
		lua_pop(L, 1);
	}
}

static mb_text text_option(lua_State *L, const wish *w, const char *name)
{
	mb_text t;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "%s: the option '%s' must be a string, not a %s", w->verb, name, luaL_typename(L, -1));
	t.p = lua_tolstring(L, -1, &t.n); /* mb_each_option keeps it */
	return t;
}

/* Milliseconds of a time in seconds; at least 1. */
static uint32_t time_option(lua_State *L, const wish *w, const char *name, double max)
{
	double x = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(x > 0 && x <= max))
		luaL_error(L, "%s: the option '%s' must be a number of seconds, at most %d", w->verb, name, (int)max);
	return x < 0.001 ? 1 : (uint32_t)(x * 1000);
}

static void read_keepalive(lua_State *L, wish *w)
{
	if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
		w->head.flags |= MB_SUBSCRIBE_SILENT;
	else
		w->head.keepalive_ms = time_option(L, w, "keepalive", 3600);
}

/* Reads the option whose value is on top. */
static void read_option(lua_State *L, void *with, int i)
{
	wish *w = with;
	switch (i) {
	case CHANNELS:
		read_channels(L, w);
		break;
	case LAST_ID:
		w->after = text_option(L, w, known[i]);
		if (w->after.n > MB_LAST_ID_MAX)
			w->after.n = MB_LAST_ID_MAX;
		break;
	case KEY:
		w->key = text_option(L, w, known[i]);
		mb_channel_check_key(L, w->verb, w->key.p, w->key.n);
		break;
	case FIRST:
		w->first = text_option(L, w, known[i]);
		w->head.flags |= MB_SUBSCRIBE_FIRST;
		break;
	case RETRY:
		w->head.retry_ms = time_option(L, w, known[i], 86400);
		break;
	case KEEPALIVE:
		read_keepalive(L, w);
		break;
	case TIMEOUT:
		w->head.timeout_ms = time_option(L, w, known[i], WAIT_MAX);
	}
}

static void read_options(lua_State *L, wish *w)
{
	mb_each_option(L, w->verb, known, w->used, read_option, w);
	if (!names.len)
		luaL_error(L, "%s: the option 'channels' is missing", w->verb);
}

/* --- the answer --------------------------------------------------------------------- */

static void check_state(lua_State *L, const char *verb)
{
	mb_request_check(L, 1);
	if (exchange.transport)
		luaL_error(L, "%s: not on a raw connection", verb);
	mb_send_check_head(L, verb);
	if (response.ring)
		luaL_error(L, "%s: an interim response has been sent", verb);
	if (response.state == MB_RESPONSE_STATUS && (response.status != 200 || response.has_length))
		luaL_error(L, "%s: the status is 200, without a Content-Length", verb);
}

static void set_flags(wish *w)
{
	if (mb_is_head())
		w->head.flags |= MB_SUBSCRIBE_HEAD;
	if (exchange.head.flags & MB_HEAD_HTTP10)
		w->head.flags |= MB_SUBSCRIBE_HTTP10;
	if ((exchange.head.flags & MB_HEAD_KEEPALIVE) && !response.close && mb_body_received())
		w->head.flags |= MB_SUBSCRIBE_KEEPALIVE;
}

/* Makes the message to the server. */
static void make_message(lua_State *L, wish *w)
{
	mb_subscription *h = &w->head;
	const char *head = (const char *)response.head.p, *end = head + response.head.len;
	const char *fields = (const char *)memchr(head, '\n', response.head.len) + 1; /* after the status line */
	message.len = 0;
	mb_buf_put(L, &message, h, sizeof *h);
	mb_buf_put_part(L, &message, &h->fields_len, fields, (size_t)(end - fields));
	mb_buf_put_part(L, &message, &h->names_len, names.p, names.len);
	mb_buf_put_part(L, &message, &h->after_len, w->after.p, w->after.n);
	mb_buf_put_part(L, &message, &h->key_len, w->key.p, w->key.n);
	mb_buf_put_part(L, &message, &h->first_len, w->first.p, w->first.n);
	memcpy(message.p, h, sizeof *h);
}

static int answer(lua_State *L, wish *w)
{
	check_state(L, w->verb);
	if (response.state == MB_RESPONSE_NONE) {
		mb_body_before_status(L, w->verb); /* first: a stream handler may call this function, too */
		mb_own_only();
	}
	names.len = 0;
	read_options(L, w);
	if (response.state == MB_RESPONSE_NONE)
		mb_send_begin(L, w->verb, "200 OK");
	set_flags(w);
	make_message(L, w);
	if (message.len > worker.header.out_window) {
		if (response.state == MB_RESPONSE_NONE)
			response.head.len = 0;
		return luaL_error(L, "%s: head and options have more than %d bytes together", w->verb, (int)worker.header.out_window);
	}
	mb_output_instead(MB_OUT_STREAM, message.p, message.len);
	return 0;
}

int mb_subscribe(lua_State *L)
{
	wish w = {.verb = "subscribe",
		.used = 1u << CHANNELS | 1u << LAST_ID | 1u << KEY | 1u << FIRST | 1u << RETRY | 1u << KEEPALIVE};
	return answer(L, &w);
}

int mb_wait_for(lua_State *L)
{
	wish w = {.verb = "wait", .head.flags = MB_SUBSCRIBE_POLL,
		.used = 1u << CHANNELS | 1u << LAST_ID | 1u << KEY | 1u << TIMEOUT};
	return answer(L, &w);
}
