/* Reports to the server what is to be logged of an error, as one message. */
#include "worker.h"

#include <stdlib.h>
#include <string.h>

/* A traceback is kept to this length if the message is so long that not all of both fits. */
#define TRACEBACK_KEPT (MB_REPORT_TEXT_MAX / 4)

/* A whole message is built from these pieces. */
typedef struct {
	mb_msg msg;
	mb_msg_report report;
} head;

static uint32_t cut(size_t n, size_t most, uint32_t *missing)
{
	size_t kept = n < most ? n : most, rest = n - kept;
	*missing = rest < UINT32_MAX ? (uint32_t)rest : UINT32_MAX;
	return (uint32_t)kept;
}

static void set_head(head *h, const mb_report *r, const mb_origin *o)
{
	mb_msg_report *m = &h->report;
	memset(h, 0, sizeof *h);
	size_t kept = r->traceback_len < TRACEBACK_KEPT ? r->traceback_len : TRACEBACK_KEPT;
	m->level = r->level;
	m->status = r->status;
	m->message_len = cut(r->message_len, MB_REPORT_TEXT_MAX - kept, &m->message_cut);
	m->traceback_len = cut(r->traceback_len, MB_REPORT_TEXT_MAX - m->message_len, &m->traceback_cut);
	m->in_len = (uint32_t)strlen(o->in);
	m->method_len = (uint32_t)strlen(o->method);
	m->path_len = (uint32_t)strlen(o->path);
	m->id_len = (uint32_t)strlen(o->id);
	m->trace_len = (uint32_t)strlen(o->trace);
	m->interval_len = (uint32_t)strlen(o->interval);
	m->remote = o->remote;
	m->exchange = o->exchange;
	h->msg.type = MB_MSG_REPORT;
	h->msg.len = (uint32_t)sizeof *m + m->message_len + m->traceback_len + m->in_len + m->method_len +
	             m->path_len + m->id_len + m->trace_len + m->interval_len;
}

static uint8_t *put(uint8_t *to, const void *p, size_t n)
{
	if (n)
		memcpy(to, p, n);
	return to + n;
}

/* Writes all of it to a place with enough room. */
static void put_message(uint8_t *to, const head *h, const mb_report *r, const mb_origin *o)
{
	const mb_msg_report *m = &h->report;
	to = put(to, h, sizeof *h);
	to = put(to, r->message, m->message_len);
	to = put(to, r->traceback, m->traceback_len);
	to = put(to, o->in, m->in_len);
	to = put(to, o->method, m->method_len);
	to = put(to, o->path, m->path_len);
	to = put(to, o->id, m->id_len);
	to = put(to, o->trace, m->trace_len);
	put(to, o->interval, m->interval_len);
}

size_t mb_report_build(uint8_t *to, size_t cap, const mb_report *r, const mb_origin *o)
{
	head h;
	set_head(&h, r, o);
	size_t n = sizeof h.msg + h.msg.len;
	if (n > cap)
		return 0;
	put_message(to, &h, r, o);
	return n;
}

/* The server is gone, or there is no memory. Standard error may still lead somewhere. */
static void write_to_stderr(const mb_report *r, const mb_origin *o)
{
	char who[512];
	mb_origin_line(o, who, sizeof who);
	mb_log(who, r->message, r->message_len);
	if (r->traceback_len)
		mb_log(who, r->traceback, r->traceback_len);
}

void mb_report_send(const mb_report *r, const mb_origin *o)
{
	head h;
	set_head(&h, r, o);
	/* In a process that a handler has forked, the control socket is closed. */
	uint8_t *p = mb_is_own() ? malloc(sizeof h + h.msg.len) : NULL;
	if (p)
		put_message(p, &h, r, o);
	if (!p || mb_message_send(process.control, MB_MSG_REPORT, p + sizeof h.msg, h.msg.len))
		write_to_stderr(r, o);
	free(p);
}

void mb_report_text(uint32_t level, const mb_origin *o, const char *s, size_t n)
{
	mb_report r = {.level = level, .message = s, .message_len = n};
	mb_report_send(&r, o);
}

void mb_report_error(lua_State *L, const mb_origin *o)
{
	size_t n;
	const char *s = mb_error_text(L, &n);
	mb_report r = {.level = MB_LEVEL_ERROR, .message = s, .message_len = mb_traceback_after(s, n)};
	if (r.message_len < n) {
		r.traceback = s + r.message_len + 1;
		r.traceback_len = n - r.message_len - 1;
	}
	mb_report_send(&r, o);
}
