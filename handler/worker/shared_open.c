/* Opens dictionaries. The server makes their memory, and keeps it for the next script. Workers
 * inherit what the script has opened. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char type_name[] = "moonbridge dictionary";

/* Dictionaries stay open for as long as the process lives: a script has few of them. */
static struct {
	char name[MB_DICTIONARY_NAME_MAX + 1];
	uint64_t size; /* as it was asked for */
	mb_dict dict;
} opened[MB_SHARED_MAX + MB_SHARED_OWN];
static uint32_t nopened;
static uint32_t nscript; /* of them, those of the script */

static int find(const char *name)
{
	for (uint32_t i = 0; i < nopened; i++)
		if (!strcmp(opened[i].name, name))
			return (int)i;
	return -1;
}

const mb_dict *mb_shared_named(const char *name)
{
	int i = find(name);
	return i < 0 ? NULL : &opened[i].dict;
}

/* A userdata that holds the address of an open dictionary is one: a comparison of metatables would
 * take as long as the operation. */
const mb_dict *mb_shared_check(lua_State *L, int i)
{
	if (lua_type(L, i) == LUA_TUSERDATA && mb_rawlen(L, i) == sizeof(uintptr_t)) {
		uintptr_t at = *(const uintptr_t *)lua_touserdata(L, i) - (uintptr_t)&opened[0].dict;
		if (at % sizeof *opened == 0 && at / sizeof *opened < nopened)
			return &opened[at / sizeof *opened].dict;
	}
	luaL_checkudata(L, i, type_name); /* raises the error */
	return NULL;
}

static int to_string(lua_State *L)
{
	const mb_dict *d = mb_shared_check(L, 1);
	for (uint32_t i = 0; i < nopened; i++)
		if (d == &opened[i].dict)
			lua_pushfstring(L, "%s \"%s\"", type_name, opened[i].name);
	return 1;
}

static void push(lua_State *L, int i)
{
	*(const mb_dict **)lua_newuserdata(L, sizeof(mb_dict *)) = &opened[i].dict;
	if (luaL_newmetatable(L, type_name)) {
		lua_newtable(L);
		mb_shared_values(L);
		mb_shared_lists(L);
		mb_shared_whole(L);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, to_string);
		lua_setfield(L, -2, "__tostring");
	}
	lua_setmetatable(L, -2);
}

/* Asks the server for the memory. Returns its descriptor. */
static int ask(lua_State *L, const char *name, uint64_t size, int keep, mb_msg_dictionary_ok *ok)
{
	uint8_t message[sizeof(mb_msg_dictionary) + MB_DICTIONARY_NAME_MAX];
	mb_msg_dictionary m = {.size = size, .keep = (uint32_t)keep};
	size_t n = strlen(name);
	int fd;
	memcpy(message, &m, sizeof m);
	memcpy(message + sizeof m, name, n);
	if (!mb_ask_server(L, "shared", MB_MSG_DICTIONARY, message, sizeof m + n, MB_MSG_DICTIONARY_OK, ok, sizeof *ok, &fd))
		return luaL_error(L, "shared: %s", lua_tostring(L, -1));
	return fd;
}

void mb_shared_open_as(lua_State *L, const char *name, uint64_t size, int keep)
{
	mb_msg_dictionary_ok ok;
	int i = find(name);
	if (i >= 0 && opened[i].size != size)
		luaL_error(L, "shared: \"%s\" is open with another size", name);
	if (i < 0) {
		if (nopened == MB_SHARED_MAX + MB_SHARED_OWN)
			luaL_error(L, "shared: more than %d dictionaries", (int)MB_SHARED_MAX);
		int fd = ask(L, name, size, keep, &ok);
		const char *e = mb_dict_open(&opened[nopened].dict, fd, ok.size, ok.key);
		close(fd);
		if (e)
			luaL_error(L, "shared: \"%s\": %s", name, e);
		strcpy(opened[nopened].name, name);
		opened[nopened].size = size;
		i = (int)nopened++;
	}
	push(L, i);
}

/* Bytes, or text such as "64M". */
static uint64_t check_size(lua_State *L, int i)
{
	static const char units[] = "KMG";
	double n = -1;
	if (lua_type(L, i) == LUA_TNUMBER) {
		n = lua_tonumber(L, i);
	} else {
		char *end;
		const char *s = luaL_checkstring(L, i);
		n = strtod(s, &end);
		int letter = *end & ~0x20; /* upper case; a blank is none */
		const char *unit = letter ? strchr(units, letter) : NULL;
		if (end == s || (*end && (!unit || end[1])))
			n = -1;
		for (const char *u = units; unit && u <= unit; u++)
			n *= 1024;
	}
	if (!(n >= MB_DICTIONARY_MIN && n <= (double)MB_DICTIONARY_MAX))
		luaL_error(L, "bad argument #%d to 'shared' (a size from 64K to 16G expected, in bytes or as in \"64M\")", i);
	return (uint64_t)n;
}

static int check_options(lua_State *L, int i)
{
	int keep = 0;
	if (lua_isnoneornil(L, i))
		return 0;
	luaL_checktype(L, i, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "keep"))
			luaL_error(L, "shared: unknown option (there is keep)");
		if (!lua_isboolean(L, -1))
			luaL_error(L, "shared: option keep: boolean expected, got %s", luaL_typename(L, -1));
		keep = lua_toboolean(L, -1);
	}
	return keep;
}

int mb_shared_open(lua_State *L)
{
	size_t n;
	mb_own_only();
	luaL_checktype(L, 1, LUA_TSTRING);
	const char *name = lua_tolstring(L, 1, &n);
	if (!n || n > MB_DICTIONARY_NAME_MAX || strlen(name) != n)
		return luaL_error(L, "bad argument #1 to 'shared' (a name of 1 to %d bytes without NUL expected)",
			(int)MB_DICTIONARY_NAME_MAX);
	if (mb_role != MB_ROLE_WORKER && !process.script_ended) {
		uint64_t size = check_size(L, 2);
		int keep = check_options(L, 3), fresh = find(name) < 0;
		if (fresh && nscript == MB_SHARED_MAX)
			return luaL_error(L, "shared: more than %d dictionaries", (int)MB_SHARED_MAX);
		mb_shared_open_as(L, name, size, keep);
		nscript += (uint32_t)fresh;
		return 1;
	}
	int i = find(name);
	if (i < 0)
		return luaL_error(L, "shared: \"%s\" has to be opened while the script is loaded", name);
	push(L, i);
	return 1;
}
