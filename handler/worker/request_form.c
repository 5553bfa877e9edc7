/* Form bodies that are parsed while they arrive: multipart/form-data, and urlencoded forms
 * if there are stream handlers. Go finds the parts. This file passes their bytes to stream
 * handlers, or collects them for the tables. */
#include "request.h"

#include <string.h>

/* Bytes of data. Fewer wait for the data that follows in the same piece. */
#define GATHER 512

#define RECORDS_ROOM (64u << 10) /* for one piece */

/* The state of parsing one form. An error may end it at any call of Lua, so it has no memory
 * of its own: everything is on the Lua stack, apart from exchange.scratch, which holds the
 * current field, or the bytes that its handler gets next. */
typedef struct {
	int top;        /* the slots are above this index */
	int multipart;
	uint32_t parts;
	int streamed;   /* the part has a stream handler */
	int first;      /* which has not been called yet */
} form;

enum { /* slots, counted from f->top */
	PARAMS = 1, PARAMS_LIST, METADATA, METADATA_LIST, NAME, CALLBACK, PART, SLOTS = PART
};

static uint8_t records[RECORDS_ROOM];

/* --- parts ------------------------------------------------------------------ */

/* Sets an entry of the table on top, if the part has one. Returns the place of the next
 * one's bytes. */
static const char *set_text(lua_State *L, const char *key, const char *s, uint32_t n)
{
	if (n == MB_POST_NONE)
		return s;
	lua_pushlstring(L, s, n);
	lua_setfield(L, -2, key);
	return s + n;
}

static void begin_part(lua_State *L, form *f, const mb_post_record *r, const char *s)
{
	if (++f->parts > MB_PARAMS_MAX) {
		exchange.peer_status = 413;
		luaL_error(L, "request body: more than %d parameters", (int)MB_PARAMS_MAX);
	}
	lua_pushlstring(L, s, r->a);
	lua_replace(L, f->top + NAME);
	mb_form_stream_find(L, f->top + NAME);
	f->streamed = f->first = !lua_isnil(L, -1);
	lua_replace(L, f->top + CALLBACK);
	exchange.scratch.len = 0;
	if (!f->streamed && !f->multipart)
		return;
	lua_createtable(L, 0, 3);
	s = set_text(L, "file_name", s + r->a, r->b);
	set_text(L, "content_type", s, r->c);
	if (f->streamed) {
		lua_pushvalue(L, f->top + NAME);
		lua_setfield(L, -2, "field_name");
	}
	lua_replace(L, f->top + PART);
}

/* n is 0 for an empty field. */
static void give_data(lua_State *L, form *f, const char *p, size_t n)
{
	lua_pushcfunction(L, mb_form_stream_failed);
	lua_pushvalue(L, f->top + CALLBACK);
	lua_pushlstring(L, p, n);
	int nargs = 1;
	if (f->first && exchange.options->post_stream_1_0) {
		lua_pushvalue(L, f->top + NAME);
		nargs++;
	}
	if (f->first) {
		lua_pushvalue(L, f->top + PART);
		nargs++;
	}
	f->first = 0;
	mb_form_stream_call(L, nargs);
	lua_pop(L, 1);
}

static void give_gathered(lua_State *L, form *f)
{
	size_t n = exchange.scratch.len;
	exchange.scratch.len = 0;
	if (n)
		give_data(L, f, (const char *)exchange.scratch.p, n);
}

static void collect_data(lua_State *L, const uint8_t *p, size_t n)
{
	if (mb_buf_add(&exchange.scratch, p, n))
		luaL_error(L, "request body: not enough memory");
}

/* Content that looks like boundaries comes in many small pieces of data. They are put
 * together before a handler gets them, so that a client cannot cause a call for every few
 * bytes. */
static void part_data(lua_State *L, form *f, const uint8_t *p, size_t n)
{
	if (!f->streamed) {
		collect_data(L, p, n);
		return;
	}
	const size_t max = (size_t)exchange.options->maximum_input_chunk_size;
	if (n < GATHER) {
		if (exchange.scratch.len + n > max)
			give_gathered(L, f);
		if (n <= max) {
			collect_data(L, p, n);
			return;
		}
	}
	give_gathered(L, f);
	for (size_t k; n; p += k, n -= k) {
		k = n < max ? n : max;
		give_data(L, f, (const char *)p, k);
	}
}

static void end_part(lua_State *L, form *f)
{
	if (f->streamed) {
		give_gathered(L, f);
		if (f->first)
			give_data(L, f, "", 0);
		lua_pushcfunction(L, mb_form_stream_failed);
		lua_pushvalue(L, f->top + CALLBACK);
		mb_form_stream_call(L, 0);
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, f->top + NAME);
	lua_pushlstring(L, exchange.scratch.p ? (const char *)exchange.scratch.p : "", exchange.scratch.len);
	mb_params_add(L, f->top + PARAMS);
	if (f->multipart) {
		lua_pushvalue(L, f->top + NAME);
		lua_pushvalue(L, f->top + PART);
		mb_params_add(L, f->top + METADATA);
	}
}

/* --- pieces ------------------------------------------------------------------ */

static void malformed(lua_State *L, const mb_post_result *r)
{
	exchange.peer_status = (int)r->status;
	luaL_error(L, "request body: %s", r->reason);
}

/* Handles the first n bytes of records about the piece p. */
static void read_records(lua_State *L, form *f, const uint8_t *p, size_t n)
{
	mb_post_record r;
	for (size_t at = 0; at + sizeof r <= n;) {
		memcpy(&r, records + at, sizeof r);
		at += sizeof r;
		const uint8_t *bytes = records + at;
		switch (r.kind) {
		case MB_POST_PART:
			at += (size_t)r.a + (r.b == MB_POST_NONE ? 0 : r.b) + (r.c == MB_POST_NONE ? 0 : r.c);
			begin_part(L, f, &r, (const char *)bytes);
			break;
		case MB_POST_VIEW:
			part_data(L, f, p + r.a, r.b);
			break;
		case MB_POST_BYTES:
			at += r.a;
			part_data(L, f, bytes, r.a);
			break;
		case MB_POST_END:
			end_part(L, f);
		}
	}
}

/* Parses a piece of the body, or its end. Bytes of the window are given back after their
 * records have been handled. */
static void parse_piece(lua_State *L, form *f, const uint8_t *p, size_t rest, int end)
{
	mb_post_result r;
	do {
		mbPostParse((void *)p, rest, end, records, sizeof records, &r);
		read_records(L, f, p, r.used);
		if (f->streamed)
			give_gathered(L, f); /* the handler does not wait for more */
		if (r.status)
			malformed(L, &r);
		if (r.taken)
			mb_body_consume(L, r.taken);
		p += r.taken;
		rest -= r.taken;
	} while (r.more || rest);
}

static void store_tables(lua_State *L, form *f)
{
	lua_settop(L, f->top + (f->multipart ? METADATA_LIST : PARAMS_LIST));
	for (int key = MB_CACHE_POST + lua_gettop(L) - f->top - 1; key >= MB_CACHE_POST; key--) {
		mb_cache_set(L, key);
		lua_pop(L, 1);
	}
}

void mb_form_empty(lua_State *L)
{
	form f = {.top = lua_gettop(L), .multipart = 1};
	mb_params_new(L);
	mb_params_new(L);
	store_tables(L, &f);
}

/* Parses the whole body. The slots have the order of the cache's keys. */
void mb_form_process(lua_State *L, int multipart, const char *type, size_t n)
{
	form f = {.top = lua_gettop(L), .multipart = multipart};
	mb_post_result r;
	luaL_checkstack(L, SLOTS + 20, "form");
	mb_params_new(L);
	mb_params_new(L);
	lua_settop(L, f.top + SLOTS);
	mbPostBegin(multipart, (void *)type, n, &r);
	if (r.status)
		malformed(L, &r);
	/* Small enough for the server to fill the window while handlers run. */
	const size_t most = worker.header.in_window / 4;
	const uint8_t *p;
	double all = 0;
	while ((n = mb_body_next(L, &p))) {
		if (n > most)
			n = most;
		if ((all += (double)n) > exchange.options->request_body_size_limit)
			mb_body_too_large(L);
		parse_piece(L, &f, p, n, 0);
	}
	parse_piece(L, &f, NULL, 0, 1);
	store_tables(L, &f);
}
