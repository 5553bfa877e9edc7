/* Layer 10: the life of a worker. It runs exchanges, and time and memory limits end it. */
#ifndef MB_WORKER_H
#define MB_WORKER_H

#include "process.h"

#pragma GCC visibility push(hidden)

/* --- worker.c ----------------------------------------------------------- */

int mb_worker_run(void); /* exit code */

int mb_quitting(void); /* the worker is to take nothing more */

/* --- worker_claim.c ------------------------------------------------------ */

int mb_claim(uint32_t *loop, uint32_t *cell, uint32_t *gen); /* 0: no exchange waits */

/* --- worker_report.c ------------------------------------------------------ */

typedef struct {
	uint32_t level;  /* MB_LEVEL_* */
	uint32_t status; /* not 0: the peer is at fault and is answered with it */
	const char *message, *traceback;
	size_t message_len, traceback_len;
} mb_report;

void mb_report_send(const mb_report *r, const mb_origin *o);
void mb_report_text(uint32_t level, const mb_origin *o, const char *s, size_t n);
void mb_report_error(lua_State *L, const mb_origin *o); /* the error on top, with its traceback */
/* Builds the message for mb_message_send_now. Returns its length, 0 if there is no room. */
size_t mb_report_build(uint8_t *to, size_t cap, const mb_report *r, const mb_origin *o);

/* --- worker_exchange.c --------------------------------------------------- */

/* Before prepare, and after it. Only the first allocates: that may run a finalizer of the application, whose error LuaJIT passes on. */
void mb_exchange_install(lua_State *L);
void mb_exchange_prepare_stack(lua_State *L);
enum { MB_RUN_ON, MB_RUN_RETIRE, MB_RUN_EXIT }; /* EXIT: end without finish */
int mb_exchange_run(uint32_t loop, uint32_t cell, uint32_t gen); /* MB_RUN_* */
/* The steps of mb_exchange_run, for an exchange on another transport. */
void mb_exchange_begin(const mb_in_cell *ic, mb_out_cell *oc, const mb_transport *via);
void mb_exchange_use(const mb_http_options *o); /* the options of its handler */
int mb_exchange_head(void); /* -1: the peer has gone */
int mb_exchange_serve(lua_State *L); /* called protected: calls the HTTP callback at 1 */
int mb_exchange_log(lua_State *L); /* logs the error on top; 0: not logged, it is the peer's fault */
int mb_exchange_may_retire(void); /* min_requests_per_fork is reached */
uint32_t mb_exchange_settle(lua_State *L, int failed); /* returns the result, without RETIRE */
void mb_exchange_end(uint32_t result); /* after this the cell must not be touched */

/* --- worker_rawhttp.c, rawhttp.go: HTTP on a raw socket ----------------------- */

/* What Go needs to serve a connection. Everything that it points to outlives the connection. */
typedef struct {
	int fd, bell;
	const int *socket; /* mb_socket_fd */
	uint32_t *settled; /* 1: the peer sees a regular end, however this process ends */
	mb_in_cell *in_cell;
	mb_out_cell *out_cell;
	uint32_t in_window, out_window;
	const uint32_t *quit;
	uint32_t *asleep;
	const mb_http_options *options;
	const mb_head *raw; /* the head of the exchange that brought the socket */
	const void *early;  /* bytes read from the socket before */
	size_t early_len;
	const char *tls; /* what is known of the connection's TLS; NULL: it has none */
	const char *proxies; /* trusted_proxies, each with a line end; NULL: none */
} mb_rawhttp;

/* Has the kernel all of the response in progress, or of the last one if there is none? Then the peer sees a regular end, however this process ends. Async-signal-safe. */
int mb_rawhttp_delivered(void);
void mb_rawhttp_refused(uint32_t status, const uint8_t *cause, size_t n, const uint8_t *method, size_t method_len,
	const uint8_t *path, size_t path_len);

/* --- worker_memory.c ----------------------------------------------------------- */

const char *mb_memory_begin(lua_State *L, double limit); /* NULL, or what is wrong */
void mb_memory_ready(void);                              /* after prepare */
void mb_memory_was_reached(const char *in);              /* logs it, and forgets it */
void mb_memory_for_finish(lua_State *L);
void mb_memory_end(lua_State *L);                        /* before lua_close */
int mb_memory_exhausted_slow(lua_State *L);

/* Is the worker to be replaced? Called after an exchange, while mb_origin_set still works. */
static inline int mb_memory_exhausted(lua_State *L)
{
	return memory.limit && mb_memory_exhausted_slow(L);
}

/* --- worker_words.c --------------------------------------------------------------- */

/* What a signal handler logs before it ends the worker: the message for the server, and the
 * same as a line for standard error if that message cannot be sent. */
typedef struct {
	uint8_t report[1024];
	size_t report_len, line_len;
	char line[768];
} mb_last_words;

void mb_words_set(mb_last_words *w, const mb_origin *o, const char *text);
void mb_words_say(const mb_last_words *w); /* async-signal-safe */

/* --- worker_timeout.c ------------------------------------------------------------ */

void mb_timeout_begin(void); /* when the worker starts, on the main thread */
void mb_timeout_clear(void); /* called when the handler has returned */
void mb_timeout_set(double seconds);
/* For a handler that runs inside another one: limits that the inner one sets end with it. */
#define MB_PLACE_MAX 128
typedef struct {
	double limit, outer;
	char where[MB_PLACE_MAX]; /* this and the words: only if there is a limit */
	mb_last_words words;
} mb_limits;
void mb_timeout_save(mb_limits *l);
void mb_timeout_restore(const mb_limits *l);
void mb_timeout_interrupt(void);            /* from another thread: calls mb_trace_set_hook */
void mb_timeout_set_name(const char *hook); /* prepare, finish, or NULL: an exchange */

/* --- worker_trace.c ---------------------------------------------------------------- */

void mb_trace_wanted(void);  /* from another thread: MB_CTL_TRACEBACK */
int mb_trace_set_hook(void); /* in a signal handler on the main thread; 0: not wanted */

/* --- worker_gone.c ----------------------------------------------------------------- */

int mb_gone_applies(void);  /* the handler is to be ended because its client has gone */
void mb_gone_wanted(void);  /* from another thread: MB_CTL_CLIENT_GONE */
void mb_gone_set_hook(void); /* in a signal handler on the main thread: if it is wanted */
void mb_gone_prepare(void); /* a request on a raw connection begins */
void mb_gone_overdue(void); /* from another thread: the worker is to end */
const mb_last_words *mb_gone_end(void); /* in a signal handler: what is logged; NULL: not wanted */

/* --- worker_websocket.c ------------------------------------------------------------ */

void mb_websocket_install(lua_State *L); /* before the first exchange */
int mb_websocket_run(lua_State *L);      /* called protected, for an exchange of MB_KIND_WEBSOCKET */

/* --- worker_orders.c ----------------------------------------------------------------- */

void mb_take_orders(int fd); /* returns when the server is gone */

#pragma GCC visibility pop

/* --- in Go ------------------------------------------------------------------------------ */

void mbConnOpen(mb_rawhttp *l);
int mbConnNext(void);
void mbConnStep(int begin);
void mbConnNotify(void);
int mbConnGone(void);
int mbConnEnd(uint32_t result);
int mbConnClose(int failed);

#endif
