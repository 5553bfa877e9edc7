/* LuaJIT puts machine code into memory that it then makes executable. Where the system forbids
 * that (systemd's MemoryDenyWriteExecute, SELinux, prctl), it would end the process at the
 * first loop that it compiles. There the interpreter has to do. */
#include "process.h"

#if LUA_VERSION_NUM == 501
#include <errno.h>
#include <luajit.h>
#include <sys/mman.h>
#include <unistd.h>

/* Does with a page what LuaJIT does. */
static int may_execute(void)
{
	size_t n = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 1; /* a lack of memory is another matter */
	int forbidden = mprotect(p, n, PROT_READ | PROT_EXEC) && (errno == EACCES || errno == EPERM);
	munmap(p, n);
	return !forbidden;
}

static int do_nothing(lua_State *L)
{
	(void)L;
	return 0;
}

void mb_compiler_check(lua_State *L)
{
	if (may_execute())
		return;
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	lua_getglobal(L, "jit");
	lua_pushcfunction(L, do_nothing); /* a script may try to turn it on */
	lua_setfield(L, -2, "on");
	lua_pop(L, 1);
	process.warning = "the system forbids executable memory: LuaJIT does not compile, scripts are "
		"interpreted, and ffi callbacks do not work";
}

#else
void mb_compiler_check(lua_State *L) { (void)L; }
#endif
