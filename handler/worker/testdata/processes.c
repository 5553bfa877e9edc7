/* Processes, for the tests: a module for both versions of Lua, built by processes_test.go. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

static int process_fork(lua_State *L)
{
	lua_pushinteger(L, fork());
	return 1;
}

/* Forks as fork() does, but no handler of it runs. */
static int process_clone(lua_State *L)
{
#ifdef SYS_fork
	lua_pushinteger(L, syscall(SYS_fork));
#else
	lua_pushinteger(L, syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L));
#endif
	return 1;
}

/* Waits for a child. Says how it has ended. */
static int process_wait(lua_State *L)
{
	int status;
	if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
		return luaL_error(L, "wait failed");
	if (WIFEXITED(status))
		lua_pushfstring(L, "exited %d", WEXITSTATUS(status));
	else
		lua_pushfstring(L, "signal %d", WTERMSIG(status));
	return 1;
}

static int process_end(lua_State *L)
{
	_exit((int)luaL_checkinteger(L, 1));
}

static int process_run(lua_State *L)
{
	execl("/bin/sh", "sh", "-c", luaL_checkstring(L, 1), (char *)NULL);
	return luaL_error(L, "exec failed");
}

static int process_pid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

static int process_group(lua_State *L)
{
	lua_pushinteger(L, getpgrp());
	return 1;
}

int luaopen_processes(lua_State *L)
{
	static const luaL_Reg functions[] = {{"fork", process_fork}, {"clone", process_clone}, {"wait", process_wait},
		{"_exit", process_end}, {"exec", process_run}, {"pid", process_pid}, {"group", process_group}, {NULL, NULL}};
	lua_newtable(L);
	for (const luaL_Reg *f = functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
	return 1;
}
