/* A worker: prepare, then exchanges from the queues, one at a time, then finish. Its whole
 * life is one call of mb_worker_run from Go, on the main thread. */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The time for finish, unless it sets another limit, and that for the finalizers after it. A worker that hangs there would keep
 * its place among those of the pool. */
#define FINISH_SECONDS 60

/* Calls a function of the pool with the message handler. Returns 0, or the text of the error
 * is on top. */
static int call_hook(lua_State *L, int ref)
{
	lua_settop(L, 0);
	if (ref == LUA_NOREF)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	memory.armed = 1;
	int failed = lua_pcall(L, 0, 0, 1);
	mb_own_only_after(L, failed);
	memory.armed = 0;
	return failed;
}

static int prepare(lua_State *L, const mb_pool *p)
{
	const char *why = mb_memory_begin(L, p->memory_limit);
	if (why) {
		mb_report_text(MB_LEVEL_ERROR, &(mb_origin){.in = "prepare"}, why, strlen(why));
		return -1;
	}
	mb_timeout_set_name("prepare");
	int failed = call_hook(L, p->prepare);
	mb_timeout_clear();
	mb_timeout_set_name(NULL);
	if (memory.failed)
		mb_memory_was_reached("prepare");
	if (!failed) {
		mb_memory_ready();
		mb_message_send(process.control, MB_MSG_WORKER_READY, NULL, 0);
		return 0;
	}
	fflush(NULL);
	mb_report_error(L, &(mb_origin){.in = "prepare"});
	return -1;
}

static void finish(lua_State *L, const mb_pool *p)
{
	mb_timeout_set_name("finish");
	mb_timeout_set(FINISH_SECONDS);
	mb_memory_for_finish(L);
	int failed = call_hook(L, p->finish);
	mb_timeout_set(FINISH_SECONDS);
	if (failed)
		mb_report_error(L, &(mb_origin){.in = "finish"});
	if (memory.failed)
		mb_memory_was_reached("finish");
	lua_settop(L, 0);
	mb_memory_end(L);
	lua_close(L); /* runs the finalizers, which flush and close files */
	fflush(NULL);
	mb_timeout_clear(); /* clients may take longer for the output that is left */
}

int mb_quitting(void) { return __atomic_load_n(&worker.in_slot->quit, __ATOMIC_ACQUIRE) != 0; }

static struct {
	uint32_t loop, cell, gen;
	int have;
} claimed;

static int have_work(void)
{
	if (!claimed.have)
		claimed.have = mb_claim(&claimed.loop, &claimed.cell, &claimed.gen);
	return claimed.have || mb_quitting();
}

/* Makes a crash of a handler or of a C module visible as a crash. The Go runtime has
 * installed its signal handlers by now. They would turn it into an exit status, after pages
 * of irrelevant goroutine traces. */
static void crash_plainly(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
		signal(fatal[i], SIG_DFL);
}

int mb_worker_run(void)
{
	crash_plainly();
	mb_timeout_begin();
	mb_descriptor_open();
	mb_quiet_open();
	lua_State *L = process.L;
	const mb_pool *p = mb_pool_at(worker.pool);
	mb_random_seed(L);
	mb_exchange_install(L);
	if (!p || prepare(L, p))
		return 1;
	mb_exchange_prepare_stack(L);
	while (!mb_quitting()) {
		mb_wait(have_work);
		/* A claimed exchange is run even if quit has been set since: no other worker
		 * would run it. */
		if (claimed.have) {
			claimed.have = 0;
			int what = mb_exchange_run(claimed.loop, claimed.cell, claimed.gen);
			if (what == MB_RUN_EXIT) {
				mb_background_wait();
				fflush(NULL);
				return 0;
			}
			if (what == MB_RUN_RETIRE)
				break;
		}
	}
	finish(L, p);
	mb_background_wait();
	return 0;
}
