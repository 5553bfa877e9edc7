/* Layer 8: the module moonbridge_shared: dictionaries for Lua, and rate limits. */
#ifndef MB_SHARED_H
#define MB_SHARED_H

#include "io.h"

#define MB_SHARED_MAX 64u            /* dictionaries of a script */
#define MB_SHARED_OWN 2u             /* those that modules open for themselves: for limits, and for secrets */
#define MB_SHARED_LIMITS "moonbridge limits" /* the one that limit uses if it is given none */
#define MB_SHARED_LIMITS_SIZE (8u << 20)
#define MB_SHARED_SECONDS_MAX (10.0 * 366 * 24 * 3600) /* a longer time to live is a mistake */

#pragma GCC visibility push(hidden)

/* --- shared.c ---------------------------------------------------------------- */

int mb_shared_load(lua_State *L); /* loader of moonbridge_shared */

/* --- shared_open.c ------------------------------------------------------------ */

int mb_shared_open(lua_State *L);
const mb_dict *mb_shared_check(lua_State *L, int i);
const mb_dict *mb_shared_named(const char *name); /* NULL: not opened */
void mb_shared_open_as(lua_State *L, const char *name, uint64_t size, int keep); /* for a module; pushes it */

/* --- shared_value.c ------------------------------------------------------------- */

/* An operation for a method: the dictionary is at 1, the key at 2. NULL: the key cannot be one, and
 * nil and a message are pushed. */
const mb_dict *mb_shared_begin(lua_State *L, mb_dict_op *op);
mb_dict_value mb_shared_value(lua_State *L, int i, int or_nil);
void mb_shared_push(lua_State *L, const mb_dict_value *v);
int mb_shared_fail(lua_State *L, int result); /* pushes nil and a message; returns 2 */
int mb_shared_take(lua_State *L, int (*what)(mb_dict_at *)); /* a method whose result is a value, or nil */
void mb_shared_values(lua_State *L); /* adds methods to the table on top */

/* --- shared_list.c, shared_all.c, shared_limit.c ----------------------------------- */

void mb_shared_lists(lua_State *L);
void mb_shared_whole(lua_State *L);
int mb_shared_limit(lua_State *L);

#pragma GCC visibility pop

#endif
