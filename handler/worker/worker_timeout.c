/* timeout(): a time limit that a handler sets for itself. When it is reached the worker
 * ends, whatever it is doing. A signal makes sure of that: a debug hook runs neither in a
 * compiled loop nor in a C function. */
#include "worker.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define SECONDS_MAX 1e9
#define LOCK_TRIES 1000
#define TIMER_ERROR 1e-3 /* seconds by which the timer may be early, at most */

/* Absolute times in seconds; 0: none. */
static double limit; /* set by this call of the handler, or of f */
static double outer; /* the limit around it */
static int armed;    /* a limit is set: the signal counts */
static const char *hook; /* prepare or finish, or NULL: the exchange */
static pthread_t main_thread;
static char where[MB_PLACE_MAX]; /* the place of the call, as "script.lua:5: " */
static mb_last_words words;

/* Returns the earlier of the two. */
static double deadline(void)
{
	if (limit == 0 || outer == 0)
		return limit + outer;
	return limit < outer ? limit : outer;
}

/* --- the end -------------------------------------------------------------------- */

/* Ends the exchange of the claimed cell, even while a request on its raw connection is
 * served. failed: its report has its number. If this thread holds the lock, it will not give it back. If the thread that
 * flushes holds it, it will do so soon. */
static void give_up_exchange(int raw, int failed)
{
	for (int i = 0; i < LOCK_TRIES && __atomic_exchange_n(&response.lock, 1, __ATOMIC_ACQUIRE); i++)
		sched_yield();
	mb_out_cell *oc = mb_out_cell_at(exchange.loop, exchange.cell);
	uint32_t result = MB_DONE | MB_RETIRE | (failed ? MB_FAILED : 0);
	if (exchange.head.kind == MB_KIND_MAIN || exchange.head.kind == MB_KIND_WEBSOCKET) {
		result |= MB_RESET; /* it has failed */
	} else if (!raw && exchange.head.kind == MB_KIND_HTTP) {
		/* Interim responses do not keep the server from answering. */
		if (exchange.out_flags & MB_OUT_COMPLETE)
			result |= exchange.out_flags & MB_OUT_CLOSE ? MB_CLOSE : 0;
		else if (response.published)
			result |= MB_RESET;
		else
			result |= MB_CLOSE | 504u << MB_STATUS_SHIFT;
	}
	exchange.active = 0;
	exchange.transport = NULL;
	__atomic_store_n(&oc->result, MB_RESULT(worker.generation, result), __ATOMIC_RELEASE);
	mb_notify();
}

static _Noreturn void end_worker(const mb_last_words *w)
{
	mb_words_say(w);
	int raw = mb_socket_current() != NULL;
	if (mb_rawhttp_delivered())
		mb_socket_settle();
	else
		mb_socket_abort();
	if (!hook)
		give_up_exchange(raw, w == &words && !raw);
	_exit(MB_EXIT_TIMEOUT);
}

/* The signal may have come for another reason, or too late. */
static int timed_out(void)
{
	double d = deadline(); /* 0: it has just been cleared */
	return __atomic_load_n(&armed, __ATOMIC_ACQUIRE) && d != 0 && mb_now() > d - TIMER_ERROR;
}

/* It only does what is safe in a signal handler. */
static void on_alarm(int sig)
{
	int e = errno;
	if (!pthread_equal(pthread_self(), main_thread)) {
		pthread_kill(main_thread, sig); /* the thread that runs Lua must be interrupted */
		errno = e;
		return;
	}
	if (!mb_is_own())
		_exit(MB_EXIT_TIMEOUT); /* in a process that a handler has forked */
	const mb_last_words *gone = mb_gone_end();
	if (gone)
		end_worker(gone);
	/* The server wants to know what Lua is doing before it ends the worker; or the client has
	 * gone; or the time is over. Several signals may come as one. */
	int ending = mb_trace_set_hook();
	mb_gone_set_hook();
	if (!ending && timed_out())
		end_worker(&words);
	errno = e;
}

/* In a process that a handler forks, SIGALRM means what it means elsewhere. */
static void in_child(void) { signal(SIGALRM, SIG_DFL); }

void mb_timeout_begin(void)
{
	pthread_atfork(NULL, NULL, in_child);
	main_thread = pthread_self();
	/* Every thread has Go's signal stack by now, which is large enough. */
	struct sigaction a = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
	sigfillset(&a.sa_mask);
	sigaction(SIGALRM, &a, NULL);
}

void mb_timeout_interrupt(void) { pthread_kill(main_thread, SIGALRM); }

/* --- the timer -------------------------------------------------------------------- */

static void prepare_words(void)
{
	char text[256];
	mb_origin o = {.in = hook};
	if (!hook) {
		mb_origin_set(&o);
		mb_origin_fails(&o);
	}
	snprintf(text, sizeof text, "%stimeout: still running, ending the worker", where);
	mb_words_set(&words, &o, text);
}

/* A signal that arrives while the words are being changed is ignored, but start_timer sets the
 * timer again. */
static void disarm(void) { __atomic_store_n(&armed, 0, __ATOMIC_RELEASE); }

static void start_timer(void)
{
	double d = deadline(), rest = d ? d - mb_now() : 0;
	struct itimerval t = {0};
	if (d) {
		if (rest < 1e-6)
			rest = 1e-6; /* 0 would stop the timer */
		t.it_value.tv_sec = (time_t)rest;
		t.it_value.tv_usec = (suseconds_t)((rest - floor(rest)) * 1e6);
		if (!t.it_value.tv_sec && !t.it_value.tv_usec)
			t.it_value.tv_usec = 1;
	}
	__atomic_store_n(&armed, d != 0, __ATOMIC_RELEASE);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void set_timer(void)
{
	if (deadline()) {
		disarm();
		prepare_words();
	}
	start_timer();
}

void mb_timeout_clear(void)
{
	limit = outer = 0;
	if (armed)
		set_timer();
}

/* A limit that no call has set, in place of all others. */
void mb_timeout_set(double seconds)
{
	where[0] = 0;
	outer = 0;
	limit = mb_now() + seconds;
	set_timer();
}

void mb_timeout_save(mb_limits *l)
{
	l->limit = limit;
	l->outer = outer;
	if (armed) {
		memcpy(l->where, where, sizeof where);
		l->words = words;
	}
}

/* The words are not made again: the exchange in progress may be another one than that of the
 * call which has set the limit. */
void mb_timeout_restore(const mb_limits *l)
{
	if (!armed && l->limit == 0 && l->outer == 0)
		return;
	disarm();
	limit = l->limit;
	outer = l->outer;
	if (deadline()) {
		memcpy(where, l->where, sizeof where);
		words = l->words;
	}
	start_timer();
}

void mb_timeout_set_name(const char *name) { hook = name; }

/* --- the global --------------------------------------------------------------------- */

static double check_seconds(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TNUMBER)
		luaL_error(L, "timeout: seconds must be a number, not a %s", luaL_typename(L, 1));
	double s = lua_tonumber(L, 1);
	if (!(s >= 0 && s <= SECONDS_MAX))
		luaL_error(L, "timeout: seconds are out of range (0 to 1e9)");
	return s;
}

static int rest(lua_State *L)
{
	double d = deadline(), r = d ? d - mb_now() : 0;
	if (r > 0)
		lua_pushnumber(L, r);
	else
		lua_pushinteger(L, 0); /* an integer, because Lua 5.4 would show 0.0 */
	return 1;
}

/* Keeps the line of the call, because it cannot be found out when the time is over. */
static void keep_place(lua_State *L)
{
	luaL_where(L, 1);
	snprintf(where, sizeof where, "%s", lua_tostring(L, -1));
	lua_pop(L, 1);
}

/* f and its arguments are on the stack, starting at 2. */
static int limited_call(lua_State *L, double seconds)
{
	mb_limits before;
	mb_timeout_save(&before);
	keep_place(L);
	outer = deadline();
	limit = seconds > 0 ? mb_now() + seconds : 0;
	set_timer();
	int failed = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
	mb_own_only_after(L, failed);
	mb_memory_after(failed); /* the error that is raised below is another one */
	mb_timeout_restore(&before);
	return failed ? lua_error(L) : lua_gettop(L) - 1;
}

int mb_timeout(lua_State *L)
{
	mb_own_only();
	if (mb_role != MB_ROLE_WORKER)
		return luaL_error(L, "timeout: only prepare, connect and finish handlers can set it");
	int n = lua_gettop(L);
	if (n == 0)
		return rest(L);
	double seconds = check_seconds(L);
	if (n > 1) {
		if (lua_type(L, 2) != LUA_TFUNCTION)
			return luaL_error(L, "timeout: argument 2 must be a function, not a %s",
				luaL_typename(L, 2));
		return limited_call(L, seconds);
	}
	keep_place(L);
	limit = seconds > 0 ? mb_now() + seconds : 0;
	set_timer();
	return 0;
}
