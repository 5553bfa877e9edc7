/* Child processes. A program is started without a fork of this process, so it shares nothing
 * with the server and its workers. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define METATABLE "moonbridge_io child"

extern char **environ;

/* The child object. Its handles are in its own table. */
typedef struct {
	pid_t pid;   /* 0: there is none, or wait has returned its end */
	pid_t owner; /* the process that started it: a worker has copies of the script's objects */
} child;

/* --- pipes -------------------------------------------------------------------------- */

/* Moves a descriptor out of the range of the three that the child will have. */
static int above_standard(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 3), e = errno;
	close(fd);
	errno = e;
	return up;
}

enum { PIPES = 3, OURS = 0, THEIRS = 1 }; /* by the number that the child's end gets */

static void close_ends(int ends[PIPES][2], int which)
{
	for (int i = 0; i < PIPES; i++)
		if (ends[i][which] >= 0)
			close(ends[i][which]);
}

/* Returns 0, or -1 with errno and nothing open. */
static int open_pipes(int ends[PIPES][2])
{
	for (int i = 0; i < PIPES; i++)
		ends[i][OURS] = ends[i][THEIRS] = -1;
	for (int i = 0; i < PIPES; i++) {
		int p[2];
		if (pipe(p)) {
			p[0] = p[1] = -1;
		} else {
			fcntl(p[0], F_SETFD, FD_CLOEXEC);
			fcntl(p[1], F_SETFD, FD_CLOEXEC);
		}
		ends[i][OURS] = above_standard(p[i == 0]); /* the child reads from 0 and writes to the others */
		ends[i][THEIRS] = above_standard(p[i != 0]);
		if (ends[i][OURS] < 0 || ends[i][THEIRS] < 0) {
			int e = errno;
			close_ends(ends, OURS);
			close_ends(ends, THEIRS);
			errno = e;
			return -1;
		}
	}
	return 0;
}

/* --- the start ---------------------------------------------------------------------- */

/* Returns 0 or an errno. The child gets the three pipes and no other descriptor, and no
 * signal that this process ignores or blocks. */
static int spawn(pid_t *pid, char **argv, int ends[PIPES][2])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	for (int i = 0; i < PIPES; i++)
		posix_spawn_file_actions_adddup2(&files, ends[i][THEIRS], i);
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
	posix_spawn_file_actions_addclosefrom_np(&files, PIPES);
#endif
#endif
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	int e = posix_spawnp(pid, argv[0], &files, &how, argv, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

static char **push_argv(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_checkstring(L, 1);
	char **argv = lua_newuserdata(L, ((size_t)n + 1) * sizeof *argv);
	for (int i = 0; i < n; i++) {
		size_t len;
		argv[i] = (char *)mb_check_text(L, i + 1, &len);
		if (strlen(argv[i]) != len)
			luaL_error(L, "exec: argument %d contains a NUL", i + 1);
	}
	argv[n] = NULL;
	return argv;
}

/* Pushes the object with its three handles, all closed, so that nothing can fail any more
 * when the child is there. */
static child *push_child(lua_State *L, mb_handle *h[PIPES])
{
	static const char *const names[PIPES] = {"stdin", "stdout", "stderr"};
	child *c = lua_newuserdata(L, sizeof *c);
	c->pid = 0;
	c->owner = getpid();
	luaL_getmetatable(L, METATABLE);
	lua_setmetatable(L, -2);
	lua_newtable(L);
	for (int i = 0; i < PIPES; i++) {
		h[i] = mb_handle_push(L);
		lua_setfield(L, -2, names[i]);
	}
	mb_set_own(L, -2);
	return c;
}

int mb_io_exec(lua_State *L)
{
	int ends[PIPES][2];
	mb_handle *h[PIPES];
	char **argv = push_argv(L);
	child *c = push_child(L, h);
	if (open_pipes(ends))
		return mb_push_result(L, 0);
	pid_t pid;
	int e = spawn(&pid, argv, ends);
	close_ends(ends, THEIRS);
	if (e) {
		close_ends(ends, OURS);
		errno = e;
		return mb_push_result(L, 0);
	}
	c->pid = pid;
	for (int i = 0; i < PIPES; i++)
		mb_handle_attach(h[i], ends[i][OURS], 0);
	return 1;
}

/* --- methods --------------------------------------------------------------------------- */

static child *check_child(lua_State *L, const char *what)
{
	child *c = luaL_checkudata(L, 1, METATABLE);
	if (!c->pid)
		luaL_error(L, "%s: wait has already returned the end of this process", what);
	if (c->owner != getpid()) /* its number may be that of another process by now */
		luaL_error(L, "%s: the process was started by the script, before this worker was forked", what);
	return c;
}

/* Returns 1 and the status; 0: it is still running; -1: errno. */
static int reap(child *c, int flags, int *status)
{
	pid_t got;
	while ((got = waitpid(c->pid, status, flags)) < 0 && errno == EINTR)
		;
	if (got > 0 || (got < 0 && errno == ECHILD))
		c->pid = 0; /* its number may mean another process soon */
	return got > 0 ? 1 : (int)got;
}

static int push_end(lua_State *L, int status)
{
	lua_pushinteger(L, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
	return 1;
}

static int child_wait(lua_State *L)
{
	int status;
	if (reap(check_child(L, "wait"), 0, &status) < 0)
		return mb_push_result(L, 0);
	return push_end(L, status);
}

static int child_wait_nb(lua_State *L)
{
	int status, got = reap(check_child(L, "wait_nb"), WNOHANG, &status);
	if (got < 0)
		return mb_push_result(L, 0);
	if (got > 0)
		return push_end(L, status);
	lua_pushboolean(L, 0);
	lua_pushliteral(L, "the process is still running");
	return 2;
}

static int child_kill(lua_State *L)
{
	child *c = check_child(L, "kill");
	int sig = (int)luaL_optinteger(L, 2, SIGKILL);
	if (kill(c->pid, sig))
		return mb_push_result(L, 0);
	lua_settop(L, 1);
	return 1;
}

/* A process that can no longer be waited for is ended. */
static int child_gc(lua_State *L)
{
	int status;
	child *c = lua_touserdata(L, 1);
	/* Another part of the script may have waited for it. */
	if (c->pid && c->owner == getpid() && reap(c, WNOHANG, &status) == 0) {
		kill(c->pid, SIGKILL);
		reap(c, 0, &status);
	}
	return 0;
}

/* Upvalue 1 is the table of methods. */
static int child_index(lua_State *L)
{
	luaL_checkudata(L, 1, METATABLE);
	mb_own_or_method(L);
	return 1;
}

void mb_child_install(lua_State *L)
{
	static const luaL_Reg methods[] = {{"kill", child_kill}, {"wait", child_wait},
		{"wait_nb", child_wait_nb}, {NULL, NULL}};
	luaL_newmetatable(L, METATABLE);
	mb_push_functions(L, methods);
	lua_pushcclosure(L, child_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, child_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
}
