/* The methods that send. They check the order of calls (status, headers, body, end) and
 * leave the bytes to exchange_output.c. Every error is raised before anything has changed,
 * so that a handler that catches it can go on. */
#include "request.h"

#include <stdio.h>
#include <string.h>

/* Raises an error that says why `verb` cannot be called now. */
int mb_send_misuse(lua_State *L, const char *verb)
{
	if (response.broken)
		return mb_raise_cancelled(L);
	if (response.state == MB_RESPONSE_DONE)
		return luaL_error(L, "%s: the response is already finished", verb);
	if (response.state == MB_RESPONSE_NONE)
		return luaL_error(L, "%s: no status has been sent yet", verb);
	if (response.interim)
		return luaL_error(L, "%s: status %d is interim: call finish_headers, then send the "
			"final status", verb, response.status);
	if (response.state == MB_RESPONSE_STATUS)
		return luaL_error(L, "%s: a status has already been sent", verb);
	return luaL_error(L, "%s: the header section is already finished", verb);
}

void mb_send_check_head(lua_State *L, const char *verb)
{
	int open = response.state == MB_RESPONSE_NONE || response.state == MB_RESPONSE_STATUS;
	if (response.state == MB_RESPONSE_BODY && !response.broken)
		luaL_error(L, "%s: the header section is already finished", verb);
	if (!open || response.broken || response.interim)
		mb_send_misuse(L, verb);
}

void mb_send_begin(lua_State *L, const char *verb, const char *status)
{
	mb_body_before_status(L, verb);
	mb_own_only(); /* a stream handler may have forked */
	const char *e = mb_response_start(status, strlen(status));
	if (e)
		luaL_error(L, "%s: %s", verb, e);
}

void mb_close_after(lua_State *L, const char *verb)
{
	mb_request_check(L, 1);
	if (response.state == MB_RESPONSE_BODY || response.state == MB_RESPONSE_DONE || response.broken)
		mb_send_misuse(L, verb);
	response.close = 1;
}

int mb_send_status(lua_State *L)
{
	mb_request_check(L, 1);
	size_t n;
	const char *s = mb_check_text(L, 2, &n);
	if (response.state != MB_RESPONSE_NONE || response.broken) {
		if (response.state == MB_RESPONSE_BODY && !response.broken)
			return luaL_error(L, "send_status: a status has already been sent");
		return mb_send_misuse(L, "send_status");
	}
	if (n && s[0] != '1')
		mb_body_before_status(L, "send_status");
	const char *e = mb_response_start(s, n);
	if (e)
		return luaL_error(L, "send_status: %s", e);
	response.state = MB_RESPONSE_STATUS;
	return 0;
}

int mb_send_header(lua_State *L)
{
	mb_request_check(L, 1);
	size_t kn, vn;
	const char *k = luaL_checklstring(L, 2, &kn), *v = mb_check_text(L, 3, &vn);
	if (response.state != MB_RESPONSE_STATUS || response.broken)
		return mb_send_misuse(L, "send_header");
	const char *e = mb_response_field(k, kn, v, vn);
	if (e)
		return luaL_error(L, "send_header: %s", e);
	return 0;
}

int mb_finish_headers(lua_State *L)
{
	mb_request_check(L, 1);
	if (response.state == MB_RESPONSE_BODY)
		return 0;
	if (response.state != MB_RESPONSE_STATUS)
		return mb_send_misuse(L, "finish_headers");
	if (response.interim) {
		mb_output_interim(L);
		response.state = MB_RESPONSE_NONE;
		response.interim = response.has_date = response.has_length = 0;
		response.head.len = 0;
		return 0;
	}
	response.state = MB_RESPONSE_BODY; /* no lock is needed: nothing is pending yet */
	mb_output_head(L);
	return 0;
}

/* n: body bytes that a call is about to add. */
static void check_length(lua_State *L, uint64_t n)
{
	if (n && response.bodiless)
		luaL_error(L, "send_data: a response with status %d has no body", response.status);
	if (response.has_length && !mb_is_head() && n > response.length - response.sent)
		luaL_error(L, "send_data: more data than the Content-Length that was sent (%s)",
			mb_push_count(L, response.length));
}

int mb_send_data(lua_State *L)
{
	mb_request_check(L, 1);
	if ((response.state != MB_RESPONSE_STATUS && response.state != MB_RESPONSE_BODY) || response.interim)
		return mb_send_misuse(L, "send_data");
	int top = lua_gettop(L);
	size_t n = 0;
	uint64_t all = 0;
	const char *s = NULL;
	for (int i = 2; i <= top; i++) {
		if (!(s = lua_tolstring(L, i, &n)))
			s = mb_tostring(L, i, &n);
		all += n;
	}
	/* A __tostring may have changed the response, or have forked. */
	mb_own_only();
	if ((response.state != MB_RESPONSE_STATUS && response.state != MB_RESPONSE_BODY) || response.interim)
		return mb_send_misuse(L, "send_data");
	check_length(L, all);
	if (response.broken)
		return mb_raise_cancelled(L);
	response.state = MB_RESPONSE_BODY;
	if (top == 2) {
		mb_output_data(L, s, n);
		return 0;
	}
	for (int i = 2; i <= top; i++) {
		s = lua_tolstring(L, i, &n);
		mb_output_data(L, s, n);
	}
	return 0;
}

int mb_flush(lua_State *L)
{
	mb_request_check(L, 1);
	if (response.state == MB_RESPONSE_DONE)
		return mb_send_misuse(L, "flush");
	if (response.broken)
		return mb_raise_cancelled(L);
	/* An open header section cannot be sent: its end is not known yet. A response without
	 * a body is an exception, because nothing else is left that could be flushed. */
	if (response.state == MB_RESPONSE_STATUS && response.bodiless)
		response.state = MB_RESPONSE_BODY;
	if (response.state == MB_RESPONSE_BODY)
		mb_output_flush(L);
	return 0;
}

/* Returns where the callback begins, for mistakes that are found only after it has returned,
 * when no line of the script is running. The callback is at the bottom of the stack. */
static const char *callback_place(lua_State *L)
{
	lua_Debug ar;
	lua_pushvalue(L, 1);
	lua_getinfo(L, ">S", &ar);
	return ar.linedefined > 0 ? lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.linedefined) : "";
}

static void finish(lua_State *L, int returned)
{
	if (response.state == MB_RESPONSE_NONE || response.interim)
		mb_send_misuse(L, "finish");
	if (response.broken)
		mb_raise_cancelled(L);
	if (response.has_length && !mb_is_head() && response.status != 304 && response.sent < response.length)
		luaL_error(L, "%sfinish: less data (%s bytes) than the Content-Length that was sent (%s)",
			returned ? callback_place(L) : "", mb_push_count(L, response.sent), mb_push_count(L, response.length));
	response.state = MB_RESPONSE_BODY;
	mb_output_finish(L, returned);
}

int mb_finish(lua_State *L)
{
	mb_request_check(L, 1);
	if (response.state != MB_RESPONSE_DONE)
		finish(L, 0);
	return 0;
}

/* Whether the application has answered on a raw connection by itself, with request.socket, and closed it. */
static int taken_over(void)
{
	if (!exchange.transport)
		return 0;
	exchange.transport->notify(); /* so that it looks at the socket */
	return mb_cancelled();
}

/* Called after the callback has returned. */
void mb_response_finish(lua_State *L)
{
	if (exchange.out_flags & MB_OUT_RESET)
		return; /* request.socket:cancel() also ends the response */
	if (response.state == MB_RESPONSE_NONE && taken_over())
		return;
	if (response.state == MB_RESPONSE_NONE)
		luaL_error(L, "%sthe handler has sent no status: it returned without calling send_status",
			callback_place(L));
	finish(L, 1);
}

size_t mb_status_line(int status, char *to, size_t cap)
{
	int n = snprintf(to, cap, "%d ", status);
	return (size_t)n + mbStatusText(status, to + n, cap - (size_t)n);
}

/* Sends an error response from here, when the server can no longer send one because interim
 * responses have gone out. */
void mb_response_error(lua_State *L, int status)
{
	char line[64];
	size_t n = mb_status_line(status, line, sizeof line - 1);
	response.state = MB_RESPONSE_NONE;
	response.has_date = response.has_length = 0;
	response.sent = response.held.len = 0;
	response.close = 1;
	const char *e = mb_response_start(line, n);
	if (!e)
		e = mb_response_field("Content-Type", 12, "text/plain", 10);
	if (e)
		luaL_error(L, "%s", e);
	response.state = MB_RESPONSE_BODY;
	line[n++] = '\n';
	mb_output_data(L, line + 4, n - 4);
	mb_output_finish(L, 1);
}
