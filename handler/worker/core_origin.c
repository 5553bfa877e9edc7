/* What the exchange in progress is, for logs: its kind, its names, and the id of a request. */
#include "core.h"

#include <stdio.h>
#include <string.h>

#define ID_MIN 8 /* of an id that the client has chosen, as in the access log */
#define ID_MAX 64

static int is_id(const uint8_t *p, size_t n)
{
	if (n < ID_MIN || n > ID_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return 0;
	}
	return 1;
}

/* Returns the value of the first X-Request-Id field if it can be the id. */
static const uint8_t *clients_id(size_t *n)
{
	static const char name[] = "x-request-id";
	const mb_head *h = &exchange.head;
	const uint8_t *raw = exchange.head_bytes + h->raw_off;
	const mb_field *f = (const mb_field *)(exchange.head_bytes + sizeof *h);
	for (uint32_t i = 0; i < h->nfields; i++, f++) {
		if (f->name_len != sizeof name - 1 || f->name_off > h->raw_len ||
		    f->name_len > h->raw_len - f->name_off || f->value_off > h->raw_len ||
		    f->value_len > h->raw_len - f->value_off ||
		    !mb_same_word((const char *)raw + f->name_off, f->name_len, name))
			continue;
		*n = f->value_len;
		return is_id(raw + f->value_off, *n) ? raw + f->value_off : NULL;
	}
	return NULL;
}

/* The server gives a request an id only if there is an access log. Otherwise it is made here when it is needed: of the
 * client's, or of what the ids of the pool begin with, its number, and that of the exchange. */
size_t mb_request_id(char *to, size_t cap)
{
	const mb_head *h = &exchange.head;
	size_t n = h->id_len;
	if (h->kind != MB_KIND_HTTP) {
		*to = 0;
		return 0;
	}
	if (n && h->id_off <= h->size && n <= h->size - h->id_off)
		return mb_quote(to, cap, exchange.head_bytes + h->id_off, n);
	const uint8_t *id = clients_id(&n);
	if (id)
		return mb_quote(to, cap, id, n);
	int k = snprintf(to, cap, "%010llx-%u-%llu", (unsigned long long)worker.header.id_prefix, worker.pool,
		(unsigned long long)h->exchange);
	if (exchange.nth && k > 0 && (size_t)k < cap)
		k += snprintf(to + k, cap - (size_t)k, ".%u", exchange.nth);
	return k < 0 ? 0 : (size_t)k < cap ? (size_t)k : cap - 1;
}

/* The server puts it between the request and its id. */
const char *mb_request_trace(size_t *len)
{
	const mb_head *h = &exchange.head;
	uint64_t at = (uint64_t)h->raw_off + h->raw_len;
	if (h->kind != MB_KIND_HTTP || h->id_off > h->size || h->id_off < at + MB_TRACEPARENT_LEN)
		return NULL;
	*len = h->id_off - at;
	return (const char *)exchange.head_bytes + at;
}

static void set_request(mb_origin *o)
{
	const mb_head *h = &exchange.head;
	const uint8_t *raw = exchange.head_bytes + h->raw_off;
	o->in = "request";
	if (h->method_off > h->raw_len || h->method_len > h->raw_len - h->method_off ||
	    h->path_off > h->raw_len || h->path_len > h->raw_len - h->path_off)
		return;
	mb_quote(o->method, sizeof o->method, raw + h->method_off, h->method_len);
	o->path[0] = h->flags & MB_HEAD_ASTERISK ? '*' : '/';
	mb_quote(o->path + 1, sizeof o->path - 1, raw + h->path_off, h->path_len);
	mb_request_id(o->id, sizeof o->id);
	size_t n;
	const char *trace = mb_request_trace(&n);
	if (trace)
		memcpy(o->trace, trace + 3, MB_TRACE_ID_LEN); /* hexadecimal digits */
}

void mb_origin_set(mb_origin *o)
{
	const mb_head *h = &exchange.head;
	memset(o, 0, sizeof *o);
	o->remote = h->remote;
	switch (h->kind) {
	case MB_KIND_INTERVAL:
	case MB_KIND_MAIN:
		o->in = h->kind == MB_KIND_MAIN ? "main" : "interval";
		mb_quote(o->interval, sizeof o->interval, exchange.head_bytes + h->raw_off, h->raw_len);
		break;
	case MB_KIND_SOCKET:
		o->in = "connection";
		break;
	case MB_KIND_WEBSOCKET:
		o->in = "websocket";
		break;
	default:
		set_request(o);
	}
}

/* What the server does not know of, on a raw connection, has no number there. */
void mb_origin_fails(mb_origin *o) { o->exchange = exchange.transport ? 0 : exchange.head.exchange; }

/* Describes it in one line: "GET /path [id]", "interval name", "main name", or what it is in. */
void mb_origin_line(const mb_origin *o, char *to, size_t cap)
{
	if (o->interval[0])
		snprintf(to, cap, "%s %s", o->in, o->interval);
	else if (o->method[0])
		snprintf(to, cap, "%s %s [%s]", o->method, o->path, o->id);
	else
		snprintf(to, cap, "%s", o->in);
}
