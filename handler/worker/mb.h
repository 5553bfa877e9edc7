/* What the C files of this package share: the subset of the Lua C API that all
 * versions have, the state of a process, and the verbs between the files. */
#ifndef MB_PRIVATE_H
#define MB_PRIVATE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "layout.h"

#if LUA_VERSION_NUM >= 502
#define mb_rawlen lua_rawlen
#else
#define mb_rawlen lua_objlen
#endif

/* A worker that found nothing gives its CPU away a few times before it blocks:
 * its loop, which runs on the same CPU, then often has the next batch ready, and
 * need not ring. */
#define MB_YIELDS 2

/* Limits; what happens at them stands where they are used. */
#define MB_REQUEST_HEAD_MAX (2u << 20)    /* head block, fields table included */
#define MB_RESPONSE_HEAD_MAX (256u << 10) /* status line and fields */
#define MB_CHUNK_MAX (16u << 20)          /* the two chunk sizes of generate_handler */
#define MB_FDS_MAX 253                    /* descriptors of one message (SCM_MAX_FD) */
#define MB_TEXT_MAX (64u << 10)           /* text of an error on a control socket */
#define MB_FILES_MAX 1024u                /* files that are watched, of one script */
#define MB_PARAMS_MAX (1u << 16)          /* items of a form, a query, the cookies */
#define MB_POST_ROOM (64u << 10)          /* records of one piece of a form body */

/* --- process ----------------------------------------------------------- */

enum { MB_ROLE_NONE, MB_ROLE_WORKER }; /* a fork server never reaches Go */
extern int mb_role;

typedef struct {
	lua_State *L;
	int script_over;   /* listen is closed */
	int traceback_ref; /* registry: mb_traceback as a Lua value */
	const char *release; /* _MOONBRIDGE_VERSION */
	int control;       /* control socket: of the fork server, then of the worker */
	int watched, pages; /* development: files that are loaded are reported; errors become pages */
} mb_process;
extern mb_process P;

/* A worker's place in the segments. h is a copy that was checked once. */
typedef struct {
	uint32_t pool, slot;
	uint32_t gen; /* of the exchange that was claimed last */
	int doorbell;
	int loop_doorbell[MB_FDS_MAX];
	const uint8_t *in;
	uint8_t *out;
	mb_in_header h;
	const mb_in_worker *inw;
	mb_out_worker *outw;
} mb_worker;
extern mb_worker W;

static inline const mb_in_loop *mb_in_loop_at(uint32_t i)
{
	return (const mb_in_loop *)(W.in + W.h.in_loops + i * W.h.in_loop_stride);
}

static inline mb_out_loop *mb_out_loop_at(uint32_t i)
{
	return (mb_out_loop *)(W.out + W.h.out_loops + i * W.h.out_loop_stride);
}

static inline const mb_in_cell *mb_in_cell_at(uint32_t loop, uint32_t cell)
{
	uint64_t i = (uint64_t)loop * W.h.cells + cell;
	return (const mb_in_cell *)(W.in + W.h.in_cells + i * W.h.in_cell_stride);
}

static inline mb_out_cell *mb_out_cell_at(uint32_t loop, uint32_t cell)
{
	uint64_t i = (uint64_t)loop * W.h.cells + cell;
	return (mb_out_cell *)(W.out + W.h.out_cells + i * W.h.out_cell_stride);
}

/* --- util.c ------------------------------------------------------------- */

typedef struct {
	uint8_t *p;
	size_t len, cap;
} mb_buf;

int mb_buf_room(mb_buf *b, size_t n);                   /* 0, or -1: no memory */
int mb_buf_add(mb_buf *b, const void *p, size_t n);     /* likewise */
void mb_buf_free(mb_buf *b);
void mb_log(const char *what, const char *text, size_t len); /* one write to stderr */
size_t mb_quote(char *to, size_t cap, const uint8_t *p, size_t n);
int mb_same_word(const char *a, size_t n, const char *lower); /* ignores case */
int mb_traceback(lua_State *L);
const char *mb_tostring(lua_State *L, int i, size_t *n); /* replaces slot i */
const char *mb_push_count(lua_State *L, uint64_t n); /* pushes the digits */
const char *mb_check_text(lua_State *L, int i, size_t *n); /* string or number */
void mb_set_functions(lua_State *L, const luaL_Reg *f);  /* into the table on top */
void mb_close(int *fds, int n);

/* --- segment.c ---------------------------------------------------------- */

const char *mb_segment_map(int in, int out); /* NULL, or what is wrong */

/* --- control.c ---------------------------------------------------------- */

int mb_send(int fd, uint32_t type, const void *p, size_t n); /* 0 or -1 */
/* 1; 0: end of file; -1: error. *payload is malloc'ed, with a NUL after it. */
int mb_recv(int fd, mb_msg *m, uint8_t **payload, int *fds, int *nfds);
void mb_control_watch(int fd); /* a worker's; returns when the server is gone */

/* --- state.c ------------------------------------------------------------ */

lua_State *mb_state_new(int argc, char **argv);
int mb_state_run(lua_State *L, int argc, char **argv); /* 0, or error text on top */

/* --- watch.c ------------------------------------------------------------- */

void mb_watch_open(lua_State *L);      /* has the files noted that Lua loads */
void mb_watch_note(const char *path);  /* one is about to be loaded */
void mb_watch_report(void);            /* tells the server what was noted */
const char *mb_watch_find(const char *name); /* the path that a name in a traceback means, or NULL */

/* --- page.c -------------------------------------------------------------- */

int mb_page_answer(lua_State *L); /* answers with the error on top; -1: that cannot be done */

/* --- http.c ------------------------------------------------------------- */

typedef struct {
	double request_body_size_limit, request_header_size_limit;
	double chunk_size; /* 0: not given */
	double maximum_input_chunk_size, minimum_output_chunk_size;
	double idle_timeout, request_header_timeout, stall_timeout;
	double response_timeout, drain_timeout;
	int static_date, static_close; /* what the static headers say */
	size_t static_len;
	char static_text[];
} mb_http_options;

int mb_http_open(lua_State *L); /* loader of moonbridge_http */
/* Options of the HTTP handler at index i, or NULL if it is none; pushes the
 * callback in the first case. */
const mb_http_options *mb_http_handler(lua_State *L, int i);
size_t mb_http_options_text(const mb_http_options *o, char *to, size_t cap);

/* --- listen.c ----------------------------------------------------------- */

typedef struct {
	int ref;                   /* LUA_NOREF: none */
	const mb_http_options *http; /* not NULL: ref is the callback of an HTTP handler */
} mb_connect;

typedef struct {
	int prepare, finish;
	double memory_limit; /* bytes; 0: none */
	double min_requests; /* exchanges */
	int recycle_on_error;
	mb_connect connect;
	uint32_t listeners;
	mb_connect *listener; /* own connect of each listener */
} mb_pool;

int mb_listen(lua_State *L);
uint32_t mb_pools(void);
const mb_pool *mb_pool_at(uint32_t i);
const mb_connect *mb_connect_of(uint32_t pool, uint32_t listener); /* NULL: none */

/* --- worker.c ----------------------------------------------------------- */

int mb_worker_run(void); /* exit code */

/* --- exchange.c --------------------------------------------------------- */

/* What became of the request body. */
enum {
	MB_BODY_UNREAD, MB_BODY_STRING, MB_BODY_PARSED, MB_BODY_STREAMED,
	MB_BODY_BROKEN /* it is being taken apart as a form, or that came to no good end */
};

/* How an exchange that this worker serves by itself, on a socket of its own, gets
 * its bytes moved: what the server's loop does for all others. */
typedef struct {
	void (*notify)(void);            /* "look at the cell" */
	void (*wait)(int (*ready)(void)); /* until ready() */
} mb_transport;

typedef struct {
	int active;
	const mb_transport *via; /* NULL: the server's loop */
	const void *request; /* the userdata, while the exchange lasts */
	uint32_t loop, cell;
	const mb_in_cell *ic;
	mb_out_cell *oc;
	mb_out_loop *ol;
	const uint8_t *iw;
	uint8_t *ow;
	mb_head hd;          /* a copy */
	const uint8_t *head; /* the head block: in the window or in head_copy */
	const mb_http_options *opt;
	uint32_t out_flags;  /* MB_OUT_* as stored; changed under the lock of R */
	uint64_t taken;      /* bytes taken out of the in-window */
	int wanted;          /* MB_OUT_BODY_WANTED was set, or need not be */
	int body;            /* MB_BODY_* */
	int deferred;        /* defer_reading was called */
	int peer_status;     /* not 0: the peer broke the body; status for it */
	int cancelled;       /* "client has closed the connection" was raised */
	int has_cache;       /* the cache table exists */
	int has_own;         /* so does the table of the handler's own fields */
	int has_streams;     /* a stream handler is registered */
	int in_callback;     /* one is being called */
	int processed;       /* as a form, if it is one: no handler comes in any more */
	mb_buf head_copy, scratch; /* scratch: a body in the making */
} mb_exchange;
extern mb_exchange X;

void mb_exchange_open(lua_State *L);
enum { MB_RUN_ON, MB_RUN_RETIRE, MB_RUN_EXIT }; /* EXIT: without finish */
int mb_exchange_run(uint32_t loop, uint32_t cell, uint32_t gen); /* MB_RUN_* */
/* The parts of it, for an exchange on another transport. */
void mb_exchange_begin(const mb_in_cell *ic, mb_out_cell *oc, const mb_transport *via);
int mb_exchange_head(void);           /* -1: the peer is gone */
int mb_exchange_serve(lua_State *L);  /* protected: calls the HTTP callback at 1 */
int mb_exchange_log(lua_State *L);    /* the error on top; 0: no, it is the peer's fault */
int mb_exchange_may_end(void);        /* min_requests_per_fork is reached */
uint32_t mb_exchange_settle(lua_State *L, int failed); /* result without RETIRE */
void mb_exchange_end(uint32_t result); /* the cell may not be touched any more */
void mb_notify(void);                 /* has the loop look at this cell */
void mb_wait(int (*ready)(void));     /* blocks until ready() */
int mb_doorbell_wait(void);
void mb_describe(char *to, size_t cap); /* who failed: names the exchange */
int mb_cancelled(void);
int mb_raise_cancelled(lua_State *L);
const uint8_t *mb_span(lua_State *L, uint32_t off, uint32_t len);
const mb_field *mb_field_at(lua_State *L, uint32_t i);
void mb_detach_head(lua_State *L);
void mb_took(uint64_t n); /* n more bytes of the in-window are no longer needed */

/* --- stream.c, readuntil.c: Lua file handles -------------------------------- */

/* What the userdata of a Lua file handle begins with. */
#if LUA_VERSION_NUM >= 502
typedef luaL_Stream mb_stream;
#else
typedef struct {
	FILE *f;
} mb_stream;
#endif

void mb_stream_open(lua_State *L);
mb_stream *mb_stream_push(lua_State *L);       /* pushes a handle that is closed */
void mb_stream_attach(mb_stream *s, FILE *f);  /* opens it: owns f from now on */
FILE *mb_stream_file(const mb_stream *s);      /* NULL: closed */
int mb_stream_close(mb_stream *s);             /* as fclose; 0 if it is closed */
const char *mb_file_peek(FILE *f, size_t *n);  /* what is in the input buffer */
void mb_file_skip(FILE *f, size_t n);          /* takes bytes that were peeked at */
const char *mb_file_unsent(FILE *f, size_t *n); /* what is in the output buffer */
int mb_file_result(lua_State *L, int ok); /* pushes true, or nil, message, errno */
int mb_forward(lua_State *L, int n); /* calls; errors get the position of our caller */
int mb_readuntil(lua_State *L);      /* method of every handle */

/* --- handover.c ----------------------------------------------------------- */

void mb_handover_open(void);      /* when the worker starts */
int mb_handover_take(void);       /* asks for the socket: descriptor, or -1: cancelled */
void mb_handover_offer(int fd);   /* from the thread that reads the control socket */

/* --- socket.c, close.c ------------------------------------------------------ */

/* What a socket object is. All but magic to request is for raw connections. */
typedef struct {
	const void *magic;
	uint64_t serial;   /* of the server's connection: the exchange that it belongs to */
	int raw;           /* 0: the server has the connection */
	int fd;            /* -1: closed. Input and output have descriptors of their own,
	                      and the peer sees no end before this one is closed */
	int tcp;
	int half_closed;   /* the output was closed by itself: FIN is out */
	mb_stream *in, *out; /* anchored in the object */
} mb_socket;

void mb_socket_open(lua_State *L);
int mb_socket_run(lua_State *L);     /* protected function: an exchange of MB_KIND_SOCKET */
void mb_socket_over(int failed);     /* after it, whatever it was */
int mb_request_socket(lua_State *L); /* pushes request.socket */
/* The raw socket at index i, or an error is raised; it may be closed already. */
mb_socket *mb_socket_check(lua_State *L, int i);
mb_socket *mb_socket_current(void); /* of the raw exchange in progress, or NULL */
void mb_socket_push(lua_State *L);  /* pushes the object of mb_socket_current */
/* 0, or -1 with errno where the output could not be sent, or not in time (then the
 * peer sees a reset). timeout in seconds; 0: the kernel sends in the background. */
int mb_socket_close(mb_socket *s, double timeout);
void mb_socket_cancel(mb_socket *s); /* reset; drops what was not sent */
void mb_socket_end(int fd);          /* FIN, in order */
int mb_send_until(int fd, const char *p, size_t n, double deadline); /* 0, or -1 */
double mb_now(void);                 /* seconds, monotonic */
void mb_socket_half_close(void);     /* some handle was closed: was it the output? */
void mb_socket_abort(mb_socket *s);  /* async-signal-safe: reset when the process ends */

/* --- local.c, rawhttp.go: HTTP on a raw socket ---------------------------------- */

/* What Go is given to serve a connection with. All of it outlives the connection. */
typedef struct {
	int fd, bell;
	const int *socket; /* descriptor of the socket object: -1 when somebody closes that */
	mb_in_cell *ic;
	mb_out_cell *oc;
	uint32_t in_window, out_window;
	const uint32_t *quit;
	uint32_t *asleep;
	const mb_http_options *opt;
	const mb_head *raw; /* of the exchange that brought the socket */
	const void *early;  /* what was read from it before */
	size_t early_len;
} mb_local;

/* The call of a handler with a socket: 1 is that, 2 the callback. Returns what the
 * connect handler is to return. */
int mb_local_serve(lua_State *L, const mb_http_options *o);

/* The worker is to end: the response in progress is the last on its connection. For
 * all others that is known to the server. */
static inline int mb_local_ending(void)
{
	return X.via && __atomic_load_n(&W.inw->quit, __ATOMIC_ACQUIRE);
}

/* --- background.c ----------------------------------------------------------- */

/* Sends bytes, then ends and closes the connection; -1: somebody else must. */
int mb_background_send(int fd, const char *bytes, size_t n);
void mb_background_wait(void); /* until all is sent, or given up */

/* --- memory.c --------------------------------------------------------------- */

typedef struct {
	size_t limit; /* bytes; 0: none */
	int armed;    /* what goes beyond is refused: while code of the application runs,
	                 and errors can be raised */
	int failed;   /* 1: that has happened; 2: and was logged */
} mb_memory_state;
extern mb_memory_state mb_memory;

const char *mb_memory_begin(lua_State *L, double limit); /* NULL, or why not */
void mb_memory_ready(void);                 /* after prepare */
void mb_memory_was_reached(const char *who); /* logs it, and forgets it */
void mb_memory_for_finish(lua_State *L);
void mb_memory_end(lua_State *L);           /* before lua_close */

/* After an exchange: is the worker to be replaced? mb_describe must still work. */
static inline int mb_memory_over(lua_State *L)
{
	int mb_memory_over_slow(lua_State *L);
	return mb_memory.limit && mb_memory_over_slow(L);
}

/* --- trace.c ---------------------------------------------------------------- */

void mb_trace_wanted(void); /* from another thread: MB_CTL_TRACEBACK */
int mb_trace_set(void);     /* in a signal handler on the main thread; 0: nobody wants it */

/* --- timeout.c ------------------------------------------------------------ */

#define MB_EXIT_TIMEOUT 124 /* as timeout(1) has it */
void mb_timeout_begin(void);          /* when the worker starts, on the main thread */
int mb_timeout(lua_State *L);         /* the global */
void mb_timeout_over(void);           /* the handler has returned */
/* A handler inside of a handler: what the inner one sets ends with it. */
typedef struct { double limit, outer; } mb_limits;
void mb_timeout_save(mb_limits *l);
void mb_timeout_restore(const mb_limits *l);
void mb_timeout_interrupt(void);      /* from another thread: calls mb_trace_set */
void mb_timeout_who(const char *hook); /* NULL: the exchange in progress */

/* --- body.c ------------------------------------------------------------- */

int mb_body_complete(void); /* all of it was read, or lies in the window */
int mb_body_push(lua_State *L);               /* request.body */
int mb_body_form(lua_State *L, int cache_key); /* post_params … post_metadata_list */
void mb_body_before_status(lua_State *L);
int mb_body_process(lua_State *L);
int mb_body_stream(lua_State *L);
void mb_body_exclude(lua_State *L, const char *what); /* error: the body was read otherwise */
size_t mb_body_next(lua_State *L, const uint8_t **p);  /* waits; 0: the end */
void mb_body_take(lua_State *L, size_t n);
void mb_body_too_large(lua_State *L);

/* --- post.c, post_stream.c, form.go ---------------------------------- */

/* What Go finds in a piece of a form body: records, each of this head and bytes. */
enum {
	MB_POST_PART,  /* a: length of the name, b: of file_name, c: of content_type */
	MB_POST_VIEW,  /* data: b bytes at a in the piece */
	MB_POST_BYTES, /* data: the a bytes that follow */
	MB_POST_END    /* of the part */
};
#define MB_POST_NONE 0xffffffffu /* as a length: the part has none */
typedef struct { uint32_t kind, a, b, c; } mb_post_record;

typedef struct {
	uint32_t taken, used; /* bytes of the piece, bytes of records */
	uint32_t more;        /* the records are full: call again */
	uint32_t status;      /* not 0: what came after them is malformed; why stands in */
	char reason[120];
} mb_post_result;

void mb_post_process(lua_State *L, int multipart, const char *type, size_t n);
void mb_post_open(lua_State *L);
void mb_post_find(lua_State *L, int name); /* pushes the handler for the field, or nil */
void mb_post_call(lua_State *L, int nargs); /* calls a handler: below it is mb_post_failed */
int mb_post_failed(lua_State *L);
int mb_post_trace(lua_State *L); /* 1: pushed the traceback of a callback's error, at 1 */
int mb_stream_post_param(lua_State *L);
int mb_stream_post_params(lua_State *L);

/* --- request.c ---------------------------------------------------------- */

enum { /* keys of the cache table */
	MB_CACHE_OWN = 1, MB_CACHE_HEADERS, MB_CACHE_CSV_STRING, MB_CACHE_CSV_TABLE,
	MB_CACHE_FLAGS, MB_CACHE_VALUE, MB_CACHE_COOKIES, MB_CACHE_GET,
	MB_CACHE_GET_LIST, MB_CACHE_POST, MB_CACHE_POST_LIST, MB_CACHE_METADATA,
	MB_CACHE_METADATA_LIST, MB_CACHE_BODY, MB_CACHE_SOCKET, MB_CACHE_STREAMS, MB_CACHE_ERROR,
	MB_CACHE_TRACE
};
void mb_request_open(lua_State *L);
void mb_request_push(lua_State *L);
void mb_request_over(lua_State *L);
void mb_request_check(lua_State *L, int i);
int mb_cache_get(lua_State *L, int key); /* 1: pushed; 0: nothing there */
void mb_cache_set(lua_State *L, int key); /* value on top, stays there */

/* --- fields.c, params.c ------------------------------------------------- */

void mb_fields_open(lua_State *L);
void mb_fields_push(lua_State *L, int key); /* MB_CACHE_HEADERS … VALUE */
int mb_field_find(lua_State *L, const char *lower, const char **v, size_t *n);
enum { MB_PARSE_FORM, MB_PARSE_COOKIE }; /* as in lua.go */
void mb_params_open(lua_State *L);
void mb_params_form(lua_State *L, int key, int list_key, const uint8_t *p, size_t n);
void mb_params_new(lua_State *L); /* pushes two tables: first values, sequences */
void mb_params_add(lua_State *L, int first); /* to the tables at first, first + 1: name, value */
void mb_params_get(lua_State *L);
void mb_params_cookies(lua_State *L);

/* --- response.c, output.c, send.c --------------------------------------- */

/* Where a response is. */
enum {
	MB_R_IDLE,   /* no exchange → NONE */
	MB_R_NONE,   /* no status yet → STATUS */
	MB_R_STATUS, /* header fields may follow → BODY; after a 1xx → NONE */
	MB_R_BODY,   /* data may follow → DONE */
	MB_R_DONE    /* finished → IDLE */
};

typedef struct {
	uint8_t lock;        /* guards all of this against mb_flush_now while stream is 0 */
	uint8_t stream;      /* 0: the body is collected in the window, from body_off on;
	                        1: bytes go through the ring */
	int state;           /* MB_R_* */
	int status, interim; /* interim: the status in progress is a 1xx */
	int bodiless;        /* 204, 205, 304 */
	int has_date, has_length, close, chunked, close_delimited;
	int head_written;    /* the final head is in the ring */
	int published;       /* a byte of the final response may have been seen */
	int pending;         /* MB_OUT_PENDING is set */
	int broken;          /* the response can only be reset */
	uint64_t length;     /* Content-Length of the application */
	uint64_t sent;       /* body bytes that the application gave */
	uint32_t min_chunk;
	uint32_t out_start;
	uint32_t body_off, body_len; /* body_off 0: no place chosen yet */
	uint64_t written;    /* bytes in the ring, counted from out_start */
	mb_buf head, held;   /* head in the making; stream: bytes below min_chunk */
} mb_response;
extern mb_response R;

static inline void mb_lock(void)
{
	extern void mb_lock_slow(void);
	if (__atomic_exchange_n(&R.lock, 1, __ATOMIC_ACQUIRE))
		mb_lock_slow();
}

static inline void mb_unlock(void)
{
	__atomic_store_n(&R.lock, 0, __ATOMIC_RELEASE);
}

static inline int mb_is_head(void) { return (X.hd.flags & MB_HEAD_IS_HEAD) != 0; }

void mb_response_begin(void);
void mb_head_complete(int length_known);
const char *mb_head_start(const char *s, size_t n);
const char *mb_head_field(const char *k, size_t kn, const char *v, size_t vn);
const char *mb_field_error(const char *k, size_t kn, const char *v, size_t vn);
int mb_list_has(const char *v, size_t n, const char *lower);

void mb_output_store(void); /* publishes without a word to the loop */
void mb_publish(void);
void mb_output_data(lua_State *L, const char *p, size_t n);
void mb_output_head(lua_State *L);
void mb_output_flush(lua_State *L);
void mb_output_finish(lua_State *L);
void mb_output_interim(lua_State *L);
void mb_flush_now(void); /* from another thread: MB_CTL_FLUSH */

int mb_send_status(lua_State *L);
int mb_send_header(lua_State *L);
int mb_send_data(lua_State *L);
int mb_flush(lua_State *L);
int mb_finish_headers(lua_State *L);
int mb_finish(lua_State *L);
void mb_response_finish(lua_State *L);
void mb_response_error(lua_State *L, int status);
size_t mb_status_line(int status, char *to, size_t cap); /* "500 Internal Server Error"; its length */

#endif
