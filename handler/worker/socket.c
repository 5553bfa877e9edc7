/* The socket object. On a raw connection it reads and writes. As request.socket, where the
 * server has the connection, it only has addresses and cancel.
 *
 * Reading works as with Lua file handles: lines, readuntil, or read(n), which waits for n
 * bytes or the end. If a protocol announces neither the length of its messages nor their
 * end, it is read with readuntil(last byte of a message) or read(1). */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of stdio's buffer for each direction. Larger pieces bypass it, except for their
 * first bytes, which are copied. An echo of 64 KiB pieces took 0.57 s of processor time per
 * GB with 32 KiB, 0.69 s with 64 KiB, 0.62 s with 256 KiB. */
#define BUFFER (32u << 10)

static const char magic; /* its address is in every object, and marks it */
static mb_socket *current;
static int metatable_ref, object_ref, in_ref, out_ref;

/* --- finding and checking -------------------------------------------------------- */

mb_socket *mb_socket_current(void) { return current; }

void mb_socket_push(lua_State *L) { lua_rawgeti(L, LUA_REGISTRYINDEX, object_ref); }

/* The running exchange is identified by the number of those that have ended. */
static uint64_t serial(void) { return worker.out_slot->finished; }

static mb_socket *check_socket(lua_State *L, int i)
{
	mb_own_only();
	mb_socket *s = lua_touserdata(L, i);
	if (s && s == current)
		return s;
	if (!s || lua_type(L, i) != LUA_TUSERDATA || mb_rawlen(L, i) != sizeof *s || s->magic != &magic)
		luaL_argerror(L, i, "socket expected: call it as a method, with a colon");
	if (s->raw || !exchange.request || s->serial != serial())
		luaL_error(L, "socket: the exchange is over: its handler has returned");
	return s;
}

mb_socket *mb_socket_check(lua_State *L, int i)
{
	mb_socket *s = check_socket(L, i);
	if (!s->raw)
		luaL_argerror(L, i, "socket of a raw connect handler expected, got request.socket");
	return s;
}

mb_socket *mb_socket_test(lua_State *L, int i)
{
	mb_socket *s = lua_touserdata(L, i);
	int is = s && lua_type(L, i) == LUA_TUSERDATA && mb_rawlen(L, i) == sizeof *s && s->magic == &magic;
	return is ? s : NULL;
}

static mb_socket *check_raw(lua_State *L, const char *what)
{
	mb_socket *s = check_socket(L, 1);
	if (!s->raw)
		luaL_error(L, "%s: the server reads and writes this connection; "
			"only sockets of raw connect handlers can be read or written", what);
	return s;
}

/* --- methods -------------------------------------------------------------------- */

/* The methods of file handles would report these mistakes without the name of the method,
 * because C calls them. */
static void check_written(lua_State *L)
{
	for (int i = 2, n = lua_gettop(L); i <= n; i++)
		if (!lua_isstring(L, i)) /* or a number */
			luaL_error(L, "write: argument %d must be a string or a number, not a %s", i - 1,
				luaL_typename(L, i));
}

static void check_formats(lua_State *L)
{
	for (int i = 2, n = lua_gettop(L); i <= n; i++) {
		const char *f = lua_type(L, i) == LUA_TNUMBER ? "l" : lua_tostring(L, i);
		if (!f)
			luaL_error(L, "read: argument %d must be a format or a number of bytes, not a %s",
				i - 1, luaL_typename(L, i));
		f += *f == '*';
		if (!*f || !strchr("lLna", *f))
			luaL_error(L, "read: unknown format '%s'; valid formats are \"*l\", \"*L\", \"*n\", \"*a\" and "
				"numbers of bytes", lua_tostring(L, i));
	}
}

/* Calls the method of that name on the input or the output, with our arguments. */
static int call_handle(lua_State *L, int handle_ref, const char *name)
{
	if (check_raw(L, name)->fd < 0)
		return luaL_error(L, "%s: the socket is closed", name);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handle_ref);
	lua_replace(L, 1);
	lua_getfield(L, 1, name);
	lua_insert(L, 1);
	return mb_forward_call(L, lua_gettop(L) - 1);
}

static int socket_flush(lua_State *L) { return call_handle(L, out_ref, "flush"); }
static int socket_lines(lua_State *L) { return call_handle(L, in_ref, "lines"); }

/* n results of reading are on top. If the input was ended from here, a message that broke off
 * must not look complete. */
static int check_end(lua_State *L, int n)
{
	FILE *f = current ? mb_file_stdio(current->in) : NULL;
	if (!mb_quiet_ended() || !f || !feof(f))
		return n;
	lua_pushnil(L);
	lua_pushliteral(L, "the server is stopping");
	return 2;
}

static int socket_read(lua_State *L)
{
	if (check_raw(L, "read")->fd >= 0)
		check_formats(L);
	return check_end(L, call_handle(L, in_ref, "read"));
}

static int socket_readuntil(lua_State *L) { return check_end(L, call_handle(L, in_ref, "readuntil")); }

static int socket_write(lua_State *L)
{
	if (check_raw(L, "write")->fd >= 0)
		check_written(L);
	return call_handle(L, out_ref, "write");
}

static int socket_close(lua_State *L)
{
	mb_socket *s = check_raw(L, "close");
	double timeout = 0;
	if (!lua_isnoneornil(L, 2)) {
		if (lua_type(L, 2) != LUA_TNUMBER)
			return luaL_error(L, "close: timeout must be a number of seconds, not a %s",
				luaL_typename(L, 2));
		timeout = lua_tonumber(L, 2);
		if (!(timeout >= 0 && timeout <= 1e9))
			return luaL_error(L, "close: timeout is out of range (0 to 1e9 seconds)");
	}
	return mb_push_result(L, mb_socket_close(s, timeout) == 0);
}

/* The server resets its connection at once. Whatever the handler sends is refused. */
static void cancel_exchange(void)
{
	mb_response_lock();
	response.broken = 1;
	response.pending = 0;
	exchange.cancelled = 1;
	exchange.out_flags |= MB_OUT_RESET;
	__atomic_store_n(&exchange.out_cell->flags, exchange.out_flags, __ATOMIC_RELEASE);
	mb_response_unlock();
	mb_notify();
}

static int socket_cancel(lua_State *L)
{
	mb_socket *s = check_socket(L, 1);
	if (s->raw)
		mb_socket_cancel(s);
	else if (!(exchange.out_flags & (MB_OUT_RESET | MB_OUT_COMPLETE)))
		cancel_exchange(); /* the connection is still that of this request */
	lua_pushboolean(L, 1);
	return 1;
}

static int socket_alive(lua_State *L)
{
	mb_socket *s = check_socket(L, 1);
	lua_pushboolean(L, s->raw ? s->fd >= 0 && mb_peer_is_there(s->fd) : !mb_client_gone());
	return 1;
}

/* --- fields --------------------------------------------------------------------- */

/* Upvalue 1 is the table of methods. */
static int socket_index(lua_State *L)
{
	mb_socket *s = check_socket(L, 1);
	mb_own_or_method(L);
	const char *k = lua_isnil(L, -1) ? lua_tostring(L, 2) : NULL;
	if (k && !s->raw && !strcmp(k, "tls"))
		return mb_request_tls(L);
	if (k && !s->raw && (!strcmp(k, "input") || !strcmp(k, "output")))
		check_raw(L, k);
	if (k && s->raw && !strncmp(k, "send_", 5))
		return luaL_error(L, "socket: %s is a method of HTTP requests: connect must be what "
			"generate_handler returns for this function", k);
	return 1;
}

/* Handlers may store fields of their own in the socket. */
static int socket_newindex(lua_State *L)
{
	check_socket(L, 1);
	luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "index is nil");
	lua_settop(L, 3);
	mb_get_own(L, 1);
	lua_replace(L, 1);
	lua_rawset(L, 1);
	return 0;
}

static int socket_tostring(lua_State *L)
{
	const mb_socket *s = lua_touserdata(L, 1);
	lua_pushfstring(L, s && s == current && s->fd < 0 ? "socket (closed): %p" : "socket: %p",
		(const void *)s);
	return 1;
}

/* Stores an address in the table on top. */
static void set_address(lua_State *L, const mb_address *a, const char *ip4, const char *ip6,
	const char *port)
{
	if (a->family != 4 && a->family != 6)
		return;
	lua_pushlstring(L, (const char *)a->ip, a->family == 4 ? 4 : 16);
	lua_setfield(L, -2, a->family == 4 ? ip4 : ip6);
	lua_pushinteger(L, a->port);
	lua_setfield(L, -2, port);
}

static mb_socket *push_object(lua_State *L, int raw)
{
	mb_socket *s = lua_newuserdata(L, sizeof *s);
	*s = (mb_socket){.magic = &magic, .raw = raw, .fd = -1, .serial = serial(),
		.tcp = exchange.head.local.family != 0};
	lua_newtable(L);
	set_address(L, &exchange.head.local, "local_ip4", "local_ip6", "local_tcpport");
	set_address(L, &exchange.head.remote, "remote_ip4", "remote_ip6", "remote_tcpport");
	mb_set_own(L, -2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_ref);
	lua_setmetatable(L, -2);
	return s;
}

int mb_request_socket(lua_State *L)
{
	if (current) {
		mb_socket_push(L); /* HTTP on a raw connection */
	} else if (!mb_cache_get(L, MB_CACHE_SOCKET)) {
		push_object(L, 0);
		mb_cache_set(L, MB_CACHE_SOCKET);
	}
	return 1;
}

/* --- a raw exchange --------------------------------------------------------------- */

static mb_file *push_handle(lua_State *L, int own, const char *name, int ref)
{
	mb_file *h = mb_file_push(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, own, name);
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
	return h;
}

/* Object and handles are made before the server is asked for the socket, so that no lack of
 * memory can leave a descriptor without an owner. */
static mb_socket *push_raw(lua_State *L)
{
	mb_socket *s = push_object(L, 1);
	mb_get_own(L, -1);
	s->in = push_handle(L, lua_gettop(L), "input", in_ref);
	s->out = push_handle(L, lua_gettop(L), "output", out_ref);
	if (mb_tls_push(L))
		lua_setfield(L, -2, "tls");
	lua_pop(L, 1);
	lua_pushvalue(L, -1);
	lua_rawseti(L, LUA_REGISTRYINDEX, object_ref);
	return s;
}

static int open_handle(mb_file *h, int fd, const char *mode, char *buffer)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	FILE *f = own < 0 ? NULL : fdopen(own, mode);
	if (!f) {
		int e = errno;
		if (own >= 0)
			close(own);
		errno = e;
		return -1;
	}
	setvbuf(f, buffer, _IOFBF, BUFFER);
	mb_file_attach(h, f);
	return 0;
}

static void open_handles(lua_State *L, mb_socket *s, int fd)
{
	/* There is one exchange at a time, and its handles are closed when it is over. */
	static char in[BUFFER], out[BUFFER];
	s->fd = mb_socket_fd = fd;
	current = s;
	mb_socket_abort(); /* until it is closed properly */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (open_handle(s->in, fd, "r", in) || open_handle(s->out, fd, "w", out))
		luaL_error(L, "connection: file handle: %s", strerror(errno));
}

static int withdrawn;

int mb_socket_was_withdrawn(void) { return withdrawn; }

int mb_socket_run(lua_State *L)
{
	const mb_connect *c = mb_connect_of(worker.pool, exchange.head.listener);
	if (!c || c->http)
		return luaL_error(L, "this listener has no handler for raw connections");
	mb_socket *s = push_raw(L);
	int fd = mb_descriptor_receive(1);
	if (fd < 0) {
		/* The server has taken the connection back. Its socket may still be on the way. */
		withdrawn = 1;
		return 0;
	}
	open_handles(L, s, fd);
	mb_quiet_watch(fd);
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
	lua_pushvalue(L, -2);
	lua_call(L, 1, 1);
	return 1;
}

void mb_socket_after_exchange(int failed)
{
	mb_socket *s = current;
	if (!s)
		return;
	if (failed)
		mb_socket_cancel(s);
	else
		mb_socket_close(s, 0);
	current = NULL;
	const int refs[] = {object_ref, in_ref, out_ref};
	for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
		lua_pushboolean(process.L, 0);
		lua_rawseti(process.L, LUA_REGISTRYINDEX, refs[i]);
	}
}

/* What the handler has written and not sent belongs to the worker. A child of its own that
 * ends with exit() must not send it a second time. */
static void in_child(void)
{
	if (current && mb_file_stdio(current->out))
		__fpurge(mb_file_stdio(current->out));
}

void mb_socket_install(lua_State *L)
{
	static const luaL_Reg methods[] = {{"alive", socket_alive}, {"cancel", socket_cancel}, {"close", socket_close},
		{"flush", socket_flush}, {"lines", socket_lines}, {"read", socket_read},
		{"readuntil", socket_readuntil}, {"write", socket_write}, {NULL, NULL}};
	static const luaL_Reg meta[] = {{"__newindex", socket_newindex}, {"__tostring", socket_tostring}, {NULL, NULL}};
	int *const refs[] = {&object_ref, &in_ref, &out_ref};
	pthread_atfork(NULL, NULL, in_child);
	for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
		lua_pushboolean(L, 0);
		*refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_newtable(L);
	mb_push_functions(L, methods);
	lua_pushcclosure(L, socket_index, 1);
	lua_setfield(L, -2, "__index");
	mb_set_functions(L, meta);
	metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
