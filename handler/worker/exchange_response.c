/* The head of a response: what the application may put into it, and what is added at its
 * completion. Nothing here touches shared memory. */
#include "exchange.h"

#include <string.h>
#include <time.h>

mb_response response;

/* Room for what mb_response_complete adds. It is allocated in advance, because the thread
 * that flushes cannot report a lack of memory. */
#define COMPLETE_ROOM 192

void mb_response_begin(void)
{
	response.state = MB_RESPONSE_NONE;
	response.ring = 0;
	response.status = response.interim = response.bodiless = 0;
	response.has_date = response.has_length = 0;
	response.close = response.chunked = response.close_delimited = 0;
	response.head_written = response.published = response.pending = response.broken = 0;
	response.length = response.sent = response.written = 0;
	response.body_off = response.body_len = response.out_start = 0;
	response.head.len = response.held.len = 0;
	const mb_http_options *o = exchange.options;
	response.min_chunk = o ? (uint32_t)o->minimum_output_chunk_size : 1024;
}

/* Makes room for n bytes and for what completion adds. */
static const char *head_room(size_t n)
{
	if (response.head.len + n + COMPLETE_ROOM > MB_RESPONSE_HEAD_MAX)
		return "the head of the response is too long";
	return mb_buf_room(&response.head, n + COMPLETE_ROOM) ? "not enough memory" : NULL;
}

/* Adds bytes. There must be room for them. */
static void add(const char *s, size_t n)
{
	memcpy(response.head.p + response.head.len, s, n);
	response.head.len += n;
}
#define ADD(s) add(s, sizeof s - 1)

/* TOKEN: characters of a token (RFC 9110 §5.6.2). CONTROL: control characters but TAB, which neither a
 * field value (RFC 9110 §5.5) nor a reason phrase (RFC 9112 §4) may contain. */
enum { TOKEN = 1, CONTROL = 2 };
static const uint8_t class[256] = {
	['a' ... 'z'] = TOKEN, ['A' ... 'Z'] = TOKEN, ['0' ... '9'] = TOKEN, ['!'] = TOKEN,
	['#'] = TOKEN, ['$'] = TOKEN, ['%'] = TOKEN, ['&'] = TOKEN, ['\''] = TOKEN, ['*'] = TOKEN,
	['+'] = TOKEN, ['-'] = TOKEN, ['.'] = TOKEN, ['^'] = TOKEN, ['_'] = TOKEN, ['`'] = TOKEN,
	['|'] = TOKEN, ['~'] = TOKEN, [0 ... 8] = CONTROL, [10 ... 31] = CONTROL,
	[127] = CONTROL};

static int has_control(const char *s, size_t n)
{
	uint8_t any = 0;
	for (size_t i = 0; i < n; i++)
		any |= class[(unsigned char)s[i]];
	return any & CONTROL;
}

/* Starts a head with a status line. s is "200 OK", "200 " or "200". Returns NULL, or what is
 * wrong. */
const char *mb_response_start(const char *s, size_t n)
{
	if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' ||
	    s[2] > '9' || (n > 3 && s[3] != ' '))
		return "a status is three digits, optionally followed by a space and a text, as in \"200 OK\"";
	if (has_control(s, n))
		return "a status must not contain control characters such as line breaks";
	int status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	if (status > 599) /* RFC 9110 §15 */
		return "a status is a number from 100 to 599";
	if (status == 101)
		return "status 101 is not supported";
	const mb_http_options *o = status < 200 ? NULL : exchange.options;
	response.head.len = 0;
	const char *e = head_room(12 + n + (o ? o->static_len : 0));
	if (e)
		return e;
	add("HTTP/1.1 ", 9);
	add(s, n);
	if (n == 3)
		ADD(" "); /* RFC 9112 §4: the space is mandatory */
	ADD("\r\n");
	response.status = status;
	response.interim = status < 200;
	response.bodiless = status == 204 || status == 205 || status == 304;
	if (o) {
		add(o->static_text, o->static_len);
		response.has_date |= o->static_date;
		response.close |= o->static_close;
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
	if (has_control(v, vn))
		return "a header must not contain control characters such as line breaks";
	if (is_token(k, kn))
		return NULL;
	return has_control(k, kn) ? "a header must not contain control characters such as line breaks"
		: "the name of a header consists of letters, digits and hyphens";
}

/* Takes the application's Content-Length: digits only (RFC 9110 §8.6). */
static const char *set_length(const char *v, size_t n)
{
	uint64_t x = 0;
	if (response.has_length)
		return "Content-Length has already been sent";
	if (n == 0 || n > 18)
		return "Content-Length must be a whole number of bytes";
	for (size_t i = 0; i < n; i++) {
		if (v[i] < '0' || v[i] > '9')
			return "Content-Length must be a whole number of bytes";
		x = x * 10 + (uint64_t)(v[i] - '0');
	}
	response.has_length = 1;
	response.length = x;
	return NULL;
}

/* Handles fields that have a meaning here. *drop is set if the field is not passed on. */
static const char *special_field(const char *k, size_t kn, const char *v, size_t vn, int *drop)
{
	switch (kn) {
	case 4:
		if (mb_same_word(k, kn, "date"))
			response.has_date = 1;
		break;
	case 10:
		if (!mb_same_word(k, kn, "connection"))
			break;
		/* The server decides, and sends its own field. */
		if (mb_list_has(v, vn, "close")) {
			response.close = 1;
			*drop = 1;
		} else if (mb_list_has(v, vn, "keep-alive")) {
			*drop = 1;
		}
		if (*drop && mb_list_has(v, vn, "upgrade"))
			ADD("Connection: Upgrade\r\n"); /* RFC 9110 §7.8: it belongs to an Upgrade field */
		break;
	case 14:
		if (!mb_same_word(k, kn, "content-length"))
			break;
		/* RFC 9110 §8.6 forbids it in 1xx and 204. For 205 we send "0". */
		if (response.interim || response.status == 204 || response.status == 205)
			*drop = 1;
		else
			return set_length(v, vn);
		break;
	case 17:
		if (mb_same_word(k, kn, "transfer-encoding"))
			return "Transfer-Encoding is chosen by the server";
	}
	return NULL;
}

const char *mb_response_field(const char *k, size_t kn, const char *v, size_t vn)
{
	int drop = 0;
	const char *e = mb_field_error(k, kn, v, vn);
	if (e)
		return e;
	if ((e = head_room(kn + vn + 4)) || (e = special_field(k, kn, v, vn, &drop)) || drop)
		return e;
	add(k, kn);
	ADD(": ");
	add(v, vn);
	ADD("\r\n");
	return NULL;
}

static void add_length(uint64_t n);

/* Reports whether there is room for another head of n bytes in place of the one that there is. */
const char *mb_response_fits(size_t n)
{
	size_t len = response.head.len;
	response.head.len = 0;
	const char *e = head_room(n + 40);
	response.head.len = len;
	return e;
}

const char *mb_response_replace(int status, const uint8_t *head, size_t n, int64_t length)
{
	const char *e = mb_response_fits(n);
	if (e)
		return e;
	response.head.len = 0;
	add((const char *)head, n);
	response.status = status;
	response.bodiless = status == 204 || status == 205 || status == 304;
	if (length >= 0) {
		response.has_length = 1;
		response.length = (uint64_t)length;
		add_length(response.length);
	}
	return NULL;
}

/* --- completion ------------------------------------------------------------- */

/* Adds the Date field. Its text is made once a second. */
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

/* Adds the fields by which the client finds the end of the body (RFC 9112 §6.3). */
static void add_framing(int length_known)
{
	if (response.status == 205)
		ADD("Content-Length: 0\r\n");
	if (response.bodiless || response.has_length)
		return;
	if (length_known) {
		add_length(response.sent);
	} else if (!(exchange.head.flags & MB_HEAD_HTTP10)) {
		response.chunked = !mb_is_head();
		ADD("Transfer-Encoding: chunked\r\n");
	} else if (!mb_is_head()) {
		response.close_delimited = 1;
	}
}

/* Completes the final head. length_known: response.sent is the length of the whole body. */
void mb_response_complete(int length_known)
{
	if (!response.has_date)
		add_date();
	add_framing(length_known);
	if (!(exchange.head.flags & MB_HEAD_KEEPALIVE) || response.close_delimited ||
	    mb_is_last_response() || (response.state == MB_RESPONSE_DONE && !mb_body_received()))
		response.close = 1;
	if (response.close)
		ADD("Connection: close\r\n");
	else if (exchange.head.flags & MB_HEAD_HTTP10)
		ADD("Connection: keep-alive\r\n");
	ADD("\r\n");
}
