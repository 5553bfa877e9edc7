/* poll: waits for descriptors, handles and the socket of a raw connection, for a time, or
 * until the server wants this worker to end. */
#include "io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define SECONDS_MAX 1e9
#define CLIENT_CHECK_MS 100 /* no hook runs during poll, so it has to look for itself */

enum { READ = 1, WRITE = 2 }; /* places of the two sets among the arguments */

/* What a call waits for. */
typedef struct {
	struct pollfd *fds;
	int n;
	int buffered; /* something can be read without waiting */
} wanted;

/* --- the sets ------------------------------------------------------------------------ */

static int count(lua_State *L, int set)
{
	int n = 0;
	if (lua_isnoneornil(L, set))
		return 0;
	luaL_checktype(L, set, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, set); lua_pop(L, 1))
		n++;
	return n;
}

static void add_fd(wanted *w, int fd, int set)
{
	w->fds[w->n++] = (struct pollfd){.fd = fd, .events = set == READ ? POLLIN : POLLOUT};
}

static void add_number(lua_State *L, wanted *w, int set)
{
	lua_Number n = lua_tonumber(L, -2);
	if (!(n >= 0 && n <= 1 << 30) || n != (lua_Number)(int)n)
		luaL_error(L, "poll: a number in a set must be a file descriptor");
	add_fd(w, (int)n, set);
}

static void add_handle(lua_State *L, wanted *w, const mb_handle *h, int set)
{
	if (h->closed)
		luaL_error(L, "poll: a handle in a set is closed");
	if (set == WRITE && h->finished)
		luaL_error(L, "poll: a handle in the set for writing is finished");
	if (set == READ && (h->fd < 0 || h->in_at < h->in_end))
		w->buffered = 1;
	else
		add_fd(w, h->fd, set);
}

static void add_socket(lua_State *L, wanted *w, int set)
{
	const mb_socket *s = mb_socket_test(L, -2);
	size_t n = 0;
	if (s != mb_socket_current())
		luaL_error(L, "poll: only the socket of a raw connection that is being handled can be waited for");
	if (s->fd < 0)
		luaL_error(L, "poll: a socket in a set is closed");
	if (set == READ && mb_file_stdio(s->in))
		mb_stdio_peek(mb_file_stdio(s->in), &n);
	if (n)
		w->buffered = 1;
	else
		add_fd(w, s->fd, set);
}

/* The keys with a true value. */
static void add_set(lua_State *L, wanted *w, int set)
{
	if (lua_isnoneornil(L, set))
		return;
	for (lua_pushnil(L); lua_next(L, set); lua_pop(L, 1)) {
		const mb_handle *h;
		if (!lua_toboolean(L, -1))
			continue;
		if (lua_type(L, -2) == LUA_TNUMBER)
			add_number(L, w, set);
		else if ((h = mb_handle_test(L, -2)))
			add_handle(L, w, h, set);
		else if (mb_socket_test(L, -2))
			add_socket(L, w, set);
		else
			luaL_error(L, "poll: a key of a set is a %s: it must be a file descriptor, a handle or a socket",
				luaL_typename(L, -2));
	}
}

/* --- waiting ------------------------------------------------------------------------- */

static int stop_wanted(void)
{
	if (!worker.in_slot)
		return 0; /* in the fork server */
	mb_own_only();
	return __atomic_load_n(&worker.in_slot->quit, __ATOMIC_ACQUIRE) != 0 ||
	       __atomic_load_n(&worker.in_slot->stopping, __ATOMIC_ACQUIRE) != 0;
}

/* Does the end of the client end this handler (on_client_gone = "error")? */
static int depends_on_client(void)
{
	return mb_is_own() && exchange.active && exchange.options && exchange.options->on_client_gone != 0 &&
	       response.state != MB_RESPONSE_DONE && !exchange.cancelled;
}

/* Rounded up, so that no timeout ends early. deadline < 0: none. */
static int remaining_ms(double deadline) { return deadline < 0 ? -1 : mb_remaining_ms(deadline); }

/* How long one wait may take. */
static int patience_ms(double deadline)
{
	int ms = remaining_ms(deadline);
	return depends_on_client() && (ms < 0 || ms > CLIENT_CHECK_MS) ? CLIENT_CHECK_MS : ms;
}

/* Waits once. A ring of the server's ends the wait as well; fds has room for the doorbell. */
static int wait_once(wanted *w, double deadline, int for_stop)
{
	if (!for_stop)
		return poll(w->fds, (nfds_t)w->n, patience_ms(deadline));
	struct pollfd *bell = &w->fds[w->n];
	*bell = (struct pollfd){.fd = worker.doorbell, .events = POLLIN};
	mb_sleep_begin();
	int k = poll(w->fds, (nfds_t)w->n + 1, stop_wanted() ? 0 : patience_ms(deadline));
	mb_sleep_end();
	if (k <= 0 || !bell->revents)
		return k;
	mb_doorbell_wait();
	return k - 1;
}

enum { TIMEOUT, READY, STOPPED };

static int wait_for(lua_State *L, wanted *w, double deadline, int for_stop)
{
	for (;;) {
		if (for_stop && stop_wanted())
			return STOPPED;
		if (depends_on_client() && mb_cancelled())
			mb_raise_cancelled(L);
		if (w->buffered)
			return READY;
		int k = wait_once(w, deadline, for_stop && worker.in_slot);
		if (k < 0 && errno != EINTR)
			luaL_error(L, "poll: %s", strerror(errno));
		for (int i = 0; k > 0 && i < w->n; i++)
			if (w->fds[i].revents & POLLNVAL)
				luaL_error(L, "poll: descriptor %d is not open", w->fds[i].fd);
		if (k > 0)
			return READY;
		if (remaining_ms(deadline) == 0)
			return for_stop && stop_wanted() ? STOPPED : TIMEOUT;
	}
}

static double check_deadline(lua_State *L)
{
	if (lua_isnoneornil(L, 3))
		return -1;
	lua_Number s = luaL_checknumber(L, 3);
	if (!(s <= SECONDS_MAX))
		luaL_error(L, "poll: seconds are out of range (up to 1e9)");
	return s > 0 ? mb_now() + s : 0;
}

int mb_io_poll(lua_State *L)
{
	lua_settop(L, 4);
	double deadline = check_deadline(L);
	int for_stop = lua_toboolean(L, 4), room = -1, n;
	wanted w = {.n = 0};
	/* While it allocates, Lua may run a finalizer that adds to the sets. */
	while ((n = count(L, READ) + count(L, WRITE)) > room) {
		lua_settop(L, 4);
		w.fds = lua_newuserdata(L, ((size_t)n + 1) * sizeof *w.fds);
		room = n;
	}
	add_set(L, &w, READ);
	add_set(L, &w, WRITE);
	int what = wait_for(L, &w, deadline, for_stop);
	lua_pushboolean(L, what == READY);
	if (what == READY)
		return 1;
	lua_pushstring(L, what == STOPPED ? "the server wants this worker to end" : "timeout");
	if (!for_stop)
		return 2;
	lua_pushboolean(L, what == STOPPED);
	return 3;
}
