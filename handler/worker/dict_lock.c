/* The lock of a shard: a futex whose word has the id of the thread that holds it. If that
 * thread dies, the kernel says so in the word and wakes a waiter ("robust futex").
 *
 * The C library has such locks too, but keeps a list of those that a thread holds in the locks
 * themselves, that is, pointers in shared memory: a process that overwrites them takes others
 * with it. One of our threads holds one lock at a time, so the field for "the one that is
 * being taken" in its list is enough, and nothing but the word is shared. The list belongs to the
 * C library, which uses that field only while it takes or releases a robust lock of its own. */
#include "dict.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define DIED 0x40000000u
#define WAITERS 0x80000000u
#define OWNER 0x3fffffffu

#define SPINS 100      /* before a thread sleeps: an operation takes less than that */
#define WAIT_MS 100    /* at a time */
#define WAITS_MAX 50   /* without a change: the word was overwritten, or its owner is stopped */
#ifndef LONGEST_MS
#define LONGEST_MS 30000 /* in all: the word is overwritten again and again. A test has a shorter time */
#endif

static __thread uint32_t self;

#ifdef __linux__

#include <linux/futex.h>
#include <sys/syscall.h>

static __thread struct robust_list_head *robust, own;

/* Makes the thread known to the kernel, if the C library has not done that. */
static void begin(void)
{
	size_t n;
	self = (uint32_t)syscall(SYS_gettid);
	robust = NULL;
	if (syscall(SYS_get_robust_list, 0, &robust, &n) == 0 && robust)
		return;
	robust = &own;
	own.list.next = &own.list;
	syscall(SYS_set_robust_list, &own, sizeof own);
}

static inline void announce(const uint32_t *word)
{
	robust->list_op_pending = word ? (void *)((char *)word - robust->futex_offset) : NULL;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void sleep_on(uint32_t *word, uint32_t seen)
{
	struct timespec t = {.tv_nsec = WAIT_MS * 1000000L};
	syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0);
}

static void wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

#else

static void begin(void) { self = (uint32_t)getpid(); }

static inline void announce(const uint32_t *word) { (void)word; }

static void sleep_on(uint32_t *word, uint32_t seen)
{
	struct timespec t = {.tv_nsec = 1000000L};
	for (int i = 0; i < WAIT_MS && __atomic_load_n(word, __ATOMIC_RELAXED) == seen; i++)
		nanosleep(&t, NULL);
}

static void wake(uint32_t *word) { (void)word; }

#endif

void mb_dict_forked(void) { self = 0; }

static inline int swap(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* May the lock be taken from its owner? It is dead where the kernel does not tell, or was never
 * alive, or has been stopped for very long. If it goes on, it finds out when it unlocks. */
static int abandoned(uint32_t word, int waits)
{
	uint32_t owner = word & OWNER;
	return owner == self || waits >= WAITS_MAX || (waits > 0 && kill((pid_t)owner, 0) && errno == ESRCH);
}

/* Has the wait taken too long? Its end is set at the first call. */
static int overdue(int64_t *end)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	if (!*end)
		*end = now + LONGEST_MS;
	return now >= *end;
}

/* The others know of a waiter if there may be one. No owner has the lock for long. If it changes all the time and this thread
 * never gets it, a process that has gone mad writes to the word, and the lock is taken whoever has it. */
static int contend(uint32_t *word)
{
	uint32_t waiters = 0, last = 0;
	int64_t end = 0;
	for (int spins = 0, waits = 0;;) {
		uint32_t v = __atomic_load_n(word, __ATOMIC_RELAXED);
		if ((v & OWNER) == 0 && swap(word, v, self | waiters | (v & WAITERS)))
			return (v & DIED) != 0;
		if (spins < SPINS) {
			spins++;
			pause_briefly();
			continue;
		}
		if (overdue(&end)) {
			__atomic_exchange_n(word, self | WAITERS, __ATOMIC_ACQUIRE);
			return 1;
		}
		if ((v & OWNER) == 0)
			continue;
		if ((v & OWNER) != last)
			waits = 0;
		last = v & OWNER;
		if (abandoned(v, waits)) {
			if (swap(word, v, self | WAITERS))
				return 1;
			continue;
		}
		if ((v & WAITERS) || swap(word, v, v | WAITERS)) {
			waiters = WAITERS;
			sleep_on(word, v | WAITERS);
			waits++;
		}
	}
}

int mb_dict_lock(mb_dict_shard *s)
{
	if (!self)
		begin();
	announce(&s->lock);
	if (swap(&s->lock, 0, self))
		return 0;
	return contend(&s->lock);
}

void mb_dict_unlock(mb_dict_shard *s)
{
	uint32_t v = self;
	if (!__atomic_compare_exchange_n(&s->lock, &v, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
		if ((v & OWNER) == self) {
			if (__atomic_exchange_n(&s->lock, 0, __ATOMIC_RELEASE) & WAITERS)
				wake(&s->lock);
		} else {
			MB_DICT_STORE(s->damaged, 1); /* it was taken away: two were in it */
		}
	}
	announce(NULL);
}
