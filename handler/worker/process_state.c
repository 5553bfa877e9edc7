/* The Lua state of a fork server: libraries, search paths, globals for the script, and the
 * run of the script. */
#include "process.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


/* Where distributions install modules for this version of Lua. A LuaJIT that was built by
 * hand does not search there. */
#if LUA_VERSION_NUM == 501
#define VDIR "5.1"
#elif LUA_VERSION_NUM == 502
#define VDIR "5.2"
#elif LUA_VERSION_NUM == 503
#define VDIR "5.3"
#else
#define VDIR "5.4"
#endif
#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#endif

static const char *const system_path[] = {
	"/usr/local/share/lua/" VDIR "/?.lua", "/usr/local/share/lua/" VDIR "/?/init.lua",
	"/usr/share/lua/" VDIR "/?.lua", "/usr/share/lua/" VDIR "/?/init.lua", NULL};
static const char *const system_cpath[] = {
	"/usr/local/lib/lua/" VDIR "/?.so",
#ifdef TRIPLET
	"/usr/lib/" TRIPLET "/lua/" VDIR "/?.so",
#endif
	"/usr/lib/lua/" VDIR "/?.so", NULL};

static int has_template(const char *path, const char *t)
{
	size_t n = strlen(t);
	for (const char *p = path; (p = strstr(p, t)); p++)
		if ((p == path || p[-1] == ';') && (p[n] == 0 || p[n] == ';'))
			return 1;
	return 0;
}

/* Sets package[name] to our templates, then its old value, then the system's templates. The
 * table `package` is on top. */
static void extend_path(lua_State *L, const char *name, const char *dir,
	const char *const *own, const char *const *system)
{
	lua_getfield(L, -1, name);
	const char *old = lua_tostring(L, -1);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (; *own; own++) {
		luaL_addstring(&b, dir);
		luaL_addstring(&b, *own);
		luaL_addchar(&b, ';');
	}
	luaL_addstring(&b, old ? old : "");
	for (; *system; system++) {
		if (old && has_template(old, *system))
			continue;
		luaL_addchar(&b, ';');
		luaL_addstring(&b, *system);
	}
	luaL_pushresult(&b);
	lua_setfield(L, -3, name);
	lua_pop(L, 1);
}

static void open_paths(lua_State *L, const char *script)
{
	static const char *const lua[] = {"/?.lua", "/?/init.lua", NULL};
	static const char *const c[] = {"/?.so", NULL};
	static const char *const none[] = {NULL};
	char dir[PATH_MAX], copy[PATH_MAX];
	int usable = strlen(script) < sizeof copy;
	if (usable) {
		strcpy(copy, script);
		/* The path is made absolute, so that a chdir of the script changes nothing.
		 * A directory with ; or ? in its name cannot be part of a search path. */
		usable = realpath(dirname(copy), dir) && !strpbrk(dir, ";?");
	}
	lua_getglobal(L, "package");
	extend_path(L, "path", dir, usable ? lua : none, system_path);
	extend_path(L, "cpath", dir, usable ? c : none, system_cpath);
	lua_pop(L, 1);
}

static int table_pack(lua_State *L)
{
	int n = lua_gettop(L);
	lua_createtable(L, n, 1);
	lua_insert(L, 1);
	for (int i = n; i >= 1; i--)
		lua_rawseti(L, 1, i);
	lua_pushinteger(L, n);
	lua_setfield(L, 1, "n");
	return 1;
}

static int raw_len(lua_State *L)
{
	int t = lua_type(L, 1);
	luaL_argcheck(L, t == LUA_TTABLE || t == LUA_TSTRING, 1, "table or string expected");
	lua_pushinteger(L, (lua_Integer)mb_rawlen(L, 1));
	return 1;
}

/* Adds functions of Lua 5.2 that LuaJIT without 5.2 compatibility lacks. */
static void open_missing(lua_State *L)
{
	lua_getglobal(L, "table");
	lua_getfield(L, -1, "pack");
	if (lua_isnil(L, -1)) {
		lua_pushcfunction(L, table_pack);
		lua_setfield(L, -3, "pack");
	}
	lua_pop(L, 1);
	lua_getfield(L, -1, "unpack");
	if (lua_isnil(L, -1)) {
		lua_getglobal(L, "unpack");
		lua_setfield(L, -3, "unpack");
	}
	lua_pop(L, 2);
	lua_getglobal(L, "rawlen");
	if (lua_isnil(L, -1)) {
		lua_pushcfunction(L, raw_len);
		lua_setglobal(L, "rawlen");
	}
	lua_pop(L, 1);
}

static void open_globals(lua_State *L, int argc, char **argv)
{
	static const luaL_Reg modules[] = {{"moonbridge_http", mb_http_load}, {"moonbridge_cache", mb_purge_load},
		{"moonbridge_shared", mb_shared_load}, {"moonbridge_crypto", mb_crypto_load},
		{"moonbridge_channel", mb_channel_load}, {"moonbridge_websocket", mb_websocket_load}, {NULL, NULL}};
	lua_pushstring(L, process.release ? process.release : "development");
	lua_setglobal(L, "_MOONBRIDGE_VERSION");
	lua_pushcfunction(L, mb_listen);
	lua_setglobal(L, "listen");
	lua_pushcfunction(L, mb_timeout);
	lua_setglobal(L, "timeout");
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	mb_set_functions(L, modules);
	mb_library_preload(L);
	lua_pop(L, 2);
	/* As in the standalone interpreter, arg[0] is the script. */
	lua_createtable(L, argc > 2 ? argc - 2 : 0, 2);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - 1);
	}
	lua_setglobal(L, "arg");
}

static int on_panic(lua_State *L)
{
	size_t n;
	const char *s = mb_error_text(L, &n);
	mb_log("lua", s, n);
	_exit(4);
}

lua_State *mb_state_new(int argc, char **argv)
{
	lua_State *L = luaL_newstate();
	if (!L)
		return NULL;
	lua_atpanic(L, on_panic);
	luaL_openlibs(L);
	mb_compiler_check(L);
	mb_random_install(L);
	lua_getglobal(L, "debug");
	lua_getfield(L, -1, "traceback");
	lua_pushcclosure(L, mb_traceback, 1);
	process.traceback_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	open_missing(L);
	open_globals(L, argc, argv);
	open_paths(L, argc > 1 ? argv[1] : "");
	if (process.report_files)
		mb_watch_install(L);
	mb_hint_install(L);
	mb_request_install(L);
	mb_fields_install(L);
	mb_params_install(L);
	mb_file_install(L);
	mb_socket_install(L);
	mb_io_install(L);
	return L;
}

int mb_state_run(lua_State *L, int argc, char **argv)
{
	if (argc < 2) {
		lua_pushliteral(L, "no script given");
		return -1;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	int handler = lua_gettop(L);
	if (process.report_files)
		mb_files_note(argv[1]);
	if (luaL_loadfile(L, argv[1]))
		return -1;
	luaL_checkstack(L, argc, "too many script arguments");
	for (int i = 2; i < argc; i++)
		lua_pushstring(L, argv[i]);
	if (lua_pcall(L, argc - 2, 0, handler))
		return -1;
	lua_settop(L, 0);
	return 0;
}
