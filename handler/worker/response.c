/* The head of a response: what the application may put into it, and what is
 * added when it is complete. Nothing here touches shared memory. */
#include "mb.h"

#include <string.h>
#include <time.h>

#include "_cgo_export.h"

mb_response R;

/* Room for what mb_head_complete adds, made beforehand: the thread that
 * flushes cannot report that there is no memory. */
#define COMPLETE_ROOM 192

void mb_response_begin(void)
{
	R.state = MB_R_NONE;
	R.stream = 0;
	R.status = R.interim = R.bodiless = 0;
	R.has_date = R.has_length = R.close = R.chunked = R.close_delimited = 0;
	R.head_written = R.published = R.pending = R.broken = 0;
	R.length = R.sent = R.written = 0;
	R.body_off = R.body_len = R.out_start = 0;
	R.head.len = R.held.len = 0;
	R.min_chunk = X.opt ? (uint32_t)X.opt->minimum_output_chunk_size : 1024;
}

/* Room for n bytes, and for what completion adds. */
static const char *head_room(size_t n)
{
	if (R.head.len + n + COMPLETE_ROOM > MB_RESPONSE_HEAD_MAX)
		return "the head of the response is too long";
	return mb_buf_room(&R.head, n + COMPLETE_ROOM) ? "not enough memory" : NULL;
}

/* Adds bytes for which there is room. */
static void add(const char *s, size_t n)
{
	memcpy(R.head.p + R.head.len, s, n);
	R.head.len += n;
}
#define ADD(s) add(s, sizeof s - 1)

/* TOKEN: characters of a token (RFC 9110 §5.6.2). CUT: bytes that would end a
 * line early, or are taken for an end somewhere. */
enum { TOKEN = 1, CUT = 2 };
static const uint8_t class[256] = {
	['a' ... 'z'] = TOKEN, ['A' ... 'Z'] = TOKEN, ['0' ... '9'] = TOKEN, ['!'] = TOKEN,
	['#'] = TOKEN, ['$'] = TOKEN, ['%'] = TOKEN, ['&'] = TOKEN, ['\''] = TOKEN, ['*'] = TOKEN,
	['+'] = TOKEN, ['-'] = TOKEN, ['.'] = TOKEN, ['^'] = TOKEN, ['_'] = TOKEN, ['`'] = TOKEN,
	['|'] = TOKEN, ['~'] = TOKEN, ['\r'] = CUT, ['\n'] = CUT, [0] = CUT};

static int has_cut(const char *s, size_t n)
{
	uint8_t any = 0;
	for (size_t i = 0; i < n; i++)
		any |= class[(unsigned char)s[i]];
	return any & CUT;
}

/* Starts a head with a status line. s is "200 OK", "200 " or "200". Returns
 * what is wrong, or NULL. */
const char *mb_head_start(const char *s, size_t n)
{
	if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' ||
	    s[2] > '9' || (n > 3 && s[3] != ' '))
		return "a status is three digits, and a text after a blank, as in \"200 OK\"";
	if (has_cut(s, n))
		return "a status must not contain line breaks (CR, LF) or NUL";
	int status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	if (status == 101)
		return "status 101 is not supported";
	const mb_http_options *o = status < 200 ? NULL : X.opt;
	R.head.len = 0;
	const char *e = head_room(12 + n + (o ? o->static_len : 0));
	if (e)
		return e;
	add("HTTP/1.1 ", 9);
	add(s, n);
	if (n == 3)
		ADD(" "); /* RFC 9112 §4: the blank is mandatory */
	ADD("\r\n");
	R.status = status;
	R.interim = status < 200;
	R.bodiless = status == 204 || status == 205 || status == 304;
	if (o) {
		add(o->static_text, o->static_len);
		R.has_date |= o->static_date;
		R.close |= o->static_close;
	}
	return NULL;
}

/* A field name is a token (RFC 9110 §5.1). */
static int is_token(const char *s, size_t n)
{
	uint8_t all = n ? TOKEN : 0;
	for (size_t i = 0; i < n; i++)
		all &= class[(unsigned char)s[i]];
	return all;
}

const char *mb_field_error(const char *k, size_t kn, const char *v, size_t vn)
{
	if (has_cut(v, vn))
		return "a header must not contain line breaks (CR, LF) or NUL";
	if (is_token(k, kn))
		return NULL;
	return has_cut(k, kn) ? "a header must not contain line breaks (CR, LF) or NUL"
		: "the name of a header consists of letters, digits and hyphens";
}

/* Content-Length as the application gives it: digits only (RFC 9110 §8.6). */
static const char *take_length(const char *v, size_t n)
{
	uint64_t x = 0;
	if (R.has_length)
		return "Content-Length was sent already";
	if (n == 0 || n > 18)
		return "Content-Length must be a whole number of bytes";
	for (size_t i = 0; i < n; i++) {
		if (v[i] < '0' || v[i] > '9')
			return "Content-Length must be a whole number of bytes";
		x = x * 10 + (uint64_t)(v[i] - '0');
	}
	R.has_length = 1;
	R.length = x;
	return NULL;
}

/* Fields that mean something to us. *drop: the field is not passed on. */
static const char *special(const char *k, size_t kn, const char *v, size_t vn, int *drop)
{
	switch (kn) {
	case 4:
		if (mb_same_word(k, kn, "date"))
			R.has_date = 1;
		break;
	case 10:
		if (!mb_same_word(k, kn, "connection"))
			break;
		/* The server has the last word, and says so in a field of its own. */
		if (mb_list_has(v, vn, "close")) {
			R.close = 1;
			*drop = 1;
		} else if (mb_list_has(v, vn, "keep-alive")) {
			*drop = 1;
		}
		break;
	case 14:
		if (!mb_same_word(k, kn, "content-length"))
			break;
		/* RFC 9110 §8.6 forbids it in 1xx and 204; a 205 gets "0" from us. */
		if (R.interim || R.status == 204 || R.status == 205)
			*drop = 1;
		else
			return take_length(v, vn);
		break;
	case 17:
		if (mb_same_word(k, kn, "transfer-encoding"))
			return "Transfer-Encoding is chosen by the server";
	}
	return NULL;
}

const char *mb_head_field(const char *k, size_t kn, const char *v, size_t vn)
{
	int drop = 0;
	const char *e = mb_field_error(k, kn, v, vn);
	if (e)
		return e;
	if ((e = head_room(kn + vn + 4)) || (e = special(k, kn, v, vn, &drop)) || drop)
		return e;
	add(k, kn);
	ADD(": ");
	add(v, vn);
	ADD("\r\n");
	return NULL;
}

/* --- completion ------------------------------------------------------------- */

/* The text is made once a second. */
static void add_date(void)
{
	static time_t then = -1;
	static char text[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
	time_t now = time(NULL);
	if (now != then) {
		mbDate(now, text + 6);
		then = now;
	}
	add(text, sizeof text - 1);
}

static void add_length(uint64_t n)
{
	char b[24], *p = b + sizeof b;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	ADD("Content-Length: ");
	add(p, (size_t)(b + sizeof b - p));
	ADD("\r\n");
}

/* RFC 9112 §6.3: how the end of the body is found. */
static void add_framing(int length_known)
{
	if (R.status == 205)
		ADD("Content-Length: 0\r\n");
	if (R.bodiless || R.has_length)
		return;
	if (length_known) {
		add_length(R.sent);
	} else if (!(X.hd.flags & MB_HEAD_HTTP10)) {
		R.chunked = !mb_is_head();
		ADD("Transfer-Encoding: chunked\r\n");
	} else if (!mb_is_head()) {
		R.close_delimited = 1;
	}
}

/* Completes the final head. length_known: R.sent is all there will be. */
void mb_head_complete(int length_known)
{
	if (!R.has_date)
		add_date();
	add_framing(length_known);
	if (!(X.hd.flags & MB_HEAD_KEEPALIVE) || R.close_delimited || mb_local_ending() ||
	    (R.state == MB_R_DONE && !mb_body_complete()))
		R.close = 1;
	if (R.close)
		ADD("Connection: close\r\n");
	else if (X.hd.flags & MB_HEAD_HTTP10)
		ADD("Connection: keep-alive\r\n");
	ADD("\r\n");
}
