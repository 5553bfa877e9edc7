/* Layer 6: the socket object of Lua, Lua file handles, and the end of raw connections. */
#ifndef MB_SOCKET_H
#define MB_SOCKET_H

#include "request.h"

#pragma GCC visibility push(hidden)

/* --- socket_file.c, socket_readuntil.c: Lua file handles -------------------------------- */

/* The beginning of the userdata of a Lua file handle. */
#if LUA_VERSION_NUM >= 502
typedef luaL_Stream mb_file;
#else
typedef struct {
	FILE *f;
} mb_file;
#endif

void mb_file_install(lua_State *L);
mb_file *mb_file_push(lua_State *L);             /* pushes a handle that is closed */
void mb_file_attach(mb_file *s, FILE *f);        /* opens it; it owns f from now on */
FILE *mb_file_stdio(const mb_file *s);           /* NULL: closed */
int mb_file_close(mb_file *s);                   /* like fclose; 0 if it is already closed */
const char *mb_stdio_peek(FILE *f, size_t *n);   /* what is in the input buffer */
void mb_stdio_skip(FILE *f, size_t n);           /* consumes bytes that were peeked at */
const char *mb_stdio_unsent(FILE *f, size_t *n); /* what is in the output buffer */
int mb_push_result(lua_State *L, int ok);        /* pushes true, or nil, message, errno */
int mb_forward_call(lua_State *L, int n);        /* calls; errors get the position of our caller */
int mb_readuntil(lua_State *L);                  /* method of every handle */

/* --- socket.c --------------------------------------------------------------------- */

/* A socket object. What follows raw is for raw connections only. */
typedef struct {
	const void *magic;
	uint64_t serial;   /* if the server has the connection: the exchange that it belongs to */
	int raw;           /* 0: the server has the connection */
	int fd;            /* -1: closed. Input and output have their own descriptors, and the peer
	                      sees no end until this one is closed too */
	int tcp;
	int half_closed;   /* the script closed the output alone: FIN is sent */
	mb_file *in, *out; /* the object keeps them alive */
} mb_socket;

void mb_socket_install(lua_State *L);
int mb_socket_run(lua_State *L);           /* called protected, for an exchange of MB_KIND_SOCKET */
int mb_socket_was_withdrawn(void);        /* one that the server has taken back may still arrive */
void mb_socket_after_exchange(int failed); /* after an exchange of any kind */
/* Returns the raw socket at index i, which may be closed, or raises an error. */
mb_socket *mb_socket_check(lua_State *L, int i);
mb_socket *mb_socket_test(lua_State *L, int i); /* any socket object; NULL: something else */
mb_socket *mb_socket_current(void); /* the socket of the raw exchange in progress, or NULL */
void mb_socket_push(lua_State *L);  /* pushes the object of mb_socket_current */

/* --- socket_alive.c ------------------------------------------------------------------ */

int mb_peer_is_there(int fd); /* 0: it has finished sending, or the connection is gone */

/* --- socket_close.c ----------------------------------------------------------------- */

/* Returns 0, or -1 with errno if the output could not be sent, or not in time; then the peer
 * sees a reset. timeout is in seconds; 0: the output is sent in the background. */
int mb_socket_close(mb_socket *s, double timeout);
void mb_socket_cancel(mb_socket *s); /* resets the connection; unsent output is dropped */
void mb_socket_end(int fd); /* closes with FIN */
int mb_unacknowledged(int fd); /* bytes that the peer has not acknowledged; -1: unknown */
/* Sends for as long as the peer takes something every `patience` seconds. The kernel reports room when a third of its buffer
 * is free, which may take a slow peer minutes, so what it acknowledges counts. Returns 0, or -1 with errno. unacknowledged is
 * mb_unacknowledged, except in a test. */
int mb_send_patiently(int fd, const char *p, size_t n, double patience, int (*unacknowledged)(int fd));
void mb_socket_half_close(void); /* after a handle was closed: sends FIN if it was the output */
/* The descriptor of the raw connection in progress; -1: closed, or none. It is also in the socket object, but os.exit may have
 * freed that. */
extern int mb_socket_fd;
/* Async-signal-safe: what the peer of mb_socket_fd sees when the process ends. */
void mb_socket_abort(void);  /* a reset */
void mb_socket_settle(void); /* a regular end */

/* --- socket_quiet.c ---------------------------------------------------------------------- */

void mb_quiet_open(void);      /* when the worker starts, on the thread that runs Lua */
void mb_quiet_watch(int fd);   /* -1: none */
void mb_quiet_order(void);     /* from another thread */
int mb_quiet_ended(void);      /* the input of the connection was ended by an order */

/* --- socket_background.c --------------------------------------------------------------- */

/* Sends bytes, then ends and closes the connection. -1: the caller must do that. */
int mb_background_send(int fd, const char *bytes, size_t n);
void mb_background_wait(void); /* until all output has been sent or given up */

/* --- upward: doc.go has the reasons ------------------------------------------------------ */

typedef struct {
	int ref;                   /* LUA_NOREF: none */
	const mb_http_options *http; /* not NULL: ref is the callback of an HTTP handler */
} mb_connect;

const mb_connect *mb_connect_of(uint32_t pool, uint32_t listener); /* process_listen.c; NULL: none */

#pragma GCC visibility pop

#endif
