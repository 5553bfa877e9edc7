/* Methods for single values. What an application may have to expect is returned: nil and a message.
 * Arguments of a wrong type are errors. */
#include "shared.h"

#include <string.h>

#define BUFFER_KEPT (1u << 20)

/* For results. Finalizers of Lua may call these functions while a result is pushed (mb_push_content). */
static mb_buf out;

const mb_dict *mb_shared_begin(lua_State *L, mb_dict_op *op)
{
	mb_own_only();
	const mb_dict *d = mb_shared_check(L, 1);
	memset(op, 0, sizeof *op);
	op->out = &out;
	op->key = mb_check_text(L, 2, &op->key_len);
	if (op->key_len > 0 && op->key_len <= MB_DICT_KEY_MAX)
		return d;
	lua_pushnil(L);
	if (op->key_len)
		lua_pushliteral(L, "key too long");
	else
		lua_pushliteral(L, "empty key");
	return NULL;
}

static mb_dict_value number_at(lua_State *L, int i)
{
	mb_dict_value v = {.type = MB_DICT_NUMBER};
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, i)) {
		v.type = MB_DICT_INTEGER;
		v.number = (uint64_t)lua_tointeger(L, i);
		return v;
	}
#endif
	double f = luaL_checknumber(L, i);
	memcpy(&v.number, &f, sizeof f);
	return v;
}

mb_dict_value mb_shared_value(lua_State *L, int i, int or_nil)
{
	mb_dict_value v = {0};
	switch (lua_type(L, i)) {
	case LUA_TSTRING:
		v.type = MB_DICT_STRING;
		v.p = lua_tolstring(L, i, &v.n);
		return v;
	case LUA_TNUMBER:
		return number_at(L, i);
	case LUA_TBOOLEAN:
		v.type = MB_DICT_BOOLEAN;
		v.number = (uint64_t)lua_toboolean(L, i);
		return v;
	case LUA_TNIL:
		if (or_nil)
			return v;
	}
	luaL_error(L, "bad argument #%d (string, number or boolean expected, got %s)", i - 1, luaL_typename(L, i));
	return v;
}

/* Seconds; none or nil: for ever. */
static void get_ttl(lua_State *L, int i, mb_dict_op *op)
{
	if (lua_isnoneornil(L, i))
		return;
	double seconds = luaL_checknumber(L, i);
	if (!(seconds >= 0 && seconds <= MB_SHARED_SECONDS_MAX))
		luaL_error(L, "bad argument #%d (a time from 0 seconds to ten years expected)", i - 1);
	op->has_ttl = 1;
	op->ttl = (int64_t)(seconds * 1e9);
	if (op->ttl == 0 && seconds > 0)
		op->ttl = 1;
}

void mb_shared_push(lua_State *L, const mb_dict_value *v)
{
	double f;
	switch (v->type) {
	case MB_DICT_STRING:
		mb_push_content(L, &out);
		if (out.cap > BUFFER_KEPT)
			mb_buf_free(&out);
		return;
	case MB_DICT_NUMBER:
		memcpy(&f, &v->number, sizeof f);
		lua_pushnumber(L, f);
		return;
	case MB_DICT_INTEGER:
#if LUA_VERSION_NUM >= 503
		lua_pushinteger(L, (lua_Integer)v->number);
#else
		lua_pushnumber(L, (lua_Number)(int64_t)v->number);
#endif
		return;
	case MB_DICT_BOOLEAN:
		lua_pushboolean(L, v->number != 0);
		return;
	case MB_DICT_LIMIT:
		lua_pushboolean(L, 1);
		return;
	}
	lua_pushnil(L);
}

int mb_shared_fail(lua_State *L, int result)
{
	lua_pushnil(L);
	lua_pushstring(L, mb_dict_message(result));
	return 2;
}

/* Returns v or nil, a message or nil, and whether others had to go. */
static int changed(lua_State *L, int result, const mb_dict_op *op, const mb_dict_value *v)
{
	if (result != MB_DICT_OK) {
		mb_shared_fail(L, result);
	} else {
		mb_shared_push(L, v);
		lua_pushnil(L);
	}
	lua_pushboolean(L, op->evicted);
	return 3;
}

int mb_shared_take(lua_State *L, int (*what)(mb_dict_at *))
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	int r = mb_dict_run(d, &op, what);
	if (r != MB_DICT_OK && r != MB_DICT_NOT_FOUND)
		return mb_shared_fail(L, r);
	mb_shared_push(L, &op.result);
	return 1;
}

static int stored(lua_State *L, int result, const mb_dict_op *op)
{
	return changed(L, result, op, &(mb_dict_value){.type = MB_DICT_BOOLEAN, .number = 1});
}

static int get(lua_State *L) { return mb_shared_take(L, mb_dict_get); }

static int store(lua_State *L, int (*what)(mb_dict_at *))
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	lua_settop(L, 4);
	op.value = mb_shared_value(L, 3, what != mb_dict_add);
	get_ttl(L, 4, &op);
	return stored(L, mb_dict_run(d, &op, what), &op);
}

static int set(lua_State *L) { return store(L, mb_dict_set); }
static int add(lua_State *L) { return store(L, mb_dict_add); }
static int replace(lua_State *L) { return store(L, mb_dict_replace); }

static int cas(lua_State *L)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	lua_settop(L, 5);
	op.old = mb_shared_value(L, 3, 1);
	op.value = mb_shared_value(L, 4, 1);
	get_ttl(L, 5, &op);
	return stored(L, mb_dict_run(d, &op, mb_dict_cas), &op);
}

static int incr(lua_State *L)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	op.value = number_at(L, 3);
	if (!lua_isnoneornil(L, 4))
		op.old = number_at(L, 4);
	get_ttl(L, 5, &op);
	return changed(L, mb_dict_run(d, &op, mb_dict_incr), &op, &op.result);
}

static int delete(lua_State *L)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	lua_pushboolean(L, mb_dict_run(d, &op, mb_dict_delete) == MB_DICT_OK);
	return 1;
}

static int expire(lua_State *L)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	luaL_checknumber(L, 3);
	get_ttl(L, 3, &op);
	int r = mb_dict_run(d, &op, mb_dict_expire);
	if (r != MB_DICT_OK)
		return mb_shared_fail(L, r);
	lua_pushboolean(L, 1);
	return 1;
}

static int ttl(lua_State *L)
{
	mb_dict_op op;
	const mb_dict *d = mb_shared_begin(L, &op);
	if (!d)
		return 2;
	int r = mb_dict_run(d, &op, mb_dict_ttl);
	if (r != MB_DICT_OK)
		return mb_shared_fail(L, r);
	lua_pushnumber(L, (double)op.left / 1e9);
	return 1;
}

void mb_shared_values(lua_State *L)
{
	static const luaL_Reg f[] = {{"get", get}, {"set", set}, {"add", add}, {"replace", replace}, {"cas", cas}, {"incr", incr},
		{"delete", delete}, {"expire", expire}, {"ttl", ttl}, {NULL, NULL}};
	mb_set_functions(L, f);
}
