/* What a process needs to use a dictionary, and how an operation runs. */
#include "dict.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(mb_dict_shard) == 256, "a shard's control block");
_Static_assert(sizeof(mb_dict_entry) == MB_DICT_BLOCK, "an entry is a block");
_Static_assert(sizeof(mb_dict_element) == MB_DICT_BLOCK, "an element is a block");

static uint32_t floor_pow2(uint64_t n)
{
	uint32_t p = 1;
	while ((uint64_t)p * 2 <= n)
		p *= 2;
	return p;
}

/* Divides a shard into its control block, buckets, links and blocks, each at a multiple of 128. */
static void divide(mb_dict *d)
{
	d->shards = floor_pow2(d->size / MB_DICT_SHARD_BYTES);
	if (d->shards > MB_DICT_SHARDS_MAX)
		d->shards = MB_DICT_SHARDS_MAX;
	d->shard_bytes = d->size / d->shards / MB_DICT_BLOCK * MB_DICT_BLOCK;
	size_t left = d->shard_bytes - sizeof(mb_dict_shard) - 2 * MB_DICT_BLOCK;
	uint32_t most = (uint32_t)(left / (MB_DICT_BLOCK + sizeof(uint32_t)));
	d->nbuckets = floor_pow2(most);
	d->nblocks = (uint32_t)((left - d->nbuckets * sizeof(uint32_t)) / (MB_DICT_BLOCK + sizeof(uint32_t)));
	d->links = sizeof(mb_dict_shard) + d->nbuckets * sizeof(uint32_t);
	d->blocks = (d->links + d->nblocks * sizeof(uint32_t) + MB_DICT_BLOCK - 1) / MB_DICT_BLOCK * MB_DICT_BLOCK;
}

const char *mb_dict_open(mb_dict *d, int fd, uint64_t size, const uint64_t key[2])
{
	memset(d, 0, sizeof *d);
	if (size < MB_DICTIONARY_MIN || size > MB_DICTIONARY_MAX || size > SIZE_MAX)
		return "size out of range";
	void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return strerror(errno);
	d->base = p;
	d->size = (size_t)size;
	memcpy(d->key, key, sizeof d->key);
	divide(d);
	return NULL;
}

void mb_dict_close(mb_dict *d)
{
	if (d->base)
		munmap(d->base, d->size);
	d->base = NULL;
}

const char *mb_dict_message(int result)
{
	static const char *const text[] = {
		[MB_DICT_OK] = "", [MB_DICT_NOT_FOUND] = "not found", [MB_DICT_EXISTS] = "exists",
		[MB_DICT_NOT_EQUAL] = "not equal", [MB_DICT_NOT_NUMBER] = "not a number",
		[MB_DICT_NOT_LIST] = "value not a list", [MB_DICT_IS_LIST] = "value is a list",
		[MB_DICT_NOT_LIMIT] = "value not a limit", [MB_DICT_NO_MEMORY] = "no memory",
		[MB_DICT_TOO_LARGE] = "too large", [MB_DICT_BROKEN] = "dictionary is damaged"};
	return text[result];
}

int64_t mb_dict_now(mb_dict_at *a)
{
	if (!a->now)
		a->now = a->d->fixed;
	if (!a->now) {
		struct timespec t;
		clock_gettime(CLOCK_MONOTONIC, &t);
		a->now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	}
	return a->now;
}

static int run(mb_dict_at *a, int (*what)(mb_dict_at *))
{
	if (mb_dict_lock(a->s) || MB_DICT_LOAD(a->s->damaged))
		mb_dict_repair(a);
	int result = MB_DICT_BROKEN;
	for (int attempt = 0; attempt < 3; attempt++) {
		a->damaged = 0;
		int r = what(a);
		if (!a->damaged) {
			result = r;
			break;
		}
		if (attempt == 0)
			mb_dict_repair(a);
		else
			mb_dict_reset(a);
	}
	mb_dict_unlock(a->s);
	return result;
}

int mb_dict_run_at(const mb_dict *d, uint32_t shard, uint32_t hash, mb_dict_op *op, int (*what)(mb_dict_at *))
{
	uint8_t *base = d->base + shard * d->shard_bytes;
	mb_dict_at a = {
		.d = d, .op = op, .s = (mb_dict_shard *)base, .buckets = (uint32_t *)(base + sizeof(mb_dict_shard)),
		.links = (uint32_t *)(base + d->links), .blocks = base + d->blocks, .hash = hash};
	return run(&a, what);
}

int mb_dict_run(const mb_dict *d, mb_dict_op *op, int (*what)(mb_dict_at *))
{
	uint64_t h = mb_dict_hash(d->key, op->key, op->key_len);
	return mb_dict_run_at(d, (uint32_t)(h & (d->shards - 1)), (uint32_t)(h >> 32), op, what);
}
