/* For developers: a Lua error in an HTTP handler is answered with a page that shows the
 * error and the lines of the script that the traceback names. */
#include "request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_TEXT_MAX (64u << 10) /* bytes of error and traceback that are shown */
#define PAGE_PLACES 5             /* places in files that are shown */
#define PAGE_AROUND 4             /* lines before and after each of them */
#define PAGE_LINE_MAX 300         /* bytes of a line that are shown */

/* Looks every second whether another generation of the script serves, or none because the script
 * cannot be loaded. Browsers run it because its hash is in the policy, and no other script. */
static const char look_again[] =
	"setInterval(function(){var own=document.body.dataset.generation;fetch(\"/.moonbridge/gen"
	"eration\",{cache:\"no-store\"}).then(function(r){return r.status===500?\"-\":r.ok?r.text"
	"():own}).then(function(t){if(/^([0-9]+|-)$/.test(t)&&t!==own)location.reload()}).catch(f"
	"unction(){})},1000)";
#define POLICY "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; " \
	"script-src 'sha256-YP3STroemobBCIURXGPdtHbUZBpXxqWQUuh/0W8xtDk='"

static mb_buf page;
static int failed; /* there was not enough memory */

static void add(const char *s, size_t n) { failed |= mb_buf_add(&page, s, n); }
static void put(const char *s) { add(s, strlen(s)); }

/* Adds text, escaped for HTML. Bytes that cannot be shown are written as \xNN. */
static void put_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		char hex[8];
		switch (c) {
		case '<': put("&lt;"); break;
		case '>': put("&gt;"); break;
		case '&': put("&amp;"); break;
		case '"': put("&quot;"); break;
		case '\'': put("&#39;"); break;
		default:
			if (c >= ' ' ? c != 0x7f : c == '\n' || c == '\t') {
				add(s + i, 1);
			} else {
				snprintf(hex, sizeof hex, "\\x%02x", c);
				put(hex);
			}
		}
	}
}

/* Reads one line of a file, without its line break. Returns 0 at the end of the file. */
static int read_line(FILE *f, char *to, size_t cap, size_t *n)
{
	int c = getc(f);
	if (c == EOF)
		return 0;
	for (*n = 0; c != EOF && c != '\n'; c = getc(f))
		if (*n < cap && c != '\r')
			to[(*n)++] = (char)c;
	return 1;
}

static void put_source(const char *path, long wanted)
{
	struct stat s;
	FILE *f = !stat(path, &s) && S_ISREG(s.st_mode) ? fopen(path, "re") : NULL; /* not a pipe, which waits for a writer */
	if (!f)
		return;
	char line[PAGE_LINE_MAX], number[64];
	size_t n;
	put("<h2>");
	put_text(path, strlen(path));
	snprintf(number, sizeof number, ":%ld", wanted);
	put(number);
	put(mb_files_changed(path) ? " (has changed since it was loaded)</h2>\n<pre>" : "</h2>\n<pre>");
	for (long i = 1; i <= wanted + PAGE_AROUND && read_line(f, line, sizeof line, &n); i++) {
		if (i < wanted - PAGE_AROUND)
			continue;
		snprintf(number, sizeof number, "%s%5ld  ", i == wanted ? "<b>" : "", i);
		put(number);
		put_text(line, n);
		put(i == wanted ? "</b>\n" : "\n");
	}
	put("</pre>\n");
	fclose(f);
}

/* Finds the place at the start of a line of a traceback: "name:line:". Only files that Lua
 * has loaded are shown, whatever the text says. Returns the path, or NULL. */
static const char *place_in(const char *s, size_t n, long *line)
{
	char name[PAGE_LINE_MAX];
	while (n && isspace((unsigned char)*s))
		s++, n--;
	for (size_t i = 1; i + 1 < n && i < sizeof name; i++) {
		if (s[i] != ':' || !isdigit((unsigned char)s[i + 1]))
			continue;
		size_t j = i + 1;
		*line = 0;
		for (; j < n && isdigit((unsigned char)s[j]) && *line < 100000000; j++)
			*line = *line * 10 + (s[j] - '0');
		if (j == n || s[j] != ':')
			continue;
		memcpy(name, s, i);
		name[i] = 0;
		return mb_files_find(name);
	}
	return NULL;
}

/* Adds the sources for the places at the start of each line, each place once. */
static void put_sources(const char *s, size_t n)
{
	struct {
		const char *path;
		long line;
	} seen[PAGE_PLACES];
	int nseen = 0;
	for (const char *end = s + n; s < end && nseen < PAGE_PLACES;) {
		const char *eol = memchr(s, '\n', (size_t)(end - s));
		size_t len = (size_t)((eol ? eol : end) - s);
		long line;
		const char *path = place_in(s, len, &line);
		int known = !path;
		for (int i = 0; i < nseen && !known; i++)
			known = seen[i].path == path && seen[i].line == line;
		if (!known) {
			seen[nseen].path = path;
			seen[nseen++].line = line;
			put_source(path, line);
		}
		s += len + 1;
	}
}

static void put_request(void)
{
	const mb_head *h = &exchange.head;
	const char *raw = (const char *)exchange.head_bytes + h->raw_off;
	const char *end = memchr(raw, '\r', h->raw_len);
	size_t n = end ? (size_t)(end - raw) : h->raw_len;
	char text[64];
	put("<p>");
	put_text(raw, n > PAGE_LINE_MAX ? PAGE_LINE_MAX : n);
	snprintf(text, sizeof text, " &middot; process %ld", (long)getpid());
	put(text);
	if (h->id_len && h->id_off <= h->size && h->id_len <= h->size - h->id_off) {
		put(" &middot; request ");
		put_text((const char *)exchange.head_bytes + h->id_off, h->id_len);
	}
	put("</p>\n");
}

/* Only requests without effects are repeated by themselves. On a raw connection, the server does not
 * see what the page asks. */
static int can_repeat(void)
{
	const mb_head *h = &exchange.head;
	const char *method = (const char *)exchange.head_bytes + h->raw_off + h->method_off;
	return !exchange.transport && h->method_len == 3 && !memcmp(method, "GET", 3);
}

static void build_page(const char *s, size_t n)
{
	if (n > PAGE_TEXT_MAX)
		n = PAGE_TEXT_MAX;
	const char *eol = memchr(s, '\n', n);
	char body[64];
	put("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Lua error</title>\n<style>"
	    "body{font-family:sans-serif;margin:2em;color:#222;background:#fff}"
	    "h1{font-size:1.2em;color:#a00;white-space:pre-wrap}h2{font-size:1em}"
	    "pre{background:#f4f4f4;padding:.8em;overflow-x:auto}b{background:#fdd}p{color:#666}"
	    "</style></head>\n");
	snprintf(body, sizeof body, "<body data-generation=\"%d\">\n<h1>", process.generation);
	put(body);
	put_text(s, eol ? (size_t)(eol - s) : n);
	put("</h1>\n");
	put_request();
	put_sources(s, n);
	put("<h2>Traceback</h2>\n<pre>");
	put_text(s, n);
	put("</pre>\n<p>This page is shown because mbserve runs with --dev.");
	if (can_repeat()) {
		put(" It looks again when the script has been reloaded.</p>\n<script>");
		put(look_again);
		put("</script>\n");
	} else {
		put("</p>\n");
	}
	put("</body>\n</html>\n");
}

/* Called protected. The response starts again: none of it has been sent. */
static int send_page(lua_State *L)
{
	static const char *const fields[][2] = {{"Content-Type", "text/html; charset=utf-8"},
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", POLICY}};
	exchange.options = NULL; /* the static fields are for responses of the handler */
	mb_response_lock();
	int close = response.close;
	mb_response_begin();
	response.close = close || !mb_body_received();
	mb_response_unlock();
	char line[64];
	const char *e = mb_response_start(line, mb_status_line(500, line, sizeof line));
	for (size_t i = 0; !e && i < sizeof fields / sizeof *fields; i++)
		e = mb_response_field(fields[i][0], strlen(fields[i][0]), fields[i][1], strlen(fields[i][1]));
	if (e)
		return luaL_error(L, "%s", e);
	response.state = MB_RESPONSE_BODY;
	mb_output_data(L, (const char *)page.p, page.len);
	mb_output_finish(L, 1);
	return 0;
}

void mb_devpage_install(lua_State *L) { mb_keep_function(L, send_page); }

int mb_devpage_answer(lua_State *L)
{
	size_t n;
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
	if (!s)
		return -1;
	page.len = 0;
	failed = 0;
	build_page(s, n);
	int r = failed || mb_call_kept(L, send_page, NULL, 0) ? -1 : 0;
	mb_buf_free(&page);
	return r;
}
