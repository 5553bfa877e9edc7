/* The fork server. It runs before the Go runtime starts, because a child that is forked from
 * a process with threads cannot go on. It loads the script, then forks a worker for each
 * FORK message. The child returns from the constructor, so that the Go runtime starts in it.
 * The fork server itself never gets that far. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int chld[2];   /* the handler of SIGCHLD writes to it */
static pid_t *living; /* forked and not yet reaped */
static size_t nliving, cap_living;

static void fail(const char *text, size_t n)
{
	fflush(NULL);
	mb_files_report();
	mb_message_send(process.control, MB_MSG_FAILED, text, n > MB_TEXT_MAX ? MB_TEXT_MAX : n);
	_exit(3);
}

static void on_sigchld(int sig)
{
	int e = errno;
	ssize_t k = write(chld[1], "", 1); /* full: it already holds a byte */
	(void)sig;
	(void)k;
	errno = e;
}

static void open_sigchld_pipe(void)
{
	if (pipe(chld)) {
		const char *e = strerror(errno);
		fail(e, strlen(e));
	}
	for (int i = 0; i < 2; i++) {
		fcntl(chld[i], F_SETFL, O_NONBLOCK);
		fcntl(chld[i], F_SETFD, FD_CLOEXEC);
	}
	struct sigaction a = {.sa_handler = on_sigchld, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	sigaction(SIGCHLD, &a, NULL);
}

/* Has a worker ended itself because of timeout()? */
static int ended_late(const siginfo_t *i) { return i->si_code == CLD_EXITED && i->si_status == MB_EXIT_TIMEOUT; }

/* Until a child is reaped, no other process and no other group can have its number. */
static void reap(const siginfo_t *ended)
{
	int status = 0;
	pid_t pid = ended->si_pid;
	for (size_t i = 0; i < nliving; i++) {
		if (living[i] != pid)
			continue; /* children of the script itself are not reported */
		living[i] = living[--nliving];
		if (ended_late(ended))
			kill(-pid, SIGKILL); /* with what it was waiting for */
		waitpid(pid, &status, 0);
		mb_msg_exited m = {.pid = pid, .status = status};
		mb_message_send(process.control, MB_MSG_EXITED, &m, sizeof m);
		return;
	}
	waitpid(pid, &status, 0);
}

static void reap_children(void)
{
	char b[64];
	while (read(chld[0], b, sizeof b) > 0)
		;
	siginfo_t ended;
	while (ended.si_pid = 0, waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0)
		reap(&ended);
}

/* Called in the child, which gives up what belongs to the fork server. It has a group of
 * processes of its own: what its code starts may signal its group without hitting others. */
static void leave_fork_server(int control, int stderr_fd)
{
	setpgid(0, 0);
	signal(SIGCHLD, SIG_DFL);
	close(process.control);
	close(chld[0]);
	close(chld[1]);
	free(living);
	living = NULL;
	process.control = control;
	/* What reads it has its own thread, and may block. */
	fcntl(process.control, F_SETFL, fcntl(process.control, F_GETFL) & ~O_NONBLOCK);
	if (stderr_fd == 2)
		fcntl(2, F_SETFD, 0); /* it was closed, so the received descriptor got its number */
	else
		dup2(stderr_fd, 2);
}

/* Called in the child. It only does what cannot wait for the Go runtime. */
static void become_worker(const mb_msg_fork *f, int *fds, int nfds)
{
	leave_fork_server(fds[2], fds[3]);
	worker.pool = f->pool;
	worker.slot = f->slot;
	worker.doorbell = fds[4];
	const char *e = mb_segment_map(fds[0], fds[1]);
	if (!e && (uint32_t)(nfds - 5) != worker.header.loops)
		e = "fork: number of doorbells differs from number of loops";
	if (e) {
		mb_message_send(process.control, MB_MSG_WORKER_FAILED, e, strlen(e));
		_exit(1);
	}
	memcpy(worker.loop_doorbells, fds + 5, sizeof(int) * (size_t)(nfds - 5));
	close(fds[0]);
	close(fds[1]);
	if (fds[3] != 2)
		close(fds[3]);
	mb_role = MB_ROLE_WORKER;
	mb_dict_forked();
}

/* Forks a child that is remembered. Returns 0 in the child, and -1 after an error. */
static pid_t fork_child(void)
{
	if (nliving == cap_living) {
		size_t cap = cap_living ? cap_living * 2 : 16;
		pid_t *p = realloc(living, cap * sizeof *p);
		if (!p) {
			errno = ENOMEM;
			return -1;
		}
		living = p;
		cap_living = cap;
	}
	fflush(NULL); /* otherwise the child would write the same bytes again */
	pid_t pid = mb_own_fork();
	if (pid > 0) {
		setpgid(pid, pid); /* the child does it too: the group exists in any case */
		living[nliving++] = pid;
	}
	return pid;
}

/* Forks once, for one message. Returns 1 in the child. */
static int do_fork(const mb_msg *m, const uint8_t *payload, int *fds, int nfds)
{
	mb_msg_fork f = {0};
	mb_msg_forked r = {.err = EINVAL};
	if (m->len == sizeof f) {
		memcpy(&f, payload, sizeof f);
		r.pool = f.pool;
		r.slot = f.slot;
		if (f.pool < mb_pools() && nfds >= 6) {
			pid_t pid = fork_child();
			if (pid == 0) {
				become_worker(&f, fds, nfds);
				return 1;
			}
			r.err = pid < 0 ? errno : 0;
			r.pid = pid < 0 ? 0 : pid;
		}
	}
	mb_close_all(fds, nfds);
	mb_message_send(process.control, MB_MSG_FORKED, &r, sizeof r);
	return 0;
}

/* Called in the child. An alarm ends tests that hang, if the server does not do that. */
_Noreturn static void become_tester(const mb_msg_test *t, const char *file, int *fds)
{
	leave_fork_server(fds[0], fds[1]);
	signal(SIGALRM, SIG_DFL);
	alarm(t->seconds);
	mb_orphan_watch();
	mb_dict_forked();
	_exit(mb_tester_run(mb_pool_at(t->pool), *file ? file : NULL));
}

/* Forks the process that runs tests. */
static void do_test(const mb_msg *m, const uint8_t *payload, int *fds, int nfds)
{
	mb_msg_test t = {0};
	mb_msg_forked r = {.err = EINVAL};
	if (m->len >= sizeof t && nfds == 2) {
		memcpy(&t, payload, sizeof t);
		pid_t pid = fork_child();
		if (pid == 0)
			become_tester(&t, (const char *)payload + sizeof t, fds);
		r.err = pid < 0 ? errno : 0;
		r.pid = pid < 0 ? 0 : pid;
	}
	mb_close_all(fds, nfds);
	mb_message_send(process.control, MB_MSG_TESTER, &r, sizeof r);
}

static void do_kill(const mb_msg *m, const uint8_t *payload)
{
	mb_msg_kill k;
	if (m->len != sizeof k)
		return;
	memcpy(&k, payload, sizeof k);
	/* The child has not been reaped, so no other process can have its pid. It may have left
	 * its group. */
	for (size_t i = 0; i < nliving; i++) {
		if (living[i] != k.pid && living[i] != -k.pid)
			continue;
		if (k.pid < 0)
			kill(k.pid, k.sig);
		kill(living[i], k.sig);
	}
}

/* Returns 1 in a new worker, never in the fork server. */
static int serve_messages(void)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = process.control, .events = POLLIN},
		                      {.fd = chld[0], .events = POLLIN}};
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			reap_children();
		if (!p[0].revents)
			continue;
		mb_msg m;
		uint8_t *payload;
		int fds[MB_FDS_MAX], nfds, child = 0;
		if (mb_message_receive(process.control, &m, &payload, fds, &nfds) != 1) {
			fflush(NULL);
			_exit(0); /* the server is gone; the workers notice by themselves */
		}
		if (m.type == MB_MSG_FORK) {
			child = do_fork(&m, payload, fds, nfds);
		} else if (m.type == MB_MSG_TEST) {
			do_test(&m, payload, fds, nfds);
		} else {
			mb_close_all(fds, nfds);
			if (m.type == MB_MSG_KILL)
				do_kill(&m, payload);
		}
		free(payload);
		if (child)
			return 1;
	}
}

static int collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

/* Garbage that is collected now is not copied into workers. LuaJIT ends a collection with the error of a finalizer, so there may be
 * more than one until all of it is gone. */
static void collect_garbage(lua_State *L)
{
	for (int clean = 0, tries = 0; clean < 2 && tries < 1000; tries++) {
		if (mb_call_kept(L, collect, NULL, 0)) {
			size_t n;
			const char *s = mb_error_text(L, &n);
			mb_log("garbage collection", s, n);
			lua_settop(L, 0);
		} else {
			clean++;
		}
	}
}

static void fork_server(int argc, char **argv)
{
	fcntl(process.control, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mb_orphan_watch();
	mb_own_begin();
	lua_State *L = process.L = mb_state_new(argc, argv);
	if (!L)
		fail("not enough memory", 17);
	mb_keep_function(L, collect);
	int failed = mb_state_run(L, argc, argv);
	mb_own_only_after(L, failed);
	if (failed) {
		size_t n;
		const char *s = mb_error_text(L, &n);
		fail(s, n);
	}
	process.script_ended = 1;
	collect_garbage(L);
	fflush(NULL);
	open_sigchld_pipe();
	mb_files_report();
	const char *warning = process.warning ? process.warning : "";
	mb_message_send(process.control, MB_MSG_READY, warning, strlen(warning));
	mb_orphan_unwatch(); /* the messages are read from now on */
	serve_messages();
}

static void read_development(void)
{
	const char *e = getenv(MB_ENV_DEVELOPMENT);
	process.report_files = e && strchr(e, 'w');
	const char *p = e ? strchr(e, 'p') : NULL;
	process.error_pages = p != NULL;
	process.generation = p ? atoi(p + 1) : 0;
	unsetenv(MB_ENV_DEVELOPMENT);
}

#if defined(__GLIBC__) || defined(__APPLE__) || defined(__FreeBSD__)
/* The loaders of these systems call constructors with main's arguments. */
__attribute__((constructor)) static void start(int argc, char **argv)
{
#else
static char cmdline[1 << 17], *cmdargv[1024];

__attribute__((constructor)) static void start(void)
{
	int argc = 0;
	char **argv = cmdargv;
#endif
	const char *e = getenv(MB_ENV);
	if (!e)
		return;
	char *end;
	errno = 0;
	long fd = strtol(e, &end, 10);
	if (errno || end == e || (*end && *end != ' ') || fd < 0 || fd > 1 << 20 || fcntl((int)fd, F_GETFD) < 0) {
		fprintf(stderr, "%s: no control socket\n", MB_ENV);
		_exit(3);
	}
	if (*end == ' ')
		process.release = strdup(end + 1);
	unsetenv(MB_ENV);
	read_development();
#if !(defined(__GLIBC__) || defined(__APPLE__) || defined(__FreeBSD__))
	int f = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = f < 0 ? 0 : read(f, cmdline, sizeof cmdline - 1);
	for (char *p = cmdline; p < cmdline + n && argc < 1023; p += strlen(p) + 1)
		cmdargv[argc++] = p;
	close(f);
#endif
	process.control = (int)fd;
	fork_server(argc, argv);
}
