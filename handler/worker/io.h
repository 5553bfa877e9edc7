/* Layer 7: the module moonbridge_io: handles of connections and pipes, child processes, and
 * waiting for several things at once. */
#ifndef MB_IO_H
#define MB_IO_H

#include "socket.h"

#define MB_IO_BUFFER 4096u /* bytes: read at once; held back by write */

#pragma GCC visibility push(hidden)

/* --- io.c ------------------------------------------------------------------- */

void mb_io_install(lua_State *L); /* the module, and the global of its name */

/* --- io_handle.c -------------------------------------------------------------- */

/* A handle of Lua. Its descriptor does not block; the methods that may wait use poll. */
typedef struct {
	int fd;       /* -1: closed, or finished and no socket */
	int closed;
	int socket;   /* otherwise one end of a pipe */
	int finished; /* nothing can be written any more */
	int failed;   /* errno of a failed write: what is written after it would leave a gap */
	size_t in_at, in_end; /* bytes of in that have not been read yet */
	mb_buf out;           /* what has not been sent: from out_at on */
	size_t out_at;
	char in[MB_IO_BUFFER];
} mb_handle;

void mb_handle_install(lua_State *L);
mb_handle *mb_handle_push(lua_State *L); /* pushes a closed one, which can own a descriptor without an error */
void mb_handle_attach(mb_handle *h, int fd, int socket);
mb_handle *mb_handle_test(lua_State *L, int i);                    /* NULL: no handle */
mb_handle *mb_handle_check(lua_State *L, int i, const char *what); /* one that is not closed */
void mb_handle_wait(const mb_handle *h, short events);             /* until one of the events is there */

/* --- io_read.c ------------------------------------------------------------------ */

int mb_handle_read(lua_State *L);
int mb_handle_read_nb(lua_State *L);

/* --- io_write.c ----------------------------------------------------------------- */

int mb_handle_write(lua_State *L);
int mb_handle_write_nb(lua_State *L);
int mb_handle_flush(lua_State *L);
int mb_handle_flush_nb(lua_State *L);
int mb_handle_send(mb_handle *h, int wait); /* sends what is held back; 0, or -1 with errno */
size_t mb_handle_unsent(const mb_handle *h);

/* --- io_connect.c ----------------------------------------------------------------- */

int mb_io_tcpconnect(lua_State *L);
int mb_io_localconnect(lua_State *L);

/* --- io_exec.c ---------------------------------------------------------------------- */

void mb_child_install(lua_State *L);
int mb_io_exec(lua_State *L);

/* --- io_poll.c ---------------------------------------------------------------------- */

int mb_io_poll(lua_State *L);

#pragma GCC visibility pop

#endif
