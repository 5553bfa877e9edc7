/* Layer 1: what knows nothing of this server's state: the subset of the Lua C API that all
 * versions share, buffers, text, log lines, messages on control sockets. */
#ifndef MB_BASE_H
#define MB_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "layout.h"

#if UINTPTR_MAX < UINT64_MAX
#error "workers need a 64-bit system: Go and C lay out the shared memory in different ways on others"
#endif

#if LUA_VERSION_NUM >= 502
#define mb_rawlen lua_rawlen
#else
#define mb_rawlen lua_objlen
#endif

/* The table that belongs to a userdata: its user value, or in old versions its environment. */
#if LUA_VERSION_NUM >= 502
#define mb_get_own lua_getuservalue
#define mb_set_own lua_setuservalue
#else
#define mb_get_own lua_getfenv
#define mb_set_own lua_setfenv
#endif

/* Lua's headers do not say that these take a format: the compiler checks the arguments of ours. Lua has %s, %d, %f, %p, %c and %%. */
extern int luaL_error(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern const char *lua_pushfstring(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define MB_FDS_MAX 253         /* descriptors of one message (SCM_MAX_FD) */
#define MB_TEXT_MAX (64u << 10) /* text of an error on a control socket */

/* C modules of the application run in the same process. Our names must not clash with
 * theirs, so the dynamic linker does not see ours. Every header does the same. */
#pragma GCC visibility push(hidden)

/* --- base.c ------------------------------------------------------------- */

typedef struct {
	uint8_t *p;
	size_t len, cap;
} mb_buf;

int mb_buf_room(mb_buf *b, size_t n);                                         /* 0, or -1: no memory */
int mb_buf_add(mb_buf *b, const void *p, size_t n);                           /* 0, or -1: no memory */
void mb_buf_free(mb_buf *b);
void mb_close_all(int *fds, int n);
void mb_log(const char *what, const char *text, size_t len);                  /* one write to stderr */
size_t mb_quote(char *to, size_t cap, const uint8_t *p, size_t n);
int mb_same_word(const char *a, size_t n, const char *lower);                 /* ignores case */
int mb_list_next(const char **s, const char *end, const char **m, size_t *n); /* 0: no more members */
int mb_list_has(const char *v, size_t n, const char *lower);
double mb_now(void);                                                          /* seconds, monotonic */
int mb_remaining_ms(double deadline);                                         /* for poll: at least 0 */

/* --- base_lua.c --------------------------------------------------------- */

const char *mb_tostring(lua_State *L, int i, size_t *n);   /* replaces slot i */
const char *mb_push_count(lua_State *L, uint64_t n);       /* pushes the digits */
const char *mb_check_text(lua_State *L, int i, size_t *n); /* string or number */
void mb_set_functions(lua_State *L, const luaL_Reg *f);    /* into the table on top */
/* Calls in protected mode, for which nothing is allocated: what they are called with can be freed whatever happens. */
void mb_keep_function(lua_State *L, lua_CFunction f);                       /* once, before it is called so */
void mb_push_kept(lua_State *L, lua_CFunction f);
int mb_call_kept(lua_State *L, lua_CFunction f, void *with, int results);   /* with: a light userdata. As lua_pcall */
void mb_keep_push(lua_State *L);                                            /* before mb_push_content is called */
void mb_push_content(lua_State *L, mb_buf *b);                              /* pushes it, as a string */
int mb_push_functions(lua_State *L, const luaL_Reg *f);    /* pushes a table of them; returns 1 */
int mb_key_among(lua_State *L, const char *const *names);  /* index of the key at -2 in a list that ends with NULL, or -1 */
/* Calls read for each option in the table at 2, with its value on top. Raises an error for one that is not used: bits of known. The values
 * stay on the stack, so that their text stays valid if code of the application takes them out of the table meanwhile. */
void mb_each_option(lua_State *L, const char *verb, const char *const *known, unsigned used,
	void (*read)(lua_State *L, void *with, int option), void *with);
const char *mb_error_text(lua_State *L, size_t *n);        /* of the error on top */
void mb_buf_put(lua_State *L, mb_buf *b, const void *p, size_t n); /* mb_buf_add that raises an error */
void mb_buf_put_part(lua_State *L, mb_buf *b, uint32_t *len, const void *p, size_t n); /* the same; sets *len to n */
void mb_own_or_method(lua_State *L); /* for __index: pushes the own field of the object, or the method in the table in upvalue 1 */

/* --- base_message.c ----------------------------------------------------- */

int mb_message_send(int fd, uint32_t type, const void *p, size_t n); /* 0 or -1 */
int mb_message_pass(int fd, uint32_t type, const void *p, size_t n, int passed); /* with a descriptor; 0 or -1 */
/* Waits until the other end has taken most of what was sent before: a message of a few KiB is sent without a wait then. 0: it has
 * not taken it in time. */
int mb_message_room(int fd, int seconds);
int mb_message_try(int fd, uint32_t type, const void *p, size_t n);  /* -1: too long, or there is no room now */
/* Sends a whole message with its header, or returns -1. For signal handlers: it does not
 * block, and does not break into a message that is being sent. */
int mb_message_send_now(int fd, const void *p, size_t n);
/* 1; 0: end of file; -1: error. *payload is malloc'ed, with a NUL after it. */
int mb_message_receive(int fd, mb_msg *m, uint8_t **payload, int *fds, int *nfds);
/* At least one byte, and the descriptors that come with it; 0: end of file; -1: error. */
ssize_t mb_receive_some(int fd, uint8_t *p, size_t n, int *fds, int *nfds);

#pragma GCC visibility pop

#endif
