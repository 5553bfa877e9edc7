/* Which exchange a worker runs next: the one that has waited longest, whatever loop it waits
 * on. Otherwise the clients of a loop that is home to no worker would wait as long as the home
 * loops of all workers have something to do. */
#include "worker.h"

/* Of this many loops the worker looks for the oldest exchange: its home loop and some of the
 * others, which take turns if there are more. Each one costs two cache lines that other
 * processors write to. So with n loops a busy worker looks at each after at most (n - 1) / 7
 * exchanges, rounded up. */
#define COMPARED 8u

/* An exchange of the home loop is taken first unless another one is older by more than this.
 * The home loop shares a CPU with the worker, and its exchange costs less. A difference so
 * short means nothing to a client. */
#define HOME_LEAD_NS 1000000

/* An exchange that waits at the front of a queue. */
typedef struct {
	uint32_t loop, cell;
	uint64_t position;
	int64_t rank; /* the least one is taken first */
} candidate;

static int has_waiting(uint32_t loop)
{
	return __atomic_load_n(&mb_out_loop_at(loop)->q_tail, __ATOMIC_RELAXED) <
	       __atomic_load_n(&mb_in_loop_at(loop)->q_head, __ATOMIC_ACQUIRE);
}

/* Reads what the tail of a queue points at. 0: nothing is there. The owner word decides who
 * has an exchange. Tail and entries only say where to look, so stale or wrong ones do no
 * harm: the cell may be any number. */
static int read_tail(uint32_t loop, candidate *c)
{
	const mb_in_loop *in = mb_in_loop_at(loop);
	mb_out_loop *out = mb_out_loop_at(loop);
	for (;;) {
		uint64_t t = __atomic_load_n(&out->q_tail, __ATOMIC_ACQUIRE);
		uint64_t h = __atomic_load_n(&in->q_head, __ATOMIC_ACQUIRE);
		if (t >= h)
			return 0;
		if (h - t <= worker.header.queue_cap) {
			c->loop = loop;
			c->position = t;
			c->cell = __atomic_load_n(&in->q[t & (worker.header.queue_cap - 1)], __ATOMIC_RELAXED);
			return 1;
		}
		/* Some worker has damaged the tail. The exchanges that wait are among the last
		 * entries. */
		__atomic_compare_exchange_n(&out->q_tail, &t, h - worker.header.queue_cap, 0, __ATOMIC_ACQ_REL,
			__ATOMIC_RELAXED);
	}
}

static void move_tail(const candidate *c)
{
	uint64_t t = c->position;
	__atomic_compare_exchange_n(&mb_out_loop_at(c->loop)->q_tail, &t, t + 1, 0, __ATOMIC_ACQ_REL,
		__ATOMIC_RELAXED);
}

/* Tries to claim an exchange. 0: it does not wait any more. */
static int claim(const candidate *c)
{
	int got = 0;
	if (c->cell < worker.header.cells) {
		uint64_t want = c->position << 32 | MB_WHO_QUEUED, mine = c->position << 32 | (1 + worker.slot);
		got = __atomic_compare_exchange_n(&mb_out_cell_at(c->loop, c->cell)->owner, &want, mine, 0,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
	/* Even if another worker has it, because that worker may have died before it got here. */
	move_tail(c);
	return got;
}

/* Claims the first exchange of a loop, without looking at it before: that would fetch its
 * cache line twice. */
static int claim_first(uint32_t loop, candidate *c)
{
	while (read_tail(loop, c))
		if (claim(c))
			return 1;
	return 0;
}

/* Finds the first exchange of a loop that waits. */
static int find_first(uint32_t loop, candidate *c)
{
	while (read_tail(loop, c)) {
		uint64_t want = c->position << 32 | MB_WHO_QUEUED;
		if (c->cell < worker.header.cells &&
		    __atomic_load_n(&mb_out_cell_at(loop, c->cell)->owner, __ATOMIC_ACQUIRE) == want) {
			c->rank = __atomic_load_n(&mb_in_cell_at(loop, c->cell)->published, __ATOMIC_RELAXED);
			return 1;
		}
		move_tail(c);
	}
	return 0;
}

/* Lists loops with exchanges that wait, the home loop first, and returns how many. */
static uint32_t list_waiting(uint32_t home, uint32_t *loops)
{
	static uint32_t turn; /* the other loop that is looked at first, counted from home */
	uint32_t others = worker.header.loops - 1, n = 0, i;
	if (has_waiting(home))
		loops[n++] = home;
	for (i = 0; i < others && i < COMPARED - 1; i++) {
		uint32_t l = home + 1 + turn;
		if (l >= worker.header.loops)
			l -= worker.header.loops;
		if (has_waiting(l))
			loops[n++] = l;
		turn = turn + 1 < others ? turn + 1 : 0;
	}
	return n;
}

/* Finds the oldest of the exchanges at the front of n loops. */
static int find_oldest(uint32_t home, const uint32_t *loops, uint32_t n, candidate *oldest)
{
	candidate c;
	int found = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!find_first(loops[i], &c))
			continue;
		if (loops[i] == home)
			c.rank -= HOME_LEAD_NS;
		if (!found || c.rank < oldest->rank)
			*oldest = c;
		found = 1;
	}
	return found;
}

/* Claims the first exchange of any loop. */
static int claim_any(uint32_t home, candidate *c)
{
	uint32_t l = home;
	do {
		if (claim_first(l, c))
			return 1;
		if (++l == worker.header.loops)
			l = 0;
	} while (l != home);
	return 0;
}

static int claim_oldest(uint32_t home, candidate *c)
{
	uint32_t loops[COMPARED];
	for (;;) {
		uint32_t n = list_waiting(home, loops);
		if (n == 0)
			return claim_any(home, c);
		if (n == 1 ? claim_first(loops[0], c) : find_oldest(home, loops, n, c) && claim(c))
			return 1;
		/* Other workers have taken what was there. */
	}
}

int mb_claim(uint32_t *loop, uint32_t *cell, uint32_t *gen)
{
	candidate c;
	uint32_t home = __atomic_load_n(&worker.in_slot->home, __ATOMIC_RELAXED);
	if (home >= worker.header.loops)
		home = 0;
	if (!claim_oldest(home, &c))
		return 0;
	*loop = c.loop;
	*cell = c.cell;
	*gen = (uint32_t)c.position;
	return 1;
}
