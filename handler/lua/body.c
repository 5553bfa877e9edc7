/* The request body: in one string, as a form, or in pieces. The three exclude
 * each other, because the bytes pass through a window once. */
#include "mb.h"

#include <string.h>

static int has_body(void) { return (X.hd.flags & MB_HEAD_HAS_BODY) != 0; }

int mb_body_complete(void)
{
	uint32_t f = __atomic_load_n(&X.ic->flags, __ATOMIC_ACQUIRE);
	return !has_body() || ((f & MB_IN_END) && !(f & MB_IN_ABORT));
}

static int body_ready(void)
{
	uint32_t f = __atomic_load_n(&X.ic->flags, __ATOMIC_ACQUIRE);
	return (f & (MB_IN_END | MB_IN_ABORT | MB_IN_CANCEL)) ||
	       __atomic_load_n(&X.ic->in_head, __ATOMIC_ACQUIRE) > X.taken;
}

/* The client may be waiting for leave to send (RFC 9110 §10.1.1). */
static void want_body(void)
{
	if (X.wanted || !(X.hd.flags & MB_HEAD_EXPECT))
		return;
	X.wanted = 1;
	mb_lock();
	X.out_flags |= MB_OUT_BODY_WANTED;
	__atomic_store_n(&X.oc->flags, X.out_flags, __ATOMIC_RELEASE);
	mb_unlock();
	mb_notify();
}

static void too_large(lua_State *L)
{
	X.peer_status = 413;
	luaL_error(L, "request body exceeds request_body_size_limit");
}

/* Waits for bytes of the body. *p: what is there in one piece; 0: the end. */
static size_t body_next(lua_State *L, const uint8_t **p)
{
	if (!has_body())
		return 0;
	for (;;) {
		/* END is set after the final in_head, so it has to be read before. */
		uint32_t f = __atomic_load_n(&X.ic->flags, __ATOMIC_ACQUIRE);
		uint64_t head = __atomic_load_n(&X.ic->in_head, __ATOMIC_ACQUIRE);
		if (f & MB_IN_CANCEL)
			mb_raise_cancelled(L);
		if ((f & MB_IN_ABORT) && (f & MB_IN_TOO_LARGE))
			too_large(L);
		if (f & MB_IN_ABORT) {
			X.peer_status = 400;
			luaL_error(L, "request body: connection broke off");
		}
		if (head > X.taken) {
			uint64_t at = X.taken & (W.h.in_window - 1), n = head - X.taken;
			if (n > W.h.in_window - at)
				n = W.h.in_window - at;
			*p = X.iw + at;
			return n;
		}
		if (f & MB_IN_END)
			return 0;
		want_body();
		mb_wait(body_ready);
	}
}

static void body_take(lua_State *L, size_t n)
{
	mb_detach_head(L);
	mb_took(n);
}

/* All of the body in one piece: in the window if it lies there, and was not
 * taken yet, else in X.scratch. */
static const uint8_t *whole_body(lua_State *L, size_t *n)
{
	const uint8_t *p = (const uint8_t *)"";
	size_t k;
	X.scratch.len = 0;
	while ((k = body_next(L, &p))) {
		uint64_t head = __atomic_load_n(&X.ic->in_head, __ATOMIC_ACQUIRE);
		if (X.scratch.len == 0 && head - X.taken == k && mb_body_complete() &&
		    head <= W.h.in_window) {
			X.taken += k; /* nobody waits for this room */
			*n = k;
			return p;
		}
		if (X.opt && (double)(X.scratch.len + k) > X.opt->request_body_size_limit)
			too_large(L);
		if (mb_buf_add(&X.scratch, p, k))
			luaL_error(L, "request body: not enough memory");
		body_take(L, k);
	}
	*n = X.scratch.len;
	return X.scratch.p;
}

static void exclude(lua_State *L, const char *what)
{
	static const char *const how[] = {"", "was read as request.body", "was read as a form",
		"was given to stream_request_body"};
	if (X.body != MB_BODY_UNREAD)
		luaL_error(L, "%s: the request body %s already", what, how[X.body]);
}

int mb_body_push(lua_State *L)
{
	if (X.body == MB_BODY_STRING && mb_cache_get(L, MB_CACHE_BODY))
		return 1;
	exclude(L, "request.body");
	X.body = MB_BODY_STRING;
	size_t n;
	const uint8_t *p = whole_body(L, &n);
	lua_pushlstring(L, (const char *)p, n);
	mb_cache_set(L, MB_CACHE_BODY);
	return 1;
}

enum { TYPE_OTHER, TYPE_FORM, TYPE_MULTIPART };

static int content_type(lua_State *L)
{
	const char *v;
	size_t n;
	if (!has_body() || !mb_field_find(L, "content-type", &v, &n))
		return TYPE_OTHER;
	const char *semi = memchr(v, ';', n);
	if (semi)
		n = (size_t)(semi - v);
	while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
		n--;
	if (mb_same_word(v, n, "application/x-www-form-urlencoded"))
		return TYPE_FORM;
	return mb_same_word(v, n, "multipart/form-data") ? TYPE_MULTIPART : TYPE_OTHER;
}

static void parse_form(lua_State *L)
{
	X.body = MB_BODY_PARSED;
	size_t n;
	const uint8_t *p = whole_body(L, &n);
	mb_params_form(L, MB_CACHE_POST, MB_CACHE_POST_LIST, p, n);
}

static void process(lua_State *L, const char *what)
{
	int type = content_type(L);
	if (type == TYPE_MULTIPART)
		luaL_error(L, "%s: multipart/form-data is not supported yet", what);
	if (type == TYPE_FORM)
		parse_form(L);
	else /* A body that is no form stays where it is; it may still be read. */
		mb_params_form(L, MB_CACHE_POST, MB_CACHE_POST_LIST, NULL, 0);
}

int mb_body_form(lua_State *L, int key)
{
	if (mb_cache_get(L, key))
		return 1;
	const char *what = key == MB_CACHE_POST ? "request.post_params" : "request.post_params_list";
	exclude(L, what);
	process(L, what);
	mb_cache_get(L, key);
	return 1;
}

int mb_body_process(lua_State *L)
{
	mb_request_check(L, 1);
	if (X.body == MB_BODY_UNREAD)
		process(L, "process_request_body");
	return 0;
}

/* Clients may not read the response before they have sent the whole request.
 * A form is read now and kept. What is no form is left to the handler, who may
 * still want it, and to the server, which takes up to a window of it. */
void mb_body_before_status(lua_State *L)
{
	if (X.body == MB_BODY_UNREAD && !X.deferred && has_body() && content_type(L) == TYPE_FORM)
		parse_form(L);
}

int mb_body_stream(lua_State *L)
{
	mb_request_check(L, 1);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	exclude(L, "stream_request_body");
	X.body = MB_BODY_STREAMED;
	size_t max = (size_t)X.opt->maximum_input_chunk_size;
	const uint8_t *p;
	size_t n;
	while ((n = body_next(L, &p))) {
		if (n > max)
			n = max;
		lua_pushvalue(L, 2);
		lua_pushlstring(L, (const char *)p, n);
		body_take(L, n);
		lua_call(L, 1, 0);
	}
	return 0;
}
