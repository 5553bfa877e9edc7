/* memory_limit. If a pool has one, the allocator of its workers counts, and refuses what
 * exceeds the limit. Lua then raises "not enough memory". Without a limit Lua keeps its own
 * allocator. Memory that C modules get from malloc is not counted. */
#include "worker.h"

#include <stdio.h>
#include <string.h>

static lua_Alloc original_alloc; /* Lua's own allocator and its argument */
static void *original_ud;
static size_t used;
static size_t collect_from;   /* with this much in use, the heap is collected after an exchange */
static size_t full_from; /* with this much in use after a collection, the worker is replaced */

#define SOFT(limit) ((limit) / 4 * 3)

/* n plus half of what is left, but at least a fiftieth of the limit. */
static size_t step_from(size_t n)
{
	size_t limit = memory.limit, half = n < limit ? (limit - n) / 2 : 0;
	return n + (half > limit / 50 ? half : limit / 50);
}

static size_t next_step(size_t n)
{
	size_t soft = SOFT(memory.limit), step = step_from(n);
	return step > soft ? step : soft;
}

/* --- garbage ----------------------------------------------------------------- */

#if LUA_VERSION_NUM == 501

/* LuaJIT starts a collection when the heap has doubled, and never because memory is short,
 * so garbage alone could reach the limit. Therefore the allocator makes Lua collect at the
 * next place where it can, first at three quarters of the limit, then at each half of the
 * rest. The collection is done in one step, because the heap keeps growing during a
 * collection in several steps. The options of lua_gc that are used here only set numbers, so
 * an allocator may use them. (Lua 5.4 collects before it gives up.) */
static size_t high, low; /* outside of these bounds the thresholds are set again */
static int hurried, speed; /* speed: the script's, while hurried */

static void hurry(int on)
{
	if (on == hurried)
		return;
	hurried = on;
	if (on)
		speed = lua_gc(process.L, LUA_GCSETSTEPMUL, 0); /* 0: the step ends with the cycle */
	else
		lua_gc(process.L, LUA_GCSETSTEPMUL, speed);
}

static void set_thresholds(void)
{
	size_t margin = memory.limit / 64;
	low = used > margin ? used - margin : 0;
	high = next_step(used);
	hurry(used >= SOFT(memory.limit));
}

static void collect_soon(void)
{
	hurry(1);
	if (lua_gc(process.L, LUA_GCISRUNNING, 0)) /* the script may have stopped it */
		lua_gc(process.L, LUA_GCRESTART, 0); /* sets the threshold to the memory in use */
}

static void after_change(void)
{
	if (used >= high) {
		collect_soon();
		set_thresholds();
	} else if (used < low) {
		set_thresholds();
	}
}

#else
static void set_thresholds(void) {}
static void after_change(void) {}
#endif

static int collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

/* Finalizers may raise errors and may allocate. */
static void collect_all(lua_State *L)
{
	int armed = memory.armed;
	memory.armed = 0;
	if (mb_call_kept(L, collect, NULL, 0)) {
		mb_report_error(L, &(mb_origin){.in = "garbage collection"});
		lua_pop(L, 1);
	}
	memory.armed = armed;
}

/* --- at the limit -------------------------------------------------------------- */

#if LUA_VERSION_NUM == 501

/* LuaJIT before the end of 2023 crashes if an allocation fails in compiled code, and
 * compiled code cannot be recognised from here. So an allocation that exceeds the limit by
 * no more than an eighth is granted, and a hook deals with it at the next instruction that
 * is not compiled. That comes soon, because collections leave compiled code. */
static struct {
	int set;
	lua_Hook f; /* the script's own */
	int mask, count;
} hook;

static void settle_overdraft(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	hook.set = 0;
	lua_sethook(L, hook.f, hook.mask, hook.count);
	if (!memory.armed)
		return;
	for (int i = 0; i < 2; i++) { /* objects with finalizers are freed by the second collection */
		collect_all(L);
		if (used <= memory.limit / 50 * 49)
			return; /* it was garbage */
	}
	memory.failed = 1;
	lua_pushliteral(L, "not enough memory");
	lua_error(L);
}

/* Returns whether the allocation is granted. n: bytes that would be in use then. */
static int overdraw(size_t n, size_t asked)
{
	(void)asked;
	collect_soon();
	if (n > memory.limit + memory.limit / 8) {
		memory.failed = 1;
		return 0;
	}
	if (!hook.set) {
		hook.set = 1;
		hook.f = lua_gethook(process.L);
		hook.mask = lua_gethookmask(process.L);
		hook.count = lua_gethookcount(process.L);
		/* Not at calls, because one may call the message handler. */
		lua_sethook(process.L, settle_overdraft, LUA_MASKCOUNT, 1);
	}
	return 1;
}

#else

/* Lua 5.4 collects and asks again. Only then is it short of memory. */
static size_t refused;

static int overdraw(size_t n, size_t asked)
{
	(void)n;
	if (asked == refused)
		memory.failed = 1;
	refused = asked;
	return 0;
}
#endif

/* --- the allocator ------------------------------------------------------------ */

static void *counted(void *ud, void *p, size_t osize, size_t nsize)
{
	size_t before = p ? osize : 0; /* without a block, osize may be a type */
	size_t n = used - before + nsize;
	if (nsize > before && memory.armed && (n > memory.limit || n < used) && !overdraw(n, nsize))
		return NULL;
	void *q = original_alloc(ud, p, osize, nsize);
	if (q || !nsize) {
		used = n;
#if LUA_VERSION_NUM > 501
		if (nsize > before)
			refused = 0;
#endif
		after_change();
	}
	return q;
}

/* --- calls from the worker ------------------------------------------------------- */

const char *mb_memory_begin(lua_State *L, double limit)
{
	static char text[160];
	if (!(limit > 0))
		return NULL;
	used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
	if ((double)used > limit) {
		snprintf(text, sizeof text, "memory_limit: the script already uses %zu bytes; "
			"the limit is %.0f", used, limit);
		return text;
	}
	mb_keep_function(L, collect);
	memory.limit = limit < (double)(SIZE_MAX / 2) ? (size_t)limit : SIZE_MAX / 2;
	original_alloc = lua_getallocf(L, &original_ud);
	lua_setallocf(L, counted, original_ud);
	set_thresholds();
	return NULL;
}

void mb_memory_ready(void)
{
	size_t limit = memory.limit;
	if (!limit)
		return;
	collect_from = next_step(used);
	full_from = limit - (used < limit ? limit - used : 0) / 8;
}

void mb_memory_end(lua_State *L)
{
	memory.armed = 0;
	if (original_alloc)
		lua_setallocf(L, original_alloc, original_ud); /* read when the last block is freed */
}

void mb_memory_for_finish(lua_State *L)
{
	if (!memory.limit)
		return;
	collect_all(L);
	memory.failed = 0;
}

static void log_limit(const mb_origin *o, const char *what)
{
	char text[160];
	int n = snprintf(text, sizeof text, "memory_limit of %zu bytes %s", memory.limit, what);
	mb_report_text(MB_LEVEL_WARN, o, text, (size_t)n);
}

void mb_memory_was_reached(const char *in)
{
	log_limit(&(mb_origin){.in = in}, "was reached");
	memory.failed = 0;
}

int mb_memory_exhausted_slow(lua_State *L)
{
	if (memory.failed) {
		mb_origin o;
		mb_origin_set(&o);
		if (memory.failed == 1)
			log_limit(&o, "was reached: the worker is replaced");
		memory.failed = 2;
		return 1;
	}
	if (used < collect_from)
		return 0;
	collect_all(L);
	collect_from = next_step(used);
	if (used < full_from)
		return 0;
	log_limit(&(mb_origin){.in = "worker"}, "is nearly used up, not counting garbage: the worker is replaced");
	return 1;
}
