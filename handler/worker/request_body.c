/* The request body: as one string, as a form, or in pieces. A handler can use only one of
 * the three, because the bytes pass through the window once. */
#include "request.h"

#include <string.h>

/* The MB_IN_* of the body. A client that has gone after it had its whole response does not
 * keep the handler from reading what has arrived. */
static uint32_t in_flags(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return response.state == MB_RESPONSE_DONE ? f & ~MB_IN_CANCEL : f;
}

void mb_body_check_client(lua_State *L)
{
	if (in_flags() & MB_IN_CANCEL)
		mb_raise_cancelled(L);
}

static int body_ready(void)
{
	uint32_t f = __atomic_load_n(&exchange.in_cell->flags, __ATOMIC_ACQUIRE);
	return (f & (MB_IN_END | MB_IN_ABORT | MB_IN_CANCEL)) ||
	       __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE) > exchange.taken;
}

/* The client may be waiting for 100 Continue (RFC 9110 §10.1.1). */
static void want_body(void)
{
	if (exchange.body_wanted || !(exchange.head.flags & MB_HEAD_EXPECT))
		return;
	exchange.body_wanted = 1;
	mb_response_lock();
	exchange.out_flags |= MB_OUT_BODY_WANTED;
	__atomic_store_n(&exchange.out_cell->flags, exchange.out_flags, __ATOMIC_RELEASE);
	mb_response_unlock();
	mb_notify();
}

void mb_body_too_large(lua_State *L)
{
	exchange.peer_status = 413;
	luaL_error(L, "request body exceeds request_body_size_limit");
}

/* Waits for bytes of the body. *p: those that are contiguous; returns their number, 0 at the
 * end. */
size_t mb_body_next(lua_State *L, const uint8_t **p)
{
	if (!mb_has_body())
		return 0;
	if (mb_body_in_file())
		return mb_body_file_next(L, p);
	for (;;) {
		/* END is set after the final in_head, so it must be read first. */
		uint32_t f = in_flags();
		uint64_t head = __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE);
		if (f & MB_IN_CANCEL)
			mb_raise_cancelled(L);
		if ((f & MB_IN_ABORT) && (f & MB_IN_TOO_LARGE))
			mb_body_too_large(L);
		if (f & MB_IN_ABORT) {
			exchange.peer_status = 400;
			luaL_error(L, "request body: incomplete");
		}
		if (head > exchange.taken) {
			uint64_t at = exchange.taken & (worker.header.in_window - 1), n = head - exchange.taken;
			if (n > worker.header.in_window - at)
				n = worker.header.in_window - at;
			*p = exchange.in_window + at;
			return n;
		}
		if (f & MB_IN_END)
			return 0;
		if (mb_cancelled())
			mb_raise_cancelled(L); /* the rest will not come */
		want_body();
		mb_wait(body_ready);
	}
}

void mb_body_consume(lua_State *L, size_t n)
{
	if (mb_body_in_file()) {
		mb_body_file_consume(n);
		return;
	}
	mb_detach_head(L);
	mb_input_consume(n);
}

/* Returns the whole body in one piece: in the window if it is there and none of it was
 * consumed, otherwise in exchange.scratch. */
const uint8_t *mb_body_whole(lua_State *L, size_t *n)
{
	const uint8_t *p = (const uint8_t *)"";
	size_t k;
	if (mb_body_in_file())
		return mb_body_file_whole(L, n);
	exchange.scratch.len = 0;
	while ((k = mb_body_next(L, &p))) {
		int complete = mb_body_complete(); /* first, as in mb_body_next */
		uint64_t head = __atomic_load_n(&exchange.in_cell->in_head, __ATOMIC_ACQUIRE);
		if (exchange.scratch.len == 0 && head - exchange.taken == k && complete &&
		    head <= worker.header.in_window) {
			exchange.taken += k; /* the loop does not wait for this room */
			*n = k;
			return p;
		}
		if (exchange.options && (double)(exchange.scratch.len + k) > exchange.options->request_body_size_limit)
			mb_body_too_large(L);
		if (mb_buf_add(&exchange.scratch, p, k))
			luaL_error(L, "request body: not enough memory");
		mb_body_consume(L, k);
	}
	*n = exchange.scratch.len;
	return exchange.scratch.p;
}

void mb_body_exclude(lua_State *L, const char *what)
{
	static const char *const how[] = {"", "read as request.body", "read as a form",
		"given to stream_request_body", "discarded by monologue"};
	if (exchange.in_stream_handler)
		luaL_error(L, "%s: the form is still being processed, by the caller of this stream handler", what);
	if (exchange.body_use == MB_BODY_BROKEN)
		luaL_error(L, "%s: processing the request body has already failed", what);
	if (exchange.body_use != MB_BODY_UNREAD)
		luaL_error(L, "%s: the request body has already been %s", what, how[exchange.body_use]);
}

/* Once a stream handler is registered, the body can only be read as a form. */
static void exclude_streams(lua_State *L, const char *what)
{
	mb_body_exclude(L, what);
	if (exchange.has_stream_handlers && !exchange.body_processed)
		luaL_error(L, "%s: a stream handler has already been registered: the request body is read as a form", what);
}

int mb_body_push(lua_State *L)
{
	if (exchange.body_use == MB_BODY_STRING && mb_cache_get(L, MB_CACHE_BODY))
		return 1;
	exclude_streams(L, "request.body");
	exchange.body_use = MB_BODY_STRING;
	size_t n;
	const uint8_t *p = mb_body_whole(L, &n);
	lua_pushlstring(L, (const char *)p, n);
	mb_cache_set(L, MB_CACHE_BODY);
	return 1;
}

enum { TYPE_OTHER, TYPE_FORM, TYPE_MULTIPART };

/* Returns which kind of form the body is, even if it is empty. *v: the value of Content-Type. */
static int content_type(lua_State *L, const char **v, size_t *vn)
{
	if (!mb_field_find(L, "content-type", v, vn))
		return TYPE_OTHER;
	const char *semi = memchr(*v, ';', *vn);
	size_t n = semi ? (size_t)(semi - *v) : *vn;
	while (n && ((*v)[n - 1] == ' ' || (*v)[n - 1] == '\t'))
		n--;
	if (mb_same_word(*v, n, "application/x-www-form-urlencoded"))
		return TYPE_FORM;
	return mb_same_word(*v, n, "multipart/form-data") ? TYPE_MULTIPART : TYPE_OTHER;
}

/* Keeps the table of the parameters in p. */
static void keep_params(lua_State *L, const uint8_t *p, size_t n)
{
	mb_params_set_post(p, n);
	mb_params_push_post(L, MB_CACHE_POST);
	lua_pop(L, 1);
}

static void parse_form(lua_State *L)
{
	size_t n;
	const uint8_t *p = mb_body_whole(L, &n);
	keep_params(L, p, n);
}

static void process_form(lua_State *L)
{
	const char *v = NULL;
	size_t n = 0;
	int type = content_type(L, &v, &n);
	exchange.body_processed = 1;
	if (type == TYPE_MULTIPART && !mb_has_body()) {
		mb_form_empty(L); /* as if it were chunked */
		return;
	}
	if (type == TYPE_OTHER || !mb_has_body()) {
		/* A body that is not a form stays where it is, and can still be read. */
		keep_params(L, NULL, 0);
		return;
	}
	exchange.body_use = MB_BODY_BROKEN; /* until all of it has been parsed */
	if (type == TYPE_FORM && !exchange.has_stream_handlers)
		parse_form(L);
	else
		mb_form_process(L, type == TYPE_MULTIPART, v, n);
	exchange.body_use = MB_BODY_PARSED;
}

int mb_body_form(lua_State *L, int key)
{
	static const char *const what[] = {"request.post_params", "request.post_params_list",
		"request.post_metadata", "request.post_metadata_list"};
	if (mb_cache_get(L, key))
		return 1;
	if (!mb_cache_get(L, MB_CACHE_POST)) {
		mb_body_exclude(L, what[key - MB_CACHE_POST]);
		process_form(L);
		if (mb_cache_get(L, key))
			return 1;
	}
	if (key != MB_CACHE_POST_LIST)
		return 0; /* only multipart/form-data has metadata */
	mb_params_push_post(L, key);
	return 1;
}

int mb_body_process_as(lua_State *L, const char *name)
{
	if (exchange.body_use == MB_BODY_PARSED)
		return 0;
	mb_body_exclude(L, name);
	if (!mb_cache_get(L, MB_CACHE_POST))
		process_form(L);
	return 0;
}

int mb_body_process(lua_State *L)
{
	mb_request_check(L, 1);
	return mb_body_process_as(L, "process_request_body");
}

/* A client may not read the response until it has sent the whole request. So a form is read
 * now and kept. Any other body is left to the handler, which may still read it, and to the
 * server, which accepts up to a window of it. */
void mb_body_before_status(lua_State *L, const char *verb)
{
	const char *v;
	size_t n;
	if (exchange.reading_deferred)
		return;
	if (exchange.in_stream_handler)
		mb_body_exclude(L, verb);
	if (exchange.body_use == MB_BODY_UNREAD && mb_has_body() && content_type(L, &v, &n) != TYPE_OTHER) {
		process_form(L);
		/* A stream handler may have begun the response: defer_reading lets it. */
		if (response.state == MB_RESPONSE_BODY && !response.broken)
			luaL_error(L, "%s: a status has already been sent", verb);
		if (response.state != MB_RESPONSE_NONE || response.broken)
			mb_send_misuse(L, verb);
	}
	exchange.body_processed = 1;
}

static int stream_body(lua_State *L, const char *name)
{
	mb_request_check(L, 1);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	exclude_streams(L, name);
	exchange.body_use = MB_BODY_STREAMED;
	size_t max = (size_t)exchange.options->maximum_input_chunk_size;
	const uint8_t *p;
	size_t n;
	while ((n = mb_body_next(L, &p))) {
		if (n > max)
			n = max;
		lua_pushvalue(L, 2);
		lua_pushlstring(L, (const char *)p, n);
		mb_body_consume(L, n);
		lua_call(L, 1, 0);
		mb_own_only();
	}
	return 0;
}

int mb_body_stream(lua_State *L) { return stream_body(L, "stream_request_body"); }
int mb_body_stream_now(lua_State *L) { return stream_body(L, "stream_request_body_now"); }
