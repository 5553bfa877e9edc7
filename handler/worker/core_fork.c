/* Processes that code of the application forks. Such a child has a copy of all that the worker
 * has, and would go on as a second worker on the same memory and the same descriptors. It may
 * do what it likes, but it must not come back into our code.
 *
 * What tells the two apart is a page that the system clears in every child (Linux), whichever
 * way it was forked. Elsewhere a handler of fork() clears it. */
#include "core.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

mb_own_page mb_own;
static int forking; /* in mb_own_fork */

/* Runs in a child. A child that lives on must not hide from the server that this process has
 * ended, so it gives up its copies of the descriptors that the server watches. */
static void in_child(void)
{
	if (forking)
		return;
	mb_own.mark = 0;
	close(process.control);
	if (mb_role != MB_ROLE_WORKER)
		return;
	close(worker.doorbell);
	mb_close_all(worker.loop_doorbells, (int)worker.header.loops);
}

void mb_own_begin(void)
{
#ifdef MADV_WIPEONFORK
	madvise(&mb_own, sizeof mb_own, MADV_WIPEONFORK); /* not before Linux 4.14: the handler remains */
#endif
	mb_own.mark = 1;
	pthread_atfork(NULL, NULL, in_child);
}

pid_t mb_own_fork(void)
{
	forking = 1;
	pid_t pid = fork();
	forking = 0;
	if (pid == 0)
		mb_own.mark = 1;
	return pid;
}

/* Nothing is flushed: what is in the buffers of the C library belongs to the worker. */
void mb_stray_end(lua_State *L, int failed)
{
	static const char came_back[] = "it came back from the function that forked it, or called the server's "
		"functions: ended; it must end with _exit, or call exec";
	const char *s = came_back;
	size_t n = sizeof came_back - 1;
	if (failed && lua_type(L, -1) == LUA_TSTRING)
		s = lua_tolstring(L, -1, &n);
	mb_log("forked process", s, n);
	_exit(1);
}
