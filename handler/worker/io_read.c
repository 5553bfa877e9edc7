/* Reading from a handle: until a number of bytes, a terminator, or the end. */
#include "io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const char FAILED[] = "failed"; /* in the place of a status; errno says why */

/* Reads what is there into the buffer, if that is empty. Returns NULL, or the status that ends the call. */
static const char *fill(mb_handle *h, int wait)
{
	if (h->in_at < h->in_end)
		return NULL;
	if (h->fd < 0)
		return "eof";
	for (;;) {
		ssize_t n = read(h->fd, h->in, sizeof h->in);
		if (n == 0)
			return "eof";
		if (n > 0) {
			h->in_at = 0;
			h->in_end = (size_t)n;
			return NULL;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return FAILED;
		if (!wait)
			return "block";
		mb_handle_wait(h, POLLIN);
	}
}

/* What a call reads. */
typedef struct {
	size_t left;   /* bytes at most; SIZE_MAX: no limit */
	int has_terminator;
	char terminator;
} wish;

static wish check_wish(lua_State *L, const char *name)
{
	wish w = {.left = SIZE_MAX};
	if (!lua_isnoneornil(L, 2)) {
		lua_Number n = luaL_checknumber(L, 2);
		if (!(n >= 0 && n <= 9007199254740992.0))
			luaL_error(L, "%s: the number of bytes is out of range", name);
		w.left = (size_t)n;
	}
	if (!lua_isnoneornil(L, 3)) {
		size_t n;
		const char *s = luaL_checklstring(L, 3, &n);
		if (n != 1)
			luaL_error(L, "%s: the terminator must be one byte", name);
		w.has_terminator = 1;
		w.terminator = *s;
	}
	return w;
}

/* Moves bytes that are wanted from the handle's buffer to b. Returns NULL if more are wanted. */
static const char *take(mb_handle *h, wish *w, luaL_Buffer *b)
{
	char *to = luaL_prepbuffer(b); /* first: it may run a finalizer, which may read from the same handle */
	const char *p = h->in + h->in_at, *end = NULL;
	size_t n = h->in_end - h->in_at;
	if (n > LUAL_BUFFERSIZE)
		n = LUAL_BUFFERSIZE;
	if (n > w->left)
		n = w->left;
	if (w->has_terminator && n)
		end = memchr(p, w->terminator, n);
	if (end)
		n = (size_t)(end - p) + 1;
	memcpy(to, p, n);
	luaL_addsize(b, n);
	h->in_at += n;
	if (w->left != SIZE_MAX)
		w->left -= n;
	if (end)
		return "term";
	return w->left == 0 ? "maxlen" : NULL;
}

static int read_handle(lua_State *L, const char *name, int wait)
{
	mb_handle *h = mb_handle_check(L, 1, name);
	wish w = check_wish(L, name);
	luaL_Buffer b;
	const char *status;
	luaL_buffinit(L, &b);
	while (!(status = take(h, &w, &b)) && !(status = fill(h, wait)))
		;
	int e = errno;
	luaL_pushresult(&b);
	if (status == FAILED) {
		errno = e;
		return mb_push_result(L, 0);
	}
	lua_pushstring(L, status);
	return 2;
}

int mb_handle_read(lua_State *L) { return read_handle(L, "read", 1); }
int mb_handle_read_nb(lua_State *L) { return read_handle(L, "read_nb", 0); }
