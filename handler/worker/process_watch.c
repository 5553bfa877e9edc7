/* Which files the script is made of: for a server that loads it anew when one of
 * them changes. Noted is what require, dofile and loadfile are about to read,
 * with the state that the file is in before that: a change that comes while it is
 * read is seen as one. Not noted are files that a script opens to read. */
#include "mb.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

static mb_buf notes; /* as in MB_MSG_FILES */
static unsigned count;

static int noted(const char *path)
{
	const char *p = (const char *)notes.p, *end = p + notes.len;
	for (; p < end; p += strlen(p) + 1) {
		const char *name = strchr(p, '/');
		if (name && !strcmp(name, path))
			return 1;
	}
	return 0;
}

void mb_watch_note(const char *path)
{
	char whole[PATH_MAX], note[PATH_MAX + 80];
	size_t n = 0;
	if (*path != '/') {
		/* The script may change its directory later. Links stay what they are:
		 * they may lead elsewhere in a moment. */
		if (!getcwd(whole, sizeof whole - 1))
			return;
		n = strlen(whole);
		whole[n++] = '/';
	}
	if (strlen(path) >= sizeof whole - n)
		return;
	strcpy(whole + n, path);
	if (count == MB_FILES_MAX || noted(whole))
		return;
	struct stat s = {0};
	long long at = 0;
	if (stat(whole, &s) == 0)
		at = (long long)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
	else
		s.st_size = 0, s.st_ino = 0;
	int len = snprintf(note, sizeof note, "%lld %lld %llu %s", at, (long long)s.st_size,
		(unsigned long long)s.st_ino, whole);
	if (notes.len + (size_t)len + 1 > MB_MSG_MAX || mb_buf_add(&notes, note, (size_t)len + 1))
		return;
	count++;
	if (mb_role == MB_ROLE_WORKER)
		mb_send(P.control, MB_MSG_FILES, note, (size_t)len + 1);
}

void mb_watch_report(void)
{
	if (notes.len)
		mb_send(P.control, MB_MSG_FILES, notes.p, notes.len);
}

/* Lua shows the beginning of a long name as "...". */
const char *mb_watch_find(const char *name)
{
	const char *p = (const char *)notes.p, *end = p + notes.len;
	int cut = !strncmp(name, "...", 3);
	if (cut)
		name += 3;
	else
		while (!strncmp(name, "./", 2))
			name += 2;
	size_t n = strlen(name);
	for (; p < end; p += strlen(p) + 1) {
		const char *path = strchr(p, '/');
		size_t len = path ? strlen(path) : 0;
		if (n == 0 || len < n || strcmp(path + len - n, name))
			continue;
		if (cut || len == n || path[len - n - 1] == '/')
			return path;
	}
	return NULL;
}

/* --- what Lua loads ---------------------------------------------------------- */

/* Calls upvalue 1 with the arguments, for its results. */
static int pass_on(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* dofile and loadfile. */
static int load_noting(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		mb_watch_note(lua_tostring(L, 1));
	return pass_on(L);
}

/* A searcher of require: upvalue 2 is the table package, 3 the name of the path in it,
 * 4 package.searchpath, 5 whether it looks for the root of the name. */
static int search_noting(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING) {
		const char *name = lua_tostring(L, 1), *dot = strchr(name, '.');
		lua_pushvalue(L, lua_upvalueindex(4));
		if (!lua_toboolean(L, lua_upvalueindex(5)))
			lua_pushvalue(L, 1);
		else
			lua_pushlstring(L, name, dot ? (size_t)(dot - name) : 0);
		lua_pushvalue(L, lua_upvalueindex(3));
		lua_gettable(L, lua_upvalueindex(2));
		if (lua_pcall(L, 2, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
			mb_watch_note(lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return pass_on(L);
}

static void wrap_global(lua_State *L, const char *name)
{
	lua_getglobal(L, name);
	lua_pushcclosure(L, load_noting, 1);
	lua_setglobal(L, name);
}

void mb_watch_open(lua_State *L)
{
	static const char *const path[] = {"path", "cpath", "cpath"};
	wrap_global(L, "dofile");
	wrap_global(L, "loadfile");
	lua_getglobal(L, "package");
	int package = lua_gettop(L);
	lua_getfield(L, package, LUA_VERSION_NUM >= 502 ? "searchers" : "loaders");
	for (int i = 0; i < 3; i++) { /* the first one of all is for what is preloaded */
		lua_rawgeti(L, -1, i + 2);
		lua_pushvalue(L, package);
		lua_pushstring(L, path[i]);
		lua_getfield(L, package, "searchpath");
		lua_pushboolean(L, i == 2);
		lua_pushcclosure(L, search_noting, 5);
		lua_rawseti(L, -2, i + 2);
	}
	lua_settop(L, package - 1);
}
