/* Layer 2: the state of a process (of the fork server, then of a worker, then of the exchange
 * that it runs), and the verbs that everything above needs. */
#ifndef MB_CORE_H
#define MB_CORE_H

#include "base.h"

/* Limits; what happens at them stands where they are used. */
#define MB_REQUEST_HEAD_MAX (2u << 20) /* head block, fields table included */
#define MB_FILES_MAX 1024u             /* files that are watched, of one script */

#pragma GCC visibility push(hidden)

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

typedef struct {
	size_t limit; /* bytes; 0: none */
	int armed;    /* what goes beyond is refused: while code of the application runs,
	                 and errors can be raised */
	int failed;   /* 1: that has happened; 2: and was logged */
} mb_memory_state;
extern mb_memory_state mb_memory;

/* --- worker ------------------------------------------------------------ */

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

/* --- exchange ---------------------------------------------------------- */

/* The options of generate_handler. */
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

static inline int mb_is_head(void) { return (X.hd.flags & MB_HEAD_IS_HEAD) != 0; }
static inline int mb_has_body(void) { return (X.hd.flags & MB_HEAD_HAS_BODY) != 0; }

/* The worker is to end: the response in progress is the last on its connection. Only for
 * what this worker serves by itself; for all others that is known to the server. */
static inline int mb_is_last_response(void)
{
	return X.via && __atomic_load_n(&W.inw->quit, __ATOMIC_ACQUIRE);
}

/* --- core.c ------------------------------------------------------------- */

void mb_notify(void);                 /* has the loop look at this cell */
void mb_wait(int (*ready)(void));     /* blocks until ready() */
int mb_doorbell_wait(void);
int mb_cancelled(void);
int mb_raise_cancelled(lua_State *L);
int mb_body_complete(void); /* all of it was read, or lies in the window */
void mb_took(uint64_t n); /* n more bytes of the in-window are no longer needed */
void mb_detach_head(lua_State *L);
const uint8_t *mb_span(lua_State *L, uint32_t off, uint32_t len);
const mb_field *mb_field_at(lua_State *L, uint32_t i);
void mb_describe(char *to, size_t cap); /* who failed: names the exchange */

/* --- core_files.c -------------------------------------------------------- */

void mb_watch_note(const char *path);  /* one is about to be loaded */
void mb_watch_report(void);            /* tells the server what was noted */
const char *mb_watch_find(const char *name); /* the path that a name in a traceback means, or NULL */

#pragma GCC visibility pop

#endif
