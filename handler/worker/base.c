/* Small helpers for all other files. */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int mb_buf_room(mb_buf *b, size_t n)
{
	if (b->cap - b->len >= n)
		return 0;
	size_t cap = b->cap ? b->cap : 512;
	while (cap - b->len < n) {
		if (cap > SIZE_MAX / 2)
			return -1;
		cap *= 2;
	}
	uint8_t *p = realloc(b->p, cap);
	if (!p)
		return -1;
	b->p = p;
	b->cap = cap;
	return 0;
}

int mb_buf_add(mb_buf *b, const void *p, size_t n)
{
	if (mb_buf_room(b, n))
		return -1;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	return 0;
}

void mb_buf_free(mb_buf *b)
{
	free(b->p);
	memset(b, 0, sizeof *b);
}

void mb_close_all(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* One write keeps the lines of a traceback together in the server's log. */
void mb_log(const char *what, const char *text, size_t len)
{
	char small[4096];
	size_t n = strlen(what), all = n + 2 + len + 1;
	char *p = all <= sizeof small ? small : malloc(all);
	if (!p) {
		p = small;
		if (n > sizeof small / 2)
			n = sizeof small / 2;
		len = sizeof small - n - 3;
		all = sizeof small;
	}
	memcpy(p, what, n);
	memcpy(p + n, ": ", 2);
	memcpy(p + n + 2, text, len);
	p[n + 2 + len] = '\n';
	for (size_t done = 0; done < all;) {
		ssize_t k = write(2, p + done, all - done);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		done += (size_t)k;
	}
	if (p != small)
		free(p);
}

/* Makes bytes of a peer fit for a log: printable, and shortened with an ellipsis if they are
 * too many. The result is NUL-terminated. Returns its length. */
size_t mb_quote(char *to, size_t cap, const uint8_t *p, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		if (len + 8 > cap) {
			memcpy(to + len, "...", 3);
			len += 3;
			break;
		}
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			to[len++] = (char)p[i];
		else
			len += (size_t)snprintf(to + len, 5, "\\x%02x", p[i]);
	}
	to[len] = 0;
	return len;
}

int mb_same_word(const char *a, size_t n, const char *lower)
{
	for (size_t i = 0; i < n; i++) {
		char c = a[i];
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!lower[i] || c != lower[i])
			return 0;
	}
	return lower[n] == 0;
}

/* Takes the next member from a comma-separated list (RFC 9110 §5.6.1). Commas in quoted
 * strings do not separate members, and empty members are skipped. */
int mb_list_next(const char **s, const char *end, const char **m, size_t *n)
{
	const char *p = *s;
	while (p < end) {
		while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
			p++;
		const char *start = p;
		int quoted = 0;
		for (; p < end && (quoted || *p != ','); p++) {
			if (*p == '"')
				quoted = !quoted;
			else if (*p == '\\' && quoted && p + 1 < end)
				p++;
		}
		const char *stop = p;
		while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if (stop > start) {
			*s = p;
			*m = start;
			*n = (size_t)(stop - start);
			return 1;
		}
	}
	return 0;
}

int mb_list_has(const char *v, size_t n, const char *lower)
{
	const char *s = v, *m;
	size_t mn;
	while (mb_list_next(&s, v + n, &m, &mn))
		if (mb_same_word(m, mn, lower))
			return 1;
	return 0;
}

double mb_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int mb_remaining_ms(double deadline)
{
	double ms = (deadline - mb_now()) * 1000;
	return ms <= 0 ? 0 : ms > 1e9 ? 1000000000 : (int)ms + 1;
}
