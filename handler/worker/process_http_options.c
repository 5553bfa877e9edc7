/* The module moonbridge_http: generate_handler and its options. */
#include "process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A handler whose client has gone has time to clean up. Then its worker is needed for others. */
#define GONE_SECONDS 5

enum { T_SIZE, T_CHUNK, T_TIME, T_ROOM, T_BOOL, T_GONE, T_ENCODED };

typedef struct {
	const char *name;
	int type;
	size_t off; /* of a double in mb_http_options */
	int server; /* the server needs it */
	double def;
} option;

/* More than any page, and no more than a disk bears of a few slow clients. */
#define BUFFER_RESPONSE (1u << 30)

#define OPT(n, type, server, def) {#n, type, offsetof(mb_http_options, n), server, def}

static const option options[] = {
	OPT(request_body_size_limit, T_SIZE, 1, 64.0 * (1 << 20)),
	OPT(request_header_size_limit, T_SIZE, 1, 1 << 20),
	OPT(chunk_size, T_CHUNK, 0, 0),
	OPT(maximum_input_chunk_size, T_CHUNK, 0, 16384),
	OPT(minimum_output_chunk_size, T_CHUNK, 0, 1024),
	OPT(idle_timeout, T_TIME, 1, 65),
	OPT(request_header_timeout, T_TIME, 1, 120),
	OPT(stall_timeout, T_TIME, 1, 60),
	OPT(response_timeout, T_TIME, 1, 3600),
	OPT(drain_timeout, T_TIME, 1, 2),
	OPT(buffer_response, T_ROOM, 1, BUFFER_RESPONSE),
	OPT(stream_body, T_BOOL, 1, 0),
	OPT(on_client_gone, T_GONE, 1, 0),
	OPT(client_gone_timeout, T_TIME, 1, GONE_SECONDS),
	OPT(encoded_body, T_ENCODED, 1, MB_ENCODED_REFUSE),
};
#define OPTIONS (sizeof options / sizeof *options)

static double *option_in(mb_http_options *o, const option *d)
{
	return (double *)((char *)o + d->off);
}

size_t mb_http_options_text(const mb_http_options *o, char *to, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < OPTIONS && n < cap; i++)
		if (options[i].server)
			n += (size_t)snprintf(to + n, cap - n, "%s=%.17g\n", options[i].name,
				*option_in((mb_http_options *)o, &options[i]));
	if (n < cap)
		n += (size_t)snprintf(to + n, cap - n, "compress=%.17g\ncompress_min_bytes=%.17g\ncompress_level=%.17g\n",
			o->compress, o->compress_min_bytes, o->compress_level);
	if (n < cap)
		n += (size_t)mb_cache_options_text(o, to + n, cap - n);
	return n < cap ? n : cap - 1;
}

static int bad_option(lua_State *L, const char *name, const char *want, int i)
{
	return luaL_error(L, "generate_handler: option '%s' must be %s, not a %s", name, want,
		luaL_typename(L, i));
}

static const char *const wanted[] = {
	[T_SIZE] = "a number of bytes", [T_CHUNK] = "a number of bytes",
	[T_TIME] = "a number of seconds or false", [T_ROOM] = "a number of bytes or false",
	[T_BOOL] = "a boolean", [T_GONE] = "\"ignore\" or \"error\"",
	[T_ENCODED] = "\"refuse\", \"decode\" or \"pass\""};

/* The place of the value, a word, in the list of them. */
static double word_option(lua_State *L, const option *d, const char *const *words)
{
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	if (!s)
		bad_option(L, d->name, wanted[d->type], -1);
	for (int i = 0; words[i]; i++)
		if (!strcmp(s, words[i]))
			return i;
	return luaL_error(L, "generate_handler: option '%s' must be %s", d->name, wanted[d->type]);
}

static const char *const gone_words[] = {"ignore", "error", NULL};
static const char *const encoded_words[] = {
	[MB_ENCODED_REFUSE] = "refuse", [MB_ENCODED_DECODE] = "decode", [MB_ENCODED_PASS] = "pass", NULL};

/* The value is on top of the stack. */
static double option_value(lua_State *L, const option *d)
{
	if (d->type == T_GONE)
		return word_option(L, d, gone_words);
	if (d->type == T_ENCODED)
		return word_option(L, d, encoded_words);
	if (d->type == T_BOOL && lua_type(L, -1) == LUA_TBOOLEAN)
		return lua_toboolean(L, -1);
	if ((d->type == T_TIME || d->type == T_ROOM) && lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
		return 0;
	if (d->type == T_BOOL || lua_type(L, -1) != LUA_TNUMBER)
		bad_option(L, d->name, wanted[d->type], -1);
	double v = lua_tonumber(L, -1);
	if (d->type == T_TIME) {
		if (!(v >= 0) || v > 1e9)
			luaL_error(L, "generate_handler: option '%s' is out of range (0 to 1e9 seconds)", d->name);
		return v;
	}
	const double min = d->type == T_ROOM ? 0 : 1; /* 0 could mean "no limit" or "nothing" */
	double max = d->type == T_CHUNK ? MB_CHUNK_MAX : 9007199254740992.0;
	if (!(v >= min) || v > max || v != floor(v))
		luaL_error(L, "generate_handler: option '%s' is out of range (a whole number of at least %d)",
			d->name, (int)min);
	return v;
}

int mb_http_suboptions(lua_State *L, const char *name, mb_http_options *o, void (*read)(lua_State *L, mb_http_options *o))
{
	if (lua_type(L, -1) == LUA_TBOOLEAN)
		return lua_toboolean(L, -1);
	if (!lua_istable(L, -1))
		bad_option(L, name, "a boolean or a table", -1);
	int t = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, t); lua_settop(L, t + 1))
		read(L, o);
	return 1;
}

/* The only value is "1.0": of the version of the original that changed what stream handlers
 * get. The value is on top of the stack. */
static int style_option(lua_State *L)
{
	if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
		return 0;
	if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "1.0"))
		luaL_error(L, "generate_handler: option 'post_stream_style' must be \"1.0\" or false");
	return 1;
}

/* --- static_headers ------------------------------------------------------ */

/* Collects the text. Each call reuses the buffer, so that a Lua error does not leak it. */
static struct {
	mb_buf text;
	int date, close;
} fixed;

static void fixed_field(lua_State *L, const char *k, size_t kn, const char *v, size_t vn)
{
	const char *e = mb_field_error(k, kn, v, vn);
	if (e)
		luaL_error(L, "generate_handler: option 'static_headers': %s", e);
	if (mb_same_word(k, kn, "content-length") || mb_same_word(k, kn, "transfer-encoding"))
		luaL_error(L, "generate_handler: option 'static_headers': %s depends on the response",
			kn == 14 ? "Content-Length" : "Transfer-Encoding");
	if (mb_same_word(k, kn, "date"))
		fixed.date = 1;
	if (mb_same_word(k, kn, "connection") && mb_list_has(v, vn, "close")) {
		fixed.close = 1;
		return;
	}
	if (fixed.text.len + kn + vn + 4 > MB_RESPONSE_HEAD_MAX / 2)
		luaL_error(L, "generate_handler: option 'static_headers' is longer than %d bytes",
			(int)MB_RESPONSE_HEAD_MAX / 2);
	mb_buf_put(L, &fixed.text, k, kn);
	mb_buf_put(L, &fixed.text, ": ", 2);
	mb_buf_put(L, &fixed.text, v, vn);
	mb_buf_put(L, &fixed.text, "\r\n", 2);
}

/* "Key: value" */
static void fixed_line(lua_State *L, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	if (!colon) {
		char text[64];
		mb_quote(text, sizeof text, (const uint8_t *)s, n);
		luaL_error(L, "generate_handler: option 'static_headers': a line without a colon: '%s'", text);
	}
	const char *v = colon + 1, *end = s + n;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	fixed_field(L, s, (size_t)(colon - s), v, (size_t)(end - v));
}

static void fixed_lines(lua_State *L, const char *s, size_t n)
{
	const char *end = s + n;
	while (s < end) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		const char *stop = nl ? nl : end;
		const char *cut = stop > s && stop[-1] == '\r' ? stop - 1 : stop;
		if (cut > s)
			fixed_line(L, s, (size_t)(cut - s));
		s = stop + 1;
	}
}

/* Key and value are the two values on top. The key must be a string, the value a string or a
 * number. */
static void fixed_pair(lua_State *L)
{
	size_t kn, vn;
	int kt = lua_type(L, -2), vt = lua_type(L, -1);
	if (kt != LUA_TSTRING || (vt != LUA_TSTRING && vt != LUA_TNUMBER))
		luaL_error(L, "generate_handler: option 'static_headers': key and value must be strings");
	const char *k = lua_tolstring(L, -2, &kn), *v = lua_tolstring(L, -1, &vn);
	fixed_field(L, k, kn, v, vn);
}

static void fixed_headers(lua_State *L)
{
	size_t n;
	const char *s;
	if (lua_type(L, -1) == LUA_TSTRING) {
		s = lua_tolstring(L, -1, &n);
		fixed_lines(L, s, n);
		return;
	}
	if (!lua_istable(L, -1))
		bad_option(L, "static_headers", "a string or a table", -1);
	int t = lua_gettop(L), count = (int)mb_rawlen(L, t);
	for (int i = 1; i <= count; i++, lua_settop(L, t)) {
		lua_rawgeti(L, t, i);
		if (lua_istable(L, -1)) {
			lua_rawgeti(L, -1, 1);
			lua_rawgeti(L, -2, 2);
			fixed_pair(L);
		} else if (lua_type(L, -1) == LUA_TSTRING) {
			s = lua_tolstring(L, -1, &n);
			fixed_line(L, s, n);
		} else {
			luaL_error(L, "generate_handler: option 'static_headers': entry %d is a %s", i,
				luaL_typename(L, -1));
		}
	}
	for (lua_pushnil(L); lua_next(L, t); lua_settop(L, t + 1)) {
		if (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) >= 1 &&
		    lua_tonumber(L, -2) <= count)
			continue;
		fixed_pair(L);
	}
}

/* --- generate_handler ----------------------------------------------------- */

static const option *find_option(const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

/* This is usually a typing mistake, so the message lists the valid names. */
static void unknown_option(lua_State *L, const char *name)
{
	lua_pushliteral(L, "static_headers, post_stream_style, compress, cache");
	for (size_t i = 0; i < OPTIONS; i++) {
		lua_pushfstring(L, ", %s", options[i].name);
		lua_concat(L, 2);
	}
	luaL_error(L, "generate_handler: unknown option '%s'; valid options are %s", name, lua_tostring(L, -1));
}

/* The value is on top of the stack. */
static void number_option(lua_State *L, const char *name, mb_http_options *v)
{
	const option *d = find_option(name);
	if (!d)
		unknown_option(L, name);
	*option_in(v, d) = option_value(L, d);
}

/* Reads the table at index t, which may be nil, into v. */
static void read_options(lua_State *L, int t, mb_http_options *v)
{
	int in = 0, out = 0;
	memset(v, 0, sizeof *v);
	for (size_t i = 0; i < OPTIONS; i++)
		*option_in(v, &options[i]) = options[i].def;
	fixed.text.len = 0;
	fixed.date = fixed.close = 0;
	mb_compress_begin(v);
	mb_cache_begin(v);
	if (lua_isnoneornil(L, t))
		return;
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "generate_handler: options need names, as in { chunk_size = 4096 }; "
				"got a %s as a key", luaL_typename(L, -2));
		const char *name = lua_tostring(L, -2);
		if (!strcmp(name, "static_headers"))
			fixed_headers(L);
		else if (!strcmp(name, "post_stream_style"))
			v->post_stream_1_0 = style_option(L);
		else if (!strcmp(name, "compress"))
			mb_compress_option(L, v);
		else if (!strcmp(name, "cache"))
			mb_cache_option(L, v);
		else
			number_option(L, name, v);
		in |= !strcmp(name, "maximum_input_chunk_size");
		out |= !strcmp(name, "minimum_output_chunk_size");
	}
	if (v->chunk_size > 0 && !in)
		v->maximum_input_chunk_size = v->chunk_size;
	if (v->chunk_size > 0 && !out)
		v->minimum_output_chunk_size = v->chunk_size;
}

/* The handler itself. If it is passed to listen it is never called: listen recognises it and
 * lets the server parse requests. */
static int handler_call(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	return mb_rawhttp_serve(L, lua_touserdata(L, lua_upvalueindex(2)));
}

/* How often the buffers for static_headers and types were begun. */
static unsigned begun;

static int generate_handler(lua_State *L)
{
	int f = lua_isfunction(L, 1) ? 1 : 2, t = 3 - f;
	lua_settop(L, 2);
	if (!lua_isfunction(L, f))
		return luaL_error(L, "generate_handler: there is no callback function among the arguments");
	if (!lua_isnil(L, t) && !lua_istable(L, t))
		return luaL_error(L, "generate_handler: options must be a table, not a %s", luaL_typename(L, t));
	mb_http_options v, *o;
	unsigned mine;
	do {
		lua_settop(L, 2);
		mine = ++begun;
		read_options(L, t, &v);
		lua_pushvalue(L, f);
		o = lua_newuserdata(L, sizeof v + fixed.text.len + v.types_len);
	} while (mine != begun); /* a finalizer has called this function, too: what is in the buffers is not ours */
	*o = v;
	o->static_date = fixed.date;
	o->static_close = fixed.close;
	o->static_len = fixed.text.len;
	if (fixed.text.len)
		memcpy(o->static_text, fixed.text.p, fixed.text.len);
	if (v.types_len)
		memcpy(o->static_text + fixed.text.len, mb_compress_types(), v.types_len);
	lua_pushcclosure(L, handler_call, 2);
	return 1;
}

const mb_http_options *mb_http_handler(lua_State *L, int i)
{
	if (i < 0)
		i = lua_gettop(L) + i + 1;
	if (lua_tocfunction(L, i) != handler_call || !lua_getupvalue(L, i, 2))
		return NULL;
	const mb_http_options *o = lua_touserdata(L, -1);
	lua_pop(L, 1);
	lua_getupvalue(L, i, 1);
	return o;
}

int mb_http_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"generate_handler", generate_handler}, {NULL, NULL}};
	mb_push_functions(L, f);
	mb_http_text(L);
	return 1;
}

const char *mb_static_text(const mb_http_options *o) { return o->static_text; }
