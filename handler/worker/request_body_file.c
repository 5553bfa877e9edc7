/* A request body that the server has put into a file, because it is too large for the
 * window and its client was perhaps slow. The file is complete, so reading it never waits
 * for a client. */
#include "request.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Between exchanges fd is -1. The piece is as large as the window, whose place it takes. */
static struct {
	int fd;
	uint64_t at;      /* bytes read from the file */
	uint8_t *piece;   /* kept from exchange to exchange */
	size_t off, len;  /* piece[off] to piece[len] was read and not consumed */
} file = {.fd = -1};

/* A process that a handler forks gives up its copy of the descriptor, so that it does not keep
 * the room on the disk. The server sends the file although the exchange may be cancelled: it never gives up a cell
 * that a worker has. */
static void open_file(void)
{
	static int prepared;
	if (file.fd >= 0)
		return;
	if (!prepared)
		prepared = !pthread_atfork(NULL, NULL, mb_body_file_close);
	file.fd = mb_descriptor_receive(0);
}

static uint64_t left(void) { return exchange.head.content_length - file.at; }

/* Reads n bytes, which must be in the file. */
static void read_file(lua_State *L, uint8_t *to, size_t n)
{
	open_file();
	while (n) {
		ssize_t k = pread(file.fd, to, n, (off_t)file.at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			luaL_error(L, "request body: %s", k < 0 ? strerror(errno) : "its file is too short");
		file.at += (uint64_t)k;
		to += k;
		n -= (size_t)k;
	}
}

size_t mb_body_file_next(lua_State *L, const uint8_t **p)
{
	mb_body_check_client(L);
	if (file.off == file.len) {
		const size_t room = worker.header.in_window;
		const size_t n = left() < room ? (size_t)left() : room;
		if (!file.piece && !(file.piece = malloc(room)))
			luaL_error(L, "request body: not enough memory");
		file.off = file.len = 0;
		read_file(L, file.piece, n);
		file.len = n;
	}
	*p = file.piece + file.off;
	return file.len - file.off;
}

void mb_body_file_consume(size_t n) { file.off += n; }

const uint8_t *mb_body_file_whole(lua_State *L, size_t *n)
{
	mb_body_check_client(L);
	if (exchange.options && (double)left() > exchange.options->request_body_size_limit)
		mb_body_too_large(L);
	*n = (size_t)left();
	exchange.scratch.len = 0;
	if (mb_buf_room(&exchange.scratch, *n))
		luaL_error(L, "request body: not enough memory");
	read_file(L, exchange.scratch.p, *n);
	return exchange.scratch.p;
}

void mb_body_file_close(void)
{
	if (file.fd >= 0)
		close(file.fd);
	file.fd = -1;
	file.at = 0;
	file.off = file.len = 0;
}
