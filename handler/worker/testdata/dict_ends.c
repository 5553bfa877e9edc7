/* Operations on a dictionary whose memory another process writes to in ways that could keep them from ending. It is compiled with a short
 * LONGEST_MS. */
#include "dict.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (2u << 20) /* one shard */
static const uint64_t key[2] = {1, 2};
static mb_dict d;

static int set(const char *name)
{
	mb_dict_op op = {.key = name, .key_len = strlen(name), .value = {.type = MB_DICT_STRING, .p = "v", .n = 1}};
	return mb_dict_run(&d, &op, mb_dict_set);
}

static void want(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* A child of this process writes owners that live into the lock, one after the other. */
static void owner_changes(uint32_t first, uint32_t second)
{
	uint32_t *lock = &((mb_dict_shard *)d.base)->lock;
	pid_t parent = getpid(), child = fork();
	if (child == 0) {
		while (getppid() == parent) {
			__atomic_store_n(lock, first, __ATOMIC_SEQ_CST);
			usleep(500);
			__atomic_store_n(lock, second, __ATOMIC_SEQ_CST);
			usleep(500);
		}
		_exit(0);
	}
	want(child > 0, "fork");
	while (__atomic_load_n(lock, __ATOMIC_SEQ_CST) == 0)
		usleep(1000);
	int r = set("k");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	want(r == MB_DICT_OK, "a lock that changes all the time");
	want(set("k") == MB_DICT_OK, "after that");
	__atomic_store_n(lock, 0, __ATOMIC_SEQ_CST);
}

/* All entries have the same hash. */
static void one_bucket(void)
{
	mb_dict_at a = {.d = &d, .links = (uint32_t *)(d.base + d.links), .blocks = d.base + d.blocks};
	mb_dict_stats st;
	char name[16];
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "k%d", i);
		want(set(name) == MB_DICT_OK, name);
	}
	for (uint32_t ref = 1; ref <= d.nblocks; ref++)
		if (mb_dict_is(&a, ref, MB_DICT_HEAD))
			((mb_dict_entry *)mb_dict_block(&a, ref))->hash = 7;
	((mb_dict_shard *)d.base)->damaged = 1;
	mb_dict_count(&d, &st); /* repairs it */
	want(st.entries == MB_DICT_CHAIN_MAX, "a repair leaves a chain that is too long");
	want(st.free == st.capacity - st.entries * MB_DICT_BLOCK, "blocks are lost");
	want(set("k") == MB_DICT_OK, "after that repair");
}

int main(void)
{
	int fd = memfd_create("dictionary", 0);
	want(fd >= 0 && ftruncate(fd, SIZE) == 0 && !mb_dict_open(&d, fd, SIZE, key), "memory");
	alarm(20); /* otherwise it hangs */
	owner_changes(1, (uint32_t)getppid());
	owner_changes(0, 1);
	one_bucket();
	return 0;
}
