/* Layer 3: the state of a process (of the fork server, then of a worker, then of the
 * exchange that it runs), and the verbs that all higher layers need. */
#ifndef MB_CORE_H
#define MB_CORE_H

#include "dict.h"

/* Limits. The code that uses one says what happens when it is reached. */
#define MB_REQUEST_HEAD_MAX (2u << 20) /* head block, including the table of fields */
#define MB_EXIT_TIMEOUT 124             /* exit code of a worker at timeout(), as of timeout(1) */
#define MB_FILES_MAX 1024u             /* watched files of one script */

#pragma GCC visibility push(hidden)

/* --- process ----------------------------------------------------------- */

enum { MB_ROLE_NONE, MB_ROLE_WORKER }; /* a fork server never reaches Go */
extern int mb_role;

typedef struct {
	lua_State *L;
	int script_ended;    /* listen can no longer be called */
	int traceback_ref;   /* registry: mb_traceback as a Lua value */
	const char *release; /* _MOONBRIDGE_VERSION */
	const char *warning; /* for the server's log; NULL: none */
	int control;         /* control socket: of the fork server, then of the worker */
	/* For developers. */
	int report_files; /* the server is told which files are loaded */
	int error_pages;  /* an error of an HTTP handler is answered with a page that shows it */
	int generation;   /* of the script, for these pages */
} mb_process;
extern mb_process process;

/* Asks the server, which answers with a message of type want, whose first size bytes go to answer, and with a descriptor unless fd is
 * NULL; or refuses: then the text is pushed, and 0 returned. who begins the errors that it raises. If the server has not refused, no code of
 * the script runs before it returns: finalizers may ask, too, and the order of the answers is that of the questions. */
int mb_ask_server(lua_State *L, const char *who, uint32_t type, const void *p, size_t n, uint32_t want, void *answer,
	size_t size, int *fd);

typedef struct {
	size_t limit; /* bytes; 0: none */
	int armed;    /* allocations beyond the limit are refused: while code of the application runs
	                 and errors can be raised */
	int failed;   /* 1: one was refused; 2: that was also logged */
} mb_memory;
extern mb_memory memory;

/* Called after a protected call whose error is not caught for good. Lua also runs out of memory without asking for it, for
 * example for a string that is longer than it can have. */
static inline void mb_memory_after(int failed)
{
	if (failed == LUA_ERRMEM && memory.limit && !memory.failed)
		memory.failed = 1;
}

/* --- processes of our own ------------------------------------------------ */

/* No system has larger pages. */
#if defined(__x86_64__) || defined(__i386__)
#define MB_PAGE_MAX 4096
#else
#define MB_PAGE_MAX 65536
#endif

/* mark is not 0 in the fork server and in workers. It is 0 in a process that code of the
 * application has forked: see core_fork.c. */
typedef union {
	uint32_t mark;
	char page[MB_PAGE_MAX];
} __attribute__((aligned(MB_PAGE_MAX))) mb_own_page;
extern mb_own_page mb_own;

_Noreturn void mb_stray_end(lua_State *L, int failed);

static inline int mb_is_own(void) { return __builtin_expect(mb_own.mark != 0, 1); }

/* Called before anything that belongs to the server is touched: where functions of the
 * application return, and in all functions that it calls. It does not return in a process
 * that the application has forked. */
static inline void mb_own_only(void)
{
	if (!mb_is_own())
		mb_stray_end(NULL, 0);
}

/* The same after a protected call. */
static inline void mb_own_only_after(lua_State *L, int failed)
{
	if (!mb_is_own())
		mb_stray_end(L, failed);
}

/* --- worker ------------------------------------------------------------ */

/* A worker's place in the segments. The server writes what is named in, workers write what
 * is named out. */
typedef struct {
	uint32_t pool, slot;
	uint32_t generation; /* of the exchange claimed last */
	int doorbell;
	int loop_doorbells[MB_FDS_MAX];
	const uint8_t *in_segment;
	uint8_t *out_segment;
	mb_in_header header; /* a copy, checked once */
	const mb_in_worker *in_slot;
	mb_out_worker *out_slot;
} mb_worker;
extern mb_worker worker;

static inline const mb_in_loop *mb_in_loop_at(uint32_t i)
{
	return (const mb_in_loop *)(worker.in_segment + worker.header.in_loops + i * worker.header.in_loop_stride);
}

static inline mb_out_loop *mb_out_loop_at(uint32_t i)
{
	return (mb_out_loop *)(worker.out_segment + worker.header.out_loops + i * worker.header.out_loop_stride);
}

static inline const mb_in_cell *mb_in_cell_at(uint32_t loop, uint32_t cell)
{
	uint64_t i = (uint64_t)loop * worker.header.cells + cell;
	return (const mb_in_cell *)(worker.in_segment + worker.header.in_cells + i * worker.header.in_cell_stride);
}

static inline mb_out_cell *mb_out_cell_at(uint32_t loop, uint32_t cell)
{
	uint64_t i = (uint64_t)loop * worker.header.cells + cell;
	return (mb_out_cell *)(worker.out_segment + worker.header.out_cells + i * worker.header.out_cell_stride);
}

/* --- exchange ---------------------------------------------------------- */

/* What happens to request bodies with a content coding (RFC 9110 §8.4): they are refused with
 * 415, decoded by the server, or given to the handler as they are. */
enum { MB_ENCODED_REFUSE, MB_ENCODED_DECODE, MB_ENCODED_PASS };

/* The options of generate_handler. */
typedef struct {
	double request_body_size_limit, request_header_size_limit;
	double chunk_size; /* 0: not given */
	double maximum_input_chunk_size, minimum_output_chunk_size;
	double idle_timeout, request_header_timeout, stall_timeout;
	double response_timeout, drain_timeout;
	double buffer_response; /* 0: nothing is buffered beyond memory */
	double stream_body;     /* 0 or 1 */
	double on_client_gone; /* 1: the handler is ended by an error; 0: it goes on */
	double client_gone_timeout;
	double encoded_body; /* MB_ENCODED_* */
	double compress;           /* 1: responses are compressed, by the server */
	double compress_min_bytes; /* smaller ones are not */
	double compress_level;     /* 0: the default */
	double cache; /* 0: responses are not kept; otherwise the number of what they are kept in */
	double cache_bytes, cache_entry_bytes, cache_wait;
	double cache_status, cache_directives; /* 0 or 1 */
	size_t types_len;          /* of compress.types, separated by spaces; 0: the default types */
	int post_stream_1_0; /* stream handlers get the name of the field as an argument */
	int static_date, static_close; /* what the static headers contain */
	size_t static_len;
	char static_text[]; /* static_len bytes, then the types */
} mb_http_options;

/* What the request body was used for. */
enum {
	MB_BODY_UNREAD, MB_BODY_STRING, MB_BODY_PARSED, MB_BODY_STREAMED, MB_BODY_DISCARDED,
	MB_BODY_BROKEN /* it is being parsed as a form, or parsing it failed */
};

/* Moves the bytes of an exchange that this worker serves by itself, on its own socket. For
 * all other exchanges the server's loop does that. */
typedef struct {
	void (*notify)(void);            /* the cell has changed */
	void (*wait)(int (*ready)(void)); /* blocks until ready() */
	int (*gone)(void);               /* has the client gone? */
} mb_transport;

typedef struct {
	int active;
	const mb_transport *transport; /* NULL: the server's loop */
	const void *request;           /* the userdata; NULL when the exchange is over */
	uint32_t loop, cell;
	uint32_t nth;                  /* request of its raw connection, from 1; 0: of the server */
	const mb_in_cell *in_cell;
	mb_out_cell *out_cell;
	mb_out_loop *out_loop;
	const uint8_t *in_window;
	uint8_t *out_window;
	mb_head head;              /* a copy */
	const uint8_t *head_bytes; /* the head block: in the window or in head_copy */
	const mb_http_options *options;
	uint32_t end_flags;      /* MB_IN_* that mean that the handler has to end */
	uint32_t out_flags;      /* MB_OUT_* as stored; changed under the lock of response */
	uint64_t taken;          /* bytes taken out of the in-window */
	int body_wanted;         /* MB_OUT_BODY_WANTED was set, or is not needed */
	int body_use;            /* MB_BODY_* */
	int reading_deferred;    /* defer_reading was called */
	int peer_status;         /* not 0: the peer is to blame for the body; the status to answer with */
	int websocket;           /* request:websocket() was called: output is verbs, input is records */
	int cancelled;           /* the error "client has closed the connection" was raised */
	int has_cache;           /* the cache table exists */
	int has_own_fields;      /* the table of the handler's own fields exists */
	int has_stream_handlers; /* a stream handler is registered */
	int in_stream_handler;   /* a stream handler is running */
	int body_processed;      /* as a form, if it is one: too late to register stream handlers */
	mb_buf head_copy, scratch; /* scratch: a body being assembled */
} mb_exchange;
extern mb_exchange exchange;

static inline int mb_is_head(void) { return (exchange.head.flags & MB_HEAD_IS_HEAD) != 0; }
static inline int mb_has_body(void) { return (exchange.head.flags & MB_HEAD_HAS_BODY) != 0; }
static inline int mb_body_in_file(void) { return (exchange.head.flags & MB_HEAD_BODY_FILE) != 0; }

/* Is the response in progress the last on its connection because the worker has to end? Only
 * asked for connections that this worker serves by itself; the server knows it for all
 * others. */
static inline int mb_is_last_response(void)
{
	return exchange.transport && __atomic_load_n(&worker.in_slot->quit, __ATOMIC_ACQUIRE);
}

/* The sleep protocol, for everything that a worker waits for: announce that we are about to
 * block, check once more, then block. The server does the reverse: it changes something,
 * then checks whether we are asleep. Both sides have a full barrier in between, so at least
 * one of them sees the other's write. */
static inline void mb_sleep_begin(void)
{
	__atomic_store_n(&worker.out_slot->asleep, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void mb_sleep_end(void) { __atomic_store_n(&worker.out_slot->asleep, 0, __ATOMIC_RELAXED); }

/* --- core.c ------------------------------------------------------------- */

void mb_notify(void);                   /* tells the loop that this cell has changed */
void mb_wait(int (*ready)(void));       /* blocks until ready() */
int mb_wait_until(int (*ready)(void), double deadline); /* 0: not before it, a time of mb_now. Not with a transport */
void mb_doorbell_wait(void);            /* blocks until the doorbell rings; ends the process if the server is gone */
int mb_cancelled(void);                 /* the handler has to end: it has no client */
int mb_client_gone(void);               /* the client has gone, as far as is known */
int mb_raise_cancelled(lua_State *L);
int mb_body_complete(void);             /* all of it was read or is in the window */
int mb_body_received(void);             /* the next request can follow, even if this one is not read */
void mb_input_consume(uint64_t n);      /* n more bytes of the in-window are no longer needed */
void mb_input_discard(void);            /* throws away what has arrived of a discarded body */
void mb_detach_head(lua_State *L);
void mb_settle_head(lua_State *L);      /* before pointers into head_bytes: they are valid until the end of the exchange then */
const uint8_t *mb_span(lua_State *L, uint32_t off, uint32_t len);
const mb_field *mb_field_at(lua_State *L, uint32_t i);

/* --- core_origin.c -------------------------------------------------------- */

#define MB_TRACE_ID_LEN 32 /* in a traceparent, from its fourth byte on */

/* Where something comes from that is logged: printable text, shortened. What does not apply is
 * empty. */
typedef struct {
	const char *in; /* request, interval, connection, or something else than an exchange */
	char method[40], path[216], id[80], trace[MB_TRACE_ID_LEN + 1]; /* of a request */
	char interval[256];                 /* its name */
	mb_address remote;
	uint64_t exchange; /* that fails with this; 0: none does */
} mb_origin;

void mb_origin_set(mb_origin *o); /* to the exchange in progress */
void mb_origin_fails(mb_origin *o); /* what is logged is the failure of that exchange */
void mb_origin_line(const mb_origin *o, char *to, size_t cap);
/* The traceparent of a request, and its tracestate after that; NULL if it is not traced. */
const char *mb_request_trace(size_t *len);
size_t mb_request_id(char *to, size_t cap); /* needs room for 80 bytes; returns the length */

/* --- core_fork.c ---------------------------------------------------------- */

void mb_own_begin(void); /* in the fork server, before the script runs */
pid_t mb_own_fork(void); /* forks a worker: fork() for a process of our own */

/* --- core_files.c -------------------------------------------------------- */

void mb_files_note(const char *path);        /* a file is about to be loaded */
void mb_files_report(void);                  /* tells the server what was noted */
const char *mb_files_find(const char *name); /* the path for a name in a traceback, or NULL */
int mb_files_changed(const char *path);      /* since it was loaded */

#pragma GCC visibility pop

#endif
