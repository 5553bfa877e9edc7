/* Layer 9: the fork server. It has the Lua state, runs the script, keeps what the script
 * passes to listen and generate_handler, and forks. */
#ifndef MB_PROCESS_H
#define MB_PROCESS_H

#include "shared.h"

#define MB_CHUNK_MAX (16u << 20) /* the two chunk sizes of generate_handler */

#pragma GCC visibility push(hidden)

/* --- process_state.c ----------------------------------------------------- */

lua_State *mb_state_new(int argc, char **argv);
int mb_state_run(lua_State *L, int argc, char **argv); /* 0; otherwise the text of the error is on top */

/* --- process_random.c ---------------------------------------------------- */

void mb_random_install(lua_State *L); /* before the script runs; seeds for the first time */
void mb_random_seed(lua_State *L);

/* --- process_compiler.c -------------------------------------------------- */

void mb_compiler_check(lua_State *L); /* turns LuaJIT's compiler off if it could not work */

/* --- process_traceback.c ------------------------------------------------- */

int mb_traceback(lua_State *L);
size_t mb_traceback_after(const char *s, size_t n);

/* --- process_watch.c ------------------------------------------------------ */

void mb_watch_install(lua_State *L); /* from now on, files that Lua loads are noted */

/* --- process_http_options.c ------------------------------------------------ */

int mb_http_load(lua_State *L); /* loader of moonbridge_http */
/* If the function at index i is an HTTP handler, pushes its callback and returns its
 * options. Otherwise returns NULL. */
const mb_http_options *mb_http_handler(lua_State *L, int i);
/* Calls read for each entry of the table on top. Returns whether the option is on: the value may be a boolean instead. */
int mb_http_suboptions(lua_State *L, const char *name, mb_http_options *o, void (*read)(lua_State *L, mb_http_options *o));
size_t mb_http_options_text(const mb_http_options *o, char *to, size_t cap);
const char *mb_static_text(const mb_http_options *o); /* for Go, which cannot see it */

/* --- process_http_compress.c ----------------------------------------------- */

void mb_compress_begin(mb_http_options *o);               /* the defaults */
void mb_compress_option(lua_State *L, mb_http_options *o); /* the value is on top of the stack */
const char *mb_compress_types(void);                      /* of the last option: types_len bytes */

/* --- process_http_cache.c -------------------------------------------------- */

void mb_cache_begin(mb_http_options *o);                /* the defaults */
void mb_cache_option(lua_State *L, mb_http_options *o); /* the value is on top of the stack */
int mb_cache_options_text(const mb_http_options *o, char *to, size_t cap); /* like snprintf */

/* --- process_purge.c --------------------------------------------------------- */

int mb_purge_load(lua_State *L);   /* loader of moonbridge_cache */
void mb_purge_answered(size_t n);  /* from another thread: so many MB_CTL_PURGED have come */

/* --- process_sha256.c -------------------------------------------------------- */

#define MB_SHA256 32 /* bytes */

void mb_sha256(const void *data, size_t n, uint8_t sum[MB_SHA256]);
void mb_hmac_sha256(const void *key, size_t kn, const void *data, size_t n, uint8_t sum[MB_SHA256]);

/* --- process_crypto.c, process_library.c, process_hint.c ----------------------- */

int mb_crypto_load(lua_State *L);   /* loader of moonbridge_crypto */
void mb_library_preload(lua_State *L); /* process_library.c: adds the loaders of modules in Lua to the table on top */
void mb_hint_install(lua_State *L); /* require has a hint for names that are almost right */
/* --- process_channel.c ------------------------------------------------------- */

int mb_channel_load(lua_State *L); /* loader of moonbridge_channel */
/* Asks a question that is answered by a number, and pushes that, or nil and a message. Returns how many values. */
int mb_ask_number(lua_State *L, uint32_t type, uint32_t max, const char *name, size_t name_len, const char *data, size_t data_len);

/* --- process_websocket.c ----------------------------------------------------- */

int mb_websocket_load(lua_State *L); /* loader of moonbridge_websocket */

/* --- process_http_text.c --------------------------------------------------- */

void mb_http_text(lua_State *L); /* adds encode_html and others to the table on top */

/* --- process_error_page.c ------------------------------------------------------ */

void mb_error_pages(lua_State *L); /* replaces the function on top by a table of what it makes */

/* --- process_listen.c ------------------------------------------------------- */

typedef struct {
	int prepare, finish, selftest;
	double memory_limit; /* bytes; 0: none */
	double min_requests; /* exchanges */
	int recycle_on_error;
	char *proxies; /* trusted_proxies, each with a line end; NULL: none */
	mb_connect connect;
	uint32_t listeners;
	mb_connect *listener; /* own connect of each listener */
} mb_pool;

int mb_listen(lua_State *L);
uint32_t mb_pools(void);
const mb_pool *mb_pool_at(uint32_t i);

/* --- process_orphan.c --------------------------------------------------------- */

void mb_orphan_watch(void); /* from now on, this process ends with the server, whatever it does */
void mb_orphan_unwatch(void);

/* --- process_tester.c --------------------------------------------------------- */

int mb_tester_run(const mb_pool *p, const char *file); /* returns the exit code */

/* --- upward: doc.go has the reasons ------------------------------------------- */

int mb_timeout(lua_State *L); /* worker_timeout.c: the global */
/* worker_rawhttp.c: serves the socket at 1 with the callback at 2. Pushes the result for the
 * connect handler. */
int mb_rawhttp_serve(lua_State *L, const mb_http_options *o);

#pragma GCC visibility pop

#endif
