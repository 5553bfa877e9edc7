/* Ends operations on a dictionary after each of their instructions, and checks what is left.
 *
 * A child carries out the operation, one instruction at a time. After each one that has changed the
 * memory, a copy of it is what the next process would find if the child had been killed there: with
 * the owner in the lock marked as dead, as the kernel does it. The copy must hold what was there before
 * the operation or what is there after it, and no block may be lost.
 *
 * Exit code 77: the system does not allow single steps. */
#include "dict.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64u << 10)
static const uint64_t key[2] = {1, 2};
static mb_dict live, copy;
static mb_buf out;
static const char *const names[] = {"string", "number", "list", "long", "new", "limit"};
#define NAMES (sizeof names / sizeof *names)

/* The rate is low: at a rate of 1, the limit is forgotten after a second, and a scene may take longer. */
static int run(const mb_dict *d, int (*what)(mb_dict_at *), const char *name, mb_dict_value v, mb_dict_value old, mb_dict_op *op)
{
	*op = (mb_dict_op){.key = name, .key_len = strlen(name), .value = v, .old = old, .rate = 0.001, .burst = 5, .cost = 1, .out = &out};
	return mb_dict_run(d, op, what);
}

static const mb_dict_value none;

static mb_dict_value text(const char *s, size_t n) { return (mb_dict_value){.type = MB_DICT_STRING, .p = s, .n = n}; }

static mb_dict_value integer(int64_t n) { return (mb_dict_value){.type = MB_DICT_INTEGER, .number = (uint64_t)n}; }

static char long_text[5000];

static void prepare(const mb_dict *d)
{
	mb_dict_op op;
	memset(long_text, 'l', sizeof long_text);
	run(d, mb_dict_set, "string", text("value", 5), none, &op);
	run(d, mb_dict_set, "number", integer(41), none, &op);
	run(d, mb_dict_rpush, "list", integer(1), none, &op);
	run(d, mb_dict_rpush, "list", text(long_text, 300), none, &op);
	run(d, mb_dict_rpush, "list", integer(3), none, &op);
	run(d, mb_dict_set, "long", text(long_text, 1000), none, &op);
	run(d, mb_dict_limit, "limit", none, none, &op);
}

/* The list with two elements less, so that the last one can be popped. */
static void shorten(const mb_dict *d)
{
	mb_dict_op op;
	prepare(d);
	run(d, mb_dict_lpop, "list", none, none, &op);
	run(d, mb_dict_rpop, "list", none, none, &op);
}

static void fill(const mb_dict *d)
{
	mb_dict_op op;
	prepare(d);
	char name[16];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "fill%d", i);
		run(d, mb_dict_set, name, text(long_text, 1500), none, &op);
	}
}

static void append(char *to, size_t cap, const mb_dict_op *op, int r)
{
	size_t n = strlen(to);
	snprintf(to + n, cap - n, " %d/%d/%zu/%.1s/%lld/%g", r, op->result.type, op->result.n, op->result.n ? op->result.p : "",
		(long long)op->result.number, op->remaining);
}

/* What a dictionary has under the known keys. It empties it. */
static const char *describe(const mb_dict *d)
{
	static char said[2][4096];
	static int turn;
	char *to = said[turn ^= 1];
	*to = 0;
	mb_dict_op op;
	for (size_t i = 0; i < NAMES; i++) {
		int r = run(d, mb_dict_get, names[i], none, none, &op);
		append(to, sizeof said[0], &op, r);
		while (r == MB_DICT_IS_LIST && run(d, mb_dict_lpop, names[i], none, none, &op) == MB_DICT_OK)
			append(to, sizeof said[0], &op, 0);
		run(d, mb_dict_delete, names[i], none, none, &op);
	}
	return to;
}

/* Deletes all keys, and says whether every block is free again. */
static int leaks(const mb_dict *d)
{
	mb_buf all = {0};
	mb_dict_op op;
	int64_t n = mb_dict_keys(d, UINT32_MAX, &all);
	for (size_t at = 0; n-- > 0;) {
		uint32_t len;
		memcpy(&len, all.p + at, sizeof len);
		op = (mb_dict_op){.key = (char *)all.p + at + sizeof len, .key_len = len, .out = &out};
		mb_dict_run(d, &op, mb_dict_delete);
		at += sizeof len + len;
	}
	mb_buf_free(&all);
	mb_dict_stats st;
	mb_dict_count(d, &st);
	return st.free != st.capacity || st.entries;
}

typedef struct {
	const char *name;
	void (*prepare)(const mb_dict *);
	int (*what)(mb_dict_at *);
	const char *key;
	mb_dict_value value, old;
	int evicts; /* others may be gone */
} scene;

/* A copy of the memory, as the next process finds it when the child is dead. */
static void inherit(pid_t child)
{
	memcpy(copy.base, live.base, SIZE);
	uint32_t *lock = &((mb_dict_shard *)copy.base)->lock;
	if ((*lock & 0x3fffffff) == (uint32_t)child)
		*lock = (*lock & 0x80000000u) | 0x40000000u;
}

static int check(const scene *s, const char *before, const char *after, int step)
{
	const char *now = describe(&copy);
	int wrong = !s->evicts && strcmp(now, before) && strcmp(now, after), lost = leaks(&copy);
	if (wrong || lost)
		fprintf(stderr, "%s: after %d steps%s:\nbefore %s\nafter  %s\nnow    %s\n", s->name, step,
			lost ? ", blocks are lost" : "", before, after, now);
	return wrong || lost;
}

static pid_t start(const scene *s)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	mb_dict_forked();
	mb_dict_op op;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	run(&live, s->what, s->key, s->value, s->old, &op);
	_exit(0);
}

/* Returns the number of states that were checked, -1: one was wrong, -2: it does not work here. */
static int play(const scene *s)
{
	static uint8_t last[SIZE], initial[SIZE];
	mb_dict_op op;
	memset(live.base, 0, SIZE);
	s->prepare(&live);
	memcpy(initial, live.base, SIZE);
	memcpy(copy.base, live.base, SIZE);
	char before[4096], after[4096];
	strcpy(before, describe(&copy));
	memcpy(copy.base, live.base, SIZE);
	run(&copy, s->what, s->key, s->value, s->old, &op);
	strcpy(after, describe(&copy));
	memcpy(last, initial, SIZE);
	int status, states = 0, wrong = 0;
	pid_t pid = start(s);
	waitpid(pid, &status, 0);
	if (!WIFSTOPPED(status))
		return -2;
	for (int step = 1; !wrong; step++) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL))
			return -2;
		waitpid(pid, &status, 0);
		if (WIFEXITED(status))
			break;
		if (!memcmp(last, live.base, SIZE))
			continue;
		memcpy(last, live.base, SIZE);
		inherit(pid);
		wrong = check(s, before, after, step);
		states++;
	}
	if (wrong) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -1;
	}
	return states;
}

static void map(mb_dict *d)
{
	int fd = memfd_create("steps", 0);
	if (fd < 0 || ftruncate(fd, SIZE) || mb_dict_open(d, fd, SIZE, key))
		exit(77);
}

/* A child dies with the lock, before or while this process waits for it. */
static int die_with_lock(int early)
{
	mb_dict_shard *s = (mb_dict_shard *)live.base;
	uint64_t repaired = s->repaired;
	int has[2];
	char b;
	if (pipe(has))
		return 1;
	pid_t pid = fork();
	if (!pid) {
		mb_dict_forked();
		mb_dict_lock(s);
		if (write(has[1], "", 1) == 1 && !early)
			usleep(50000);
		raise(SIGKILL);
	}
	if (read(has[0], &b, 1) != 1)
		return 1;
	close(has[0]);
	close(has[1]);
	if (early)
		waitpid(pid, NULL, 0);
	mb_dict_op op;
	int r = run(&live, mb_dict_set, "string", integer(1), none, &op);
	if (!early)
		waitpid(pid, NULL, 0);
	if (r == MB_DICT_OK && s->repaired == repaired + 1 && s->lock == 0)
		return 0;
	fprintf(stderr, "a dead owner: %d, %d repairs, lock %#x\n", r, (int)(s->repaired - repaired), s->lock);
	return 1;
}

int main(void)
{
	map(&live);
	map(&copy);
	if (die_with_lock(1) || die_with_lock(0))
		return 1;
	mb_dict_value s = text("other", 5), l = text(long_text, 900), big = text(long_text, sizeof long_text);
	scene scenes[] = {
		{"set a new key", prepare, mb_dict_set, "new", s, none, 0},
		{"set a long value", prepare, mb_dict_set, "new", l, none, 0},
		{"set an existing key", prepare, mb_dict_set, "string", l, none, 0},
		{"set in place of a long value", prepare, mb_dict_set, "long", s, none, 0},
		{"set in place of a list", prepare, mb_dict_set, "list", s, none, 0},
		{"add", prepare, mb_dict_add, "new", integer(1), none, 0},
		{"replace", prepare, mb_dict_replace, "number", s, none, 0},
		{"cas", prepare, mb_dict_cas, "string", l, text("value", 5), 0},
		{"incr", prepare, mb_dict_incr, "number", integer(1), none, 0},
		{"incr with init", prepare, mb_dict_incr, "new", integer(1), integer(5), 0},
		{"delete", prepare, mb_dict_delete, "long", none, none, 0},
		{"delete a list", prepare, mb_dict_delete, "list", none, none, 0},
		{"get", prepare, mb_dict_get, "string", none, none, 0},
		{"lpush", prepare, mb_dict_lpush, "list", l, none, 0},
		{"rpush", prepare, mb_dict_rpush, "list", s, none, 0},
		{"rpush to a new list", prepare, mb_dict_rpush, "new", l, none, 0},
		{"lpop", prepare, mb_dict_lpop, "list", none, none, 0},
		{"rpop", prepare, mb_dict_rpop, "list", none, none, 0},
		{"pop the last one", shorten, mb_dict_rpop, "list", none, none, 0},
		{"set with eviction", fill, mb_dict_set, "new", big, none, 1},
		{"push with eviction", fill, mb_dict_rpush, "list", big, none, 1},
	};
	int all = 0;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		int n = play(&scenes[i]);
		if (n == -2)
			return 77;
		if (n <= 0) {
			fprintf(stderr, "%s: failed\n", scenes[i].name);
			return 1;
		}
		all += n;
	}
	printf("%d\n", all);
	return 0;
}
