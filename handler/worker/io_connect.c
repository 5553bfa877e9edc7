/* Connections to other servers. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A signal does not end an attempt to connect: it goes on, and its end can be waited for. */
static int await_connection(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -1;
	int e = 0;
	socklen_t n = sizeof e;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0 && e)
		errno = e;
	return e ? -1 : 0;
}

/* Returns a connected socket, or -1 with errno. */
static int connect_to(int family, const struct sockaddr *to, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (connect(fd, to, size) && (errno != EINTR || await_connection(fd))) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* The handle is on top. */
static int push_connection(lua_State *L, mb_handle *h, int fd)
{
	if (fd < 0)
		return mb_push_result(L, 0);
	mb_handle_attach(h, fd, 1);
	return 1;
}

/* Tries the addresses in the order of the resolver. */
static int connect_to_any(const struct addrinfo *list)
{
	int fd = -1;
	errno = EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_family, a->ai_addr, a->ai_addrlen);
	return fd;
}

/* The resolver ends a string at a NUL, and takes a port modulo 65536. */
static const char *check_host(lua_State *L)
{
	size_t n;
	const char *host = luaL_checklstring(L, 1, &n);
	if (strlen(host) != n)
		luaL_error(L, "tcpconnect: the host contains a NUL");
	return host;
}

static const char *check_port(lua_State *L)
{
	size_t n;
	const char *port = mb_check_text(L, 2, &n);
	lua_Number p = lua_isnumber(L, 2) ? lua_tonumber(L, 2) : 0;
	if (strlen(port) != n || !(p >= 0 && p <= 65535) || p != (lua_Number)(int)p)
		luaL_error(L, "tcpconnect: the port must be a whole number from 0 to 65535, or the name of a service");
	return port;
}

int mb_io_tcpconnect(lua_State *L)
{
	const char *host = check_host(L), *port = check_port(L);
	mb_handle *h = mb_handle_push(L);
	const struct addrinfo want = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	int failed = getaddrinfo(host, port, &want, &list);
	if (failed && failed != EAI_SYSTEM) {
		lua_pushnil(L);
		lua_pushfstring(L, "%s: %s", host, gai_strerror(failed));
		return 2;
	}
	int fd = failed ? -1 : connect_to_any(list), e = errno;
	if (list)
		freeaddrinfo(list);
	errno = e;
	return push_connection(L, h, fd);
}

int mb_io_localconnect(lua_State *L)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n;
	const char *path = luaL_checklstring(L, 1, &n);
	if (n >= sizeof to.sun_path || strlen(path) != n)
		return luaL_error(L, "localconnect: the path is longer than %d bytes, or contains a NUL",
			(int)sizeof to.sun_path - 1);
	memcpy(to.sun_path, path, n);
	mb_handle *h = mb_handle_push(L);
	return push_connection(L, h, connect_to(AF_UNIX, (const struct sockaddr *)&to, sizeof to));
}
